"""Images resampled along a displacement field."""

# ruff: noqa: RUF046 — on CUDA math.floor returns a float

import math

from ..backend import kernel, routine


@routine
def pixel(image, row, column):
    """The image's value there, 0 outside it."""
    if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
        return image[row, column]
    return image.dtype.type(0)


@routine
def between(a, b, share):
    """a + share (b − a): linear interpolation."""
    return a + share * (b - a)


@routine
def knots(field, row, column, u, v, axis):
    """The displacement along an axis between the four knots around (row + u, column + v)."""
    above = between(field[row, column, axis], field[row, column + 1, axis], v)
    below = between(field[row + 1, column, axis], field[row + 1, column + 1, axis], v)
    return between(above, below, u)


@kernel
def warp(i, t, T, images, field, out):
    """out[i] at a pixel = images[i] at that pixel moved by the field, both bilinear.

    images, out (N, H, W); field (N, g, g, 2) displacements in pixels (down, right) at g × g knots,
    g ≥ 2, that spread evenly from corner to corner.
    """
    height, width = images.shape[1], images.shape[2]
    rows = images.dtype.type(field.shape[1] - 1) / images.dtype.type(max(height - 1, 1))
    columns = images.dtype.type(field.shape[2] - 1) / images.dtype.type(max(width - 1, 1))
    for p in range(t, height * width, T):
        r = images.dtype.type(p // width)
        c = images.dtype.type(p % width)
        u, v = r * rows, c * columns
        above = min(int(math.floor(u)), field.shape[1] - 2)
        left = min(int(math.floor(v)), field.shape[2] - 2)
        u -= images.dtype.type(above)
        v -= images.dtype.type(left)
        y = r + knots(field[i], above, left, u, v, 0)
        x = c + knots(field[i], above, left, u, v, 1)
        top, start = int(math.floor(y)), int(math.floor(x))
        y -= images.dtype.type(top)
        x -= images.dtype.type(start)
        upper = between(pixel(images[i], top, start), pixel(images[i], top, start + 1), x)
        lower = between(pixel(images[i], top + 1, start), pixel(images[i], top + 1, start + 1), x)
        out[i, p // width, p % width] = between(upper, lower, y)
