"""Differences of smooth functions are their derivatives, and part at kinks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.testing import derivative, finite_difference, spaced
from tinyproto.testing.differences import slope_estimates

numbers = st.floats(-3, 3)


@given(st.lists(numbers, min_size=4, max_size=4))
def test_a_cubic_is_exact(coefficients):
    polynomial = np.polynomial.Polynomial(coefficients)
    slope = coefficients[1]
    found = derivative(lambda x: polynomial(x)[0], np.zeros(1), np.ones(1), step=0.5)
    assert found == pytest.approx(slope, abs=1e-12)
    estimates = slope_estimates(polynomial, np.array(coefficients[0]), 0.5)
    np.testing.assert_allclose(estimates, slope, atol=1e-12)


@given(st.floats(0.01, 1.95), st.floats(0.1, 10), st.sampled_from([-1, 1]))
def test_a_kink_within_two_steps_parts_the_estimates(place, height, side):
    def function(t):
        return np.array(height * max(0.0, side * t - place))

    half, central, left, right = slope_estimates(function, function(0.0), 1.0)
    assert abs(half - central) > 1e-3 * height or abs(left - right) > 1e-3 * height


def test_at_the_kink_the_central_differences_agree_on_a_wrong_slope():
    half, central, left, right = slope_estimates(np.abs, np.array(0.0), 1e-3)
    assert half == central == 0
    assert (left, right) == (pytest.approx(-1), pytest.approx(1))


def test_finite_difference_restores_the_array():
    x = spaced(np.random.default_rng(0), (2, 3))
    before = x.copy()
    found = finite_difference(lambda: float((x**3).sum()), x)
    np.testing.assert_allclose(found, 3 * before**2, atol=1e-8)
    np.testing.assert_array_equal(x, before)


def test_finite_difference_restores_the_array_where_the_function_fails():
    x = np.ones(2)

    def fails():
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        finite_difference(fails, x)
    np.testing.assert_array_equal(x, 1)


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_finite_difference_takes_no_other_dtype(dtype):
    x = np.array([2, 4], dtype)
    with pytest.raises(ValueError, match=f"array must hold float64, not {x.dtype}"):
        finite_difference(lambda: float((x**2).sum()), x)


def test_a_single_number_has_either_sign():
    found = {float(np.sign(spaced(np.random.default_rng(seed), (1,))[0])) for seed in range(20)}
    assert found == {-1, 1}


@given(st.integers(1, 60), st.integers(0, 1000))
def test_spaced_values_keep_their_distance(n, seed):
    x = np.sort(spaced(np.random.default_rng(seed), (n, 1)).ravel())
    assert np.abs(x).max() <= 2.5
    assert np.abs(x).min() >= 1.5 / n
    assert (np.diff(x) >= 3 / n).all()
