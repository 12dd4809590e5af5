"""Two processes on the CPU (gloo) against one with the whole batch: weights, curves, masks, accuracies, endings."""

from __future__ import annotations

import distributed_worker as worker
import pytest
import torch

from benchmarks import ledger

SCENARIOS = [
    ("uneven", "none", "", {"images": 77}),  # the last batch of 13 is 7 and 6
    ("single", "none", "", {"images": 65}),  # the last batch of 1 leaves the second process without an image
    ("batch", "batch", "", {"images": 80}),
    ("shared", "shared", "", {"images": 80}),
    ("whole", "dropout", "", {"images": 77, "average": True}),
    ("resumed", "dropout", "go on", {"images": 77, "average": True}),
    ("left", "none", "leave", {"images": 77}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def two(folder):
    """What each of two processes ended with: two(name) -> (main process's, the other's)."""
    assert worker.start(worker.train_scenarios, SCENARIOS, folder) == [0, 0]
    return lambda name: [torch.load(folder / f"{name}-{rank}.pth", weights_only=True) for rank in range(2)]


@pytest.fixture
def one(folder, tmp_path, monkeypatch):
    """What one process ends with; it goes on where two were stopped."""
    import backbones

    def run(name):
        ((norm, stop, options),) = [scenario[1:] for scenario in SCENARIOS if scenario[0] == name]
        monkeypatch.setattr(backbones, "create_model", lambda *_, **__: worker.Network(10, worker.NORMS[norm]))
        config = worker.mmengine_config((folder if stop else tmp_path) / name, **options)
        return worker.train_to_the_end(config, resume=bool(stop))

    return run


def difference(first, second, buffers=True):
    """The largest difference of two runs' weights; without `buffers`, batch norm's running statistics are left out."""
    left, right = first["weights"], second["weights"]
    assert left.keys() == right.keys()
    chosen = [key for key in left if buffers or not key.startswith(("network.norm.running", "network.norm.num"))]
    return max((left[key].double() - right[key].double()).abs().max().item() for key in chosen)


@pytest.mark.parametrize("name", ["uneven", "single", "shared"])
def test_two_processes_equal_one_with_the_double_batch(two, one, name):
    """Without batch norm, and with one whose statistics are those of all images, as SyncBatchNorm's on GPUs."""
    main, other = two(name)
    alone = one(name)
    assert difference(main, alone, buffers=False) < 1e-5
    assert difference(main, other, buffers=False) == 0, "agents H included"
    for point, expected in zip(main["curve"], alone["curve"], strict=True):
        for quantity in ("train_loss", "mask_penalty", "top1_accuracy", "share_of_ones", "masks_changed", "lr"):
            if name != "shared" or quantity != "top1_accuracy":
                assert point[quantity] == pytest.approx(expected[quantity], abs=2e-5), quantity


def test_batch_norm_of_each_process_sees_its_own_images_only(two, one):
    main, other = two("batch")
    assert difference(main, one("batch"), buffers=False) > 1e-3, "this is what SyncBatchNorm is for"
    assert difference(main, other) == 0, "learned weights are equal, running statistics the main process's"
    assert curve(main) == curve(other)


def test_processes_draw_different_random_numbers_and_the_main_one_its_own(two, one):
    main, other = two("uneven")
    assert main["draw"] == one("uneven")["draw"]
    assert other["draw"] != main["draw"]


def curve(run):
    return [{**point, "seconds": 0} for point in run["curve"]]


def test_a_resumed_run_of_two_equals_one_that_was_not_stopped(two):
    """Within an epoch, with batch norm, averaged weights and dropout: each process draws on where it stopped."""
    for whole, resumed in zip(two("whole"), two("resumed"), strict=True):
        assert resumed["stopped_at"] == 4
        assert difference(whole, resumed) == 0
        assert resumed["draw"] == whole["draw"]
    for point, expected in zip(curve(two("resumed")[0]), curve(two("whole")[0]), strict=True):
        assert point == pytest.approx(expected, abs=2e-5)


def test_one_process_goes_on_where_two_were_stopped(two, one):
    assert [run["stopped_at"] for run in two("left")] == [4, 4]
    assert difference(one("left"), one("uneven")) < 1e-5


def test_a_killed_process_takes_the_other_with_it(folder):
    survivor, killed = worker.start(worker.train_until, "killed", folder)
    assert killed == -9
    assert survivor == 1
    assert (folder / "killed-0.txt").read_text().startswith("UserError: process 0 of 2 lost another one")


def test_a_loss_that_is_no_number_on_one_process_stops_both_in_the_same_step(folder):
    assert worker.start(worker.train_until, "spoiled", folder) == [1, 1]
    said = [(folder / f"spoiled-{rank}.txt").read_text() for rank in range(2)]
    assert said == ["DivergedError: the loss became nan in epoch 1, batch 4"] * 2


def test_from_the_command_line_to_the_ledger(make_cifar10, tmp_path):
    data, results = make_cifar10(tmp_path / "data"), tmp_path / "ledger"
    command = ["train", "cifar10/smoke/resnet56_cifar", "--launcher", "pytorch", "--data", str(data)]
    command += ["--results", str(results), "--work-dir", str(tmp_path / "work")]
    assert worker.start(worker.command_line, command, tmp_path) == [0, 0]
    printed = [(tmp_path / f"out-{rank}.txt").read_text() for rank in range(2)]
    assert "epoch 2/2, loss" in printed[0]
    assert f"recorded in {results}" in printed[0]
    assert printed[1] == "", "the main process alone prints"
    ((_, result),) = ledger.runs(results)
    assert (result.environment.processes, result.total_batch, result.protocol.name) == (2, 32, "smoke")
    assert "2 processes; batch norm over each process's own 16 images of a step" in result.notes
    assert sorted(path.name for path in (tmp_path / "work").glob("*.pth")) == ["epoch_1.pth", "epoch_2.pth"]
