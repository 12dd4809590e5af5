"""From a wanted network to a call that can be timed, with what it weighs and how far it is from the eager network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import backbones
from benchmarks.complexity.records import format_input
from benchmarks.errors import UserError
from benchmarks.latency import memory, modes, ncnn_runtime
from benchmarks.latency.modes import Function, Wanted
from benchmarks.latency.records import Dtype
from benchmarks.latency.setting import DTYPES, FORMATS, Setting
from benchmarks.latency.timing import warm_up
from benchmarks.settling import settling

#: How far the output of another mode may be from the eager network's: rounding, and no other network.
MOST_DEVIATION: dict[Dtype, float] = {"fp32": 1e-3, "bf16": 0.5}
_COMPARED = 4  # images


@dataclass(frozen=True)
class Prepared:
    """An entrant that is warm. expected: about the seconds of a call; the others as in `records.Entrant`."""

    wanted: Wanted
    call: Callable[[], None]
    expected: float
    weight_bytes: int
    peak_bytes: int
    deviation: float | None
    warm_up_s: float


def prepare(wanted: Wanted, setting: Setting) -> Prepared:
    """Build, deploy, compile or convert, and warm up.

    Raises:
        UserError: the network fails, or computes something else than the eager one.
    """
    began = time.perf_counter()
    held = _held(setting)
    try:
        network, expected_output = _network(wanted, setting)
        images = setting.images().to(DTYPES[setting.dtype] if setting.task == "inference" else torch.float32)
        options = _options(wanted, setting)
        converted = ncnn_runtime.load(network, images, wanted.label) if wanted.mode == "ncnn" else None
        function = converted or (network if options is None else modes.compiled(network, options))
        call, output_of = _call(network, function, images, setting, compiled=options is not None)
        with modes.compiling(options or {}):
            output = output_of()
        deviation = None if expected_output is None else _deviation(output, expected_output, wanted, setting)
        del output, expected_output
        call()
        expected = warm_up(call, setting.wait, setting.device)
        if converted is None:
            weights, taken = memory.weight_bytes(network), memory.most_allocated(call, setting.device)
        else:
            weights, taken = converted.weight_bytes, converted.most_allocated(images)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"{wanted.label} on {setting.batch}x{format_input(setting.input_size)}, {setting.dtype}, {setting.task}: "
            f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        ) from error
    # What a CUDA graph computes in is taken once, when it is recorded, and stays: no call takes it anew.
    most = max(weights + taken, _held(setting) - held)
    return Prepared(wanted, call, expected, weights, most, deviation, time.perf_counter() - began)


def _network(wanted: Wanted, setting: Setting) -> tuple[nn.Module, Tensor | None]:
    """The network in its dtype and layout, and what the eager one in fp32 gives for a few images."""
    torch.manual_seed(0)
    network = backbones.create_model(wanted.model).eval()
    network = network.to(setting.place)
    network = network.to(memory_format=FORMATS[setting.layout])  # type: ignore[call-overload]
    images = setting.images()
    with torch.no_grad(), settling(network):
        network(_various(images))
    if setting.task == "training":
        return network.train(), None
    expected = None
    if (wanted.mode, setting.dtype) != ("eager", "fp32"):
        with torch.no_grad():
            expected = network(images[:_COMPARED])
    if "deployed" in wanted.mode:
        network = modes.deployed(network, wanted).eval()
    return network.to(setting.place, DTYPES[setting.dtype]), expected


def _various(images: Tensor) -> Tensor:
    """Four images of different brightness and contrast, ``(4, C, H, W)``.

    Noise alike has nearly the same mean everywhere: a norm behind a global average, such as that of SlimConv's gate,
    would divide by next to nothing and blow up the rounding of whoever computes.
    """
    few = images[torch.arange(4) % len(images)]
    contrast, brightness = torch.tensor([[0.25, 0.5, 1, 2], [-0.5, 0, 0.5, 1]]).to(few)[..., None, None, None]
    varied: Tensor = few * contrast + brightness
    return varied


def _options(wanted: Wanted, setting: Setting) -> dict[str, object] | None:
    """What inductor is told; None for what is not compiled."""
    if "compiled" not in wanted.mode:
        return None
    from benchmarks.training.compiling import own_threads

    return (modes.FROZEN if setting.task == "inference" else modes.TRAINED)[setting.device] | own_threads()


def _call(
    network: nn.Module, function: Function, images: Tensor, setting: Setting, *, compiled: bool
) -> tuple[Callable[[], None], Callable[[], Tensor]]:
    """One call that is timed, and the one whose output is compared (and that compiles)."""
    # Inductor freezes only without gradients; inference_mode is the leaner of the two and what users are told to take.
    context = torch.no_grad if compiled else torch.inference_mode

    def infer() -> Tensor:
        with context():
            return function(images)

    def train() -> Tensor:
        bf16 = setting.dtype == "bf16"
        with torch.autocast(setting.device, torch.bfloat16, enabled=bf16):
            output = function(images)
        output.float().square().mean().backward()  # type: ignore[no-untyped-call]
        network.zero_grad(set_to_none=True)
        return output.detach()

    computes = infer if setting.task == "inference" else train

    def call() -> None:
        computes()

    return call, computes


def _deviation(output: Tensor, expected: Tensor, wanted: Wanted, setting: Setting) -> float:
    """The largest difference over the largest value. Raises UserError if that is more than rounding."""
    difference = (output[:_COMPARED].float() - expected).abs().max() / expected.abs().max()
    found, most = float(difference), MOST_DEVIATION[setting.dtype]
    if not math.isfinite(found) or found > most:
        raise UserError(
            f"{wanted.label}: its output differs from the eager network's by {found:.2g} of the largest value, "
            f"where rounding makes {most:g} at most; its time would be that of another network"
        )
    return found


def _held(setting: Setting) -> int:
    """Bytes of the GPU that PyTorch does not give back; 0 on a CPU."""
    if setting.device != "cuda":
        return 0
    setting.wait()
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(setting.place)
