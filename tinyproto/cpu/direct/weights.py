"""dW[a, b, c] = Σ x[h S − P + a, w S − P + b, c] dy[h, w] and db = Σ dy.

The rows (b, c) of one a lie side by side in x, S pixels further on for the next output. Below the
rows of dy that belong to a strip come ⌈(K − S)/S⌉ rows of zeros, so that the strips of a group, one
under the other, are one long image, and one product sums over all of them. (These zeros meet pixels
of the next strip: an infinity there makes a NaN of what it would not have touched.)

As in `winograd.weights`, chunks depend on the shapes alone and are added in their order.
"""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import PANEL, add_product
from ..simd import (
    WIDTH,
    address,
    compiled,
    load,
    load_masked,
    nothing,
    padded,
    splat,
    store,
)
from .strips import GROUP_BYTES, STRIP_BYTES, copy_strip

CHUNKS, CHUNK_PIXELS = 16, 2048
"""Chunks at most, and outputs in one at least: each has K² · in · out sums of its own."""


def weight_gradient(
    x: np.ndarray,
    dy: np.ndarray,
    weight: np.ndarray,
    stride: int,
    padding: int,
    relu_mask: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """dW (K, K, in, out) and db (out,) from x (N, H, W, in) and dy (N, height, width, out),
    float32, contiguous; with a relu_mask (like dy), dy counts only where it is above 0."""
    size, channels, (_, down, across, out) = len(weight), x.shape[3], dy.shape
    if dy.size == 0:
        return np.zeros_like(weight), np.zeros(out, np.float32)
    line = ((across - 1) * stride + size) * channels * 4
    more = -(-max(0, size - stride) // stride)  # rows of zeros under those of dy
    lines = min(down, max(1, STRIP_BYTES // (line * stride) - more))
    every = len(x) * -(-down // lines)
    chunks = max(1, min(CHUNKS, len(x) * down * across // CHUNK_PIXELS, every))
    part = padded(out) if chunks >= 4 else max(PANEL, padded(out) // 4 // PANEL * PANEL)
    heights = lines + more
    strip_x, strip_dy = heights * stride * line, heights * across * part * 4
    strips = max(1, min(GROUP_BYTES // (strip_x + strip_dy), -(-every // chunks)))
    room = strips * (strip_x + strip_dy) // 4
    sums = empty((chunks, size * size * channels, padded(out)))
    sums.fill(0)
    sums_of_dy = np.zeros((chunks, padded(out)), dtype=np.float32)
    threads = worker_count(2 * dy.size * weight.size // out)
    _sum_products(
        threads,
        x,
        dy,
        nothing if relu_mask is None else relu_mask,
        np.array([size, stride, padding, lines, heights, part, strips]),
        sums,
        sums_of_dy,
        empty((threads, room)),
    )
    total, bias = sums[0], sums_of_dy[0]
    for chunk in range(1, chunks):
        total += sums[chunk]
        bias += sums_of_dy[chunk]
    return total[:, :out].reshape(weight.shape), bias[:out].copy()


@cpu_kernel
def _sum_products(worker, workers, x, dy, relu_mask, plan, sums, sums_of_dy, scratch):
    size, stride, padding, lines, heights, part, strips = plan
    _, down, across, _ = dy.shape
    channels = x.shape[3]
    columns = (across - 1) * stride + size
    line = columns * channels * 4
    chunks, row = len(sums), sums.shape[2] * 4
    parts = (row // 4 + part - 1) // part
    in_image = (down + lines - 1) // lines
    every = len(x) * in_image
    strip_x, strip_dy = heights * stride * line, heights * across * part * 4
    copies_of_dy = address(scratch[worker])
    copies = copies_of_dy + strips * strip_dy
    for item in range(worker, chunks * parts, workers):
        chunk, p = divmod(item, parts)
        first = p * part
        begin, end = every * chunk // chunks, every * (chunk + 1) // chunks
        for start in range(begin, end, strips):
            count = min(strips, end - start)
            for z in range(count):
                n, i = divmod(start + z, in_image)
                high = min(lines, down - i * lines)
                rows = heights * stride if z < count - 1 else (lines - 1) * stride + size
                copy_strip(
                    x, relu_mask[:0], n, i * lines * stride - padding, -padding, rows, columns,
                    copies + z * strip_x,
                )  # fmt: skip
                _copy_gradient(
                    dy, relu_mask, n, i * lines, high, heights, first, part,
                    copies_of_dy + z * strip_dy,
                )  # fmt: skip
            for a in range(size):
                for c in range(first, min(row // 4, first + part), PANEL):
                    add_product(
                        size * channels, row // 4 - c, copies + a * line, 4,
                        count * heights - heights + lines, stride * line, across,
                        stride * channels * 4, copies_of_dy + (c - first) * 4,
                        across * part * 4, part * 4,
                        address(sums[chunk]) + a * size * channels * row + c * 4, row,
                    )  # fmt: skip
            for c in range(first, min(row // 4, first + part), WIDTH):
                place = address(sums_of_dy[chunk]) + c * 4
                total = load(place)
                for q in range(count * heights * across):
                    total = total + load(copies_of_dy + (q * part + c - first) * 4)
                store(total, place)


@compiled
def _copy_gradient(dy, relu_mask, n, top, high, heights, first, part, to):
    """Channels first … of `high` rows of dy, and zeros below them."""
    _, height, across, out = dy.shape
    for r in range(heights):
        for w in range(across):
            offset = (((n * height + top + r) * across + w) * out + first) * 4
            at = to + (r * across + w) * part * 4
            for c in range(0, part, WIDTH):
                count = out - first - c
                value = splat(np.float32(0))
                if r < high and count > 0:
                    value = load_masked(dy, relu_mask, offset + c * 4, count)
                store(value, at + c * 4)
