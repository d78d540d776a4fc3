"""Pictures of ice on glass, made from random numbers."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...random import normal, uniform
from .draws import Floats

TEXTURE_SIDE = 128  # pixels


class Kind(NamedTuple):
    """What one texture looks like: the mean and the standard deviation of each channel; how much of
    it is clouds, needles and single grains; the length of the needles in pixels; and the skewness,
    above 0 for bright needles on a darker ground."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    clouds: float
    needles: float
    grains: float
    length: float
    skewness: float


KINDS = (
    Kind((78, 149, 166), (27, 16, 15), 0.8, 0.4, 0.5, 2, 0.5),
    Kind((201, 205, 214), (21, 22, 23), 0.5, 0.5, 0.6, 2, -0.5),
    Kind((190, 201, 216), (25, 22, 20), 0.6, 0.6, 0.4, 4, -0.5),
    Kind((138, 153, 166), (30, 30, 31), 0.6, 0.4, 0.7, 2, 0.4),
    Kind((112, 123, 135), (46, 45, 44), 0.6, 0.7, 0.5, 4, 0.6),
)
ORIENTATIONS = 8


@cache
def frost_textures() -> NDArray[np.uint8]:
    """Five pictures (5, 128, 128, 3), always the same, that go on at the opposite edge."""
    return np.stack([_texture(kind) for kind in range(len(KINDS))])


def _texture(number: int) -> NDArray[np.uint8]:
    kind, index = KINDS[number], np.array([number])
    noise = normal(
        (ORIENTATIONS + 2) * TEXTURE_SIDE**2, index, seed=0, stream="frost texture"
    ).reshape(ORIENTATIONS + 2, TEXTURE_SIDE, TEXTURE_SIDE)
    first = float(uniform(1, index, seed=0, stream="frost angle")[0, 0])
    grains, cloud = noise[0], _standard(_filtered(noise[1], _clouds()))
    lines = np.stack([
        _standard(_filtered(layer, _line(np.pi * (k + first) / ORIENTATIONS, kind.length)))
        for k, layer in enumerate(noise[2:])
    ])  # fmt: skip
    # The largest of the orientations, so that needles lie over one another.
    crystals = _standard(lines.max(axis=0) if kind.skewness > 0 else lines.min(axis=0))
    ice = kind.clouds * cloud + kind.needles * crystals * (1 + 0.3 * cloud) + kind.grains * grains
    grey = _standard(ice)
    skewed = _standard(grey + kind.skewness / 3 * grey**2)
    shade = np.array(kind.mean) + np.array(kind.deviation) * skewed[..., None]
    return np.rint(np.clip(shade, 0, 255)).astype(np.uint8)


def _filtered(noise: Floats, response: Floats) -> Floats:
    """The noise with its spectrum multiplied, on a torus."""
    return np.fft.ifft2(np.fft.fft2(noise) * response).real


def _frequencies() -> tuple[Floats, Floats]:
    f = np.fft.fftfreq(TEXTURE_SIDE)
    return f[:, None], f[None, :]


def _clouds() -> Floats:
    """A spectrum that falls with the frequency f as f^−1.5."""
    y, x = _frequencies()
    frequency = np.hypot(y, x)
    frequency[0, 0] = np.inf
    return frequency**-1.5


def _line(angle: float, length: float) -> Floats:
    """The spectrum of a Gaussian that is long in one direction, and thin across."""
    y, x = _frequencies()
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return np.exp(-2 * np.pi**2 * ((length / 2 * along) ** 2 + (0.5 * across) ** 2))


def _standard(x: Floats) -> Floats:
    """The values with mean 0 and standard deviation 1."""
    return (x - x.mean()) / x.std()
