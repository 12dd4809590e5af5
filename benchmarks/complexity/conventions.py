"""The named conventions, and what one plain module costs in each of them."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from backbones.ops import VersatileConv2d
from benchmarks.complexity.closed_forms import Reading, dense_macs
from benchmarks.complexity.records import Shape
from benchmarks.errors import UserError, did_you_mean

CONVENTIONS: dict[str, str] = {
    "conv-linear": (
        "multiply-accumulates of convolution and linear layers, nothing else; separate masks stored one a "
        "secondary filter"
    ),
    "ptflops-2018": (
        "operations as the first version of ptflops counted them: conv-linear, biases of convolutions, "
        "2 an element of batch norm, 1 an element of ReLU, pooling and upsampling modules"
    ),
    "spconv-2020": (
        "as the SPConv paper counts, which SlimConv's Table I cites: conv-linear, 4 an element of batch norm, "
        "1 an element of ReLU modules"
    ),
    "conv-linear-primary-masks": (
        "conv-linear, but versatile layers as the paper's CIFAR-10 tables count them: n/s primary filters, whole "
        "or not, and separate masks stored one a primary filter"
    ),
}
"""Name -> what ``macs`` and the storage of masks mean; docs/counting.md tells which table uses which."""

DEFAULT_CONVENTION = "conv-linear"

_RELUS = (nn.ReLU, nn.ReLU6, nn.PReLU, nn.ELU, nn.LeakyReLU)
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)


def check_convention(name: str) -> str:
    """Return ``name`` if it is a convention.

    Raises:
        UserError: it is not; the message names the nearest, or all of them.
    """
    if name not in CONVENTIONS:
        hint = did_you_mean(name, CONVENTIONS) or f"; choose one of {', '.join(CONVENTIONS)}"
        raise UserError(f"no counting convention {name!r}{hint}")
    return name


def reading_of(convention: str) -> Reading:
    """Return how the convention reads the closed forms of versatile layers."""
    return "cifar-tables" if convention == "conv-linear-primary-masks" else "network"


def conv_linear_macs(module: nn.Module, inputs: int, outputs: int) -> int:
    """Multiply-accumulates of one call of a convolution or linear layer, 0 for any other module.

    Args:
        module: the layer.
        inputs: number of elements of its input, (1, C, H, W) or (..., in_features).
        outputs: number of elements of its output.
    """
    if isinstance(module, VersatileConv2d):
        return dense_macs(module, outputs // module.out_channels)
    if isinstance(module, _ConvTransposeNd):  # each input value meets the filters of its group
        return inputs * _area(module) * (module.out_channels // module.groups)
    if isinstance(module, _ConvNd):
        return outputs * _area(module) * (module.in_channels // module.groups)
    if isinstance(module, nn.Linear):
        return outputs * module.in_features
    return 0


def ptflops_2018_extra(module: nn.Module, inputs: int, outputs: int) -> int:
    """What ``ptflops-2018`` adds to :func:`conv_linear_macs` for one call of ``module``.

    Adaptive pooling, sigmoid, residual additions and whatever is called as a function cost nothing: that
    version of the tool did not know them, and so the printed numbers depend on whether a network's author
    wrote ``nn.ReLU`` or ``F.relu``.
    """
    if isinstance(module, (_ConvNd, VersatileConv2d)):
        return 0 if module.bias is None else outputs
    if isinstance(module, _BatchNorm):
        return inputs * (2 if module.affine else 1)
    if isinstance(module, (*_RELUS, nn.Upsample)):
        return outputs
    if isinstance(module, _POOLS):
        return inputs
    return 0


def spconv_2020_extra(module: nn.Module, inputs: int, outputs: int) -> int:
    """What ``spconv-2020`` adds to :func:`conv_linear_macs` for one call of ``module``."""
    if isinstance(module, _BatchNorm):
        return 4 * inputs
    return outputs if isinstance(module, _RELUS) else 0


#: convention -> what it adds to the multiply-accumulates of a call of a module
EXTRAS: dict[str, Callable[[nn.Module, int, int], int]] = {
    "ptflops-2018": ptflops_2018_extra,
    "spconv-2020": spconv_2020_extra,
}


def elements(shape: Shape | None) -> int:
    """Return the number of elements of a tensor of this shape; 0 for no tensor."""
    if shape is None:
        return 0
    total = 1
    for size in shape:
        total *= size
    return total


def _area(module: _ConvNd) -> int:
    area = 1
    for size in module.kernel_size:
        area *= size
    return area
