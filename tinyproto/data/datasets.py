"""Find, validate and load a data set: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 or SVHN.

A folder contains a data set either as `NAME.npz` with the arrays x_train, y_train, x_test, y_test
(images: whole numbers 0 … 255; labels: (N,), or (N, 1) as Keras has them), or as the authors' own
files. Both may be in a sub-folder with the name of the data set, which
keeps MNIST and Fashion-MNIST apart, whose files have the same names.
"""

import hashlib
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..npz import Header
from .damage import AnyPath, Arrays, FormatError, describe, format_error
from .download import download as fetch
from .formats import read_npz
from .sources import SOURCES, TEST_LABELS_MD5, Source

SAMPLES = Path(__file__).parent / "samples"
OUTLIER_FILES = {
    "notmnist": "notmnist_test10k.npz",
    "fashion": "fashion_mnist_test.npz",
    "emnist-letters": "emnist_letters_test.npz",
}


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set as its authors published it.

    Parameters
    ----------
    name : str
        Name of the data set, as `load` takes it.
    x_train, x_test : array (N, H, W) or (N, H, W, 3)
        Images, uint8 in 0 … 255: 28 × 28 grey, or 32 × 32 in colour.
    y_train, y_test : array (N,)
        Labels, int64: indices of `class_names`.
    complete : bool
        Whether it has as many images as the official data set.
    source : str
        File or folder that was read.
    class_names : tuple of str
        Names of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.data import Dataset
    >>> x, y = np.zeros((3, 28, 28), np.uint8), np.array([0, 1, 0])
    >>> data = Dataset("mnist", x, y, x[:2], y[:2], False, "digits.npz", ("zero", "one"))
    >>> data.class_names[data.y_train[1]]
    'one'
    >>> data
    Dataset(mnist, not complete: 3 training and 2 test images of 28 × 28, 2 classes, digits.npz)
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    complete: bool
    source: str
    class_names: tuple[str, ...]

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.x_train.shape[1:]))
        return (
            f"Dataset({self.name}{'' if self.complete else ', not complete'}: "
            f"{len(self.x_train):,} training and {len(self.x_test):,} test images of {size}, "
            f"{len(self.class_names)} classes, {self.source})"
        )


def load(name: str, directory: AnyPath | None = None, *, download: bool = True) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    name : {"mnist", "fashion", "cifar10", "cifar100", "svhn"}
        Data set; "fashion" is Fashion-MNIST.
    directory : str or Path, optional
        Folder with the data set; no other place is searched.
    download : bool
        Whether to download a data set that is not found.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        If the name is unknown, or if files are damaged or contain another data set.
    FileNotFoundError
        If the data set is not found and the package has no sample of it.
    ImportError
        If SVHN's own files are read without SciPy; `svhn.npz` needs none.

    Notes
    -----
    Without `directory`, these places are searched in order:

    1. the folder in the environment variable TINYPROTO_DATA;
    2. the cache, `$XDG_CACHE_HOME/tinyproto` or `~/.cache/tinyproto`;
    3. the authors' site, whose files are verified by checksum and stored in the cache;
    4. the sample of MNIST or CIFAR-10 in the package, with a line on stderr that says so.

    Examples
    --------
    >>> from tinyproto.data import load
    >>> data = load("mnist", download=False)
    >>> data.x_train.shape[1:], str(data.x_train.dtype), len(data.class_names)
    ((28, 28), 'uint8', 10)
    """
    if name not in SOURCES:
        raise ValueError(f"expected one of the data sets {', '.join(SOURCES)}, found {name!r}")
    source = SOURCES[name]
    if directory is not None:
        folder = _existing_folder(directory)
        if dataset := _find(source, folder):
            return dataset
        expected = source.expected_files()
        raise FileNotFoundError(f"{folder}: expected {expected}, found no such files")
    for folder in _default_folders():
        if dataset := _find(source, folder):
            return dataset
    reason = "downloading is turned off"
    if download:
        try:
            files = _download(source)
        except OSError as error:
            reason = str(error)
        else:
            return _validated(source, source.read(files), files[0].parent)
    return _load_sample(source, reason)


def load_outliers(directory: AnyPath | None = None) -> dict[str, NDArray[np.uint8]]:
    """Load images that a network trained on MNIST should reject as outliers.

    Parameters
    ----------
    directory : str or Path, optional
        Folder that is searched before TINYPROTO_DATA and the cache.

    Returns
    -------
    dict of str to array (N, 28, 28)
        uint8 images by the name of their data set: "notmnist" (`notmnist_test10k.npz`), "fashion"
        (`fashion_mnist_test.npz` or all of Fashion-MNIST), "emnist-letters"
        (`emnist_letters_test.npz`). Nothing is downloaded; what is not found is left out.

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    ValueError
        If files are damaged.

    Examples
    --------
    >>> from tinyproto.data import load_outliers
    >>> outliers = load_outliers()
    >>> set(outliers) <= {"notmnist", "fashion", "emnist-letters"}
    True
    """
    folders = _default_folders()
    if directory is not None:
        folders.insert(0, _existing_folder(directory))
    outliers: dict[str, NDArray[np.uint8]] = {}
    for folder in folders:
        for name, file in OUTLIER_FILES.items():
            if name not in outliers and (folder / file).is_file():
                outliers[name] = _grey_test_images(folder / file)
        with suppress(OtherDataset):  # MNIST's own files, which have the same names
            found = None if "fashion" in outliers else _find(SOURCES["fashion"], folder)
            # a part of MNIST, in files of the same names, cannot be told from one of Fashion-MNIST
            if found is not None and (found.complete or found.source != str(folder)):
                outliers["fashion"] = found.x_test
    return outliers


def _expanded(directory: AnyPath) -> Path:
    """With a home folder in place of ~ or ~name, if there is one."""
    try:
        return Path(directory).expanduser()
    except RuntimeError:
        return Path(directory)


def _existing_folder(directory: AnyPath) -> Path:
    folder = _expanded(directory)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise FileNotFoundError(f"{folder}: expected a folder of data sets, found {found}")
    return folder


def _cache_folder() -> Path:
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "tinyproto"


def _default_folders() -> list[Path]:
    folder = os.environ.get("TINYPROTO_DATA")
    return [_expanded(folder), _cache_folder()] if folder else [_cache_folder()]


def _find(source: Source, folder: Path) -> Dataset | None:
    """The data set in a folder; None if it is not there or not all of its files are."""
    for place in (folder / source.name, folder):
        npz = place / source.npz
        if npz.is_file():
            return _validated(source, _read_npz(source, npz), npz)
        files = [path for file in source.files if (path := file.find_in(place))]
        if len(files) == len(source.files):
            return _validated(source, source.read(files), place)
    return None


def _read_npz(source: Source, path: Path) -> Arrays:
    """The arrays in an .npz file, whose types and shapes are checked before they are read."""

    def check(headers: Mapping[str, Header]) -> None:
        for split in ("train", "test"):
            _check_split(source, headers, split, path)

    return read_npz(path, check=check)


def _download(source: Source) -> list[Path]:
    """Download the authors' files into the cache."""
    folder = _cache_folder() / source.name
    return [fetch(source.url + file.name, folder / file.name, file.md5) for file in source.files]


