"""Where an array lives. The only file that imports CuPy.

All other code asks `array_module(x)` and works for NumPy and CuPy alike. A copy between host and
device is a named call, never a side effect.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""An array of NumPy or of CuPy."""


class DeviceError(RuntimeError):
    """A device was asked for that is not there; the message says why, in one line."""


def array_module(*arrays: Array) -> ModuleType:
    """CuPy if any of the arrays is CuPy's, else NumPy."""
    cupy = sys.modules.get("cupy")  # an array of CuPy cannot exist before CuPy is imported
    if cupy is not None and any(isinstance(a, cupy.ndarray) for a in arrays):
        return cupy
    return np


def cuda_unavailable_reason() -> str | None:
    """None where a CUDA device can be used, else the reason in one line.

    Not installed, installed but broken, and installed with no usable device are told apart.
    """
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; try: pip install 'tinyproto[cuda13]' (or [cuda12])"
    try:
        import cupy
    except Exception as error:
        return f"CuPy is installed but cannot be imported: {_one_line(error)}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        if count > 0:
            cupy.zeros(1)
            return None
        return "CuPy is installed but finds no CUDA device"
    except Exception as error:
        return f"CuPy is installed but no CUDA device is usable: {_one_line(error)}"


def select_device(name: str) -> ModuleType:
    """The array module of the device called `name`: "cpu" or "cuda".

    Raises ValueError for another name, DeviceError where there is no usable CUDA device.
    """
    if name == "cpu":
        return np
    if name != "cuda":
        raise ValueError(f"device must be 'cpu' or 'cuda', not {name!r}")
    reason = cuda_unavailable_reason()
    if reason is not None:
        raise DeviceError(f"no CUDA device: {reason}")
    return sys.modules["cupy"]


def to_host(array: Array) -> np.ndarray:
    """The array as NumPy's; copies only what is on a device."""
    return array.get() if array_module(array) is not np else np.asarray(array)


def to_device(array: Array, xp: ModuleType) -> Array:
    """The array as `xp`'s, copied between host and device where it must be."""
    return to_host(array) if xp is np else xp.asarray(array)


def aligned_copy(array: Array) -> Array:
    """A copy that starts on a cache line (64 bytes) of the host: vector loads then touch one line,
    not two. CuPy's arrays are aligned as they are."""
    xp = array_module(array)
    if xp is not np:
        return array.copy()
    room = np.empty(array.nbytes + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"
