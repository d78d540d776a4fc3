"""Elastic augmentation: keyed numbers, the identity, whole shifts, and the range of values."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.data.augment import elastic
from tinyproto.kernels.warp import warp


def images(count, height, width, seed=0):
    return np.random.default_rng(seed).random((count, height, width), np.float32)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_no_shift_and_no_bend_is_the_identity(count, height, width, epoch):
    x = images(count, height, width)
    np.testing.assert_array_equal(elastic(x, seed=0, epoch=epoch, shift=0, bend=0), x)


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_a_whole_shift_moves_pixels_and_fills_with_zero(down, right):
    x = images(2, 6, 7)
    field = np.zeros((2, 3, 3, 2), np.float32)
    field[..., 0], field[..., 1] = down, right
    out = np.empty_like(x)
    warp(2, x, field, out)
    padded = np.pad(x, [(0, 0), (3, 3), (3, 3)])
    expected = padded[:, 3 + down : 9 + down, 3 + right : 10 + right]
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_a_linear_image_is_moved_exactly_by_a_linear_field():
    """Bilinear interpolation reproduces linear functions, of the image and of the field."""
    row, column = np.mgrid[0:9, 0:9].astype(np.float64)
    x = (2 * row + 3 * column)[None]
    knots = np.zeros((1, 3, 3, 2))
    knots[0, ..., 0] = 0.05 * np.array([[0], [4], [8]])  # down by 5 % of the row
    out = np.empty_like(x)
    warp(1, x, knots, out)
    expected = (2 * 1.05 * row + 3 * column)[None]
    np.testing.assert_allclose(out[:, :8, :8], expected[:, :8, :8], atol=1e-12)


@given(st.integers(1, 7), st.integers(0, 3))
def test_an_image_is_bent_by_its_place_and_epoch_only(cut, epoch):
    x = images(8, 5, 5)
    whole = elastic(x, seed=3, epoch=epoch)
    rest = elastic(x[cut:], seed=3, epoch=epoch, index=np.arange(cut, 8))
    np.testing.assert_array_equal(whole[cut:], rest)
    assert (elastic(x, seed=3, epoch=epoch + 1) != whole).any()
    assert (elastic(x, seed=4, epoch=epoch) != whole).any()


def test_values_stay_in_their_range():
    out = elastic(images(50, 28, 28), seed=0, epoch=0)
    assert out.min() >= 0
    assert out.max() <= 1
