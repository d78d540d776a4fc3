"""dW[a, b, c] = Σ x[h S − P + a, w S − P + b, c] dy[h, w] and db = Σ dy.

The rows (b, c) of one a are next to each other in x, and begin S pixels further for the next
output. Below the rows of dy that belong to a band come ⌈(K − S)/S⌉ rows of zeros, so that the bands
of a group, one under the other, are like one long image, and one product sums over all of them.
(These zeros are multiplied by pixels of the next band: an infinity there turns a sum that
it does not belong to into NaN.)

As in `winograd.weights`, the chunks depend on the shapes alone and are added in their order.
"""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import NR, gemm_accumulate
from ..geometry import Geometry, check_array
from ..simd import (
    NO_MASK,
    WIDTH,
    address,
    compiled,
    load,
    load_with_relu_mask,
    padded,
    splat,
    store,
)
from .bands import BAND_BYTES, GROUP_BYTES, copy_band, weight_layout

MAX_CHUNKS, MIN_CHUNK_PIXELS = 16, 2048
"""Chunks at most, and outputs in a chunk at least: each has K² · in · out sums of its own."""


def weight_gradient(
    x: np.ndarray, dy: np.ndarray, geometry: Geometry, relu_mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """dW (K, K, in, out) and db (out,) of x and dy, float32, contiguous. With a relu_mask (like
    dy), dy counts as 0 where the mask is not above 0."""
    check_array("x", x, geometry.input_shape)
    check_array("dy", dy, geometry.output_shape)
    check_array("relu_mask", relu_mask, geometry.output_shape)
    size, stride = geometry.kernel_size, geometry.stride
    channels, (_, out_rows, out_columns, out) = x.shape[3], dy.shape
    shape = (size, size, channels, out)
    if dy.size == 0:
        return np.zeros(shape, np.float32), np.zeros(out, np.float32)
    row = weight_layout(out_columns, size, channels, stride, 1, 1, 1).row
    zero_rows = -(-max(0, size - stride) // stride)  # under the rows of dy
    band_rows = min(out_rows, max(1, BAND_BYTES // (row * stride) - zero_rows))
    total = len(x) * -(-out_rows // band_rows)
    pixels = len(x) * out_rows * out_columns
    chunks = max(1, min(MAX_CHUNKS, pixels // MIN_CHUNK_PIXELS, total))
    block = padded(out) if chunks >= 4 else max(NR, padded(out) // 4 // NR * NR)
    sizes = out_columns, size, channels, stride, band_rows + zero_rows, block
    bands = max(1, min(GROUP_BYTES // weight_layout(*sizes, 1).size, -(-total // chunks)))
    sums = empty((chunks, size * size * channels, padded(out)))
    sums.fill(0)
    sums_of_dy = np.zeros((chunks, padded(out)), dtype=np.float32)
    threads = worker_count(2 * dy.size * size * size * channels)
    _sum_products(
        threads,
        x,
        dy,
        NO_MASK if relu_mask is None else relu_mask,
        size,
        stride,
        geometry.padding,
        band_rows,
        band_rows + zero_rows,
        block,
        bands,
        sums,
        sums_of_dy,
        empty((threads, weight_layout(*sizes, bands).size // 4)),
    )
    gradient, bias = sums[0], sums_of_dy[0]
    for chunk in range(1, chunks):
        gradient += sums[chunk]
        bias += sums_of_dy[chunk]
    return gradient[:, :out].reshape(shape), bias[:out].copy()


@cpu_kernel
def _sum_products(
    worker, workers, x, dy, relu_mask, size, stride, padding, band_rows, dy_rows, block, bands,
    sums, sums_of_dy, scratch,
):  # fmt: skip
    """An item of work is a chunk and a block of `block` channels of dy; it goes through its chunk
    in groups of `bands` bands, each of `band_rows` rows of dy and dy_rows − band_rows of zeros."""
    _, out_rows, out_columns, _ = dy.shape
    channels = x.shape[3]
    chunks, width = len(sums), sums.shape[2]
    blocks = (width + block - 1) // block
    bands_of_image = (out_rows + band_rows - 1) // band_rows
    total = len(x) * bands_of_image
    layout = weight_layout(out_columns, size, channels, stride, dy_rows, block, bands)
    first_dy = address(scratch[worker])
    first_x = first_dy + layout.x
    for item in range(worker, chunks * blocks, workers):
        chunk, p = divmod(item, blocks)
        first, last = p * block, min(width, (p + 1) * block)
        begin, end = total * chunk // chunks, total * (chunk + 1) // chunks
        for start in range(begin, end, bands):
            count = min(bands, end - start)
            for z in range(count):
                n, i = divmod(start + z, bands_of_image)
                high = min(band_rows, out_rows - i * band_rows)
                rows = dy_rows * stride if z < count - 1 else (band_rows - 1) * stride + size
                copy_band(
                    x, relu_mask[:0], n, i * band_rows * stride - padding, -padding, rows,
                    layout.row // (channels * 4), first_x + z * layout.band_x,
                )  # fmt: skip
                _copy_gradient(
                    dy, relu_mask, n, i * band_rows, high, dy_rows, first, block,
                    first_dy + z * layout.band_dy,
                )  # fmt: skip
            rows = (count - 1) * dy_rows + band_rows
            for a in range(size):
                target = address(sums[chunk]) + a * size * channels * width * 4
                for c in range(first, last, NR):
                    gemm_accumulate(
                        size * channels, width - c, first_x + a * layout.row, 4, rows,
                        stride * layout.row, out_columns, stride * channels * 4,
                        first_dy + (c - first) * 4, out_columns * block * 4, block * 4,
                        target + c * 4, width * 4,
                    )  # fmt: skip
            for c in range(first, last, WIDTH):
                target = address(sums_of_dy[chunk]) + c * 4
                value = load(target)
                for q in range(count * dy_rows * out_columns):
                    value = value + load(first_dy + (q * block + c - first) * 4)
                store(value, target)


@compiled
def _copy_gradient(dy, relu_mask, n, top, rows, dy_rows, first, block, band):
    """Channels first … of `rows` rows of dy, and zeros below them up to dy_rows rows."""
    _, height, out_columns, out = dy.shape
    for r in range(dy_rows):
        for w in range(out_columns):
            offset = (((n * height + top + r) * out_columns + w) * out + first) * 4
            target = band + (r * out_columns + w) * block * 4
            for c in range(0, block, WIDTH):
                count = out - first - c
                value = splat(np.float32(0))
                if r < rows and count > 0:
                    value = load_with_relu_mask(dy, relu_mask, offset + c * 4, count)
                store(value, target + c * 4)
