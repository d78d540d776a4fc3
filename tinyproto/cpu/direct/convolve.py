"""y = max(x * W + bias, minimum), and dx.

**dx.** Pixel r of x takes part in output h through tap a where h S − P + a = r. Let r = r₀ + S i.
The taps for which an h exists are a = a₀ + S u, a₀ = (r₀ + P) mod S, and h = i + e − u with
e = (r₀ + P − a₀)/S. So the pixels of one phase r₀ are a convolution of stride 1: of dy, with every
S-th tap from a₀ on, in reverse, the first of them at h = i + e − (taps − 1). Rows and columns have
S phases each.
"""

from typing import NamedTuple

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import NR, gemm
from ..geometry import Geometry, check_array
from ..simd import NO_MASK, WIDTH, address, compiled, load, load_up_to, maximum, splat, store_up_to
from .bands import BAND_BYTES, GROUP_BYTES, copy_band, forward_layout
from .packing import PackedTaps


class OutputGrid(NamedTuple):
    """Which outputs a call computes, and where their windows are.

    There are out_rows × out_columns outputs. The first is pixel (y_top, y_left) of y, and its
    window begins at pixel (x_top, x_left) of x, which is negative in the padding; the next ones
    follow y_stride pixels further in y, and x_stride in x.
    """

    out_rows: int
    out_columns: int
    x_top: int
    x_left: int
    x_stride: int
    y_top: int = 0
    y_left: int = 0
    y_stride: int = 1


def forward(
    x: np.ndarray, taps: PackedTaps, bias: np.ndarray | None, geometry: Geometry, relu: bool
) -> np.ndarray:
    """y of x, float32, contiguous, with taps from `prepare_weights`; relu: max(y, 0)."""
    check_array("x", x, geometry.input_shape)
    check_array("bias", bias, geometry.output_shape[3:])
    y = empty(geometry.output_shape)
    _, height, width, _ = geometry.output_shape
    grid = OutputGrid(height, width, -geometry.padding, -geometry.padding, geometry.stride)
    _convolve(x, None, taps[0, 0], bias, relu, grid, y)
    return y


def input_gradient(
    dy: np.ndarray, taps: PackedTaps, geometry: Geometry, relu_mask: np.ndarray | None
) -> np.ndarray:
    """dx, with taps from `prepare_weights`, transposed. With a relu_mask (like dy), dy counts as 0
    where the mask is not above 0."""
    check_array("dy", dy, geometry.output_shape)
    check_array("relu_mask", relu_mask, geometry.output_shape)
    _, height, width, _ = geometry.input_shape
    stride, padding = geometry.stride, geometry.padding
    dx = empty(geometry.input_shape)
    if geometry.kernel_size < stride:
        dx[...] = 0  # some pixels are in no window
    for row in range(min(stride, height)):
        for column in range(min(stride, width)):
            a, b = (row + padding) % stride, (column + padding) % stride
            if (a, b) not in taps:
                continue
            _, kernel_rows, run, _ = taps[a, b].shape
            grid = OutputGrid(
                out_rows=-(-(height - row) // stride),
                out_columns=-(-(width - column) // stride),
                x_top=(row + padding - a) // stride - kernel_rows + 1,
                x_left=(column + padding - b) // stride - run // dy.shape[3] + 1,
                x_stride=1,
                y_top=row,
                y_left=column,
                y_stride=stride,
            )
            _convolve(dy, relu_mask, taps[a, b], None, False, grid, dx)
    return dx


def _convolve(
    x: np.ndarray,
    relu_mask: np.ndarray | None,
    taps: np.ndarray,
    bias: np.ndarray | None,
    relu: bool,
    grid: OutputGrid,
    y: np.ndarray,
) -> None:
    """Choose the bands, allocate, and run the kernel."""
    if y.size == 0:
        return
    _, kernel_rows, run, _ = taps.shape
    sizes = grid.out_columns, kernel_rows, run, x.shape[3], grid.x_stride
    row = forward_layout(*sizes, 1, 1).row
    band_rows = max(1, (BAND_BYTES // row - kernel_rows) // grid.x_stride + 1)
    band_rows = min(grid.out_rows, band_rows)
    band = forward_layout(*sizes, band_rows, 1).band
    threads = worker_count(2 * y.size * taps[0].size // NR)
    total = len(x) * -(-grid.out_rows // band_rows)
    bands = max(1, min(GROUP_BYTES // band, -(-total // threads)))
    layout = forward_layout(*sizes, band_rows, bands)
    _convolve_bands(
        threads,
        x,
        NO_MASK if relu_mask is None else relu_mask,
        taps,
        np.zeros(y.shape[3], dtype=np.float32) if bias is None else bias,
        np.float32(0 if relu else -np.inf),
        *grid,
        band_rows,
        bands,
        y,
        empty((threads, layout.size // 4)),
    )


@cpu_kernel
def _convolve_bands(
    worker, workers, x, relu_mask, taps, bias, minimum,
    out_rows, out_columns, x_top, x_left, x_stride, y_top, y_left, y_stride,
    band_rows, bands, y, scratch,
):  # fmt: skip
    """An item of work is a group of `bands` bands, each for `band_rows` rows of outputs."""
    panels, kernel_rows, run, _ = taps.shape
    channels, out = x.shape[3], y.shape[3]
    layout = forward_layout(out_columns, kernel_rows, run, channels, x_stride, band_rows, bands)
    sums = address(scratch[worker])
    first_band = sums + layout.bands
    pixels = layout.row // (channels * 4)
    bands_of_image = (out_rows + band_rows - 1) // band_rows
    total = len(x) * bands_of_image
    for start in range(worker * bands, total, workers * bands):
        count = min(bands, total - start)
        for z in range(count):
            n, i = divmod(start + z, bands_of_image)
            rows = min(band_rows, out_rows - i * band_rows)
            copy_band(
                x, relu_mask, n, x_top + i * band_rows * x_stride, x_left,
                (rows - 1) * x_stride + kernel_rows, pixels, first_band + z * layout.band,
            )  # fmt: skip
        for p in range(panels):
            panel = address(taps) + p * kernel_rows * run * NR * 4
            for z in range(count):
                n, i = divmod(start + z, bands_of_image)
                for h in range(min(band_rows, out_rows - i * band_rows)):
                    window = first_band + z * layout.band + h * x_stride * layout.row
                    gemm(
                        out_columns, out - p * NR, window, x_stride * channels * 4, kernel_rows,
                        layout.row, run, 4, panel, run * NR * 4, NR * 4, sums, NR * 4,
                    )  # fmt: skip
                    row = y_top + (i * band_rows + h) * y_stride
                    _store_row(
                        sums, out_columns, p * NR, bias, minimum, n, row, y_left, y_stride, y
                    )


@compiled
def _store_row(sums, out_columns, first, bias, minimum, n, row, left, stride, y):
    """A row of outputs, the channels of one panel, from `first` on: max(sums + bias, minimum)."""
    _, height, width, out = y.shape
    lowest = splat(minimum)
    for c in range(first, min(out, first + NR), WIDTH):
        remaining = out - c
        b = load_up_to(address(bias) + c * 4, remaining)
        target = address(y) + (((n * height + row) * width + left) * out + c) * 4
        for w in range(out_columns):
            value = maximum(load(sums + (w * NR + c - first) * 4) + b, lowest)
            store_up_to(value, target + w * stride * out * 4, remaining)
