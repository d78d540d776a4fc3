"""im2col and col2im: the parts of a convolution that are not a matrix product.

A window is a patch of size × size pixels with all channels. With stride S and padding P, the window
of output pixel (h, w), as a row of a matrix, is

    columns[h, w, (a, b, c)] = x[h S − P + a, w S − P + b, c]        0 outside the image

The convolution is the product columns · W. Its gradient at x is the transpose: it adds each window
to the pixels that it was copied from.

Both go through the numbers of a row of the image, or of a row of windows, in order. Where a number
comes from depends on the row only by an offset, so it is looked up in a table, made once for images
of a width: that takes a fraction of the arithmetic.
"""

import functools
from types import ModuleType

import numpy as np

from ..backend import kernel
from ..backend.device import Array, to_device

OUTSIDE = -1
"""In a table: the number comes from left or right of the image."""


@kernel
def im2col(i, t, T, x, height, sources, row_step, first, columns):
    """columns[i, e] = x[n, k], the windows of a row (n, h) of output pixels. i = n · height + h.

    x (N, H · W · C), columns (N · height, width · size² · C), sources as `im2col_table` makes them.
    k = sources[e] + h · row_step + first is outside the image above its first row and below its
    last. row_step = S · W · C, first = −P · W · C.
    """
    n = i // height
    start = (i - n * height) * row_step + first
    zero = x.dtype.type(0)
    for e in range(t, columns.shape[1], T):
        k = start + sources[e]
        inside = sources[e] != OUTSIDE and k >= 0 and k < x.shape[1]
        columns[i, e] = x[n, k] if inside else zero


@kernel
def col2im(i, t, T, columns, height, sources, rows, stride, padding, x):
    """x[i, e] = the sum of a number over all windows that contain it. Row i = n · rows + r.

    The transpose of `im2col`. x (N · rows, W · C), columns (N · height, width · size² · C), sources
    (size, size, W · C) as `col2im_table` makes them. A number reads all windows that contain it, so
    that no two rows write the same one.
    """
    size = sources.shape[0]
    n = i // rows
    r = i - n * rows
    for e in range(t, x.shape[1], T):
        total = x.dtype.type(0)
        for a in range(size):
            top = r + padding - a  # of a window with pixel row r as its row a, when padded
            h = top if stride == 1 else top // stride
            if top >= 0 and h * stride == top and h < height:
                for b in range(size):
                    k = sources[a, b, e]
                    if k != OUTSIDE:
                        total += columns[n * height + h, k]
        x[i, e] = total


@functools.lru_cache(64)
def im2col_table(
    width: int, out_width: int, channels: int, size: int, stride: int, padding: int, xp: ModuleType
) -> Array:
    """For each number of a row of windows, its place in the image, from the row where the windows
    begin: (out_width · size² · channels,) int32."""
    w, a, b, c = np.ix_(*map(range, (out_width, size, size, channels)))
    s = w * stride - padding + b
    place = (a * width + s) * channels + c
    return to_device(np.where((s >= 0) & (s < width), place, OUTSIDE).astype(np.int32).ravel(), xp)


@functools.lru_cache(64)
def col2im_table(
    width: int, out_width: int, channels: int, size: int, stride: int, padding: int, xp: ModuleType
) -> Array:
    """For row a and column b of a window, and each number of a row of the image, its place in a row
    of windows: (size, size, width · channels) int32."""
    a, b, s, c = np.ix_(*map(range, (size, size, width, channels)))
    w, rest = np.divmod(s + padding - b, stride)
    place = ((w * size + a) * size + b) * channels + c
    found = np.where((rest == 0) & (w >= 0) & (w < out_width), place, OUTSIDE)
    return to_device(found.astype(np.int32).reshape(size, size, width * channels), xp)
