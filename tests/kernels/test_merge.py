"""What is merged from rows is that of all their pixels at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.kernels.channels import batch_norm_backward_reduce, channel_moments
from tinyproto.kernels.merge import merge_gradients, merge_moments

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 5))


def drawn(shape, seed, count=1):
    return np.random.default_rng(seed).normal(3.0, 2.0, (count, *shape))


@given(SHAPES, st.integers(0, 2**32 - 1))
def test_moments(shape, seed):
    (x,) = drawn(shape, seed)
    rows, pixels, channels = shape
    means, rests, squares = np.empty((3, rows, channels))
    channel_moments(rows, x, means, rests, squares)
    mean, variance = np.full((2, channels), np.nan)
    merge_moments(channels, mean, variance, means, rests, squares, pixels)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(variance, x.var(axis=(0, 1)), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_moments_of_float32_are_as_exact_as_their_rows(mean):
    """Also where the variance is far below the square of the mean."""
    x = np.random.default_rng(0).normal(mean, 1.0, (128, 64, 16)).astype(np.float32)
    means, rests, squares = np.empty((3, 128, 16), np.float32)
    channel_moments(128, x, means, rests, squares)
    found, variance = np.empty((2, 16))
    merge_moments(16, found, variance, means, rests, squares, 64)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(found, exact.mean(axis=(0, 1)), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(variance, exact.var(axis=(0, 1)), rtol=1e-6)


@given(SHAPES, st.integers(0, 2**32 - 1))
def test_gradients(shape, seed):
    x, dy = drawn(shape, seed, 2)
    rows, _, channels = shape
    centre, gain, inverse = drawn((3, channels), seed + 1)[0]
    product, total = np.empty((2, rows, channels))
    affine = (x, centre, gain, 0 * gain, x.dtype.type(-np.inf))
    batch_norm_backward_reduce(rows, *affine, dy, product, total)
    d_scale, d_shift = np.full((2, channels), np.nan)
    merge_gradients(channels, d_scale, d_shift, inverse, product, total)
    expected = ((x - centre) * inverse * dy).sum(axis=(0, 1))
    np.testing.assert_allclose(d_scale, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(d_shift, dy.sum(axis=(0, 1)), rtol=1e-10, atol=1e-10)
