"""The process that holds one network: ``python -m benchmarks.iteration_cost.worker``, a JSON line in, a JSON line out.

The first line is the `Job`; the answer describes the network. Then each line orders iterations: `{"mode": "training",
"iterations": 2, "warm_up": true}` is answered by the seconds of the last one and the peak of memory, without warm_up by
the mean of their seconds. The end of the input ends the process, so that it does not outlive its parent. What goes
wrong is answered by `{"error": ...}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any

from benchmarks.errors import UserError

if TYPE_CHECKING:
    from benchmarks.iteration_cost.network import Network
    from benchmarks.iteration_cost.records import Mode, Precision


@dataclass(frozen=True)
class Job:
    """What to build. size: (height, width). threads: None as torch takes them. precision: None as the config has it."""

    name: str
    batch: int
    size: tuple[int, int]
    device: str
    threads: int | None = None
    precision: Precision | None = None

    def line(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self))


def main() -> int:
    """Serve standard input until it ends; the exit code is 1 after an error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print; that must not get between the answers
    try:
        serve(sys.stdin, answers)
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 (the parent tells it)
        traceback.print_exc()
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        _answer(answers, {"error": " ".join(text.split())})
        return 1
    return 0


def serve(orders: IO[str], answers: IO[str]) -> None:
    """Build what the first line asks for and iterate as the others do."""
    from benchmarks.iteration_cost import configs, memory

    content = json.loads(orders.readline())
    job = Job(**{**content, "size": tuple(content["size"])})
    config = configs.load(job.name, job.precision)

    import torch

    from benchmarks.iteration_cost.network import Network, prepare
    from benchmarks.training import device as devices

    if job.threads:
        torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    with devices.used(job.device):
        prepare(config)
        peak = memory.Peak(job.device)
        network = Network(config, configs.task_of(config, job.name), job.batch, job.size, job.device)
        _answer(answers, _description(network, job.device))
        for order in map(json.loads, orders):
            mode: Mode = order["mode"]
            if order["warm_up"]:
                exact = peak.begin()
                for _ in range(order["iterations"]):
                    seconds = _timed(network, mode, 1)
                answer = {"seconds": seconds, "peak_bytes": peak.bytes(), "exact": exact, "regions": network.regions}
                peak.usual()
            else:
                answer = {"seconds": _timed(network, mode, order["iterations"])}
            _answer(answers, answer)


def _timed(network: Network, mode: Mode, iterations: int) -> float:
    """Seconds an iteration."""
    begin = time.perf_counter()
    network.iterate(mode, iterations)
    return (time.perf_counter() - begin) / iterations


def _description(network: Network, device: str) -> dict[str, Any]:
    from benchmarks import environment

    parameters = list(network.model.parameters())
    wrapper = network.config.optim_wrapper
    described = environment.collect(
        precision="fp32" if wrapper.get("type", "OptimWrapper") == "OptimWrapper" else wrapper.get("dtype", "float16"),
        memory_format="channels_last" if network.channels_last else "contiguous",
        compile="no",
    )
    if not device.startswith("cuda"):
        described = described.model_copy(update={"gpu": None})
    return {
        "parameters": sum(one.numel() for one in parameters),
        "trained": sum(one.numel() for one in parameters if one.requires_grad),
        "mask_hook": network.mask_hook,
        "environment": described.model_dump(),
    }


def _answer(answers: IO[str], content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
