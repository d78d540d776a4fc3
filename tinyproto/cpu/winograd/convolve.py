"""y = max(x * W + bias, minimum): the forward pass, and the input's gradient.

A worker takes groups of strips in turn. The transformed tiles of a group and their products stay in
its core's second-level cache; the transformed weights go by, once for each group.
"""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import PANEL, product
from ..simd import (
    BYTES,
    WIDTH,
    address,
    compiled,
    load,
    load_some,
    nothing,
    padded,
    store,
)
from .tiles import read_image, write_tile
from .transforms import store_six, transform_weights

Kept = dict[bool, tuple[np.ndarray, np.ndarray]]
"""Whether transposed → the weights, and what was made of them."""

CACHE_BYTES = 768 * 1024
"""Of tiles in a group, and of their products: what the weights leave of a second-level cache."""

LEAST_TILES = 32
"""In a group all the same, so that the weights go by for something."""

CACHE_LINE = 64
"""Bytes between two planes of frequencies, or they would all fall into the same cache sets."""


def forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: int,
    padding: int,
    shape: tuple[int, ...],
    relu: bool,
    weight_cache: Kept | None = None,
) -> np.ndarray:
    """y, of that shape, of x (N, H, W, in), float32, contiguous. weight (3, 3, in, out), bias
    (out,), stride 1; relu: max(y, 0). weight_cache: where U may stay for the next time."""
    U = transformed(weight, False, weight_cache)
    return _run(x, None, U, bias, padding, shape, relu)


def input_gradient(
    dy: np.ndarray,
    weight: np.ndarray,
    stride: int,
    padding: int,
    shape: tuple[int, ...],
    relu_mask: np.ndarray | None,
    weight_cache: Kept | None = None,
) -> np.ndarray:
    """dx, of that shape; with a relu_mask (like dy), dy counts only where it is above 0."""
    U = transformed(weight, True, weight_cache)
    return _run(dy, relu_mask, U, None, 2 - padding, shape, False)


