"""ImageNet's protocols from end to end, on images that are drawn and with a network of three layers."""

from __future__ import annotations

import pytest
import torch

from benchmarks.datasets import imagenet_tiny
from benchmarks.errors import UserError
from benchmarks.training import engine, experiments, testing


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(imagenet_tiny, "IMAGES", {"train": 4, "val": 4})
    imagenet_tiny.prepare(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def on_drawn(monkeypatch):
    """Every protocol of ImageNet takes the drawn images, eight at a time, for two epochs."""
    real = experiments.experiment

    def small(name):
        config = real(name)
        config.dataset.name = "imagenet-tiny"
        for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
            loader.dataset.update(name="imagenet-tiny", verify=False)
            loader.update(batch_size=8, num_workers=0, persistent_workers=False, pin_memory=False)
        config.train_cfg.max_epochs = 2
        return config

    monkeypatch.setattr(engine, "experiment", small)


def accuracies(outcome):
    return {metric.name: metric.value for metric in outcome.result.metrics}


@pytest.mark.filterwarnings("ignore:.*class folders")
def test_rmsprop_records_what_the_averaged_weights_reach(drawn, on_drawn, tiny_network, tmp_path):
    name, results, work = "imagenet/efficientnet-rmsprop-ema/efficientnet_b0", tmp_path / "results", tmp_path / "work"
    trained = engine.train(name, data=drawn, work_dir=work, results=results)
    checkpoint = work / "epoch_2.pth"
    content = torch.load(checkpoint, weights_only=True)
    averaged, last = content["state_dict"], content["ema_state_dict"]  # MMEngine exchanges them on saving
    assert not torch.equal(averaged["network.fc.weight"], last["module.network.fc.weight"])
    tested = testing.test(name, checkpoint, data=drawn, work_dir=work, results=results)
    assert accuracies(tested) == accuracies(trained)


@pytest.mark.filterwarnings("ignore:.*class folders")
@pytest.mark.parametrize(
    ("trains", "tests", "side"),
    [("paper-90e", "paper-90e-test256", 256), ("versatile-100e", "versatile-100e-8bit", 224)],
)
def test_what_was_trained_here_is_tested_as_another_row(drawn, on_drawn, tiny_network, tmp_path, trains, tests, side):
    torch.manual_seed(0)
    weights = {f"network.{key}": value for key, value in tiny_network(1000).state_dict().items()}
    epochs = experiments.protocol(f"imagenet/{trains}")["epochs"]
    content = {"experiment": f"imagenet/{trains}/resnet50", "seed": 3, "epoch": epochs, "state_dict": weights}
    torch.save(content, tmp_path / "ours.pth")
    name = f"imagenet/{tests}/resnet50"
    with pytest.raises(UserError, match=f"slimbench train imagenet/{trains}/resnet50"):
        engine.train(name, data=drawn, work_dir=tmp_path / "work")
    assert not (tmp_path / "work").exists()
    outcome = testing.test(name, tmp_path / "ours.pth", data=drawn, work_dir=tmp_path / "work", results=tmp_path)
    result = outcome.result
    assert (result.origin, result.seed, result.protocol.name, result.epochs_done) == ("test", 3, tests, epochs)
    assert result.trained_as == f"imagenet/{trains}/resnet50"
    assert result.input_size == (3, side, side)
