"""From names to a measurement: build all networks, let them take turns, do the arithmetic."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone

import torch

import backbones
from benchmarks import environment
from benchmarks.complexity import Complexity, count
from benchmarks.complexity.records import InputSize, check_input, format_input
from benchmarks.errors import UserError
from benchmarks.latency import modes, ncnn_runtime, product
from benchmarks.latency.modes import Wanted
from benchmarks.latency.networks import Prepared, prepare
from benchmarks.latency.records import (
    PASSES,
    Dtype,
    Entrant,
    Layout,
    MatrixProduct,
    Measurement,
    Mode,
    Ratio,
    Task,
    share_of_peak,
)
from benchmarks.latency.setting import DTYPES, FORMATS, Setting
from benchmarks.latency.timing import Turns, take_turns
from benchmarks.precision import without_tf32
from benchmarks.spread import Spread

BASELINE = "resnet50"


def measure(
    models: Sequence[str],
    baseline: str = BASELINE,
    *,
    mode: Mode = "eager",
    task: Task = "inference",
    device: str | None = "cpu",
    threads: int = 1,
    batch: int = 1,
    input_size: InputSize | None = None,
    dtype: Dtype = "fp32",
    layout: Layout = "nchw",
    seconds: float = 10.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Measurement:
    """Measure networks side by side. Names are `MODEL` or `MODEL:MODE`, those without a mode get `mode`.

    A name may be a pattern (`modes.matching`). The baseline may be among `models` again: its ratio to itself tells what
    a ratio is worth. input_size: None as the baseline has it. threads: of a CPU. seconds: for each network, without
    warm-up.

    Raises:
        UserError: an unknown mode, a network that another input is meant for, that fails or computes something else.
        UnknownModelError: an unknown name, with the nearest ones.
    """
    from benchmarks.training import device as devices

    place = devices.check(device)
    first = modes.parse(baseline, mode)
    wanted = [first, *(one for text in models for one in modes.matching(text, mode, first))]
    size = input_size or backbones.model_spec(first.model).input_size
    setting = Setting(task, place, batch, check_input(size), dtype, layout)
    for one in wanted:
        _check_input_size(one, setting, asked=input_size is not None)
        modes.check(one, setting)
    counts = {one.model: count(one.model, setting.input_size) for one in wanted}
    started, load = datetime.now(timezone.utc), _load()
    with _settings(place, threads):
        prepared = []
        for one in wanted:
            tell(f"preparing {one.label} ...")
            prepared.append(prepare(one, setting))
        rows, multiply, expected = product.fastest(place, DTYPES[dtype], setting.wait)
        tell(f"timing {len(prepared)} networks for about {seconds * len(prepared):.0f} s ...")
        calls = [(one.call, one.expected) for one in prepared]
        *turns, peak = take_turns([*calls, (multiply, expected)], seconds, setting.wait)
        described = environment.collect(
            precision={"fp32": "float32", "bf16": "bfloat16"}[dtype],
            memory_format=str(FORMATS[layout]).removeprefix("torch."),
            packages=ncnn_runtime.versions() if any(one.mode == "ncnn" for one in wanted) else {},
        )
    if setting.device == "cpu":
        described = described.model_copy(update={"gpu": None})
    matrices = MatrixProduct(size=rows, dtype=dtype, calls=peak.calls, seconds=Spread.of(peak.seconds))
    return Measurement(
        task=task,
        device="cuda" if setting.device == "cuda" else "cpu",
        batch=batch,
        input_size=setting.input_size,
        dtype=dtype,
        layout=layout,
        seconds=seconds,
        memory="cuda allocator" if setting.device == "cuda" else "cpu allocator",
        started_at=started,
        finished_at=datetime.now(timezone.utc),
        environment=described,
        cpu_flags=environment.cpu_flags(),
        capability=torch.backends.cpu.get_cpu_capability(),
        load=None if load is None else (load, _load() or 0.0),
        kernel=modes.kernel() if any("deployed" in one.mode for one in wanted) else None,
        git=environment.git_state(),
        product=matrices,
        entrants=tuple(
            _entrant(one, turn, turns[0], counts[one.wanted.model], setting, matrices)
            for one, turn in zip(prepared, turns, strict=True)
        ),
    )


def _entrant(
    one: Prepared, turn: Turns, base: Turns, counted: Complexity, setting: Setting, matrices: MatrixProduct
) -> Entrant:
    macs = counted.macs * setting.batch * PASSES[setting.task]
    return Entrant(
        model=one.wanted.model,
        mode=one.wanted.mode,
        macs=counted.macs,
        mul=counted.mul,
        params=counted.params,
        calls=turn.calls,
        seconds=Spread.of(turn.seconds),
        ratio=Ratio.of(turn.seconds, base.seconds),
        share_of_peak=share_of_peak(macs, turn.seconds, matrices),
        weight_bytes=one.weight_bytes,
        peak_bytes=one.peak_bytes,
        deviation=one.deviation,
        warm_up_s=one.warm_up_s,
    )


def _check_input_size(one: Wanted, setting: Setting, *, asked: bool) -> None:
    own = backbones.model_spec(one.model).input_size
    if own != setting.input_size and not asked:
        raise UserError(
            f"{one.model} takes {format_input(own)} and the baseline {format_input(setting.input_size)}; give --input, "
            f"as --input {format_input(own)}, or another --baseline"
        )


@contextlib.contextmanager
def _settings(place: str, threads: int) -> Iterator[None]:
    """Threads, true float32, cuDNN's search for the fastest convolution; all as before after the block."""
    before, searched = torch.get_num_threads(), torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    try:
        with without_tf32(), torch.cuda.device(place) if place != "cpu" else contextlib.nullcontext():
            yield
    finally:
        torch.backends.cudnn.benchmark = searched
        torch.set_num_threads(before)


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
