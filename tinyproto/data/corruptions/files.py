"""Reader of the published files of CIFAR-10-C and CIFAR-100-C."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...validation import check_count
from ..damage import AnyPath, describe, format_error, reading
from .catalogue import SEVERITIES, check_name


def load_corrupted(
    folder: AnyPath, name: str, severity: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the images of one corruption and severity from the folder of CIFAR-10-C or CIFAR-100-C.

    Parameters
    ----------
    folder : str or Path
        The extracted archive: files such as gaussian_noise.npy, and labels.npy.
    name : str
        One of `CORRUPTIONS`.
    severity : int
        1 … 5.

    Returns
    -------
    images : array (N, 32, 32, 3)
        uint8, read-only, in the file until they are used; 10,000 in the published files.
    labels : array (N,)
        int64.

    Raises
    ------
    FormatError
        For a file that is missing, damaged, of another length or of another form.
    ValueError
        For a name or severity that there is not.

    Notes
    -----
    Source: Hendrycks and Dietterich, ICLR 2019 (arXiv 1903.12261); the files are at
    https://zenodo.org/record/2535967 (CIFAR-10-C) and https://zenodo.org/record/3555552.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from tinyproto.data import load_corrupted
    >>> Path("CIFAR-10-C").mkdir()
    >>> np.save("CIFAR-10-C/fog.npy", np.zeros((10, 32, 32, 3), np.uint8))
    >>> np.save("CIFAR-10-C/labels.npy", np.arange(10, dtype=np.uint8))
    >>> images, labels = load_corrupted("CIFAR-10-C", "fog", 5)
    >>> images.shape, labels.tolist()
    ((2, 32, 32, 3), [8, 9])
    """
    check_name(name)
    check_count("severity", severity, 1, len(SEVERITIES))
    path, labels_path = (Path(folder) / f"{file}.npy" for file in (name, "labels"))
    images, labels = _mapped(path), _mapped(labels_path)
    if images.dtype != np.uint8 or images.shape[1:] != (32, 32, 3):
        raise format_error(path, "uint8 (N, 32, 32, 3)", describe(images))
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise format_error(labels_path, "integers (N,)", describe(labels))
    if not len(images) or len(images) % len(SEVERITIES):
        raise format_error(path, "as many images for each of 5 severities", f"{len(images):,}")
    if len(labels) != len(images):
        raise format_error(labels_path, f"{len(images):,} labels", f"{len(labels):,}")
    count = len(images) // len(SEVERITIES)
    part = slice((severity - 1) * count, severity * count)
    return images[part], labels[part].astype(np.int64)


def _mapped(path: Path) -> NDArray[Any]:
    """The array of an .npy file, which is read where it is used."""
    if not path.is_file():
        raise format_error(path, "an array, .npy", "a folder" if path.is_dir() else "nothing")
    with reading(path, "an array, .npy"):
        array = np.lib.format.open_memmap(path, mode="r")
        size, expected = path.stat().st_size, array.offset + array.nbytes
    if size != expected:
        raise format_error(path, f"{expected:,} bytes", f"{size:,}")
    return array