def _load_sample(source: Source, reason: str) -> Dataset:
    """The sample in the package, with a line on stderr. Raises FileNotFoundError without one."""
    path = SAMPLES / source.npz
    if not path.is_file():
        raise FileNotFoundError(
            f"{source.name}: not in {' or '.join(map(str, _default_folders()))}, and {reason}; "
            f"put {source.expected_files()} into a folder and set TINYPROTO_DATA to it"
        )
    dataset = _validated(source, _read_npz(source, path), path)
    print(
        f"{source.name}: the full data set was not found ({reason}); using the package's sample of "
        f"{len(dataset.x_train):,} + {len(dataset.x_test):,} images, too few for reliable figures",
        file=sys.stderr,
    )
    return dataset


class OtherDataset(FormatError):
    """The files are valid, but contain another data set of the same shapes."""


def _validated(source: Source, arrays: Arrays, path: Path) -> Dataset:
    """The arrays as a Dataset. Raises FormatError if they are not what the source must contain."""
    x_train, y_train = _validated_split(source, arrays, "train", path)
    x_test, y_test = _validated_split(source, arrays, "test", path)
    labels = hashlib.md5(y_test.astype(np.uint8).tobytes(), usedforsecurity=False).hexdigest()
    name = TEST_LABELS_MD5.get(labels, source.name)
    if name != source.name:
        raise OtherDataset(f"{path}: expected {source.name}, found {name}; move it to {name}/")
    return Dataset(
        name=source.name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        complete=(len(x_train), len(x_test)) == source.sizes,
        source=str(path),
        class_names=source.class_names,
    )


def _validated_split(
    source: Source, arrays: Arrays, split: str, path: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images and labels of one split, "train" or "test"."""
    _check_split(source, arrays, split, path)
    x = _as_bytes(path, f"{source.name}'s x_{split}", arrays[f"x_{split}"])
    y = arrays[f"y_{split}"].reshape(len(x))
    last = len(source.class_names) - 1
    if y.min() < 0 or y.max() > last:
        found = f"{y.min()}..{y.max()}"
        raise format_error(path, f"{source.name}'s y_{split} in 0..{last}", found)
    return x, y.astype(np.int64)


def _check_split(
    source: Source, arrays: Mapping[str, NDArray[Any] | Header], split: str, path: Path
) -> None:
    """Raise FormatError for images or labels, or headers of them, of a wrong type or shape."""
    x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    _check_images(path, f"{source.name}'s x_{split}", x, source.image_shape)
    if y.dtype.kind not in "iu" or y.shape not in (x.shape[:1], (x.shape[0], 1)):
        expected = f"{source.name}'s y_{split} as integers ({x.shape[0]},)"
        raise format_error(path, expected, describe(y))


def _check_images(
    path: Path, name: str, images: NDArray[Any] | Header, shape: tuple[int, ...]
) -> None:
    """Raise FormatError unless these are integers of this shape; floats may be in any range."""
    if images.dtype.kind not in "iu" or images.shape[1:] != shape or not images.shape[0]:
        form = ", ".join(map(str, ("N", *shape)))
        raise format_error(path, f"{name} as uint8 ({form})", describe(images))


def _as_bytes(path: Path, name: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    """Images of integers as uint8. Raises FormatError unless they are in 0 … 255."""
    if images.dtype != np.uint8:
        lowest, highest = images.min(), images.max()
        if lowest < 0 or highest > 255:
            form = ", ".join(map(str, ("N", *images.shape[1:])))
            found = f"{describe(images)} in {lowest}..{highest}"
            raise format_error(path, f"{name} as uint8 ({form})", found)
    return images.astype(np.uint8, copy=False)


def _grey_test_images(path: Path) -> NDArray[np.uint8]:
    def check(headers: Mapping[str, Header]) -> None:
        _check_images(path, "x_test", headers["x_test"], (28, 28))

    return _as_bytes(path, "x_test", read_npz(path, ["x_test"], check)["x_test"])
