"""The compiled library: where it is, whether it can be used, what it is told."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from backbones.kernels import build

CHOICE = "SLIMBENCH_KERNELS"  # environment variable: "none", or the instruction set to use

_SHAPE = (
    "batch", "in_channels", "height", "width", "out_channels", "out_height", "out_width",
    "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left", "dilation_h", "dilation_w",
    "groups", "units", "x_channels", "y_channels", "activation", "threads",
)  # fmt: skip


class Shape(ctypes.Structure):
    """``slim_shape`` of kernels.h."""

    _fields_ = [(name, ctypes.c_int64) for name in _SHAPE]


class StreamWeights(ctypes.Structure):
    """``slim_streams`` of kernels.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("steps", "starts", "secondaries", "outputs")]


class ProductWeights(ctypes.Structure):
    """``slim_products`` of kernels.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("values", "layout")]


class Pooling(ctypes.Structure):
    """``slim_pooling`` of kernels.h."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            "planes", "height", "width", "out_height", "out_width", "kernel_h", "kernel_w", "stride_h", "stride_w",
            "pad_h", "pad_w", "threads",
        )
    ]  # fmt: skip


class Gate(ctypes.Structure):
    """``slim_gate`` of kernels.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("batch", "channels", "size", "hidden", "outputs", "threads")),
        *((name, ctypes.c_void_p) for name in ("squeeze", "squeeze_bias", "excite", "excite_bias")),
    ]


class Folding(ctypes.Structure):
    """``slim_folding`` of kernels.h."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("batch", "channels", "size", "paths", "chunks", "width", "next", "last", "half", "threads")
    ]


class Place(ctypes.Structure):
    """``slim_place`` of kernels.h."""

    _fields_ = [("of", ctypes.c_int64), ("at", ctypes.c_int64)]


class Layer(ctypes.Structure):
    """``slim_layer`` of kernels.h."""

    _fields_ = [
        ("kind", ctypes.c_int64),
        *((name, Place) for name in ("x", "residual", "y")),
        *((name, ctypes.c_void_p) for name in ("scale", "bias", "depthwise")),
        ("shape", Shape),
        ("pooling", Pooling),
        ("streams", StreamWeights),
        ("products", ProductWeights),
        ("gate", Gate),
        ("folding", Folding),
    ]


STREAMS, PRODUCTS, DEPTHWISE, POOL, GATE, FOLD, MEAN = range(7)  # kinds of layers
NOWHERE, ARENA, INPUT, OUTPUT = range(4)  # what a place is in


def load(path: Path) -> ctypes.CDLL:
    """Load a library that :func:`build.build` made, and declare its functions."""
    library = ctypes.CDLL(str(path))
    for name in ("slim_in_use", "slim_use", "slim_sources"):
        getattr(library, name).restype = ctypes.c_char_p
    library.slim_use.argtypes = [ctypes.c_char_p]
    pointer = ctypes.c_void_p
    for name in ("slim_conv_streams", "slim_conv_products", "slim_conv_depthwise"):
        getattr(library, name).argtypes = [pointer] * 7
    library.slim_chain.argtypes = [pointer, ctypes.c_int64, *[pointer] * 3]
    library.slim_max_pool.argtypes = [pointer] * 3
    library.slim_large_pages.argtypes = [pointer, ctypes.c_int64]
    library.slim_large_pages.restype = ctypes.c_int64
    library.slim_conv_fold.argtypes = [pointer] * 4
    library.slim_conv_unfold.argtypes = [pointer] * 6
    return library


@functools.cache
def _find() -> tuple[ctypes.CDLL | None, str]:
    """The library, or None and why."""
    path = Path(build.__file__).parent / build.NAME
    again = "`python -m backbones.kernels` compiles it"
    choice = os.environ.get(CHOICE)
    if choice == "none":
        return None, f"{CHOICE}=none"
    if not path.is_file():
        return None, f"not compiled when the package was installed; {again}"
    try:
        library = load(path)
    except (OSError, AttributeError) as error:
        return None, f"{path.name} cannot be loaded ({error}); {again}"
    if library.slim_sources().decode() != build.digest():
        return None, f"{path.name} was compiled from other sources; {again}"
    if choice and library.slim_use(choice.encode()) is None:
        return None, f"{CHOICE}={choice}: this processor or library has no such instruction set"
    return library, ""


def get() -> ctypes.CDLL | None:
    """Return the library, or None where PyTorch does the work."""
    return _find()[0]


def in_use() -> str:
    """Which code convolves for :func:`backbones.deploy`: ``avx512``, ``avx2``, ``portable``, or ``none: REASON``."""
    library, reason = _find()
    return f"none: {reason}" if library is None else library.slim_in_use().decode()
