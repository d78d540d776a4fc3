"""Brightness, contrast and saturation; pixelation, JPEG, elastic deformation."""

import io

import numpy as np

from ...kernels.resample import resample
from ...optional import require_package
from .draws import Draws, Floats, Images
from .linear import gaussian_filter

BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)  # added to the value
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
SATURATE = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))  # factor, then added
PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)
JPEG = (80, 65, 58, 50, 40)  # quality
# displacement, its σ, and the largest shift of the affine map's points, as parts of the side
ELASTIC = (
    (0, 0, 0.08),
    (0.05, 0.2, 0.07),
    (0.08, 0.06, 0.06),
    (0.1, 0.04, 0.05),
    (0.1, 0.03, 0.03),
)


def brightness(images: Images, severity: int) -> Floats:
    """Raise the value V of HSV. Hue and saturation stay, so all channels grow in proportion."""
    x = images / 255.0
    value = x.max(axis=3, keepdims=True)
    raised = np.clip(value + BRIGHTNESS[severity - 1], 0, 1)
    scaled = x * (raised / np.where(value > 0, value, 1))
    return np.where(value > 0, scaled, raised) * 255


def saturate(images: Images, severity: int) -> Floats:
    """Change the saturation S of HSV; the distances of the channels to the largest one grow in
    proportion. Grey has the hue of red."""
    factor, added = SATURATE[severity - 1]
    x = images / 255.0
    value = x.max(axis=3, keepdims=True)
    below = value - x
    saturation = below.max(axis=3, keepdims=True) / np.where(value > 0, value, 1)
    changed = np.clip(saturation * factor + added, 0, 1)
    grey = saturation == 0
    colour = below * (changed / np.where(grey, 1, saturation))
    red = np.array([0.0, 1.0, 1.0]) * value * changed
    return np.clip(value - np.where(grey, red, colour), 0, 1) * 255


def contrast(images: Images, severity: int) -> Floats:
    """Bring each channel closer to its mean over the image."""
    x = images / 255.0
    mean = x.mean(axis=(1, 2), keepdims=True)
    return np.clip((x - mean) * CONTRAST[severity - 1] + mean, 0, 1) * 255


def pixelate(images: Images, severity: int) -> Images:
    """Reduce the image, and enlarge it again, both with a box filter."""
    require_package("PIL", "this corruption")
    from PIL import Image

    height, width = images.shape[1:3]
    small = (int(width * PIXELATE[severity - 1]), int(height * PIXELATE[severity - 1]))
    out = np.empty_like(images)
    for image, result in zip(images, out, strict=True):
        reduced = Image.fromarray(image).resize(small, Image.Resampling.BOX)
        result[:] = reduced.resize((width, height), Image.Resampling.BOX)
    return out


def jpeg_compression(images: Images, severity: int) -> Images:
    """Write the image as JPEG, and read it."""
    require_package("PIL", "this corruption")
    from PIL import Image

    out = np.empty_like(images)
    for image, result in zip(images, out, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=JPEG[severity - 1])
        result[:] = Image.open(file)
    return out


def elastic_transform(images: Images, severity: int, corners: Floats, field: Floats) -> Floats:
    """An affine map, then a smooth displacement.

    corners (N, 3, 2): shifts of three points, column and row, in [−1, 1]. field (N, 2, H, W):
    displacements to the right and down before they are filtered, in [−1, 1].
    """
    side = images.shape[1]
    strength, sigma, shift = (side * c for c in ELASTIC[severity - 1])
    x = images.astype(np.float32) / np.float32(255)
    moved = np.empty_like(x)
    places = _affine_places(side, (shift * corners).astype(np.float32))
    resample(len(x), x, places, 0, moved)
    smooth = field.reshape(-1, side, side)
    smooth = gaussian_filter(smooth, sigma, mode="reflect", truncate=3) if strength else smooth * 0
    right, down = (strength * smooth).astype(np.float32).reshape(field.shape).transpose(1, 0, 2, 3)
    rows, columns = np.mgrid[:side, :side]
    out = np.empty_like(x)
    resample(len(x), moved, np.stack([rows + down, columns + right], axis=-1), 1, out)
    return np.clip(out, 0, 1) * np.float32(255)


def _affine_places(side: int, shift: Floats) -> Floats:
    """Where each pixel (N, H, W, 2) comes from under the affine map that moves three corners of a
    square in the middle by `shift` (N, 3, 2), column and row."""
    centre, half = side // 2, side // 3
    points = np.float32(centre) + np.float32(half) * np.array(
        [[1, 1], [1, -1], [-1, -1]], np.float32
    )
    to = np.pad(points + shift, [(0, 0), (0, 0), (0, 1)], constant_values=1).astype(np.float64)
    back = np.linalg.solve(to, points.astype(np.float64))
    rows, columns = np.mgrid[:side, :side]
    grid = np.stack([columns, rows, np.ones_like(rows)], axis=-1).astype(np.float64)
    return np.ascontiguousarray((grid @ back[:, None])[..., ::-1])


def elastic_numbers(draws: Draws, images: Images) -> tuple[Floats, Floats]:
    side = images.shape[1]
    return 2 * draws.uniform(3, 2) - 1, 2 * draws.uniform(2, side, side, step=1) - 1
