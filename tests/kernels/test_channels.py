"""The kernels that go channel by channel or number by number, each against its formula."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.backend.kernel import Kernel
from tinyproto.kernels import channels as kernels


@dataclass
class Images:
    """x and dy (N, P, C); a number for each channel, any number: centre, gain, slope, offset and
    shift; a minimum, which may be −∞."""

    x: np.ndarray
    dy: np.ndarray
    centre: np.ndarray
    gain: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    shift: np.ndarray
    minimum: float


FEW = st.integers(1, 5)


@st.composite
def images(draw, channels=FEW):
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 7), channels))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, dy = random.normal(size=(2, *shape))
    minimum = draw(st.sampled_from([0.0, -np.inf]))
    return Images(x, dy, *random.normal(size=(5, shape[2])), minimum)


def affine(i):
    """The arguments of an affine map, and what it gives before the minimum."""
    value = i.gain * (i.x - i.centre) + i.offset
    return [i.x, i.centre, i.gain, i.offset, i.x.dtype.type(i.minimum)], value


def passed(i):
    """dy where the minimum was not taken."""
    return np.where(affine(i)[1] > i.minimum, i.dy, 0)


# name → the arguments after the rows, and what is to be in each array of results, which follow
FORMULAS = {
    "channel_sums": lambda i: ([i.x], [i.x.sum(axis=1)]),
    "channel_moments": lambda i: (
        [i.x],
        [
            i.x.mean(axis=1),
            0 * i.x[:, 0],
            ((i.x - i.x.mean(axis=1, keepdims=True)) ** 2).sum(axis=1),
        ],
    ),
    "channel_affine": lambda i: (affine(i)[0], [np.maximum(affine(i)[1], i.minimum)]),
    "channel_affine_backward": lambda i: ([*affine(i)[0], i.dy], [i.gain * passed(i)]),
    "batch_norm_backward_reduce": lambda i: (
        [*affine(i)[0], i.dy],
        [((i.x - i.centre) * passed(i)).sum(axis=1), passed(i).sum(axis=1)],
    ),
    "batch_norm_backward": lambda i: (
        [*affine(i)[0], i.dy, i.slope, i.shift],
        [i.gain * passed(i) + i.slope * (i.x - i.centre) + i.shift],
    ),
    "global_average_pool_backward": lambda i: (
        [i.dy[:, 0], i.x.dtype.type(0.25)],
        [np.broadcast_to(i.dy[:, :1] / 4, i.x.shape)],
    ),
    "add_bias": lambda i: (
        [i.x, i.offset, i.x.dtype.type(i.minimum)],
        [np.maximum(i.x + i.offset, i.minimum)],
    ),
    "add": lambda i: (
        [i.x[:, 0], i.dy[:, 0], i.x.dtype.type(i.minimum)],
        [np.maximum(i.x[:, 0] + i.dy[:, 0], i.minimum)],
    ),
    "relu": lambda i: ([i.x[:, 0]], [np.maximum(i.x[:, 0], 0)]),
    "relu_backward": lambda i: (
        [i.x[:, 0], i.dy[:, 0]],
        [np.where(i.x[:, 0] > 0, i.dy[:, 0], 0)],
    ),
}


def contiguous(*lists):
    return [
        [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in each]
        for each in lists
    ]


@pytest.mark.parametrize("name", FORMULAS)
@given(images())
def test_a_kernel_is_its_formula(name, images):
    given, expected = contiguous(*FORMULAS[name](images))
    found = [np.full_like(array, np.nan) for array in expected]  # what was there does not matter
    getattr(kernels, name)(len(images.x), *given, *found)
    for array, formula in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, formula, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", FORMULAS)
@given(images(channels=st.sampled_from([16, 32, 48, 5])))
def test_a_kernel_in_vector_code_is_its_formula(name, images):
    """In float32, on as many channels as fill vectors of 16, 8 or 4 numbers, and on others."""
    single = Images(
        *(value.astype(np.float32) for value in list(vars(images).values())[:-1]), images.minimum
    )
    given, expected = contiguous(*FORMULAS[name](single))
    found = [np.full_like(array, np.nan) for array in expected]
    getattr(kernels, name)(len(images.x), *given, *found)
    for array, formula in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, formula, rtol=1e-4, atol=1e-4)


def test_every_kernel_has_a_formula():
    found = {o.__name__ for o in vars(kernels).values() if isinstance(o, Kernel)}
    assert set(FORMULAS) == found
