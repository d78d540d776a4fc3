"""Where V and M are in the scratch memory of a worker.

A worker takes a group of tile rows (a tile row: the tiles side by side across an image). Its memory
holds three parts, in bytes from its start:

    half   0       one tile row transformed along one axis (Bᵀ d, or A dy): 6 planes
    V      v       the group's transformed input tiles: 36 planes, one a frequency
    M      m       their products, or the transformed tiles of dy: 36 planes

A plane of V or M is a matrix, a row for each tile and a column for each channel, which whole
vectors fill up with zeros. Frequency f = 6 i + j of tile q is at `v + f · plane_v + q · row_v`.
Planes are a cache line further apart than they need be: otherwise equal positions in all 36 would
share the same few sets of the cache.
"""

from typing import NamedTuple

from numba.extending import register_jitable

from ..simd import padded

CACHE_LINE = 64


class ScratchLayout(NamedTuple):
    """Offsets, strides and the size of a worker's scratch memory, in bytes."""

    v: int
    m: int
    plane_v: int
    plane_m: int
    row_v: int
    row_m: int
    size: int


@register_jitable
def scratch_layout(
    tiles_across: int, tile_rows: int, channels_v: int, channels_m: int
) -> ScratchLayout:
    """For groups of `tile_rows` tile rows. Python calls it to allocate, the kernels to address."""
    row_v, row_m = padded(channels_v) * 4, padded(channels_m) * 4
    tiles = tiles_across * tile_rows
    plane_v, plane_m = tiles * row_v + CACHE_LINE, tiles * row_m + CACHE_LINE
    v = 6 * (4 * tiles_across + 2) * max(row_v, row_m)
    m = v + 36 * plane_v
    return ScratchLayout(v, m, plane_v, plane_m, row_v, row_m, m + 36 * plane_m)
