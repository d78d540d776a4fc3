"""Bands of images: rows of pixels with the zeros around them, copied into a core's cache; and where
they are in the scratch memory of a worker."""

from typing import NamedTuple

from numba.extending import register_jitable

from ..gemm import NR
from ..simd import BYTES, compiled, load_with_relu_mask, store_up_to, zero_fill

BAND_BYTES, GROUP_BYTES = 128 * 1024, 512 * 1024
"""Of one band, and of the bands that are worked on together: parts of a second-level cache."""

CACHE_LINE = 64


class ForwardLayout(NamedTuple):
    """Scratch memory of the forward pass, in bytes: at 0 the sums of one row of outputs, NR
    channels each; from `bands` on, the bands of a group, `band` bytes each; `row` is the length of
    a row of pixels."""

    row: int
    band: int
    bands: int
    size: int


@register_jitable
def forward_layout(
    out_columns: int, kernel_rows: int, run: int, channels: int, stride: int, band_rows: int,
    bands: int,
) -> ForwardLayout:  # fmt: skip
    """For groups of `bands` bands, each for `band_rows` rows of outputs; `run` numbers of a row of
    pixels are in a window. Python calls it to allocate, the kernel to address."""
    row = ((out_columns - 1) * stride * channels + run) * 4
    pixel_rows = (band_rows - 1) * stride + kernel_rows
    band = (pixel_rows * row + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
    sums = out_columns * NR * 4
    return ForwardLayout(row, band, sums, sums + bands * band)


class WeightLayout(NamedTuple):
    """Scratch memory of the weight pass, in bytes: at 0 the bands of dy, `band_dy` bytes each; from
    `x` on, the bands of x, `band_x` bytes each; `row` is the length of a row of pixels of x."""

    row: int
    band_dy: int
    band_x: int
    x: int
    size: int


@register_jitable
def weight_layout(
    out_columns: int, kernel_size: int, channels: int, stride: int, dy_rows: int, block: int,
    bands: int,
) -> WeightLayout:  # fmt: skip
    """For groups of `bands` bands, each of `dy_rows` rows of dy, `block` channels of it, and of
    dy_rows · stride rows of x. Python calls it to allocate, the kernel to address."""
    row = ((out_columns - 1) * stride + kernel_size) * channels * 4
    band_dy, band_x = dy_rows * out_columns * block * 4, dy_rows * stride * row
    return WeightLayout(row, band_dy, band_x, bands * band_dy, bands * (band_dy + band_x))


@compiled
def copy_band(x, relu_mask, n, top, left, rows, columns, band):
    """Rows top …, columns left … of image n to `band`, 0 outside the image. With a relu_mask (like
    x, or NO_MASK), a number is copied only where the mask is above 0, and is 0 elsewhere."""
    _, height, width, channels = x.shape
    pixel = channels * 4
    before, after = max(0, -left), min(columns, width - left)
    for r in range(rows):
        inside = 0 <= top + r < height and after > before
        begin, end = (before * pixel, after * pixel) if inside else (0, 0)
        target = band + r * columns * pixel
        zero_fill(target, begin)
        offset = (((n * height + top + r) * width + left) * channels) * 4
        for at in range(begin, end, BYTES):
            count = (end - at) // 4
            value = load_with_relu_mask(x, relu_mask, offset + at, count)
            store_up_to(value, target + at, count)
        zero_fill(target + end, columns * pixel - end)
