"""A launch on a CUDA device, with a driver that only writes down what it is given."""

import ctypes
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.backend import cuda

SIZES = {"q": 8, "Q": 8, "d": 8, "f": 4, "i": 4, "?": 1}
TYPES = {"q": ctypes.c_int64, "f": ctypes.c_float, "d": ctypes.c_double, "?": ctypes.c_bool}


@given(st.text("".join(SIZES), min_size=1, max_size=30))
def test_each_number_begins_at_a_multiple_of_its_size(numbers):
    offsets, end = cuda.parameter_offsets(f"@{numbers}"), 0
    for number, offset in zip(numbers, offsets, strict=True):
        assert offset == -(-end // SIZES[number]) * SIZES[number]
        end = offset + SIZES[number]


class DeviceArray:
    """What is read of an array of CuPy's."""

    def __init__(self, array, address):
        self.shape, self.strides, self.ndim = array.shape, array.strides, array.ndim
        self.size, self.itemsize, self.dtype = array.size, array.itemsize, array.dtype
        self.flags = SimpleNamespace(c_contiguous=array.flags.c_contiguous)
        self.data = SimpleNamespace(ptr=address)


class Driver:
    """Writes down the numbers that the parameters of a launch point to."""

    CUresult = SimpleNamespace(CUDA_SUCCESS=SimpleNamespace(name="CUDA_SUCCESS"))

    def __init__(self, numbers):
        self.numbers, self.status = numbers, self.CUresult.CUDA_SUCCESS
        self.launch = self.found = None

    def CUfunction(self, handle):
        return handle

    def cuLaunchKernel(self, function, *launch):
        *self.launch, address, _ = launch
        pointers = (ctypes.c_void_p * len(self.numbers)).from_address(address)
        self.found = [
            TYPES[number].from_address(pointer).value
            for number, pointer in zip(self.numbers, pointers, strict=True)
        ]
        return (self.status,)


def compiled(monkeypatch, arguments, numbers):
    """A kernel for these arguments, its driver, and the types that Numba was asked for."""
    driver, asked = Driver(numbers), []
    library = SimpleNamespace(get_cufunc=lambda: SimpleNamespace(handle=7))
    dispatcher = SimpleNamespace(
        compile=lambda t: asked.append(t) or SimpleNamespace(library=library)
    )
    monkeypatch.setattr(
        cuda.routines, "load_cuda", lambda: SimpleNamespace(jit=lambda loop: dispatcher)
    )
    stream = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=5))
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", driver)
    monkeypatch.setattr(cuda, "select_device", lambda name: SimpleNamespace(cuda=stream))
    types = [cuda.argument_type(a) for a in arguments]
    return cuda.CompiledKernel(lambda: None, types), driver, asked


def test_a_launch_hands_over_every_number(monkeypatch):
    x = DeviceArray(np.zeros((3, 4), np.float32), 1000)
    y = DeviceArray(np.zeros((6, 5))[::2], 2000)  # every second row
    arguments = [12, x, np.float32(0.5), True, y, 0.25]
    numbers = "q" + 9 * "q" + "f?" + 9 * "q" + "d"
    kernel, driver, (types,) = compiled(monkeypatch, arguments, numbers)
    assert [str(t) for t in types] == [
        "int64", "array(float32, 2d, C)", "float32", "bool",
        "array(float64, 2d, A)", "float64",
    ]  # fmt: skip
    kernel(9, 32, arguments)
    assert driver.launch == [9, 1, 1, 32, 1, 1, 0, 5]
    assert driver.found == [
        12, 0, 0, 12, 4, 1000, 3, 4, 16, 4, 0.5, True, 0, 0, 15, 8, 2000, 3, 5, 80, 8, 0.25
    ]  # fmt: skip


def test_an_array_of_numpy_among_those_of_cupy():
    with pytest.raises(TypeError, match=r"CuPy and one of NumPy, of shape \(2, 3\)"):
        cuda.parameters([1, DeviceArray(np.zeros(2), 1000), np.zeros((2, 3))])


def test_a_launch_that_the_driver_refuses(monkeypatch):
    kernel, driver, _ = compiled(monkeypatch, [1], "q")
    driver.status = SimpleNamespace(name="CUDA_ERROR_INVALID_VALUE")
    with pytest.raises(RuntimeError, match="does not launch the kernel: CUDA_ERROR_INVALID_VALUE"):
        kernel(1, 32, [1])
