"""Blur: out of focus, through glass, by motion, by zooming, Gaussian."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...optional import require_package
from .draws import Draws, Floats, Images
from .linear import blur_along_line, gaussian_filter, zoom_matrix

DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))  # radius, σ of its edge
GLASS = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))  # σ, times that pixels move
MOTION = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))  # radius, σ
ZOOM = (1.06, 1.11, 1.16, 1.21, 1.26)  # the factors are 1, 1.01, … up to this one
GAUSSIAN = (0.4, 0.6, 0.7, 0.8, 1)  # σ


def gaussian_blur(images: Images, severity: int) -> Floats:
    """Filter with a Gaussian."""
    return np.clip(gaussian_filter(images / 255.0, GAUSSIAN[severity - 1]), 0, 1) * 255


def defocus_blur(images: Images, severity: int) -> Floats:
    """Average over a disc whose edge is blurred."""
    require_package("scipy", "this corruption")
    from scipy.ndimage import correlate

    disc = _disc(*DEFOCUS[severity - 1])
    blurred = correlate(images / 255.0, disc[None, :, :, None], mode="mirror")
    return np.clip(blurred, 0, 1) * 255


def _disc(radius: float, sigma: float) -> Floats:
    """A disc of sum 1, filtered with a Gaussian of 3 × 3 pixels; float32, as in the original."""
    y, x = np.mgrid[-3:4, -3:4]
    disc = (x**2 + y**2 <= radius**2).astype(np.float32)
    disc /= disc.sum()
    side = np.exp(-0.5 / sigma**2)
    line = (np.array([side, 1, side]) / (1 + 2 * side)).astype(np.float32)
    for axis in range(2):
        disc = np.apply_along_axis(np.convolve, axis, disc, line, "same")
    return disc


def glass_blur(images: Images, severity: int, shift: NDArray[np.integer]) -> Floats:
    """Filter, read each pixel from itself or a neighbour above or to the left, and filter again.

    shift (N, times, 30, 30, 2), 0 or −1: along the row and along the column, for the pixels from
    (31, 31) backwards to (2, 2). The original means to swap the two pixels; as it assigns views of
    one array to one another, it copies. As it goes backwards, it never reads what it has written.
    """
    sigma, times = GLASS[severity - 1]
    x = (gaussian_filter(images / 255.0, sigma) * 255).astype(np.uint8)
    count, side = np.arange(len(x))[:, None, None], x.shape[1]
    rows, columns = np.mgrid[side - 1 : 1 : -1, side - 1 : 1 : -1]
    for repetition in range(times):
        right, down = shift[:, repetition, ..., 0], shift[:, repetition, ..., 1]
        x[:, rows, columns] = x[count, rows + down, columns + right]
    return np.clip(gaussian_filter(x / 255.0, sigma), 0, 1) * 255


def glass_shifts(draws: Draws, images: Images) -> tuple[NDArray[np.integer]]:
    times, side = GLASS[draws.severity - 1][1], images.shape[1] - 2
    return (-(draws.uniform(times, side, side, 2) < 0.5).astype(np.int64),)


def motion_blur(images: Images, severity: int, angle: Floats) -> Images:
    """Average along a line at an angle (N,) in degrees."""
    return blur_along_line(images, angle, *MOTION[severity - 1])


def motion_angles(draws: Draws, images: Images) -> tuple[Floats]:
    return (90 * draws.uniform(1)[:, 0] - 45,)


def zoom_blur(images: Images, severity: int) -> Floats:
    """Average over the image and its enlargements: one linear map of the pixels."""
    count, side, _, channels = images.shape
    pixels = images.transpose(1, 2, 0, 3).reshape(side * side, -1) / 255.0
    # A sparse product, as that of BLAS may depend on the number of images.
    blurred = (_zoom_map(side, ZOOM[severity - 1]) @ pixels).reshape(side, side, count, channels)
    return np.clip(blurred.transpose(2, 0, 1, 3), 0, 1) * 255


@cache
def _zoom_map(side: int, most: float) -> Any:
    """The sparse matrix of the mean of the image and of all its enlargements."""
    require_package("scipy", "this corruption")
    from scipy.sparse import csr_array, eye_array, kron

    factors = np.arange(1, most, 0.01)
    lines = [csr_array(zoom_matrix(side, float(factor))) for factor in factors]
    total = sum((kron(line, line) for line in lines), start=eye_array(side * side))
    return csr_array(total) / (len(factors) + 1)
