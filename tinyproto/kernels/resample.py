"""Images read at any places, between their pixels and beyond their edges."""

# ruff: noqa: RUF046 — on CUDA math.floor returns a float

import math

from ..backend import kernel, routine
from .warp import lerp


@routine
def mirrored(position, size, repeat):
    """The pixel 0 … size − 1 of which `position` is the image in mirrors at both edges, which show
    the pixel at the edge once more if `repeat` is 1."""
    period = max(2 * (size - 1 + repeat), 1)
    position = position % period
    if position < 0:
        position += period
    return min(position, period - repeat - position)


@kernel
def resample(i, t, T, images, places, repeat, out):
    """out[i, p] = images[i] at places[i, p], bilinear between the pixels.

    images, out (N, H, W, C); places (N, H, W, 2): row and column. Outside, the image is mirrored at
    its edges: with `repeat` 1 as c b a | a b c, with 0 as c b | a b c.
    """
    height, width, channels = images.shape[1], images.shape[2], images.shape[3]
    for p in range(t, height * width, T):
        y, x = places[i, p // width, p % width, 0], places[i, p // width, p % width, 1]
        row, column = int(math.floor(y)), int(math.floor(x))
        y -= places.dtype.type(row)
        x -= places.dtype.type(column)
        above, below = mirrored(row, height, repeat), mirrored(row + 1, height, repeat)
        left, right = mirrored(column, width, repeat), mirrored(column + 1, width, repeat)
        for c in range(channels):
            upper = lerp(images[i, above, left, c], images[i, above, right, c], x)
            lower = lerp(images[i, below, left, c], images[i, below, right, c], x)
            out[i, p // width, p % width, c] = lerp(upper, lower, y)
