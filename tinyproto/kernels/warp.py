"""Images resampled along a displacement field."""

# ruff: noqa: RUF046 — on CUDA math.floor returns a float

import math

from ..backend import kernel, routine


@routine
def pixel_or_zero(image, row, column):
    """The pixel (row, column), 0 outside the image."""
    if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
        return image[row, column]
    return image.dtype.type(0)


@routine
def lerp(a, b, fraction):
    """a + fraction (b − a): linear interpolation."""
    return a + fraction * (b - a)


@routine
def displacement(field, row, column, u, v, axis):
    """The displacement along an axis at (row + u, column + v), 0 ≤ u, v ≤ 1, in the grid of the
    control points: bilinear between the four around it."""
    above = lerp(field[row, column, axis], field[row, column + 1, axis], v)
    below = lerp(field[row + 1, column, axis], field[row + 1, column + 1, axis], v)
    return lerp(above, below, u)


@kernel
def warp(i, t, T, images, field, out):
    """out[i, p] = images[i, p + D(p)]: each pixel p is read where the displacement D points to.

    images, out (N, H, W). field (N, g, g, 2): the displacements (down, right), in pixels, at g × g
    control points, g ≥ 2, spaced evenly from corner to corner. D(p) interpolates between the
    control points, and the image between its pixels, both bilinear.
    """
    height, width = images.shape[1], images.shape[2]
    row_scale = images.dtype.type(field.shape[1] - 1) / images.dtype.type(max(height - 1, 1))
    column_scale = images.dtype.type(field.shape[2] - 1) / images.dtype.type(max(width - 1, 1))
    for p in range(t, height * width, T):
        r = images.dtype.type(p // width)
        c = images.dtype.type(p % width)
        u, v = r * row_scale, c * column_scale  # in the grid of the control points
        above = min(int(math.floor(u)), field.shape[1] - 2)
        left = min(int(math.floor(v)), field.shape[2] - 2)
        u -= images.dtype.type(above)
        v -= images.dtype.type(left)
        y = r + displacement(field[i], above, left, u, v, 0)
        x = c + displacement(field[i], above, left, u, v, 1)
        row, column = int(math.floor(y)), int(math.floor(x))
        y -= images.dtype.type(row)
        x -= images.dtype.type(column)
        upper_left = pixel_or_zero(images[i], row, column)
        upper_right = pixel_or_zero(images[i], row, column + 1)
        lower_left = pixel_or_zero(images[i], row + 1, column)
        lower_right = pixel_or_zero(images[i], row + 1, column + 1)
        upper = lerp(upper_left, upper_right, x)
        lower = lerp(lower_left, lower_right, x)
        out[i, p // width, p % width] = lerp(upper, lower, y)
