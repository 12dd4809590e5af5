"""Where a process stands, from its launcher's environment; what it says when that does not fit."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from benchmarks.errors import UserError
from benchmarks.training import launch
from benchmarks.training.launch import Place, find_place, gpu_index

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_PROCID": "3",
    "SLURM_NTASKS": "4",
    "SLURM_LOCALID": "1",
    "SLURM_NODELIST": "n[1-2]",
    "SLURM_STEP_ID": "0",
}
MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}


@pytest.mark.parametrize(
    ("launcher", "environ", "expected"),
    [
        ("none", {}, Place()),
        ("none", {"WORLD_SIZE": "1", "LOCAL_RANK": "0"}, Place()),
        ("pytorch", TORCHRUN, Place("pytorch", 5, 8, 1, 4)),
        ("slurm", SLURM, Place("slurm", 3, 4, 1, None)),
        ("mpi", MPI, Place("mpi", 1, 2, 1, 2)),
    ],
)
def test_place(launcher, environ, expected):
    assert find_place(launcher, environ) == expected


@pytest.mark.parametrize(
    ("launcher", "environ", "message"),
    [
        ("pytroch", {}, "no launcher 'pytroch'.*did you mean pytorch"),
        ("none", TORCHRUN, "torchrun started 8 processes .* add --launcher pytorch"),
        ("pytorch", {}, "RANK is not set: start with `torchrun --nproc-per-node 2 -m benchmarks train"),
        ("slurm", {}, "SLURM_PROCID is not set: start with `srun "),
        ("mpi", {}, "OMPI_COMM_WORLD_RANK is not set: start with `mpirun "),
        ("pytorch", {**TORCHRUN, "RANK": "first"}, "RANK, WORLD_SIZE, LOCAL_RANK must be whole numbers.*'first'"),
        ("slurm", {key: SLURM[key] for key in SLURM if "STEP" not in key}, "4 processes .*not started by srun"),
    ],
)
def test_what_does_not_fit_is_one_line(launcher, environ, message):
    with pytest.raises(UserError, match=message) as told:
        find_place(launcher, environ)
    assert "\n" not in str(told.value)


def test_a_test_is_the_work_of_one_process():
    launch.refuse_several("test", {})
    launch.refuse_several("test", {**TORCHRUN, "WORLD_SIZE": "1"})
    with pytest.raises(UserError, match=r"slimbench test takes one process, and torchrun started 8"):
        launch.refuse_several("test", TORCHRUN)


def test_each_process_has_its_gpu():
    assert gpu_index(Place("pytorch", 5, 8, 1, 4), 4, {}) == 1
    assert gpu_index(Place("slurm", 3, 4, 1, None), 2, {}) == 1
    assert gpu_index(Place("slurm", 3, 4, 1, None), 1, {"SLURM_GPUS_PER_TASK": "1"}) == 0


@pytest.mark.parametrize("place", [Place("pytorch", 0, 8, 0, 4), Place("slurm", 3, 4, 3, None)])
def test_more_processes_than_gpus_are_refused(place):
    with pytest.raises(UserError, match="4 processes on a machine with 2 GPUs: start at most 2"):
        gpu_index(place, 2, {})


def test_the_runner_is_told_the_backend():
    config = Config({"model_wrapper_cfg": {"find_unused_parameters": True}})
    launch.configure(config, "slurm", "cuda")
    assert config.launcher == "slurm"
    assert config.env_cfg.dist_cfg.backend == "nccl"
    assert config.model_wrapper_cfg.find_unused_parameters
    assert "device_ids" not in config.model_wrapper_cfg
    launch.configure(config, "pytorch", "cpu")
    assert config.env_cfg.dist_cfg.backend == "gloo"
    assert config.model_wrapper_cfg.device_ids is None


def test_one_process_is_left_alone():
    config = Config({})
    launch.configure(config, "none")
    assert config.to_dict() == {}
    with launch.processes("none") as place:
        assert place.is_main


def test_sync_bn_needs_gpus():
    with pytest.raises(UserError, match="--sync-bn needs GPUs"):
        launch.configure(Config({"sync_bn": "torch"}), "pytorch", "cpu")


def test_two_steps_on_one_machine_use_two_ports(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1234567")
    ports = set()
    for step in range(3):
        monkeypatch.setenv("SLURM_STEP_ID", str(step))
        ports.add(launch._port())
    assert len(ports) == 3
    assert all(1024 < port < 65536 for port in ports)
