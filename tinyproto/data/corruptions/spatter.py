"""Drops of water or mud on the lens."""

import numpy as np
from numpy.typing import NDArray

from ...kernels.chamfer import chamfer_distance
from ...optional import require_package
from .draws import Draws, Floats, Images
from .linear import gaussian_filter

# mean and σ of the liquid, σ of its filter, the least amount that is seen, the weight of water or
# the σ of mud's edge, and whether it is mud
SPATTER = (
    (0.62, 0.1, 0.7, 0.7, 0.5, False),
    (0.65, 0.1, 0.8, 0.7, 0.5, False),
    (0.65, 0.3, 1, 0.69, 0.5, False),
    (0.65, 0.1, 0.7, 0.69, 0.6, True),
    (0.65, 0.1, 0.5, 0.68, 0.6, True),
)
WATER = np.array([175, 238, 238], np.float32) / np.float32(255)
MUD = np.array([63, 42, 20], np.float32) / np.float32(255)
LOW, HIGH = 50, 150  # thresholds of the edges
STRAIGHT, DIAGONAL, KNIGHT = 65536, 91750, 143976  # 1, 1.4 and 2.1969 pixels, times 2¹⁶
FARTHEST = 20  # pixels
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])


def spatter(images: Images, severity: int, noise: Floats) -> Floats:
    """Cover parts of the image with drops, where filtered noise (N, H, W) is large."""
    mean, sigma, size, least, strength, is_mud = SPATTER[severity - 1]
    x = images.astype(np.float32) / np.float32(255)
    liquid = gaussian_filter(mean + sigma * noise, size)
    liquid[liquid < least] = 0
    if is_mud:
        cover = gaussian_filter((liquid > least).astype(np.float32), strength)
        cover[cover < 0.8] = 0
        cover = cover[..., None]
        return np.clip(x * (1 - cover) + cover * MUD, 0, 1) * np.float32(255)
    drops = (liquid * 255).astype(np.uint8)
    thickness = drops * _relief(drops).astype(np.float32)
    largest = thickness.max(axis=(1, 2), keepdims=True)
    # Where no drop has any thickness, the original divides 0 by 0; here the image stays.
    cover = thickness / np.where(largest > 0, largest, 1) * np.float32(strength)
    return np.clip(x + cover[..., None] * WATER, 0, 1) * np.float32(255)


def spatter_noise(draws: Draws, images: Images) -> tuple[Floats]:
    return (draws.normal(*images.shape[1:3]),)


def _relief(drops: Images) -> NDArray[np.uint8]:
    """How much light each place of the drops (N, H, W) reflects: from the distance to their edges,
    with its levels equalized, embossed and smoothed."""
    far = np.where(edges(drops), 0, FARTHEST * STRAIGHT + 1).astype(np.int64)
    chamfer_distance(len(far), STRAIGHT, DIAGONAL, KNIGHT, far)
    distance = np.minimum(far / STRAIGHT, FARTHEST).astype(np.float32).astype(np.float64)
    blurred = (_neighbours(distance, np.ones((3, 3))) * (1 / 9)).astype(np.float32)
    levels = equalize(blurred.astype(np.uint8))
    embossed = np.clip(_neighbours(levels.astype(np.int64), EMBOSS), 0, 255)
    return ((_neighbours(embossed, np.ones((3, 3), np.int64)) + 4) // 9).astype(np.uint8)


def _neighbours(x: NDArray, weights: NDArray) -> NDArray:
    """Σ weights · the 3 × 3 pixels around each one of (N, H, W), mirrored at the edge's pixels."""
    require_package("scipy", "this corruption")
    from scipy.ndimage import correlate

    return correlate(x, weights[None], mode="mirror")


def equalize(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Spread the levels of each image (N, H, W) over 0 … 255, in proportion to the number of pixels
    above the lowest one."""
    count, pixels = len(levels), levels[0].size
    flat = levels.reshape(count, pixels) + 256 * np.arange(count)[:, None]
    histogram = np.bincount(flat.ravel(), minlength=256 * count).reshape(count, 256)
    lowest = levels.reshape(count, pixels).min(axis=1)
    at_lowest = histogram[np.arange(count), lowest][:, None]
    scale = np.float32(255) / np.maximum(pixels - at_lowest, 1).astype(np.float32)
    table = np.rint((histogram.cumsum(axis=1) - at_lowest).astype(np.float32) * scale)
    flat_image = at_lowest[:, 0] == pixels
    table[flat_image] = np.arange(256)  # nothing to spread
    return np.clip(table, 0, 255).astype(np.uint8).ravel()[flat].reshape(levels.shape)


def edges(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The edges of grey images (N, H, W), by Canny (IEEE PAMI 8, 1986), as OpenCV finds them: the
    gradient by Sobel, its size in L1, thinned in four directions, by two thresholds."""
    require_package("scipy", "this corruption")
    from scipy.ndimage import binary_propagation, correlate1d

    x = images.astype(np.int64)
    smooth, difference = [1, 2, 1], [-1, 0, 1]
    right = correlate1d(correlate1d(x, smooth, 1, mode="nearest"), difference, 2, mode="nearest")
    down = correlate1d(correlate1d(x, smooth, 2, mode="nearest"), difference, 1, mode="nearest")
    size = abs(right) + abs(down)
    padded = np.pad(size, [(0, 0), (1, 1), (1, 1)])

    def shifted(rows: int, columns: int) -> NDArray[np.int64]:
        height, width = size.shape[1:]
        return padded[:, 1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    # tan 22.5° and tan 67.5° = tan 22.5° + 2, with 15 bits
    x, y = abs(right), abs(down) << 15
    flat, steep = y < 13573 * x, y > (13573 + (2 << 15)) * x
    largest = np.where(
        flat, (size > shifted(0, -1)) & (size >= shifted(0, 1)),
        np.where(
            steep, (size > shifted(-1, 0)) & (size >= shifted(1, 0)),
            np.where(
                (right < 0) != (down < 0),
                (size > shifted(-1, 1)) & (size > shifted(1, -1)),
                (size > shifted(-1, -1)) & (size > shifted(1, 1)),
            ),
        ),
    )  # fmt: skip
    weak = largest & (size > LOW)
    connected = np.zeros((3, 3, 3), bool)
    connected[1] = True
    return binary_propagation(weak & (size > HIGH), structure=connected, mask=weak)
