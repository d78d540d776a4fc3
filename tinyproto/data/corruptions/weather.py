"""Snow, frost and fog."""

import numpy as np
from numpy.typing import NDArray

from .draws import Draws, Floats, Images
from .frost_textures import TEXTURE_SIDE, frost_textures
from .linear import blur_along_line, zoom_matrix

# mean and σ of the flakes, their size, the least one that is seen, radius and σ of the motion blur,
# weight of the image
SNOW = (
    (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
    (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
)
FROST = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))  # of the image, of the frost
FOG = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))  # density, decay of the roughness
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
ROUGHNESS = 100  # of the largest squares of the fog


def snow(images: Images, severity: int, flakes: Floats, angle: Floats) -> Floats:
    """Add flakes (N, H, W), standard normal at first, blurred along an angle (N,) in degrees, and
    the same turned by 180°, to an image that is made paler."""
    mean, sigma, size, least, radius, blur, weight = SNOW[severity - 1]
    line = zoom_matrix(images.shape[1], size)
    layer = line @ (mean + sigma * flakes) @ line.T
    layer[layer < least] = 0
    grey = (np.clip(layer, 0, 1) * 255).astype(np.uint8)[..., None]
    falling = blur_along_line(grey, angle, radius, blur) / 255.0
    x = images.astype(np.float32) / np.float32(255)
    pale = np.maximum(x, (x @ LUMA)[..., None] * np.float32(1.5) + np.float32(0.5))
    x = np.float32(weight) * x + np.float32(1 - weight) * pale
    return np.clip(x + falling + falling[:, ::-1, ::-1], 0, 1) * 255


def snow_numbers(draws: Draws, images: Images) -> tuple[Floats, Floats]:
    return draws.normal(*images.shape[1:3]), 90 * draws.uniform(1, step=1)[:, 0] - 135


def frost(images: Images, severity: int, ice: NDArray[np.uint8]) -> Floats:
    """Add pictures of ice (N, H, W, 3)."""
    weight, strength = FROST[severity - 1]
    return np.clip(weight * images + strength * ice, 0, 255)


def ice_crops(draws: Draws, images: Images) -> tuple[NDArray[np.uint8]]:
    """Parts of the textures at random places."""
    textures, side = frost_textures(), images.shape[1]
    limits = [len(textures), TEXTURE_SIDE - side, TEXTURE_SIDE - side]
    which, top, left = (draws.uniform(3) * limits).astype(np.int64).T[:, :, None, None]
    rows, columns = np.mgrid[:side, :side]
    return (textures[which, top + rows, left + columns],)


def fog(images: Images, severity: int, field: Floats) -> Floats:
    """Add a fractal cloud, and darken the image so that its largest value stays.

    field (N, 1023): uniform in [−1, 1), see `fractal`.
    """
    density, decay = FOG[severity - 1]
    x = images / 255.0
    largest = x.max(axis=(1, 2, 3), keepdims=True)
    x = x + density * fractal(images.shape[1], field, decay)[..., None]
    return np.clip(x * largest / (largest + density), 0, 1) * 255


def fog_numbers(draws: Draws, images: Images) -> tuple[Floats]:
    return (2 * draws.uniform(images.shape[1] ** 2 - 1) - 1,)


def fractal(side: int, field: Floats, decay: float) -> Floats:
    """Height maps (N, side, side) in [0, 1] by the diamond-square algorithm (Fournier, Fussell and
    Carpenter, 1982), on a torus; `side` is a power of two.

    From the largest squares to the smallest, the middle of each square, then of each edge, is the
    mean of its neighbours plus a number of `field` (N, side² − 1), times the square of the
    roughness, which falls by the factor `decay` from one size to the next.
    """
    height = np.zeros((len(field), side, side))
    step, roughness, used = side, float(ROUGHNESS), 0

    def middle(total: Floats) -> Floats:
        nonlocal used
        count = total[0].size
        drawn = field[:, used : used + count].reshape(total.shape)
        used += count
        return total / 4 + roughness**2 * drawn

    while step >= 2:
        half = step // 2
        corners, centres = height[:, ::step, ::step], height[:, half::step, half::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        centres[:] = middle(pairs + np.roll(pairs, -1, axis=2))
        # An edge lies between two corners, and between the centres of two squares.
        above = centres + np.roll(centres, 1, axis=1) + corners + np.roll(corners, -1, axis=2)
        height[:, ::step, half::step] = middle(above)
        left = centres + np.roll(centres, 1, axis=2) + corners + np.roll(corners, -1, axis=1)
        height[:, half::step, ::step] = middle(left)
        step, roughness = half, roughness / decay
    height -= height.min(axis=(1, 2), keepdims=True)
    return height / height.max(axis=(1, 2), keepdims=True)
