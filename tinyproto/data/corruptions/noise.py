"""Noise: a random number for each value of each image."""

import numpy as np
from numpy.typing import NDArray

from ...kernels.quantile import quantiles
from .draws import Draws, Floats, Images

GAUSSIAN = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation
SHOT = (500, 250, 100, 75, 50)  # photons at the value 1
IMPULSE = (0.01, 0.02, 0.03, 0.05, 0.07)  # fraction of the values that change
SPECKLE = (0.06, 0.1, 0.12, 0.16, 0.2)  # standard deviation, relative to the value


def gaussian_noise(images: Images, severity: int, noise: Floats) -> Floats:
    """Add noise, standard normal before it is scaled."""
    return _to_bytes(images / 255.0 + GAUSSIAN[severity - 1] * noise)


def speckle_noise(images: Images, severity: int, noise: Floats) -> Floats:
    """Add noise in proportion to the value."""
    x = images / 255.0
    return _to_bytes(x + x * (SPECKLE[severity - 1] * noise))


def shot_noise(images: Images, severity: int, counts: NDArray[np.integer]) -> Floats:
    """Replace the value by the number of photons that were counted for it."""
    return _to_bytes(counts / SHOT[severity - 1])


def impulse_noise(images: Images, severity: int, chance: Floats, kind: Floats) -> Floats:
    """Set values to 1 or 0, where `chance` is small; which of them, `kind` decides."""
    extreme = np.where(kind <= 0.5, 255, 0)
    return np.where(chance <= IMPULSE[severity - 1], extreme, images)


def normal_like_images(draws: Draws, images: Images) -> tuple[Floats]:
    return (draws.normal(*images.shape[1:]),)


def uniform_pairs(draws: Draws, images: Images) -> tuple[Floats, Floats]:
    return draws.uniform(*images.shape[1:]), draws.uniform(*images.shape[1:], step=1)


def poisson_counts(draws: Draws, images: Images) -> tuple[NDArray[np.integer]]:
    """Poisson numbers whose mean is the image; all that would be above white count as white."""
    drawn = draws.uniform(*images.shape[1:]).reshape(len(images), -1)
    counts = np.empty(drawn.shape, np.int64)
    which = np.ascontiguousarray(images).reshape(drawn.shape)
    quantiles(len(images), drawn, which, poisson_distribution(SHOT[draws.severity - 1]), counts)
    return (counts.reshape(images.shape),)


def poisson_distribution(photons: int) -> Floats:
    """P(count ≤ k) for k = 0 … photons − 1 and each of the 256 values of a pixel: (256, photons).

    Examples of the recurrence: P(k) = P(k − 1) · λ / k, P(0) = e^−λ.
    """
    mean = photons * np.arange(256)[:, None] / 255
    ratios = mean / np.arange(1, photons)
    probabilities = np.cumprod(np.hstack([np.exp(-mean), ratios]), axis=1)
    return np.cumsum(probabilities, axis=1)


def _to_bytes(x: Floats) -> Floats:
    return np.clip(x, 0, 1) * 255
