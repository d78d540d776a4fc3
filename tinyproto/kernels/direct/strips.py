"""Strips of images, copied into a core's cache with the zeros around them."""

import numba
import numpy as np

from ..vector import (
    BYTES,
    WIDTH,
    address,
    load,
    load_first,
    splat,
    store,
    store_first,
    where_positive,
)

STRIP_BYTES, GROUP_BYTES = 128 * 1024, 512 * 1024
"""Of one strip, and of those that are worked on together: parts of a second-level cache."""

nothing = np.empty((0, 0, 0, 0), dtype=np.float32)
"""No gate."""


def vectors(channels: int) -> int:
    """Channels, filled up to whole vectors."""
    return -(-channels // WIDTH) * WIDTH


@numba.njit(nogil=True, error_model="numpy")
def copy_strip(x, gate, n, top, left, rows, columns, strip, pixel):
    """Rows top …, columns left … of image n, 0 outside, to `strip`: rows without gaps, a pixel each
    `pixel` bytes (filled up with zeros where that is more than a pixel of x); a pixel counts only
    where the gate, if there is one, is above 0."""
    _, height, width, channels = x.shape
    zero = splat(np.float32(0))
    if pixel == channels * 4:  # a whole row is one run of numbers
        before, after = max(0, -left), min(columns, width - left)
        for r in range(rows):
            inside = 0 <= top + r < height and after > before
            begin, end = (before * pixel, after * pixel) if inside else (0, 0)
            at = strip + r * columns * pixel
            _clear(at, begin)
            offset = (((n * height + top + r) * width + left) * channels) * 4
            for place in range(begin, end, BYTES):
                count = (end - place) // 4
                value = some(address(x) + offset + place, count)
                if gate.size:
                    value = where_positive(some(address(gate) + offset + place, count), value)
                if count >= WIDTH:
                    store(value, at + place)
                else:
                    store_first(value, at + place, count)
            _clear(at + end, columns * pixel - end)
        return
    for r in range(rows):
        for s in range(columns):
            at = strip + (r * columns + s) * pixel
            inside = 0 <= top + r < height and 0 <= left + s < width
            offset = (((n * height + top + r) * width + left + s) * channels) * 4
            for place in range(0, pixel, BYTES):
                count = channels - place // 4 if inside else 0
                value = zero
                if count > 0:
                    value = some(address(x) + offset + place, count)
                    if gate.size:
                        value = where_positive(some(address(gate) + offset + place, count), value)
                store(value, at + place)


@numba.njit(forceinline=True, error_model="numpy")
def some(place, count):
    return load(place) if count >= WIDTH else load_first(place, count)


@numba.njit(forceinline=True, error_model="numpy")
def _clear(place, length):
    """Zeros, `length` bytes of them."""
    for at in range(place, place + length, BYTES):
        store_first(splat(np.float32(0)), at, (place + length - at) // 4)
