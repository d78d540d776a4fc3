"""Pooling's vector code, for as many channels as fill vectors, gives the bits of the plain code."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.kernels.pooling import max_pool, max_pool_backward

VECTORS, REST = 32, 5  # channels: of both, no vector holds the rest


@st.composite
def problems(draw):
    """x, dy, stride and size; values often equal, and some are NaN."""
    size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    n, height, width = (draw(st.integers(least, 3)) for least in (0, 1, 1))
    more = draw(st.integers(0, stride - 1))  # pixels that no window covers
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    h, w = ((count - 1) * stride + size + more for count in (height, width))
    x = rng.integers(-3, 4, (n, h, w, VECTORS)).astype(np.float32)
    x[rng.random(x.shape) < 0.02] = np.nan
    dy = rng.normal(size=(n, height, width, VECTORS)).astype(np.float32)
    return x, dy, stride, size


def pool(x, dy, stride, size):
    y, argmax, dx = np.full_like(dy, 7), np.full(dy.shape, 7, np.uint8), np.full_like(x, 7)
    max_pool(len(x) * dy.shape[1], x, stride, size, y, argmax)
    max_pool_backward(len(x) * x.shape[1], dy, argmax, stride, size, dx)
    return y, argmax, dx


@given(problems())
def test_max_pooling_in_vector_code(problem):
    x, dy, stride, size = problem
    found = pool(x, dy, stride, size)
    for first in range(0, VECTORS, REST):
        some = slice(first, first + REST)
        plain = pool(x[..., some].copy(), dy[..., some].copy(), stride, size)
        for fast, expected in zip(found, plain, strict=True):
            np.testing.assert_array_equal(fast[..., some], expected)
