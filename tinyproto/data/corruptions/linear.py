"""What several corruptions share: Gaussian filters, zooming, blur along a line."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...kernels.line_blur import line_blur
from ...optional import require_package
from .draws import Floats


def gaussian_filter(
    x: Floats, sigma: float, *, mode: str = "nearest", truncate: float = 4.0
) -> Floats:
    """Filter the rows and columns of images (N, H, W) or (N, H, W, C)."""
    require_package("scipy", "this corruption")
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(x, sigma, mode=mode, truncate=truncate, axes=(1, 2))


@cache
def zoom_matrix(size: int, factor: float) -> Floats:
    """The (size, size) matrix that enlarges a line by a factor and keeps its centre.

    Pixels at the ends of the part that is enlarged become pixels at the ends of the result.
    """
    require_package("scipy", "this corruption")
    from scipy.ndimage import zoom

    part = math.ceil(size / factor)
    first = (size - part) // 2
    enlarged = zoom(np.eye(size)[first : first + part], (factor, 1), order=1)
    margin = (len(enlarged) - size) // 2
    return enlarged[margin : margin + size]


def blur_along_line(
    images: NDArray[np.uint8], angle: Floats, radius: int, sigma: float
) -> NDArray[np.uint8]:
    """Motion blur of images (N, H, W, C), as ImageMagick 6 computes it.

    The weight of the k-th of 2 · radius + 1 pixels, from the pixel itself on in the direction of
    the angle (N,) in degrees, is that of one half of a Gaussian: exp(−k² / 2σ²), divided by the
    sum of all.
    """
    steps = np.arange(2 * radius + 1)
    weight = np.exp(-(steps**2) / (2 * sigma**2))
    radians = np.deg2rad(angle)[:, None]
    direction = np.stack([np.sin(radians), np.cos(radians)], axis=-1)
    offset = np.ceil(steps[:, None] * direction - 0.5).astype(np.int64)
    # ImageMagick computes with 16 bits, rounds, and cuts off when it returns to 8.
    x = images * 257.0
    out = np.empty_like(x)
    line_blur(len(x), x, offset, weight / weight.sum(), out)
    return (np.floor(out + 0.5) // 257).astype(np.uint8)
