"""The segmentors of mmconfigs/seg: experiments by path, the networks that are counted, and what they read and learn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from mmengine.config import Config
from PIL import Image
from torch import nn

import backbones

pytest.importorskip("mmseg")

from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

import backbones.adapters.openmmlab

SEG = Path(__file__).parents[2] / "mmconfigs" / "seg"
CONFIGS = sorted(str(path.relative_to(SEG).with_suffix("")) for path in SEG.glob("[!_]*/*/*.py"))
PAPER = [name for name in CONFIGS if "/paper_" in name]
MINI = [name for name in CONFIGS if name not in PAPER]
OVERFIT = [name for name in CONFIGS if "/overfit/" in name]
_BESIDE = ("versatile", "sepaspp")  # what the catalogue counts beside the networks of Table VII
COUNTED = [name for name in backbones.list_models("deeplabv3plus_*") if not any(kind in name for kind in _BESIDE)]
#: part of a counted network, as `slimbench complexity` shows it -> modules of MMSegmentation's
PARTS = {
    "backbone": ("backbone",),
    "decode_head.pyramid": ("decode_head.aspp_modules", "decode_head.image_pool", "decode_head.bottleneck"),
    "decode_head.decoder": ("decode_head.c1_bottleneck", "decode_head.{decoder}", "decode_head.conv_seg"),
}


@pytest.fixture(autouse=True)
def _mmseg_scope() -> Iterator[None]:
    """In the scope of a run of MMSegmentation, which no other test is left in."""
    before = DefaultScope._instance_dict.copy()
    register_all_modules(init_default_scope=False)
    DefaultScope.get_instance("test_seg", scope_name="mmseg")
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


def config(name: str) -> Config:
    """A config of ours that starts from random weights."""
    found = Config.fromfile(SEG / f"{name}.py", import_custom_modules=False)
    found.model.backbone.init_cfg = None
    return found


def tiny(name: str) -> Any:
    """The segmentor of a config with a fraction of its channels."""
    model = config(name).model
    if "mobilenet" in name:
        model.backbone.widen_factor = 0.25
        channels = (8, 80)
    else:
        model.backbone.update(base_channels=8, stem_channels=8)
        channels = (32, 256)
    model.decode_head.update(c1_in_channels=channels[0], in_channels=channels[1], channels=16, c1_channels=8)
    return MODELS.build(model)


def sample(height: int, width: int) -> SegDataSample:
    """Random truth of which one row is void."""
    truth = torch.randint(0, 21, (1, height, width))
    truth[:, 0] = 255
    sizes = {"img_shape": (height, width), "ori_shape": (height + 7, width + 20)}
    return SegDataSample(gt_sem_seg=PixelData(data=truth), metainfo=sizes)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from strings(part)


def shapes(*modules: nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(p.shape) for module in modules for p in module.parameters())


def test_every_network_of_table_vii_has_a_config_and_every_mini_protocol_its_kinds() -> None:
    names = {name.rpartition("/")[::2] for name in CONFIGS}
    assert {(folder, model) for folder, model in names if "sepaspp" not in model and "paper" in folder} == {
        ("voc12aug/paper_30k", model) for model in COUNTED
    }
    kinds = {model for folder, model in names if folder == "voc-mini/overfit"}
    assert {f"deeplabv3plus_{kind}" for kind in (
        "mobilenet_v2", "sc_mobilenet_v2_k8_3", "resnet50", "sc_resnet50", "s_versatile_resnet50",
        "separate_l_versatile_resnet50_s4",
    )} == kinds  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_says_what_it_is_and_can_be_built(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (SEG / f"{name}.py").read_text()
    assert f"slimbench train {name.replace('paper_30k', 'paper-30k')}\n" in text
    assert f"mmconfigs/seg/{name}.py`" in text
    assert "Expected time: " in text
    assert "Expected metric: " in text
    monkeypatch.setenv("SLIMBENCH_DATA", "/elsewhere")
    data, protocol, network = name.split("/")
    built = config(name)
    assert (built.dataset.name, built.protocol.name) == (data, protocol.replace("_", "-"))
    assert built.protocol.proxy == (name in MINI)
    assert built.protocol.description
    assert built.protocol.epochs >= 1
    assert built.dataset.num_classes == built.model.decode_head.num_classes == 21
    assert tuple(built.dataset.input_size)[1:] == tuple(built.model.data_preprocessor.size)
    assert built.data_folder == "/elsewhere"
    loaders = [built[f"{split}_dataloader"] for split in ("train", "val", "test")]
    roots = [text for text in strings(loaders) if "VOCdevkit" in text]
    assert len(roots) == 3 + (name in PAPER)
    assert all(root.startswith("/elsewhere/VOCdevkit/VOC2012") for root in roots)
    assert not [text for text in strings(built.to_dict()) if text.startswith("benchmarks")]
    assert built.custom_imports["imports"] == ["backbones.adapters.openmmlab"]
    assert built.train_cfg.max_iters % built.train_cfg.val_interval == 0
    with torch.device("meta"):
        model = MODELS.build(built.model)
    kind = type(model.backbone).__name__
    assert kind.startswith("Slim") == ("_sc_" in network)
    assert kind.startswith("Versatile") == ("versatile" in network)
    assert type(model.decode_head).__name__ == (
        "DepthwiseSeparableASPPHead" if "sepaspp" in network else "DenseDeepLabV3PlusHead"
    )
    assert [hook["type"] for hook in built.get("custom_hooks", [])] == ["VersatileMaskHook"] * ("_l_" in network)


@pytest.mark.parametrize("name", [*PAPER, *(name for name in OVERFIT if "versatile" in name)])
def test_each_part_has_the_parameters_that_are_counted(name: str) -> None:
    with torch.device("meta"):
        trained = MODELS.build(config(name).model)
        counted = backbones.create_model(name.rpartition("/")[2])
    decoder = "sep_bottleneck" if "sepaspp" in name else "decoder"
    assert counted.counted_parts.keys() == PARTS.keys()
    for part, modules in PARTS.items():
        ours = [trained.get_submodule(module.format(decoder=decoder)) for module in modules]
        theirs = [counted.get_submodule(module) for module in counted.counted_parts[part]]
        assert shapes(*ours) == shapes(*theirs), part
    assert shapes(trained) == shapes(counted)


@pytest.mark.parametrize("network", ["resnet50", "sc_resnet50"])
def test_the_variant_differs_by_the_head_alone(network: str) -> None:
    table, variant = (config(f"voc12aug/paper_30k/deeplabv3plus_{kind}{network}") for kind in ("", "sepaspp_"))
    assert variant.model.decode_head.type == "DepthwiseSeparableASPPHead"
    variant.model.decode_head.type = table.model.decode_head.type
    assert {key: value for key, value in variant.items() if key != "_base_"} == dict(table.items())


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_networks_start_from_imagenet_and_see_480000_crops(name: str) -> None:
    read = Config.fromfile(SEG / f"{name}.py", import_custom_modules=False)
    init, network = read.model.backbone.init_cfg, name.rpartition("/")[2].removeprefix("deeplabv3plus_")
    network = network.removeprefix("sepaspp_")
    own = f"checkpoints/{network}.pth" if network.startswith("sc_") else f"torchvision://{network}"
    assert (init.type, init.checkpoint) == ("Pretrained", own)
    assert read.train_dataloader.batch_size * read.train_cfg.max_iters == 16 * 30_000
    assert round(480_000 / 10_582) == read.protocol.epochs


TINY = [*OVERFIT, "voc12aug/paper_30k/deeplabv3plus_sepaspp_resnet50"]


@pytest.mark.parametrize("name", TINY)
def test_one_image_gives_a_loss_all_gradients_and_a_prediction_of_its_own_size(name: str) -> None:
    model = tiny(name).train()
    image, truth = torch.randn(1, 3, 65, 81), sample(65, 81)
    if "sepaspp" in name:  # MMSegmentation's head normalises one value a channel: it needs two images
        image, samples = image.repeat(2, 1, 1, 1), [truth, sample(65, 81)]
    else:
        samples = [truth]
    (loss,) = (value for key, value in model.loss(image, samples).items() if "loss" in key)
    assert 0.5 < loss.item() < 3 * math.log(21)
    loss.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []
    with torch.no_grad():
        found = model.eval().predict(image, samples)
    for one in found:
        assert one.pred_sem_seg.data.shape == (1, 72, 101)
        assert one.seg_logits.data.isfinite().all()


@pytest.mark.parametrize("prefix", ["", "network."])
def test_torchvisions_weights_and_ours_give_torchvisions_features(prefix: str, tmp_path: Path) -> None:
    theirs = torchvision.models.mobilenet_v2(width_mult=0.25).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean, std=0.1)
    torch.save({f"{prefix}{key}": value for key, value in theirs.state_dict().items()}, tmp_path / "a.pth")
    wanted = config("voc12aug/paper_30k/deeplabv3plus_mobilenet_v2").model.backbone
    wanted.update(widen_factor=0.25, init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth")})
    ours = MODELS.build(wanted).eval()
    ours.init_weights()
    x = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        early, late = ours(x)
        torch.testing.assert_close(early, theirs.features[:4](x))
        torch.testing.assert_close(late, theirs.features[:-1](x))  # it ends before the last 1x1


@pytest.mark.parametrize("prefix", ["", "network."])
def test_a_plain_resnet_starts_from_torchvisions_weights_or_by_a_prefix_from_ours(prefix: str, tmp_path: Path) -> None:
    theirs = torchvision.models.resnet50(replace_stride_with_dilation=[False, False, True]).eval()
    torch.save({f"{prefix}{key}": value for key, value in theirs.state_dict().items()}, tmp_path / "a.pth")
    wanted = config("voc12aug/paper_30k/deeplabv3plus_resnet50").model.backbone
    wanted.init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth")}
    if prefix:
        wanted.init_cfg["prefix"] = prefix
    ours = MODELS.build(wanted)
    ours.init_weights()
    ours.eval()  # MMSegmentation's own returns None
    x = torch.randn(1, 3, 33, 33)
    with torch.no_grad():
        expected = nn.Sequential(*list(theirs.children())[:-2])(x)
        torch.testing.assert_close(ours(x)[-1], expected)


def draw_voc(folder: Path, train: int, val: int, sbd: int = 0) -> None:
    """Photographs of noise with a square of class 1 to 3, and void around it, in VOC's layout; sizes differ."""
    root = folder / "VOCdevkit" / "VOC2012"
    lists = {"train": range(train), "val": range(train, train + val), "aug": range(train + val, train + val + sbd)}
    draws = np.random.default_rng(0)
    for name in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    for kind, numbers in lists.items():
        for i in numbers:
            h, w = 50 + 3 * i, 70 - 4 * i
            mask = np.zeros((h, w), np.uint8)
            mask[8:34, 8:34], mask[10:32, 10:32] = 255, 1 + i % 3
            image = draws.integers(0, 60, (h, w, 3)) + 60 * mask[..., None].clip(0, 3)
            Image.fromarray(image.astype(np.uint8)).save(root / "JPEGImages" / f"{i}.jpg")
            masks = "SegmentationClassAug" if kind == "aug" else "SegmentationClass"
            Image.fromarray(mask).save(root / masks / f"{i}.png")
        (root / "ImageSets/Segmentation" / f"{kind}.txt").write_text("".join(f"{i}\n" for i in numbers))


