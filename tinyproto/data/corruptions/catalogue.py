"""The 19 corruptions by name, and the function that applies one of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...backend.device import Array
from ...validation import check_count, check_index, check_shape
from . import blur, digital, noise, spatter, weather
from .draws import Draws, Images

BATCH_SIZE = 256  # images at a time, which bounds the memory


class Corruption(NamedTuple):
    """`apply(images, severity, *numbers)` without anything random, and `draw(draws, images)`, which
    gives its random numbers, if there are any."""

    apply: Callable[..., NDArray[Any]]
    draw: Callable[[Draws, Images], tuple[NDArray[Any], ...]] | None = None


CATALOGUE = {
    "gaussian_noise": Corruption(noise.gaussian_noise, noise.normal_like_images),
    "shot_noise": Corruption(noise.shot_noise, noise.poisson_counts),
    "impulse_noise": Corruption(noise.impulse_noise, noise.uniform_pairs),
    "defocus_blur": Corruption(blur.defocus_blur),
    "glass_blur": Corruption(blur.glass_blur, blur.glass_shifts),
    "motion_blur": Corruption(blur.motion_blur, blur.motion_angles),
    "zoom_blur": Corruption(blur.zoom_blur),
    "snow": Corruption(weather.snow, weather.snow_numbers),
    "frost": Corruption(weather.frost, weather.ice_crops),
    "fog": Corruption(weather.fog, weather.fog_numbers),
    "brightness": Corruption(digital.brightness),
    "contrast": Corruption(digital.contrast),
    "elastic_transform": Corruption(digital.elastic_transform, digital.elastic_numbers),
    "pixelate": Corruption(digital.pixelate),
    "jpeg_compression": Corruption(digital.jpeg_compression),
    "speckle_noise": Corruption(noise.speckle_noise, noise.normal_like_images),
    "gaussian_blur": Corruption(blur.gaussian_blur),
    "spatter": Corruption(spatter.spatter, spatter.spatter_noise),
    "saturate": Corruption(digital.saturate),
}

CORRUPTIONS = tuple(CATALOGUE)
"""The names of all 19: the 15 of which the mean is usually reported, then the 4 extra ones."""

CORRUPTION_GROUPS = {
    "noise": CORRUPTIONS[:3],
    "blur": CORRUPTIONS[3:7],
    "weather": CORRUPTIONS[7:11],
    "digital": CORRUPTIONS[11:15],
    "extra": CORRUPTIONS[15:],
}
"""The groups of the paper, which together have the 15 usual ones, and "extra", which the paper
keeps for validation."""

SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(
    images: Array, name: str, severity: int, *, seed: int = 0, index: Array | None = None
) -> NDArray[np.uint8]:
    """Corrupt images of 32 × 32 pixels as CIFAR-10-C does.

    Parameters
    ----------
    images : array (N, 32, 32, 3)
        RGB, uint8.
    name : str
        One of `CORRUPTIONS`.
    severity : int
        1 … 5.
    seed : int
        Seed of the random numbers, in [0, 2³²). Another severity or corruption has other ones.
    index : array (N,), optional
        Indices of the images in the data set, which also determine the random numbers; 0 … N − 1
        if not given. An image's result depends on no other image.

    Returns
    -------
    array (N, 32, 32, 3)
        New images, uint8; fractions are cut off, as in the original.

    Raises
    ------
    ValueError
        For images of another shape or dtype, a name or severity that there is not, an index of
        another length, and a seed out of its range.
    ImportError
        If SciPy is missing, which the blurs, snow, spatter and elastic_transform need, or Pillow,
        which pixelate and jpeg_compression need.

    Notes
    -----
    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions
    and perturbations", ICLR 2019 (arXiv 1903.12261), section 3.1 and appendix B, with the
    parameters of the authors' script for CIFAR-10-C. Frost shows ice that this package makes, and
    the random numbers are this package's, so that results agree with the published files in
    distribution only.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.data import corrupt
    >>> images = np.full((4, 32, 32, 3), 128, np.uint8)
    >>> noisy = corrupt(images, "gaussian_noise", 5)
    >>> noisy.shape, noisy.dtype, bool(20 < noisy.std() < 30)
    ((4, 32, 32, 3), dtype('uint8'), True)
    >>> alone = corrupt(images[2:3], "gaussian_noise", 5, index=np.array([2]))
    >>> bool((alone[0] == noisy[2]).all())
    True
    """
    check_shape("images", images, ("N", 32, 32, 3))
    if images.dtype != np.uint8 or not isinstance(images, np.ndarray):
        raise ValueError(f"images must be a NumPy array of uint8, not {images.dtype}")
    corruption = CATALOGUE.get(check_name(name))
    assert corruption is not None
    check_count("severity", severity, 1, 5)
    index = check_index(index, len(images), like=images)
    out = np.empty_like(images, order="C")
    for first in range(0, len(images), BATCH_SIZE):
        part = slice(first, first + BATCH_SIZE)
        batch = np.ascontiguousarray(images[part])
        draws = Draws(index[part], seed, name, int(severity))
        numbers = corruption.draw(draws, batch) if corruption.draw else ()
        out[part] = corruption.apply(batch, severity, *numbers).astype(np.uint8)
    return out


def check_name(name: str) -> str:
    """The name. Raises ValueError unless it is that of a corruption."""
    if name not in CATALOGUE:
        raise ValueError(f"name must be one of {', '.join(CORRUPTIONS)}, not {name!r}")
    return name
