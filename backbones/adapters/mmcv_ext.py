"""`mmcv._ext` where mmcv was installed without its compiled operators: torchvision's nms and roi_align in their place.

A plain `pip install onedl-mmcv` compiles nothing, and then `import mmcv.ops`, and with it `import mmdet.models`, fails
for want of `mmcv._ext`. `install()` puts a module of that name there; compiled operators, where there are any, are used
and never replaced.

*As compiled*: the kernels of torchvision and mmcv descend from the same code. What differs between the two is evened
out here: mmcv holds its IoU threshold and spatial scale in single precision, ranks equal scores by an unstable sort,
takes scores of another precision than the boxes', and knows boxes that include their last pixel (`offset=1`). On a CPU
results and gradients are meant to be the same bits. On CUDA the two weigh an IoU against its threshold with a rounding
of their own, and gradients are summed in no fixed order by either.

*What is refused*: every other operator exists by name, for `mmcv.ops` asks for the names when it is imported, and
raises `NotImplementedError` when it is called.

MMDetection's `tools/test.py` imports `mmcv.ops` before it reads a config and its `custom_imports`. So that it runs,

    python -m backbones.adapters.mmcv_ext tools/test.py CONFIG CHECKPOINT

installs first and then runs the program with the arguments behind it (`torchrun -m backbones.adapters.mmcv_ext ...`
does the same).
"""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NoReturn

import torch

__all__ = ["StandIn", "in_use", "install"]

NAME = "mmcv._ext"
THIS = "backbones.adapters.mmcv_ext"  # __name__ is not it under `python -m`
COMPILED = (
    "for the compiled mmcv: pip install 'setuptools>=80,<82', then "
    "MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall onedl-mmcv"
)
_lock = threading.Lock()


class StandIn(ModuleType):
    """The module in the place of `mmcv._ext`: nms and roi_align compute, any other operator raises when called."""

    def __init__(self) -> None:
        super().__init__(NAME, "slimbench's stand-in for mmcv's compiled operators.")
        # `importlib.util.find_spec`, with which MMEngine asks for operators, takes no module without a specification.
        self.__spec__ = ModuleSpec(NAME, None, origin=THIS)
        self.nms = nms
        self.roi_align_forward = roi_align_forward
        self.roi_align_backward = roi_align_backward
        # Asked for by every `collect_env` of OpenMMLab, at the start of each run.
        self.get_compiler_version = lambda: "n/a (torchvision stands in)"
        self.get_compiling_cuda_version = lambda: "n/a (torchvision stands in)"

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("_"):  # the import system and inspect look for such names, none is an operator
            raise AttributeError(f"module {NAME!r} has no attribute {name!r}")

        def refuse(*_: Any, **__: Any) -> NoReturn:
            _refuse(f"{name!r}")

        return refuse


def install() -> Literal["compiled", "stand-in"]:
    """See to it that `import mmcv.ops` works, and say what it works with. Calling it again changes nothing.

    Raises ModuleNotFoundError without mmcv, and ImportError if its compiled operators are there and cannot be loaded.
    """
    with _lock:
        loaded = sys.modules.get(NAME)
        if loaded is not None:
            return "stand-in" if isinstance(loaded, StandIn) else "compiled"
        compiled = _compiled()
        if compiled is None:
            sys.modules[NAME] = module = StandIn()
            try:
                mmcv = importlib.import_module("mmcv")
            except BaseException:
                del sys.modules[NAME]
                raise
            setattr(mmcv, "_ext", module)  # noqa: B010 (as any import of a submodule does it)
            return "stand-in"
        try:
            importlib.import_module(NAME)
        except ImportError as error:
            raise ImportError(
                f"mmcv's compiled operators, {compiled.origin}, do not load under torch {torch.__version__} ({error}); "
                f"compile them again ({COMPILED}), or reinstall onedl-mmcv without MMCV_WITH_OPS to do without them"
            ) from error
        return "compiled"


def in_use() -> Literal["compiled", "stand-in"] | None:
    """What `install()` would answer, without importing mmcv; None where there is no mmcv."""
    loaded = sys.modules.get(NAME)
    if loaded is not None:
        return "stand-in" if isinstance(loaded, StandIn) else "compiled"
    try:
        return "stand-in" if _compiled() is None else "compiled"
    except ModuleNotFoundError:
        return None


def _compiled() -> ModuleSpec | None:
    """Where the compiled operators lie, or None. Looks without importing mmcv; ModuleNotFoundError if there is none."""
    package = importlib.util.find_spec("mmcv")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("mmcv is not installed: pip install 'slimbench[mm]'", name="mmcv")
    return PathFinder.find_spec(NAME, package.submodule_search_locations)


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, offset: int) -> torch.Tensor:
    """Indices (M,) of the boxes that are kept, by falling score.

    boxes: (N, 4) as x1, y1, x2, y2. scores: (N,) of any floating type. offset: added to widths and heights, 0 or 1.
    """
    from torchvision.ops import nms as torchvision_nms

    order = scores.sort(dim=0, descending=True).indices
    boxes = boxes[order]
    if boxes.dtype not in {torch.float32, torch.float64}:
        boxes = boxes.float()
    if offset:
        return order[_nms_of_inclusive_boxes(boxes.cpu(), _single(iou_threshold), offset).to(order.device)]
    ranks = torch.arange(len(boxes), 0, -1, dtype=boxes.dtype, device=boxes.device)
    kept: torch.Tensor = torchvision_nms(boxes, ranks, _single(iou_threshold))
    return order[kept]


