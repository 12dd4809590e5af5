"""The images of W processes are, step for step, those of one process with the total batch."""

from __future__ import annotations

import pytest
from torch.utils.data import DataLoader

from benchmarks.training import sampler as module
from benchmarks.training.sampler import EpochSampler


@pytest.fixture
def steps(monkeypatch):
    """The batches of one process: steps(images, rank, processes, total batch) -> (list of lists, the sampler)."""

    def run(images, rank, processes, total, **options):
        monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (rank, processes))
        sampler = EpochSampler(list(range(images)), seed=3)
        sampler.set_epoch(options.get("epoch", 1))
        sampler.batch_size = total // processes
        if "start" in options:
            sampler.start_at(options["start"], total // processes)
        loader = DataLoader(range(images), total // processes, sampler=sampler, collate_fn=list)
        return list(loader), sampler, len(loader)

    return run


CASES = [(images, processes, 8) for images in (48, 49, 50, 51, 55, 41, 8, 9, 3, 1) for processes in (1, 2, 4, 8)]


@pytest.mark.parametrize(("images", "processes", "total"), CASES)
def test_step_t_sees_the_same_images_on_any_number_of_processes(steps, images, processes, total):
    one, _, length = steps(images, 0, 1, total)
    dealt = [steps(images, rank, processes, total) for rank in range(processes)]
    assert {len(batches) for batches, _, _ in dealt} == {len(one)}, "all processes make the same number of steps"
    assert {loader for _, _, loader in dealt} == {length}
    for step, expected in enumerate(one):
        counted = [image for batches, sampler, _ in dealt if sampler.weight(step) > 0 for image in batches[step]]
        assert sorted(counted) == sorted(expected)


@pytest.mark.parametrize(("images", "processes", "total"), CASES)
def test_the_weights_make_the_mean_over_processes_the_mean_over_images(steps, images, processes, total):
    one, _, _ = steps(images, 0, 1, total)
    dealt = [steps(images, rank, processes, total) for rank in range(processes)]
    for step, batch in enumerate(one):
        means = [sum(batches[step]) / len(batches[step]) * sampler.weight(step) for batches, sampler, _ in dealt]
        assert sum(means) / processes == pytest.approx(sum(batch) / len(batch))
        assert sum(sampler.weight(step) for _, sampler, _ in dealt) == pytest.approx(processes)


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("start", [0, 1, 5, 6])
def test_an_epoch_that_begins_late_has_the_steps_that_are_left(steps, processes, start):
    for rank in range(processes):
        whole, _, length = steps(51, rank, processes, 8)
        rest, sampler, same_length = steps(51, rank, processes, 8, start=start)
        assert rest == whole[start:]
        assert same_length == length == 7
        assert len(list(sampler)) == sum(map(len, whole)), "the next epoch is whole again"


def test_without_a_batch_size_the_last_round_is_filled_as_in_mmengine(steps, monkeypatch):
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (3, 4))
    sampler = EpochSampler(list(range(49)), shuffle=False)
    assert list(sampler)[-1] == 2
    assert len(list(sampler)) == 13
    assert sampler.weight(0) == 1.0


def test_the_data_set_is_told_seed_and_epoch():
    class Told(list):
        def set_epoch(self, *numbers):
            self.numbers = numbers

    data = Told([0])
    module.EpochSampler(data, seed=5).set_epoch(2)
    assert data.numbers == (5, 2)