def test_training_images_are_those_of_voc_and_sbd_scaled_cropped_and_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMBENCH_DATA", str(tmp_path))
    built = config("voc12aug/paper_30k/deeplabv3plus_resnet50")
    loader = built.train_dataloader
    draw_voc(tmp_path, 3, 1, 2)
    data = DATASETS.build(loader.dataset)
    assert len(data) == 5
    assert [sorted(np.unique(data[i]["data_samples"].gt_sem_seg.data)) for i in range(5)] == [
        [0, 1, 255], [0, 2, 255], [0, 3, 255], [0, 2, 255], [0, 3, 255]
    ]  # fmt: skip
    ratios = {round(data[0]["inputs"].shape[1] / 50 * 4) for _ in range(200)}
    assert ratios == {2, 3, 4, 5, 6, 7, 8}
    batch = MODELS.build(built.model.data_preprocessor)(
        {"inputs": [data[i]["inputs"] for i in range(2)], "data_samples": [data[i]["data_samples"] for i in range(2)]},
        training=True,
    )
    assert batch["inputs"].shape == (2, 3, 513, 513)
    assert (batch["inputs"][:, :, -1] == 0).all()
    assert (batch["data_samples"][0].gt_sem_seg.data[:, -1] == 255).all()


def test_validation_images_are_whole_and_truth_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMBENCH_DATA", str(tmp_path))
    draw_voc(tmp_path, 1, 1)
    dataset = config("voc12aug/paper_30k/deeplabv3plus_resnet50").val_dataloader.dataset
    (item,) = DATASETS.build(dataset)
    assert item["inputs"].shape == (3, 53, 66)
    assert item["data_samples"].gt_sem_seg.data.shape == (1, 53, 66)


