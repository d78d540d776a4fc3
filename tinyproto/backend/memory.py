"""Memory for large arrays that are made anew at each step and given back when nothing refers to it.

The operating system hands out large blocks page by page, each filled with zeros first: for arrays
that live as long as a layer's pass, that costs as much as the pass. Here a block goes back to a
list when the last view of its array is gone, and the next array of about its size takes it.
"""

import math
import threading
from typing import Any

import numpy as np

from .device import Array, array_module

LEAST_BYTES = 1 << 16
"""Smaller arrays are left to NumPy, which keeps such blocks itself."""

MOST_FREE_BYTES = 1 << 30
"""What may lie unused; beyond it, unused blocks go back to the system."""

_free: dict[int, list[np.ndarray]] = {}
_lock = threading.RLock()  # a block may come back while the garbage collector runs inside `take`
_unused = 0


class _Block:
    """Lends memory to an array, through NumPy's interface, and takes it back."""

    def __init__(self, memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype):
        self.memory = memory
        start = -memory.ctypes.data % 64  # vector loads touch one cache line, not two
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (memory.ctypes.data + start, False),
        }

    def __del__(self) -> None:
        global _unused
        with _lock:
            kept = _free.pop(self.memory.nbytes, [])  # so that this size is the last again
            _free[self.memory.nbytes] = [*kept, self.memory]
            _unused += self.memory.nbytes
            while _unused > MOST_FREE_BYTES:  # the sizes that were given back longest ago go
                size = next(iter(_free))
                _free[size].pop()
                _unused -= size
                if not _free[size]:
                    del _free[size]


def empty(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """A contiguous array of undefined numbers, as `numpy.empty` makes it."""
    global _unused
    dtype = np.dtype(dtype)
    wanted = math.prod(shape) * dtype.itemsize
    if wanted < LEAST_BYTES:
        return np.empty(shape, dtype)
    step = 1 << (wanted.bit_length() - 3)  # rounded up, by less than a quarter
    size = -(-wanted // step) * step + 64
    with _lock:
        kept = _free.get(size)
        memory = kept.pop() if kept else None
        if memory is not None:
            _unused -= size
            if not kept:
                del _free[size]
    if memory is None:
        memory = np.empty(size, dtype=np.uint8)
    return np.asarray(_Block(memory, shape, dtype))


def empty_like(x: Array, shape: tuple[int, ...] | None = None) -> Array:
    """An array of undefined numbers, of the dtype and on the device of x, of its shape or this."""
    shape = x.shape if shape is None else shape
    xp = array_module(x)
    return empty(shape, x.dtype) if xp is np else xp.empty(shape, dtype=x.dtype)


def clear() -> None:
    """Give what is unused back to the system."""
    global _unused
    with _lock:
        _free.clear()
        _unused = 0
