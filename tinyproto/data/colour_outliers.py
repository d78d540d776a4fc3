"""Outliers for a network of colour images: grey digits and clothes, noise, and corrupted images."""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from ..random import normal, uniform
from ..validation import check_count, require
from .corruptions import corrupt
from .datasets import OtherDataset, load, load_outliers
from .formats import AnyPath

CORRUPTED = ("gaussian_noise", "motion_blur", "fog", "contrast")
"""One of each group of CIFAR-10-C's first 15 corruptions."""

SIZE = 32


def colour_outliers(
    x_test: NDArray[np.uint8],
    *,
    count: int = 1000,
    corruptions: tuple[str, ...] = CORRUPTED,
    severity: int = 5,
    directory: AnyPath | None = None,
    seed: int = 0,
) -> dict[str, NDArray[np.uint8]]:
    """Make images that a network trained on CIFAR-10 should reject as outliers, or trust less.

    Parameters
    ----------
    x_test : array (N, 32, 32, 3)
        The test images, uint8, which are corrupted.
    count : int
        The number of images of each set, at most.
    corruptions : tuple of str
        Some of `CORRUPTIONS`. They need SciPy and Pillow; () leaves them out.
    severity : int
        That of the corruptions, from 1 to 5.
    directory : str or Path, optional
        Folder with MNIST, and perhaps Fashion-MNIST; TINYPROTO_DATA and the cache by default.
    seed : int
        The seed of the noise.

    Returns
    -------
    dict of str to array (n, 32, 32, 3)
        uint8 images by the name of their set: "MNIST" and "Fashion-MNIST", their 28 × 28 pixels
        with a black border and three equal channels; "uniform noise"; "Gaussian noise" with the
        mean 127.5 and the standard deviation 64; and each corruption. Nothing is downloaded;
        what is not found is left out, and MNIST may be the package's samples.

    Raises
    ------
    ValueError
        As `corrupt` does, for one name instead of a tuple, and if files are damaged.
    FileNotFoundError
        If there is no such directory.
    ImportError
        For a corruption without SciPy or Pillow.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.data import colour_outliers
    >>> found = colour_outliers(np.zeros((5, 32, 32, 3), np.uint8), count=3, corruptions=())
    >>> found["uniform noise"].shape
    (3, 32, 32, 3)
    """
    check_count("count", count)
    require(not isinstance(corruptions, str), "corruptions must be a tuple of names", corruptions)
    index, pixels = np.arange(count), SIZE * SIZE * 3
    grey, found = load_outliers(directory), {}
    with suppress(FileNotFoundError, OtherDataset):  # in a folder that has other data sets
        found["MNIST"] = _in_colour(load("mnist", directory, download=False).x_test[:count])
    if "fashion" in grey:
        found["Fashion-MNIST"] = _in_colour(grey["fashion"][:count])
    noise = {
        "uniform noise": 256 * uniform(pixels, index, seed=seed, stream="uniform outliers"),
        "Gaussian noise": 127.5 + 64 * normal(pixels, index, seed=seed, stream="Gaussian outliers"),
    }
    for name, drawn in noise.items():
        levels = np.clip(np.floor(drawn), 0, 255).astype(np.uint8)
        found[name] = levels.reshape(count, SIZE, SIZE, 3)
    for name in corruptions:
        found[f"{name}, severity {severity}"] = corrupt(x_test[:count], name, severity, seed=seed)
    return found


def _in_colour(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (n, H, W) in the middle of (n, 32, 32, 3), black around them."""
    rows, columns = ((SIZE - length) // 2 for length in grey.shape[1:])
    height, width = grey.shape[1:]
    out = np.zeros((len(grey), SIZE, SIZE, 3), dtype=np.uint8)
    out[:, rows : rows + height, columns : columns + width] = grey[..., None]
    return out
