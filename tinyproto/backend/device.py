"""Where an array is: on the CPU or on a GPU. The only file that imports CuPy.

All other code asks `array_module(x)` and works for NumPy and CuPy alike. A copy between host and
device is a named call, never a side effect.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np

from .fork import was_forked

Array = Any
"""An array of NumPy or of CuPy."""


class DeviceError(RuntimeError):
    """A device was asked for that cannot be used; the message says why, in one line."""


def array_module(*arrays: Array) -> ModuleType:
    """The module whose functions work on these arrays: `numpy` or `cupy`.

    Parameters
    ----------
    *arrays : array
        Arrays of NumPy or CuPy; anything else is ignored.

    Returns
    -------
    module
        CuPy if any of the arrays is CuPy's, else NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.backend import array_module
    >>> xp = array_module(np.zeros(3))
    >>> xp.__name__
    'numpy'
    """
    cupy = sys.modules.get("cupy")  # an array of CuPy cannot exist before CuPy is imported
    if cupy is not None and any(isinstance(a, cupy.ndarray) for a in arrays):
        return cupy
    return np


def cuda_unavailable_reason() -> str | None:
    """Why no CUDA device can be used: CuPy is missing, cannot be imported, or finds no device.

    Returns
    -------
    str or None
        The reason in one line, or None where a CUDA device can be used.

    Examples
    --------
    >>> from tinyproto.backend import cuda_unavailable_reason
    >>> reason = cuda_unavailable_reason()
    >>> reason is None or "CuPy is" in reason
    True
    """
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; in the checkout: pip install -e '.[cuda13]' (or cuda12)"
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
        reason = _one_line(error)
        if "initialization error" in reason and was_forked():
            reason += "; CUDA that the parent used is lost in a forked process: start it by spawn"
        return f"CuPy is installed but no CUDA device is usable: {reason}"


def select_device(name: str) -> ModuleType:
    """The array module of a device.

    Parameters
    ----------
    name : {"cpu", "cuda"}
        The device.

    Returns
    -------
    module
        NumPy for "cpu", CuPy for "cuda".

    Raises
    ------
    ValueError
        For another name.
    DeviceError
        For "cuda" where no CUDA device can be used.

    Examples
    --------
    >>> from tinyproto.backend import select_device
    >>> select_device("cpu").__name__
    'numpy'
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
    """The array as NumPy's; only what is on a device is copied.

    Parameters
    ----------
    array : array
        An array of NumPy or CuPy.

    Returns
    -------
    numpy.ndarray
        The same numbers on the host.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.backend import to_host
    >>> x = np.zeros(3)
    >>> to_host(x) is x
    True
    """
    return array.get() if array_module(array) is not np else np.asarray(array)


def to_device(array: Array, xp: ModuleType) -> Array:
    """The array as that of a module, copied between host and device only where it is elsewhere.

    Parameters
    ----------
    array : array
        An array of NumPy or CuPy.
    xp : module
        NumPy or CuPy, as `select_device` and `array_module` return them.

    Returns
    -------
    array
        The same numbers as an array of `xp`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.backend import select_device, to_device
    >>> to_device(np.ones(2), select_device("cpu"))
    array([1., 1.])
    """
    return to_host(array) if xp is np else xp.asarray(array)


def aligned_copy(array: Array) -> Array:
    """A contiguous copy that begins at a cache line (64 bytes): a vector load then touches one
    line, not two. CuPy's arrays are aligned as they are.

    Parameters
    ----------
    array : array
        An array of NumPy or CuPy.

    Returns
    -------
    array
        The copy, on the same device.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.backend import aligned_copy
    >>> aligned_copy(np.ones(5)).ctypes.data % 64
    0
    """
    xp = array_module(array)
    if xp is not np:
        return array.copy()
    memory = np.empty(array.nbytes + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def is_read_only(array: Array) -> bool:
    """Whether an array cannot be changed in place, as the weights of a folded network after a pass
    in eval mode (see `tinyproto.layers.fold`)."""
    return isinstance(array, np.ndarray) and not array.flags.writeable


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"
