"""The most memory that a call takes from ncnn's allocators; needs the package ncnn."""

from __future__ import annotations

import ctypes
from typing import Any

import ncnn

_address = ctypes.pythonapi.PyCapsule_GetPointer
_address.restype, _address.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


class Counting(ncnn.PoolAllocator):
    """An allocator of ncnn that adds up what is taken and not given back. most: bytes at the height."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self._now = self.most = 0

    def fastMalloc(self, size: int) -> Any:  # noqa: N802 (ncnn calls it by this name)
        block = super().fastMalloc(size)
        self._sizes[_address(block, None)] = size
        self._now += size
        self.most = max(self.most, self._now)
        return block

    def fastFree(self, block: Any) -> None:  # noqa: N802
        self._now -= self._sizes.pop(_address(block, None))
        super().fastFree(block)
