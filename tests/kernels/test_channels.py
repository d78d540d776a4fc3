"""The kernels that go channel by channel or number by number, each against its formula."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.kernels import channels as kernels


@dataclass
class Images:
    """x and dy (N, P, C); a number for each channel, any number: centre, gain, slope, offset."""

    x: np.ndarray
    dy: np.ndarray
    centre: np.ndarray
    gain: np.ndarray
    slope: np.ndarray
    offset: np.ndarray


@st.composite
def images(draw):
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 5)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, dy = random.normal(size=(2, *shape))
    return Images(x, dy, *random.normal(size=(4, shape[2])))


# name → the arguments after the rows, and what is to be in each array of results, which follow
FORMULAS = {
    "channel_sums": lambda i: ([i.x], [i.x.sum(axis=1)]),
    "channel_products": lambda i: (
        [i.x, i.centre, i.dy],
        [((i.x - i.centre) * i.dy).sum(axis=1), i.dy.sum(axis=1)],
    ),
    "channel_squares": lambda i: ([i.x, i.centre], [((i.x - i.centre) ** 2).sum(axis=1)]),
    "channel_affine": lambda i: (
        [i.x, i.centre, i.gain, i.offset],
        [i.gain * (i.x - i.centre) + i.offset],
    ),
    "channel_combine": lambda i: (
        [i.dy, i.gain, i.x, i.centre, i.slope, i.offset],
        [i.gain * i.dy + i.slope * (i.x - i.centre) + i.offset],
    ),
    "rectify": lambda i: ([i.x[:, 0]], [np.maximum(i.x[:, 0], 0)]),
    "rectify_backward": lambda i: (
        [i.x[:, 0], i.dy[:, 0]],
        [np.where(i.x[:, 0] > 0, i.dy[:, 0], 0)],
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
@given(images())
def test_a_kernel_is_its_formula(name, images):
    given, expected = FORMULAS[name](images)
    found = [np.full_like(array, np.nan) for array in expected]  # what was there does not matter
    getattr(kernels, name)(len(images.x), *given, *found)
    for array, formula in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, formula, rtol=1e-12, atol=1e-13)


def test_every_kernel_is_there():
    assert set(FORMULAS) == {n for n, o in vars(kernels).items() if hasattr(o, "make_example")}
