"""Memory for large arrays that are made anew at each step and freed when nothing refers to them.

The operating system hands out large blocks page by page, each filled with zeros first: for arrays
that live as long as a layer's pass, that costs as much as the pass. Here a block goes back to a
list when the last view of its array is gone, and the next array of about its size takes it.
"""

import math
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from .device import Array, array_module
from .fork import at_fork

MIN_POOLED_BYTES = 1 << 16
"""Smaller arrays are left to NumPy, which keeps such blocks itself."""

MAX_UNUSED_BYTES = 1 << 30
"""Unused blocks beyond this go back to the operating system."""

_unused_blocks: OrderedDict[int, list[np.ndarray]] = OrderedDict()
"""By size, the one that was used last at the end. A list that is there stays: a block may come back
while the garbage collector runs within `empty`, between two of its lines, by the same thread."""

_unused_bytes = 0
_lock = threading.RLock()


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
        global _unused_bytes
        with _lock:
            _unused_blocks.setdefault(self.memory.nbytes, []).append(self.memory)
            _unused_blocks.move_to_end(self.memory.nbytes)
            _unused_bytes += self.memory.nbytes
            if _unused_bytes <= MAX_UNUSED_BYTES:
                return
            for size, blocks in list(_unused_blocks.items()):  # unused for longest first
                while blocks and _unused_bytes > MAX_UNUSED_BYTES:
                    blocks.pop()
                    _unused_bytes -= size


def empty(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """A contiguous array with undefined values, as `numpy.empty` makes it, from reused memory.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : dtype
        The dtype of its elements.

    Returns
    -------
    numpy.ndarray
        The array. Its memory is reused once the array and all its views are gone.

    Examples
    --------
    >>> from tinyproto.backend import empty
    >>> empty((2, 3)).shape
    (2, 3)
    """
    global _unused_bytes
    dtype = np.dtype(dtype)
    needed = math.prod(shape) * dtype.itemsize
    if needed < MIN_POOLED_BYTES:
        return np.empty(shape, dtype)
    step = 1 << (needed.bit_length() - 3)  # rounded up, by less than a quarter
    size = -(-needed // step) * step + 64
    with _lock:
        blocks = _unused_blocks.get(size)
        memory = blocks.pop() if blocks else None
        if memory is not None:
            _unused_bytes -= size
    if memory is None:
        memory = np.empty(size, dtype=np.uint8)
    return np.asarray(_Block(memory, shape, dtype))


def empty_like(x: Array, shape: tuple[int, ...] | None = None) -> Array:
    """An array with undefined values, of the dtype and on the device of another.

    Parameters
    ----------
    x : array
        The other array, of NumPy or CuPy.
    shape : tuple of int, optional
        The shape, that of x unless given.

    Returns
    -------
    array
        The array; on the CPU as `empty` makes it.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.backend import empty_like
    >>> y = empty_like(np.zeros((4, 3)), (4, 5))
    >>> y.shape, y.dtype.name
    ((4, 5), 'float64')
    """
    shape = x.shape if shape is None else shape
    xp = array_module(x)
    return empty(shape, x.dtype) if xp is np else xp.empty(shape, dtype=x.dtype)


def empty_cache() -> None:
    """Give all unused memory back to the operating system; arrays in use are not touched.

    Examples
    --------
    >>> from tinyproto.backend import empty_cache
    >>> empty_cache()
    """
    global _unused_bytes
    with _lock:
        _unused_blocks.clear()
        _unused_bytes = 0


def _after_fork_in_child() -> None:
    """The lock may be another thread's, which is gone; the blocks are left to the parent."""
    global _lock
    _lock = threading.RLock()
    empty_cache()


at_fork(_after_fork_in_child)