def transformed(weight: np.ndarray, transposed: bool, weight_cache: Kept | None) -> np.ndarray:
    """U of the weights; transposed: of the weights turned by 180°, in and out exchanged. One that
    was weight_cache for this very array is taken as it is."""
    if (
        weight_cache is not None
        and transposed in weight_cache
        and weight_cache[transposed][0] is weight
    ):
        return weight_cache[transposed][1]
    channels, out = weight.shape[:1:-1] if transposed else weight.shape[2:]
    U = empty((36, -(-out // PANEL) * channels * PANEL + CACHE_LINE // 4))
    threads = worker_count(36 * channels * out * 8)
    scratch = np.zeros((threads, 27 * WIDTH), dtype=np.float32)
    _transform_weights(threads, weight, transposed, U, scratch)
    if weight_cache is not None:
        weight_cache[transposed] = weight, U
    return U


def _run(
    x: np.ndarray,
    relu_mask: np.ndarray | None,
    U: np.ndarray,
    bias: np.ndarray | None,
    padding: int,
    shape: tuple[int, ...],
    relu: bool,
) -> np.ndarray:
    """Choose the groups and go."""
    images, channels, out = len(x), x.shape[3], shape[3]
    y = empty(shape)
    if y.size == 0:
        return y
    panels = -(-out // PANEL)
    down, across = -(-y.shape[1] // 4), -(-y.shape[2] // 4)
    threads = worker_count(36 * images * down * across * channels * out * 2)
    fitting = CACHE_BYTES // (36 * 4 * (padded(channels) + padded(out)))
    strips = max(1, max(fitting, LEAST_TILES) // across)
    groups = -(-images * down // strips)
    parts = min(panels, max(1, threads // groups))
    turns = -(-groups * parts // threads)  # of each worker; shared out evenly
    strips = -(-images * down // max(1, turns * threads // parts))
    room = 6 * (4 * across + 2) * padded(channels)
    room += 36 * (strips * across * (padded(channels) + padded(out)) + 2 * CACHE_LINE // 4)
    _convolve(
        threads,
        x,
        nothing if relu_mask is None else relu_mask,
        U,
        np.zeros(out, dtype=np.float32) if bias is None else bias,
        np.float32(0 if relu else -np.inf),
        padding,
        strips,
        -(-panels // parts) * PANEL,
        y,
        empty((threads, room)),
    )
    return y


@cpu_kernel
def _convolve(
    worker, workers, x, relu_mask, weights, bias, minimum, padding, strips, part, y, scratch
):
    """Items of work are groups of `strips` strips, and in them `part` channels of y."""
    images, _, _, channels = x.shape
    out = y.shape[3]
    parts = (out + part - 1) // part
    down, across = (y.shape[1] + 3) // 4, (y.shape[2] + 3) // 4
    row_in, row_out = padded(channels) * 4, padded(min(out, part)) * 4
    plane_in = strips * across * row_in + CACHE_LINE
    plane_out = strips * across * row_out + CACHE_LINE
    strip = address(scratch[worker])
    tiles = strip + 6 * (4 * across + 2) * row_in
    products = tiles + 36 * plane_in
    groups = (images * down + strips - 1) // strips
    for item in range(worker, groups * parts, workers):
        group, p = divmod(item, parts)
        first, start = p * part, group * strips
        last, count = min(out, first + part), min(strips, images * down - start)
        for z in range(count):
            n, i = divmod(start + z, down)
            here = tiles + z * across * row_in
            read_image(
                x, relu_mask, n, 4 * i - padding, -padding, across, 0, channels,
                strip, here, plane_in, row_in,
            )  # fmt: skip
        _multiply(
            count * across, tiles, plane_in, row_in, weights, channels, first, last,
            products, plane_out, row_out,
        )  # fmt: skip
        for z in range(count):
            n, i = divmod(start + z, down)
            for t in range(across):
                here = products + (z * across + t) * row_out
                write_tile(here, plane_out, bias, minimum, n, 4 * i, 4 * t, first, last, y)


@compiled
def _multiply(tiles, v, plane_v, row_v, weights, channels, first, last, m, plane_m, row_m):
    """M_f = V_f U_f of every frequency f, for the outputs first … last − 1."""
    for f in range(36):
        u = address(weights) + f * weights.shape[1] * 4
        for n in range(first, last, PANEL):
            product(
                tiles, last - n, v + f * plane_v, row_v, 1, 0, channels, 4,
                u + n * channels * 4, 0, PANEL * 4, m + f * plane_m + (n - first) * 4, row_m,
            )  # fmt: skip


@cpu_kernel
def _transform_weights(worker, workers, weight, transposed, transformed, scratch):
    """U = G g Gᵀ: a row for each frequency, panels of PANEL outputs, a row for each input."""
    out, channels = weight.shape[2:] if transposed else (weight.shape[3], weight.shape[2])
    taps, turned = address(scratch[worker]), scratch[worker]
    plane = transformed.shape[1] * 4
    for pair in range(worker, padded(out) // WIDTH * channels, workers):
        vector, k = divmod(pair, channels)
        first = vector * WIDTH
        for a in range(3):
            for b in range(3):
                tap = 3 * a + b
                if transposed:
                    for c in range(min(WIDTH, out - first)):
                        turned[tap * WIDTH + c] = weight[2 - a, 2 - b, first + c, k]
                else:
                    place = address(weight) + ((tap * channels + k) * out + first) * 4
                    store(load_some(place, out - first), taps + tap * BYTES)
        half = taps + 9 * BYTES
        for b in range(3):
            column = taps + b * BYTES
            g = load(column), load(column + 3 * BYTES), load(column + 6 * BYTES)
            store_six(transform_weights(g[0], g[1], g[2]), half + b * BYTES, 3 * BYTES)
        panel, place = divmod(first, PANEL)
        to = address(transformed) + ((panel * channels + k) * PANEL + place) * 4
        for i in range(6):
            row = half + 3 * i * BYTES
            g = load(row), load(row + BYTES), load(row + 2 * BYTES)
            store_six(transform_weights(g[0], g[1], g[2]), to + 6 * i * plane, plane)