def _nms_of_inclusive_boxes(boxes: torch.Tensor, iou_threshold: float, offset: int) -> torch.Tensor:
    """Non-maximum suppression of boxes (N, 4) in the order they have, whose sides are `offset` longer. On the CPU.

    Not by torchvision with x2 + offset: x2 - x1 + offset is rounded otherwise.
    """
    x1, y1, x2, y2 = boxes.unbind(1)
    areas = (x2 - x1 + offset) * (y2 - y1 + offset)
    alive = torch.ones(len(boxes), dtype=torch.bool)
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        width = (x2[i].minimum(x2[i + 1 :]) - x1[i].maximum(x1[i + 1 :]) + offset).clamp(min=0)
        height = (y2[i].minimum(y2[i + 1 :]) - y1[i].maximum(y1[i + 1 :]) + offset).clamp(min=0)
        intersection = width * height
        alive[i + 1 :] &= ~(intersection / (areas[i] + areas[i + 1 :] - intersection) > iou_threshold)
    return alive.nonzero().squeeze(1)


def roi_align_forward(
    input: torch.Tensor,  # noqa: A002 (mmcv calls by these names)
    rois: torch.Tensor,
    output: torch.Tensor,
    argmax_y: torch.Tensor,  # noqa: ARG001 (pooling by maximum has a use for these)
    argmax_x: torch.Tensor,  # noqa: ARG001
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool the regions `rois` (K, 5: image, x1, y1, x2, y2) of `input` (N, C, H, W) into `output` (K, C, h, w).

    pool_mode: 1, the average. 0, the maximum, raises NotImplementedError: it is not in torchvision.
    """
    _check_regions(rois, pool_mode, aligned)
    size = (aligned_height, aligned_width)
    with torch.autocast(input.device.type, enabled=False):  # precision is the caller's, as with the compiled ones
        pooled = _operators().roi_align(
            _computable(input), _computable(rois), _single(spatial_scale), *size, sampling_ratio, aligned
        )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: torch.Tensor,
    rois: torch.Tensor,
    argmax_y: torch.Tensor,  # noqa: ARG001 (pooling by maximum has a use for these)
    argmax_x: torch.Tensor,  # noqa: ARG001
    grad_input: torch.Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add to `grad_input` (N, C, H, W) what `grad_output` (K, C, h, w) sends back through `roi_align_forward`."""
    _check_regions(rois, pool_mode, aligned)
    size = (aligned_height, aligned_width)
    with torch.autocast(grad_output.device.type, enabled=False):
        # The operator below torchvision's public function, which would have to run forward once more.
        gradient = _operators()._roi_align_backward(  # noqa: SLF001
            _computable(grad_output),
            _computable(rois),
            _single(spatial_scale),
            *size,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    grad_input.add_(gradient)


def _operators() -> Any:
    import torchvision  # noqa: F401 (registers them)

    return torch.ops.torchvision


def _check_regions(rois: torch.Tensor, pool_mode: int, aligned: bool) -> None:
    if pool_mode != 1:
        _refuse("'roi_align' with pool_mode 'max'")
    # The compiled ones refuse these on a CPU too, where a NaN would go on as a grid of 2^31 points. No wait for a GPU.
    if aligned and rois.device.type == "cpu" and not bool((rois[:, 3:] >= rois[:, 1:3]).all()):
        raise ValueError(
            "roi_align got a region of negative size or NaN; rois must be (image, x1, y1, x2, y2), x1 <= x2"
        )


def _refuse(operator: str) -> NoReturn:
    raise NotImplementedError(
        f"mmcv's operator {operator} is compiled code and this mmcv was installed without it "
        f"(nms and roi_align alone have a stand-in); {COMPILED}"
    )


def _single(number: float) -> float:
    """The nearest number in single precision, which is what mmcv's kernels are given."""
    return torch.tensor(number, dtype=torch.float32).item()


def _computable(tensor: torch.Tensor) -> torch.Tensor:
    """Bfloat16, for which there is no kernel, in single precision."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor


def main(arguments: Sequence[str]) -> None:
    """Install, then run the Python program `arguments[0]` with the other arguments, as `python PROGRAM ...` would."""
    if not arguments or not Path(arguments[0]).is_file():
        given = f", not {arguments[0]!r}" if arguments else ""
        raise SystemExit(f"usage: python -m {THIS} PROGRAM.py [ARGUMENTS]; PROGRAM.py must be a file{given}")
    install()
    sys.argv = list(arguments)
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    # Under its own name, not __main__'s: otherwise there would be two classes StandIn, and neither knows the other's.
    importlib.import_module(THIS).main(sys.argv[1:])
