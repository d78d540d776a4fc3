"""y = max(x * W + bias, minimum): the forward pass, and the input's gradient.

A worker takes groups of tile rows in turn. The transformed tiles of a group, V, and their products
with U, M, stay in the second-level cache of its core; U is read from beginning to end once for each
group.
"""

import numpy as np

from ...backend.cpu import cpu_kernel, worker_count
from ...backend.memory import empty
from ..gemm import MR, NR, gemm
from ..geometry import Geometry, check_array
from ..simd import NO_MASK, WIDTH, address, compiled, padded
from .layout import scratch_layout
from .tiles import transform_input, transform_output

CACHE_BYTES = (768 if WIDTH == 16 else 320) * 1024
"""What V and M of a group may take: the part of a second-level cache that U leaves. Processors with
AVX-512 have one of 1 MB or more, many others one of 512 KB."""

MIN_TILES = 4 * MR
"""Tiles in a group at least, even where they take more: each group reads all of U."""


def forward(
    x: np.ndarray, U: np.ndarray, bias: np.ndarray | None, geometry: Geometry, relu: bool
) -> np.ndarray:
    """y of x, float32, contiguous, with U from `prepare_weights`; relu: max(y, 0)."""
    check_array("x", x, geometry.input_shape)
    check_array("bias", bias, geometry.output_shape[3:])
    return _convolve(x, None, U, bias, geometry.padding, geometry.output_shape, relu)


def input_gradient(
    dy: np.ndarray, U: np.ndarray, geometry: Geometry, relu_mask: np.ndarray | None
) -> np.ndarray:
    """dx, with U from `prepare_weights`, transposed. With a relu_mask (like dy), dy counts as 0
    where the mask is not above 0."""
    check_array("dy", dy, geometry.output_shape)
    check_array("relu_mask", relu_mask, geometry.output_shape)
    return _convolve(dy, relu_mask, U, None, 2 - geometry.padding, geometry.input_shape, False)


def _convolve(
    x: np.ndarray,
    relu_mask: np.ndarray | None,
    U: np.ndarray,
    bias: np.ndarray | None,
    padding: int,
    shape: tuple[int, ...],
    relu: bool,
) -> np.ndarray:
    """Choose the groups, allocate, and run the kernel."""
    images, channels, out = len(x), x.shape[3], shape[3]
    y = empty(shape)
    if y.size == 0:
        return y
    panels = -(-out // NR)
    tiles_across, tile_rows = -(-shape[2] // 4), -(-shape[1] // 4) * images
    threads = worker_count(36 * tile_rows * tiles_across * channels * out * 2)
    fitting = CACHE_BYTES // (36 * 4 * (padded(channels) + padded(out)))
    group_rows = max(1, max(fitting, MIN_TILES) // tiles_across)
    groups = -(-tile_rows // group_rows)
    blocks = min(panels, max(1, threads // groups))  # of output channels, where groups are few
    rounds = -(-groups * blocks // threads)  # of each worker, now with groups of equal size
    group_rows = -(-tile_rows // max(1, rounds * threads // blocks))
    block = -(-panels // blocks) * NR
    layout = scratch_layout(tiles_across, group_rows, channels, min(out, block))
    _convolve_groups(
        threads,
        x,
        NO_MASK if relu_mask is None else relu_mask,
        U,
        np.zeros(out, dtype=np.float32) if bias is None else bias,
        np.float32(0 if relu else -np.inf),
        padding,
        group_rows,
        block,
        y,
        empty((threads, layout.size // 4)),
    )
    return y


@cpu_kernel
def _convolve_groups(
    worker, workers, x, relu_mask, U, bias, minimum, padding, group_rows, block, y, scratch
):
    """An item of work is a group of tile rows and a block of `block` channels of y."""
    images, _, _, channels = x.shape
    out = y.shape[3]
    blocks = (out + block - 1) // block
    tiles_down, tiles_across = (y.shape[1] + 3) // 4, (y.shape[2] + 3) // 4
    layout = scratch_layout(tiles_across, group_rows, channels, min(out, block))
    half = address(scratch[worker])
    v, m = half + layout.v, half + layout.m
    groups = (images * tiles_down + group_rows - 1) // group_rows
    for item in range(worker, groups * blocks, workers):
        group, b = divmod(item, blocks)
        first, start = b * block, group * group_rows
        last, tile_rows = min(out, first + block), min(group_rows, images * tiles_down - start)
        for z in range(tile_rows):
            n, i = divmod(start + z, tiles_down)
            transform_input(
                x, relu_mask, n, 4 * i - padding, -padding, tiles_across, 0, channels,
                half, v + z * tiles_across * layout.row_v, layout.plane_v, layout.row_v,
            )  # fmt: skip
        _multiply(tile_rows * tiles_across, v, m, layout, U, channels, first, last)
        for z in range(tile_rows):
            n, i = divmod(start + z, tiles_down)
            for t in range(tiles_across):
                tile = m + (z * tiles_across + t) * layout.row_m
                transform_output(
                    tile, layout.plane_m, bias, minimum, n, 4 * i, 4 * t, first, last, y
                )


@compiled
def _multiply(tiles, v, m, layout, U, channels, first, last):
    """M_f = V_f U_f for each frequency f, channels first … last − 1 of M."""
    for f in range(36):
        u = address(U) + f * U.shape[1] * 4
        for c in range(first, last, NR):
            gemm(
                tiles, last - c, v + f * layout.plane_v, layout.row_v, 1, 0, channels, 4,
                u + c * channels * 4, 0, NR * 4,
                m + f * layout.plane_m + (c - first) * 4, layout.row_m,
            )  # fmt: skip
