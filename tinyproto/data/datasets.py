"""Find, check and load a data set: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 or SVHN.

A folder holds a set either as `NAME.npz` with the arrays x_train, y_train, x_test, y_test, or as
the authors' own files, lying in the folder itself or in its sub-folder called like the set (MNIST
and Fashion-MNIST share their file names).
"""

import hashlib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .download import download as fetch
from .formats import AnyPath, Arrays, FormatError, read_npz, wrong
from .sources import CATALOGUE, TEST_LABELS_MD5, Entry

SAMPLES = Path(__file__).parent / "samples"
OUTLIER_FILES = {
    "notmnist": "notmnist_test10k.npz",
    "fashion": "fashion_mnist_test.npz",
    "emnist-letters": "emnist_letters_test.npz",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as its authors stored it.

    x_train, x_test: uint8 in 0..255, (N, 28, 28) for the grey sets, (N, 32, 32, 3) for the others.
    y_train, y_test: int64 (N,), indices into `class_names`.
    complete: whether all the official images are there, going by their number.
    source: the file or folder that was read.
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    complete: bool
    source: str
    class_names: tuple[str, ...]


def load(name: str, directory: AnyPath | None = None, *, download: bool = True) -> Dataset:
    """Load "mnist", "fashion", "cifar10", "cifar100" or "svhn".

    With `directory`, from that folder and no other place. Without, from the first of: the folder
    that the environment variable TINYPROTO_DATA names; the cache (`$XDG_CACHE_HOME/tinyproto` or
    `~/.cache/tinyproto`); the authors' site, by way of the cache, unless `download` is False; the
    sample that the package carries, with a line on stderr that says so.

    Raises ValueError for an unknown name and for files that are damaged or hold another data set,
    FileNotFoundError if the set is nowhere, ImportError if SVHN's files are read without SciPy.
    """
    if name not in CATALOGUE:
        raise ValueError(f"expected one of the data sets {', '.join(CATALOGUE)}, found {name!r}")
    entry = CATALOGUE[name]
    if directory is not None:
        folder = _existing(directory)
        if dataset := _find(entry, folder):
            return dataset
        raise FileNotFoundError(f"{folder}: expected {entry.expected_files()}, found no such files")
    for folder in _usual_folders():
        if dataset := _find(entry, folder):
            return dataset
    failure = "the download is switched off"
    if download:
        try:
            files = _download(entry)
        except OSError as error:
            failure = str(error)
        else:
            return _checked(entry, entry.read(files), files[0].parent)
    return _sample(entry, failure)


def load_outliers(directory: AnyPath | None = None) -> dict[str, NDArray[np.uint8]]:
    """The test sets at hand that a network trained on MNIST should refuse, uint8 (N, 28, 28) each.

    "notmnist" (`notmnist_test10k.npz`), "fashion" (`fashion_mnist_test.npz` or all of
    Fashion-MNIST) and "emnist-letters" (`emnist_letters_test.npz`) are looked for in `directory`,
    TINYPROTO_DATA and the cache; nothing is downloaded, and an absent set is left out.

    Raises FileNotFoundError if there is no such directory, ValueError for damaged files.
    """
    folders = _usual_folders()
    if directory is not None:
        folders.insert(0, _existing(directory))
    outliers: dict[str, NDArray[np.uint8]] = {}
    for folder in folders:
        for name, file in OUTLIER_FILES.items():
            if name not in outliers and (folder / file).is_file():
                outliers[name] = _grey_test_images(folder / file)
        with suppress(_AnotherSet):  # MNIST's own files, called like Fashion-MNIST's
            if "fashion" not in outliers and (fashion := _find(CATALOGUE["fashion"], folder)):
                outliers["fashion"] = fashion.x_test
    return outliers


def _existing(directory: AnyPath) -> Path:
    folder = Path(directory).expanduser()
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise FileNotFoundError(f"{folder}: expected a folder of data sets, found {found}")
    return folder


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyproto"


def _usual_folders() -> list[Path]:
    named = os.environ.get("TINYPROTO_DATA")
    return [Path(named).expanduser(), _cache()] if named else [_cache()]


def _find(entry: Entry, folder: Path) -> Dataset | None:
    """The data set that lies in a folder, or None if it does not, or not all of it."""
    for place in (folder / entry.name, folder):
        npz = place / entry.npz
        if npz.is_file():
            return _checked(entry, read_npz(npz), npz)
        files = [path for file in entry.files if (path := file.inside(place))]
        if len(files) == len(entry.files):
            return _checked(entry, entry.read(files), place)
    return None


def _download(entry: Entry) -> list[Path]:
    """Bring the authors' files into the cache."""
    folder = _cache() / entry.name
    return [fetch(entry.address + file.name, folder / file.name, file.md5) for file in entry.files]


def _sample(entry: Entry, failure: str) -> Dataset:
    """The package's own sample, or the error that says what to do without one."""
    path = SAMPLES / entry.npz
    if not path.is_file():
        raise FileNotFoundError(
            f"{entry.name}: not in {' or '.join(map(str, _usual_folders()))}, and {failure}; "
            f"put {entry.expected_files()} into a folder and name it in TINYPROTO_DATA"
        )
    dataset = _checked(entry, read_npz(path), path)
    print(
        f"{entry.name}: only the package's sample of {len(dataset.x_train):,} + "
        f"{len(dataset.x_test):,} images is at hand, and its figures mean little ({failure})",
        file=sys.stderr,
    )
    return dataset


class _AnotherSet(FormatError):
    """The files are whole, but hold another data set of the same form."""


def _checked(entry: Entry, arrays: Arrays, source: Path) -> Dataset:
    """The arrays as a Dataset, or the FormatError that says what is wrong with them."""
    x_train, y_train = _checked_pair(entry, arrays, "train", source)
    x_test, y_test = _checked_pair(entry, arrays, "test", source)
    labels = hashlib.md5(y_test.astype(np.uint8).tobytes(), usedforsecurity=False).hexdigest()
    owner = TEST_LABELS_MD5.get(labels, entry.name)
    if owner != entry.name:
        raise _AnotherSet(f"{source}: expected {entry.name}, found {owner}; move it to {owner}/")
    return Dataset(
        name=entry.name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        complete=(len(x_train), len(x_test)) == entry.counts,
        source=str(source),
        class_names=entry.class_names,
    )


def _checked_pair(
    entry: Entry, arrays: Arrays, part: str, source: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images and labels of one part, "train" or "test"."""
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if x.dtype != np.uint8 or x.shape[1:] != entry.shape or not len(x):
        form = ", ".join(map(str, ("N", *entry.shape)))
        raise wrong(source, f"{entry.name}'s x_{part} as uint8 ({form})", _form(x))
    if y.dtype.kind not in "iu" or y.shape != (len(x),):
        raise wrong(source, f"{entry.name}'s y_{part} as integers ({len(x)},)", _form(y))
    last = len(entry.class_names) - 1
    if y.min() < 0 or y.max() > last:
        raise wrong(source, f"{entry.name}'s y_{part} in 0..{last}", f"{y.min()}..{y.max()}")
    return x, y.astype(np.int64)


def _grey_test_images(path: Path) -> NDArray[np.uint8]:
    images = read_npz(path, ["x_test"])["x_test"]
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or not len(images):
        raise wrong(path, "x_test as uint8 (N, 28, 28)", _form(images))
    return images


def _form(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
