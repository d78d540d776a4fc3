"""im2col and col2im: each against plain loops, and as the transpose of the other."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.kernels.im2col import col2im, col2im_table, im2col, im2col_table


@dataclass
class Windows:
    """Images x (N, H, W, C), columns for their windows (N, h, w, size² C), and the options."""

    x: np.ndarray
    columns: np.ndarray
    stride: int
    padding: int
    size: int

    @property
    def table(self):
        """What the tables depend on."""
        widths = self.x.shape[2], self.columns.shape[2]
        return *widths, self.x.shape[3], self.size, self.stride, self.padding

    def positions(self):
        """(index in columns, index in x) of every number of a window that is inside the image."""
        count, height, width, _ = self.columns.shape
        channels = self.x.shape[3]
        taps = (self.size, self.size, channels)
        for n, h, w, a, b, c in np.ndindex(count, height, width, *taps):
            r, s = h * self.stride - self.padding + a, w * self.stride - self.padding + b
            if 0 <= r < self.x.shape[1] and 0 <= s < self.x.shape[2]:
                yield (n, h, w, np.ravel_multi_index((a, b, c), taps)), (n, r, s, c)


@st.composite
def problems(draw, dtype=np.float64):
    size, stride, padding = (draw(st.integers(*of)) for of in ((1, 4), (1, 3), (0, 2)))
    least = max(1, size - 2 * padding)
    height = draw(st.integers(least, least + 4))
    width = draw(st.integers(least, least + 5).filter(lambda w: w != height))
    count, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    output = [(side + 2 * padding - size) // stride + 1 for side in (height, width)]
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = random.normal(size=(count, height, width, channels)).astype(dtype)
    columns = random.normal(size=(count, *output, size**2 * channels)).astype(dtype)
    return Windows(x, columns, stride, padding, size)


def im2col_of(problem):
    """The windows of x. What is in the output before does not matter: it starts as NaN."""
    count, height, width, window = problem.columns.shape
    columns = np.full((count * height, width * window), np.nan, problem.x.dtype)
    row = problem.x[0, 0].size
    sources = im2col_table(*problem.table, np)
    images = problem.x.reshape(count, -1)
    steps = problem.stride * row, -problem.padding * row
    im2col(len(columns), images, height, sources, *steps, columns)
    return columns.reshape(problem.columns.shape)


def col2im_of(problem):
    count, rows, width, channels = problem.x.shape
    x = np.full((count * rows, width * channels), np.nan, problem.x.dtype)
    height = problem.columns.shape[1]
    columns = np.ascontiguousarray(problem.columns).reshape(count * height, -1)
    sources = col2im_table(*problem.table, np)
    col2im(len(x), columns, height, sources, rows, problem.stride, problem.padding, x)
    return x.reshape(problem.x.shape)


@given(problems())
def test_im2col(problem):
    expected = np.zeros_like(problem.columns)
    for column, pixel in problem.positions():
        expected[column] = problem.x[pixel]
    np.testing.assert_array_equal(im2col_of(problem), expected)


@given(problems())
def test_col2im(problem):
    expected = np.zeros_like(problem.x)
    for column, pixel in problem.positions():
        expected[pixel] += problem.columns[column]
    np.testing.assert_allclose(col2im_of(problem), expected, rtol=1e-12, atol=1e-13)


@given(problems())
def test_each_is_the_transpose_of_the_other(problem):
    """⟨im2col x, columns⟩ = ⟨x, col2im columns⟩."""
    one = (im2col_of(problem) * problem.columns).sum()
    other = (problem.x * col2im_of(problem)).sum()
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@given(problems(np.float32))
def test_both_in_float32(problem):
    double = Windows(
        problem.x.astype(np.float64),
        problem.columns.astype(np.float64),
        problem.stride,
        problem.padding,
        problem.size,
    )
    np.testing.assert_array_equal(im2col_of(problem), im2col_of(double).astype(np.float32))
    np.testing.assert_allclose(col2im_of(problem), col2im_of(double), rtol=1e-5, atol=1e-5)
