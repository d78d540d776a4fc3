"""The convolutions in vector code (float32) against im2col in float64, for all kinds of shapes."""

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import ROOT
from tinyproto.cpu import direct, winograd
from tinyproto.cpu.direct import convolve as direct_convolve
from tinyproto.cpu.direct import packing as direct_packing
from tinyproto.cpu.direct import weights as direct_weights
from tinyproto.cpu.geometry import Geometry
from tinyproto.cpu.winograd import convolve as winograd_convolve
from tinyproto.cpu.winograd import filters as winograd_filters
from tinyproto.cpu.winograd import weights as winograd_weights
from tinyproto.layers import im2col

MODULES = [
    winograd_convolve, winograd_filters, winograd_weights,
    direct_convolve, direct_packing, direct_weights,
]  # fmt: skip
"""All that allocate memory or start workers."""


@dataclass
class Problem:
    """Images x (N, H, W, in), weight, bias, and dy and relu_mask like the output."""

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    dy: np.ndarray
    relu_mask: np.ndarray | None
    stride: int
    padding: int
    relu: bool

    def astype(self, dtype):
        arrays = {
            name: value.astype(dtype)
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return Problem(**{**vars(self), **arrays})


def problem(
    count, height, width, channels, out, size=3, stride=1, padding=1, masked=True, relu=True,
    seed=0,
):  # fmt: skip
    random = np.random.default_rng(seed)
    output = [(side + 2 * padding - size) // stride + 1 for side in (height, width)]
    dy, relu_mask = random.normal(size=(2, count, *output, out))
    return Problem(
        random.normal(size=(count, height, width, channels)),
        random.normal(size=(size, size, channels, out)),
        random.normal(size=out),
        dy,
        relu_mask if masked else None,
        stride,
        padding,
        relu,
    ).astype(np.float32)


# Less than a vector; full and partly filled vectors of 4, 8 and 16; more than a panel.
CHANNELS = st.sampled_from([1, 3, 5, 8, 16, 17, 20, 32, 33, 40])


@st.composite
def problems(draw, sizes=(3, 3), strides=(1, 1)):
    size, stride, padding = draw(st.integers(*sizes)), draw(st.integers(*strides)), draw(PADDING)
    smallest = max(1, size - 2 * padding)
    height, width = (draw(st.integers(smallest, smallest + 12)) for _ in "hw")
    return problem(
        draw(st.integers(1, 4)), height, width, draw(CHANNELS), draw(CHANNELS), size, stride,
        padding, draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 2**32 - 1)),
    )  # fmt: skip


PADDING = st.integers(0, 2)


def passes(module, p):
    """y, dx, dW and db."""
    geometry = Geometry(len(p.weight), p.stride, p.padding, p.x.shape, p.dy.shape)
    weights, transposed = (module.prepare_weights(p.weight, geometry, t) for t in (False, True))
    y = module.forward(p.x, weights, p.bias, geometry, p.relu)
    dx = module.input_gradient(p.dy, transposed, geometry, p.relu_mask)
    return [y, dx, *module.weight_gradient(p.x, p.dy, geometry, p.relu_mask)]


def assert_close(found, expected, tolerance):
    """Relative to the largest element: the others come from sums with terms of its size."""
    for value, exact in zip(found, expected, strict=True):
        assert value.dtype == np.float32
        assert value.shape == exact.shape
        assert np.abs(value - exact).max(initial=0) <= tolerance * np.abs(exact).max(initial=0)


@given(problems())
@example(problem(1, 7, 7, 5, 5))
@example(problem(1, 33, 29, 20, 40, masked=False))
@example(problem(130, 8, 8, 16, 16))  # several chunks
@example(problem(3, 8, 8, 160, 40))  # several blocks of channels
@example(problem(70, 4, 4, 33, 20, padding=0))
@example(problem(2, 3, 200, 16, 16))  # more tiles across than a group holds
def test_winograd(p):
    assert_close(passes(winograd, p), passes(im2col, p.astype(np.float64)), 1e-4)


