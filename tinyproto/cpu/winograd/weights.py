"""dW = Σ xᵀ * dy and db = Σ dy, by the chain rule through the tiles.

The tiles of a batch are split into chunks that depend on the shapes alone; a chunk is summed by one
worker, in the order of its tiles, and the chunks are added in theirs: the bits do not depend on the
number of threads.
"""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import PANEL, add_product
from ..simd import (
    BYTES,
    WIDTH,
    address,
    clear,
    compiled,
    load,
    nothing,
    padded,
    store,
    store_some,
)
from .convolve import CACHE_BYTES, CACHE_LINE
from .tiles import read_gradient, read_image
from .transforms import gather_weights, load_six

CHUNKS, CHUNK_TILES, CHUNK_BYTES = 16, 128, 64 << 20
"""Chunks at most, tiles in one at least, and bytes of them all, as far as one has no more: each has
36 · in · out sums of its own."""

PART = 128
"""Channels of x that a worker takes where there are fewer than four chunks."""

LEAST_TILES = 64
"""In a group: dU goes by once for each."""


def weight_gradient(
    x: np.ndarray,
    dy: np.ndarray,
    weight: np.ndarray,
    stride: int,
    padding: int,
    relu_mask: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """dW (3, 3, in, out) and db (out,) from x (N, H, W, in) and dy (N, height, width, out),
    float32, contiguous, stride 1; with a relu_mask (like dy), dy counts only where it is above 0."""
    channels, out = x.shape[3], dy.shape[3]
    gradient, bias = empty(weight.shape), np.zeros(out, dtype=np.float32)
    if dy.size == 0:
        return np.zeros_like(weight), bias
    down, across = -(-dy.shape[1] // 4), -(-dy.shape[2] // 4)
    strips = len(x) * down
    fewest = CHUNK_BYTES // (36 * channels * padded(out) * 4)
    chunks = max(1, min(CHUNKS, strips * across // CHUNK_TILES, strips, fewest))
    part = padded(channels) if chunks >= 4 else min(PART, padded(channels))
    fitting = CACHE_BYTES // (36 * 4 * (part + padded(out)))
    group = max(1, min(max(fitting, LEAST_TILES) // across, -(-strips // chunks)))
    room = 6 * (4 * across + 2) * max(part, padded(out))
    room += 36 * (group * across * (part + padded(out)) + 2 * CACHE_LINE // 4)
    sums = empty((chunks, 36, channels * padded(out) + CACHE_LINE // 4))
    parts = -(-channels // part)
    sums_of_dy = np.zeros((chunks, parts, padded(out)), dtype=np.float32)  # alike for all parts
    threads = worker_count(36 * strips * across * channels * out * 2)
    _sum_products(
        threads,
        x,
        dy,
        nothing if relu_mask is None else relu_mask,
        padding,
        part,
        group,
        sums,
        sums_of_dy,
        empty((threads, room)),
    )
    _gather(threads, sums, gradient, empty((threads, 54 * WIDTH)))
    for chunk in sums_of_dy[:, 0]:
        bias += chunk[:out]
    return gradient, bias


@cpu_kernel
def _sum_products(
    worker, workers, x, dy, relu_mask, padding, part, group, sums, sums_of_dy, scratch
):
    """sums[chunk] = dU = Σ V_fᵀ dM_f, for the channels of each part in turn."""
    images, height, width, out = dy.shape
    channels = x.shape[3]
    down, across = (height + 3) // 4, (width + 3) // 4
    chunks, parts, _ = sums_of_dy.shape
    row_v, row_m = part * 4, padded(out) * 4
    plane_v, plane_m = group * across * row_v + CACHE_LINE, group * across * row_m + CACHE_LINE
    strip = address(scratch[worker])
    v = strip + 6 * (4 * across + 2) * max(row_v, row_m)
    m = v + 36 * plane_v
    for item in range(worker, chunks * parts, workers):
        chunk, p = divmod(item, parts)
        first, last = p * part, min(channels, (p + 1) * part)
        begin, end = images * down * chunk // chunks, images * down * (chunk + 1) // chunks
        for f in range(36):
            clear(address(sums[chunk, f]) + first * row_m, (last - first) * row_m)
        for start in range(begin, end, group):
            count = min(group, end - start)
            for z in range(count):
                n, r = divmod(start + z, down)
                at = z * across
                read_image(
                    x, relu_mask[:0], n, 4 * r - padding, -padding, across, first, last,
                    strip, v + at * row_v, plane_v, row_v,
                )  # fmt: skip
                read_gradient(
                    dy, relu_mask, n, 4 * r, across, strip, m + at * row_m, plane_m, row_m,
                    address(sums_of_dy[chunk, p]),
                )  # fmt: skip
            _multiply(
                count * across, first, last, v, plane_v, row_v, m, plane_m, row_m, sums[chunk],
            )  # fmt: skip


@compiled
def _multiply(tiles, first, last, v, plane_v, row_v, m, plane_m, row_m, sums):
    """sums[f] += V_fᵀ dM_f, its rows first … last − 1."""
    for f in range(36):
        for start in range(0, row_m // 4, PANEL):
            columns = row_m // 4 - start
            a, b = v + f * plane_v, m + f * plane_m + start * 4
            c = address(sums) + f * sums.shape[1] * 4 + first * row_m + start * 4
            add_product(last - first, columns, a, 4, 1, 0, tiles, row_v, b, 0, row_m, c, row_m)


@cpu_kernel
def _gather(worker, workers, sums, weight, scratch):
    """dW = Gᵀ dU G, where dU is the sum of the chunks."""
    _, _, channels, out = weight.shape
    plane, chunk = sums.shape[2] * 4, 36 * sums.shape[2] * 4
    total = address(scratch[worker])
    half = total + 36 * BYTES
    for k in range(worker, channels, workers):
        for c in range(0, out, WIDTH):
            at = address(sums) + (k * padded(out) + c) * 4
            for f in range(36):
                value = load(at + f * plane)
                for n in range(1, len(sums)):
                    value = value + load(at + f * plane + n * chunk)
                store(value, total + f * BYTES)
            for j in range(6):
                taps = gather_weights(load_six(total + j * BYTES, 6 * BYTES))
                store(taps[0], half + j * BYTES)
                store(taps[1], half + (6 + j) * BYTES)
                store(taps[2], half + (12 + j) * BYTES)
            for a in range(3):
                taps = gather_weights(load_six(half + 6 * a * BYTES, BYTES))
                to = address(weight) + ((3 * a * channels + k) * out + c) * 4
                store_some(taps[0], to, out - c)
                store_some(taps[1], to + channels * out * 4, out - c)
                store_some(taps[2], to + 2 * channels * out * 4, out - c)