def test_the_backbone_learns_at_a_tenth_of_the_heads_rate() -> None:
    with torch.device("meta"):
        built = config("voc12aug/paper_30k/deeplabv3plus_mobilenet_v2")
        model = MODELS.build(built.model)
    wrapper = build_optim_wrapper(model, built.optim_wrapper)
    rates = {id(p): group["lr"] for group in wrapper.optimizer.param_groups for p in group["params"]}
    assert {round(rates[id(p)], 9) for p in model.backbone.parameters()} == {0.001}
    assert {rates[id(p)] for p in model.decode_head.parameters()} == {0.01}


def test_mmsegs_runner_trains_and_tests_a_smoke_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMBENCH_DATA", str(tmp_path))
    draw_voc(tmp_path, 3, 2)
    built = config("voc-mini/smoke/deeplabv3plus_sc_mobilenet_v2_k8_3")
    built.work_dir = str(tmp_path / "run")
    built.train_cfg.update(max_iters=2, val_interval=2)
    built.default_hooks.checkpoint.interval = 2
    built.experiment_name = "smoke"
    runner = Runner.from_cfg(built)
    runner.train()
    assert (tmp_path / "run" / "iter_2.pth").is_file()
    tested = runner.test()
    pairs = [
        (sample.gt_sem_seg.data.flatten(), sample.pred_sem_seg.data.flatten())
        for batch in runner.test_dataloader
        for sample in runner.model.eval().test_step(batch)
    ]
    truth, found = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    assert len(truth) == sum((50 + 3 * i) * (70 - 4 * i) for i in (3, 4))  # images' own sizes
    truth, found = truth[truth != 255], found[truth != 255]
    assert tested["aAcc"] == pytest.approx(100 * (truth == found).float().mean().item(), abs=0.006)
    classes = {*truth.tolist(), *found.tolist()}
    ious = [((truth == c) & (found == c)).sum() / ((truth == c) | (found == c)).sum() for c in classes]
    assert tested["mIoU"] == pytest.approx(100 * sum(ious).item() / len(ious), abs=0.006)


def test_what_is_learned_by_heart_is_what_is_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMBENCH_DATA", str(tmp_path))
    draw_voc(tmp_path, 10, 1)
    built = config("voc-mini/overfit/deeplabv3plus_resnet50")
    train, val = DATASETS.build(built.train_dataloader.dataset), DATASETS.build(built.val_dataloader.dataset)
    assert len(train) == len(val) == built.train_dataloader.batch_size == 8
    for i, (learned, tested) in enumerate(zip(train, val, strict=True)):
        assert torch.equal(learned["inputs"], tested["inputs"])
        assert learned["inputs"].shape[1:] == learned["data_samples"].gt_sem_seg.data.shape[1:] == (129, 129)
        assert tested["data_samples"].gt_sem_seg.data.shape[1:] == (50 + 3 * i, 70 - 4 * i)
    assert built.test_dataloader == built.val_dataloader
    assert built.train_cfg.max_iters == built.param_scheduler[-1].end == built.protocol.epochs