@given(problems(sizes=(1, 5), strides=(1, 3)))
@example(problem(1, 7, 7, 5, 5))
@example(problem(1, 33, 29, 20, 40, stride=2))
@example(problem(20, 33, 29, 3, 40, masked=False))  # several chunks
@example(problem(5, 8, 8, 17, 300, stride=2))  # several blocks of channels
@example(problem(2, 9, 9, 3, 5, size=2, stride=3, padding=0))  # pixels in no window
@example(problem(1, 70, 90, 64, 5))  # several bands an image
def test_direct(p):
    assert_close(passes(direct, p), passes(im2col, p.astype(np.float64)), 3e-5)


@pytest.mark.parametrize("module", [winograd, direct])
@pytest.mark.parametrize(
    "p",
    [problem(5, 9, 7, 16, 40), problem(40, 8, 8, 32, 16), problem(2, 4, 4, 130, 70)],
    ids=["few", "many", "wide"],
)
def test_no_bit_depends_on_the_number_of_workers(module, p, monkeypatch):
    seen = []
    for count in (1, 2, 3, 7):
        for each in MODULES:
            monkeypatch.setattr(each, "worker_count", lambda work=0, count=count: count)
        seen.append([value.tobytes() for value in passes(module, p)])
    assert all(values == seen[0] for values in seen)


@pytest.mark.parametrize("module", [winograd, direct])
@settings(max_examples=20)
@given(st.data())
def test_an_image_gives_the_same_bits_in_any_batch(module, data):
    p = data.draw(problems())
    y, dx, _, _ = passes(module, p)
    for n in range(len(p.x)):
        one = slice(n, n + 1)
        relu_mask = None if p.relu_mask is None else p.relu_mask[one]
        single = Problem(**{**vars(p), "x": p.x[one], "dy": p.dy[one], "relu_mask": relu_mask})
        found = passes(module, single)
        np.testing.assert_array_equal(found[0], y[one])
        np.testing.assert_array_equal(found[1], dx[one])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("module", [winograd, direct])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_is_read_or_written_beyond_an_array(module, count, monkeypatch, data):
    """Inputs lie between NaNs. Outputs and scratch memory start as NaN between guard words: a
    number written outside, or an element that is never written, would be seen."""
    guard, fence, made = np.float32(7.25e30), 64, []

    def fenced(shape, dtype=np.float32):
        size = int(np.prod(shape))
        block = np.full(size + 2 * fence, guard, dtype)
        block[fence : fence + size] = np.nan
        made.append(block)
        return block[fence : fence + size].reshape(shape)

    def between_nans(array):
        block = np.full(array.size + 2 * fence, np.nan, np.float32)
        block[fence:-fence] = array.ravel()
        return block[fence:-fence].reshape(array.shape)

    p = data.draw(problems() if module is winograd else problems(sizes=(1, 5), strides=(1, 3)))
    expected = passes(module, p)
    arrays = {n: between_nans(v) for n, v in vars(p).items() if isinstance(v, np.ndarray)}
    with monkeypatch.context() as patch:
        for each in MODULES:
            patch.setattr(each, "worker_count", lambda work=0: count)
            patch.setattr(each, "empty", fenced)
        found = passes(module, Problem(**{**vars(p), **arrays}))
    for value, exact in zip(found, expected, strict=True):
        np.testing.assert_array_equal(value, exact)
    assert len(made) >= 6
    for block in made:
        assert (block[:fence] == guard).all()
        assert (block[-fence:] == guard).all()


def test_an_empty_batch():
    p = problem(0, 5, 6, 16, 16)
    for module in (winograd, direct):
        y, dx, weight, bias = passes(module, p)
        assert y.shape == p.dy.shape
        assert dx.shape == p.x.shape
        assert not weight.any()
        assert not bias.any()


PROGRAM = """
import numpy as np
from tests.cpu.test_convolution import assert_close, direct, passes, problem, im2col, winograd
from tinyproto.cpu.simd import WIDTH
for module, size, stride in ((winograd, 3, 1), (direct, 3, 2)):
    p = problem(3, 9, 7, 18, 21, size=size, stride=stride)
    assert_close(passes(module, p), passes(im2col, p.astype(np.float64)), 1e-4)
print(WIDTH)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processor", "features", "width"),
    [
        ("nehalem", "", "4"),  # no AVX, no fused multiply-add
        ("haswell", "+avx,+avx2,+fma", "8"),
    ],
)
def test_other_processors(processor, features, width, tmp_path):
    """The same source compiled for vectors of another width."""
    environment = {
        **os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [width]
