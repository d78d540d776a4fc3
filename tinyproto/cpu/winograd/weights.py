"""dW = Σ xᵀ * dy and db = Σ dy, by the chain rule through the tiles.

The tile rows of a batch are split into chunks that depend on the shapes alone. One worker sums a
chunk, in the order of its tiles, and the chunks are added in their order: the bits do not depend on
the number of threads.
"""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import MR, NR, gemm_accumulate
from ..geometry import Geometry, check_array
from ..simd import (
    BYTES,
    NO_MASK,
    WIDTH,
    address,
    compiled,
    load,
    padded,
    store,
    store_up_to,
    zero_fill,
)
from .convolve import CACHE_BYTES
from .layout import CACHE_LINE, scratch_layout
from .tiles import transform_gradient, transform_input
from .transforms import filter_transform_transposed, load_six

MAX_CHUNKS, MIN_CHUNK_TILES, MAX_CHUNK_BYTES = 16, 128, 64 << 20
"""Chunks at most; tiles in a chunk at least; and bytes of all chunks at most, unless there is only
one: each has 36 · in · out sums of its own."""

BLOCK = 128
"""Channels of x in an item of work where there are fewer than four chunks."""

MIN_TILES = 8 * MR
"""Tiles in a group at least: each group reads and writes all of dU."""

SUMS, HALF = 36, 18
"""Vectors of scratch memory in `_transform_sums`: dU, and then Gᵀ dU."""


def weight_gradient(
    x: np.ndarray, dy: np.ndarray, geometry: Geometry, relu_mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """dW (3, 3, in, out) and db (out,) of x and dy, float32, contiguous. With a relu_mask (like
    dy), dy counts as 0 where the mask is not above 0."""
    check_array("x", x, geometry.input_shape)
    check_array("dy", dy, geometry.output_shape)
    check_array("relu_mask", relu_mask, geometry.output_shape)
    channels, out = x.shape[3], dy.shape[3]
    gradient, bias = empty((3, 3, channels, out)), np.zeros(out, dtype=np.float32)
    if dy.size == 0:
        return np.zeros_like(gradient), bias
    tiles_across, tile_rows = -(-dy.shape[2] // 4), -(-dy.shape[1] // 4) * len(x)
    fitting = MAX_CHUNK_BYTES // (36 * channels * padded(out) * 4)
    tiles = tile_rows * tiles_across
    chunks = max(1, min(MAX_CHUNKS, tiles // MIN_CHUNK_TILES, tile_rows, fitting))
    block = padded(channels) if chunks >= 4 else min(BLOCK, padded(channels))
    fitting = CACHE_BYTES // (36 * 4 * (block + padded(out)))
    group_rows = max(1, min(max(fitting, MIN_TILES) // tiles_across, -(-tile_rows // chunks)))
    sums = empty((chunks, 36, channels * padded(out) + CACHE_LINE // 4))
    blocks = -(-channels // block)
    sums_of_dy = np.zeros((chunks, blocks, padded(out)), dtype=np.float32)  # equal in all blocks
    threads = worker_count(36 * tiles * channels * out * 2)
    layout = scratch_layout(tiles_across, group_rows, block, out)
    _sum_products(
        threads,
        x,
        dy,
        NO_MASK if relu_mask is None else relu_mask,
        geometry.padding,
        block,
        group_rows,
        sums,
        sums_of_dy,
        empty((threads, layout.size // 4)),
    )
    _transform_sums(threads, sums, gradient, empty((threads, (SUMS + HALF) * WIDTH)))
    for chunk in sums_of_dy[:, 0]:
        bias += chunk[:out]
    return gradient, bias


@cpu_kernel
def _sum_products(
    worker, workers, x, dy, relu_mask, padding, block, group_rows, sums, sums_of_dy, scratch
):
    """sums[chunk] = dU, dU_f = Σ V_fᵀ dM_f; an item of work is a chunk and a block of channels."""
    images, height, width, out = dy.shape
    channels = x.shape[3]
    tiles_down, tiles_across = (height + 3) // 4, (width + 3) // 4
    chunks, blocks, _ = sums_of_dy.shape
    layout = scratch_layout(tiles_across, group_rows, block, out)
    half = address(scratch[worker])
    v, m = half + layout.v, half + layout.m
    for item in range(worker, chunks * blocks, workers):
        chunk, b = divmod(item, blocks)
        first, last = b * block, min(channels, (b + 1) * block)
        begin = images * tiles_down * chunk // chunks
        end = images * tiles_down * (chunk + 1) // chunks
        for f in range(36):
            row = address(sums[chunk, f]) + first * layout.row_m
            zero_fill(row, (last - first) * layout.row_m)
        for start in range(begin, end, group_rows):
            tile_rows = min(group_rows, end - start)
            for z in range(tile_rows):
                n, i = divmod(start + z, tiles_down)
                q = z * tiles_across
                transform_input(
                    x, relu_mask[:0], n, 4 * i - padding, -padding, tiles_across, first, last,
                    half, v + q * layout.row_v, layout.plane_v, layout.row_v,
                )  # fmt: skip
                transform_gradient(
                    dy, relu_mask, n, 4 * i, tiles_across, half, m + q * layout.row_m,
                    layout.plane_m, layout.row_m, address(sums_of_dy[chunk, b]),
                )  # fmt: skip
            _multiply(tile_rows * tiles_across, first, last, v, m, layout, sums[chunk])


@compiled
def _multiply(tiles, first, last, v, m, layout, sums):
    """sums[f] += V_fᵀ dM_f, rows first … last − 1 (channels of x)."""
    for f in range(36):
        for start in range(0, layout.row_m // 4, NR):
            gemm_accumulate(
                last - first, layout.row_m // 4 - start, v + f * layout.plane_v, 4, 1, 0,
                tiles, layout.row_v, m + f * layout.plane_m + start * 4, 0, layout.row_m,
                address(sums) + f * sums.shape[1] * 4 + first * layout.row_m + start * 4,
                layout.row_m,
            )  # fmt: skip


@cpu_kernel
def _transform_sums(worker, workers, sums, weight, scratch):
    """dW = Gᵀ dU G, where dU is the sum of the chunks."""
    _, _, channels, out = weight.shape
    plane, chunk = sums.shape[2] * 4, 36 * sums.shape[2] * 4
    total = address(scratch[worker])
    half = total + SUMS * BYTES
    for k in range(worker, channels, workers):
        for c in range(0, out, WIDTH):
            source = address(sums) + (k * padded(out) + c) * 4
            for f in range(36):
                value = load(source + f * plane)
                for n in range(1, len(sums)):
                    value = value + load(source + f * plane + n * chunk)
                store(value, total + f * BYTES)
            for j in range(6):
                taps = filter_transform_transposed(load_six(total + j * BYTES, 6 * BYTES))
                store(taps[0], half + j * BYTES)
                store(taps[1], half + (6 + j) * BYTES)
                store(taps[2], half + (12 + j) * BYTES)
            for a in range(3):
                taps = filter_transform_transposed(load_six(half + 6 * a * BYTES, BYTES))
                target = address(weight) + ((3 * a * channels + k) * out + c) * 4
                store_up_to(taps[0], target, out - c)
                store_up_to(taps[1], target + channels * out * 4, out - c)
                store_up_to(taps[2], target + 2 * channels * out * 4, out - c)
