"""What the decorator `@kernel` makes of a body, on the CPU."""

import sys
import types

import numpy as np
import pytest

from tests.kernel_examples import all_kernels
from tinyproto.backend import kernel, row_sum
from tinyproto.backend.kernel import Kernel

FAST = "tests.backend.fast_functions"


def double(i, t, T, x, y):
    for j in range(t, x.shape[1], T):
        y[i, j] = 2 * x[i, j]


@pytest.fixture
def fast_module(monkeypatch):
    """A module, for the argument `fast`, whose functions the test sets."""
    module = types.ModuleType(FAST)
    monkeypatch.setitem(sys.modules, FAST, module)
    return module


def arrays(dtype=np.float32):
    x = np.arange(24, dtype=dtype).reshape(4, 6)
    return x, np.zeros_like(x)


@pytest.mark.parametrize("made", [kernel(double), kernel()(double), kernel(fast=None)(double)])
def test_a_kernel_with_and_without_parentheses(made):
    x, y = arrays()
    assert made.__name__ == "double"
    made(0, x, y)  # no rows, no work
    assert not y.any()
    made(4, x, y)
    np.testing.assert_array_equal(y, 2 * x)


def test_arguments_may_be_named():
    x, y = arrays()
    kernel(double)(4, x, y=y)
    np.testing.assert_array_equal(y, 2 * x)
    kernel(double)(4, y=x, x=y)
    np.testing.assert_array_equal(x, 2 * y)


@pytest.mark.parametrize(
    ("named", "wrong"), [({"z": 1}, "y, z"), ({"x": 1, "y": 1}, "x"), ({"y": 1, "z": 1}, "z")]
)
def test_a_wrong_name_is_refused(named, wrong):
    x, _ = arrays()
    with pytest.raises(TypeError, match=f"kernel double: missing, repeated or unknown: {wrong}$"):
        kernel(double)(4, x, **named)


def test_an_array_that_is_not_contiguous_is_refused():
    x, y = arrays()
    with pytest.raises(ValueError, match="kernel double: argument x is not contiguous") as error:
        kernel(double)(4, x[:, ::2], y)
    assert "\n" not in str(error.value)


def test_the_fast_function_does_the_rows_that_it_takes(fast_module):
    import numba

    @numba.njit
    def double(i, x, y):
        if i % 2:
            return False
        y[i] = -1
        return True

    fast_module.double = double
    x, y = arrays()
    Kernel(globals()["double"], FAST)(4, x, y)
    np.testing.assert_array_equal(y[1::2], 2 * x[1::2])
    assert (y[::2] == -1).all()
    x, y = arrays(np.float64)  # for float32 alone
    Kernel(globals()["double"], FAST)(4, x, y)
    np.testing.assert_array_equal(y, 2 * x)


def _misspelled(i, x, z):
    return True


@pytest.mark.parametrize("function", [None, _misspelled])
def test_a_fast_function_that_does_not_fit_is_refused(fast_module, function):
    if function is not None:
        fast_module.double = function
    x, y = arrays()
    expected = f"kernel double: {FAST} has no function double\\(i, x, y\\)$"
    with pytest.raises(TypeError, match=expected):
        kernel(fast=FAST)(double)(4, x, y)


def test_every_fast_function_of_the_package_fits():
    fast = [k for k in all_kernels().values() if k.fast]
    assert len(fast) == 8
    for each in fast:
        assert each.fast_function().__name__ == each.__name__


@pytest.mark.parametrize("lanes", [0, 16, 96, 512])
def test_a_reduction_needs_a_power_of_two(lanes):
    def nothing(i, t, T, x):
        pass

    with pytest.raises(ValueError, match=f"lanes must be 32, 64, 128 or 256, not {lanes}"):
        kernel(nothing, lanes=lanes)


@pytest.mark.parametrize("lanes", [3, 96, 512, -2])
def test_a_launch_needs_a_power_of_two(lanes):
    with pytest.raises(ValueError, match=f"lanes must be a power of two up to 256, not {lanes}"):
        kernel(lambda i, t, T: None).launch(1, lanes=lanes)


def test_a_body_runs_as_plain_python():
    def mean(i, t, T, x, out):
        total = row_sum(x[i].sum())
        if t == 0:
            out[i] = total / x.shape[1]

    x, out = arrays(np.float64)[0], np.zeros(4)
    for i in range(4):
        kernel(mean).body(i, 0, 1, x, out)
    np.testing.assert_allclose(out, x.mean(axis=1))
