"""Kernels on a CUDA device: Numba compiles them, and each launch is one call of the driver.

Numba's own launch looks at all arguments anew, which takes longer than most kernels run. Here a
kernel is compiled once for the types of its arguments, as it is for the CPU (see `cpu`), and a
launch packs them into the parameters that the compiled code has:

    an array of d axes     two unused pointers, its size and the size of an element, its address,
                           its shape (d) and its strides (d), all of eight bytes
    a number               itself
"""

import importlib
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import cpu, routines
from .device import select_device

FORMATS = {"int64": "q", "int32": "i", "uint64": "Q", "float64": "d", "float32": "f", "bool": "?"}
"""The parameters that numbers become, as `struct` writes them, by the name of Numba's type."""

ArgumentType = tuple[np.dtype, int, bool] | type
"""(dtype, dimensions, whether it is contiguous) of an array, the type of a number."""


def _is_array(argument: Any) -> bool:
    """Whether it is an array: a number of NumPy's has strides, too, and no axes."""
    return hasattr(argument, "strides") and argument.ndim > 0


def argument_type(argument: Any) -> ArgumentType:
    """What an argument is compiled for."""
    if _is_array(argument):
        return argument.dtype, argument.ndim, argument.flags.c_contiguous
    return type(argument)


def numba_type(type_: ArgumentType) -> Any:
    """The type of Numba's of an argument."""
    numba = cpu.load_numba()
    if isinstance(type_, tuple):
        dtype, dimensions, contiguous = type_
        layout = "C" if contiguous else "A"
        return numba.types.Array(numba.from_dtype(dtype), dimensions, layout)
    return numba.typeof(type_(0))


def parameter_format(types: Sequence[ArgumentType]) -> str:
    """How `struct` packs arguments of these types, each number at a multiple of its size."""
    return "@" + "".join(
        "q" * (5 + 2 * type_[1]) if isinstance(type_, tuple) else FORMATS[str(numba_type(type_))]
        for type_ in types
    )


def parameters(arguments: Sequence[Any]) -> list[Any]:
    """The numbers that the arguments become."""
    found: list[Any] = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            raise TypeError(
                f"a kernel got arrays of CuPy and one of NumPy, of shape {argument.shape}: move "
                "all to one device"
            )
        if _is_array(argument):
            found += 0, 0, argument.size, argument.itemsize, argument.data.ptr
            found += argument.shape
            found += argument.strides
        else:
            found.append(argument)
    return found


def compile_kernel(
    loop: Callable[..., None], types: Sequence[ArgumentType]
) -> Callable[[int, int, Sequence[Any]], None]:
    """The loop, compiled for arguments of these types: a function (blocks, lanes, arguments).

    `loop` is what `Kernel.cuda_loop` returns. In Numba's simulator it runs as Python.
    """
    if not cpu.load_numba().config.ENABLE_CUDASIM:
        return CompiledKernel(loop, types)
    simulated = routines.load_cuda().jit(loop)
    return lambda blocks, lanes, arguments: simulated[blocks, lanes](*arguments)


class CompiledKernel:
    """A kernel for one tuple of types, compiled and loaded: what `compile_kernel` returns."""

    def __init__(self, loop: Callable[..., None], types: Sequence[ArgumentType]):
        compiled = routines.load_cuda().jit(loop).compile(tuple(map(numba_type, types)))
        self.driver: Any = importlib.import_module("cuda.bindings.driver")
        self.xp = select_device("cuda")
        self.function = self.driver.CUfunction(int(compiled.library.get_cufunc().handle))
        self.compiled = compiled  # keeps the code loaded
        self.layout = struct.Struct(parameter_format(types))
        self.packed = np.zeros(self.layout.size, dtype=np.uint8)
        offsets = parameter_offsets(self.layout.format)
        self.pointers = np.array(offsets, dtype=np.uint64) + np.uint64(self.packed.ctypes.data)
        self.lock = threading.Lock()

    def __call__(self, blocks: int, lanes: int, arguments: Sequence[Any]) -> None:
        """Launch it in the current stream of CuPy. Raises RuntimeError where the driver refuses."""
        stream = self.xp.cuda.get_current_stream().ptr
        with self.lock:  # the driver has copied the parameters when it returns
            self.layout.pack_into(self.packed.data, 0, *parameters(arguments))
            (status,) = self.driver.cuLaunchKernel(
                self.function, blocks, 1, 1, lanes, 1, 1, 0, stream, self.pointers.ctypes.data, 0
            )
        if status != self.driver.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"the CUDA driver does not launch the kernel: {status.name}")


def parameter_offsets(layout: str) -> list[int]:
    """Where each number of a format of `struct` begins, in bytes."""
    prefixes = [layout[: count + 1] for count in range(1, len(layout))]
    return [struct.calcsize(prefix) - struct.calcsize(f"@{prefix[-1]}") for prefix in prefixes]
