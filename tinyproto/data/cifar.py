"""Reader of CIFAR-10 and CIFAR-100: pickles of Python 2 in a tar archive, read without unpickling
(see `pickles`)."""

import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .damage import (
    CHUNK_SIZE,
    AnyPath,
    Arrays,
    check_published,
    decompressed,
    format_error,
    is_gzipped,
    reading,
)
from .pickles import Recorded, read_pickle

MAX_MEMBER_SIZE = 256 << 20  # bytes; the largest one, CIFAR-100's `train`, has 155 million
MAX_ARCHIVE_SIZE = 256 << 20  # bytes when decompressed; CIFAR-10 and CIFAR-100 have 186 million
MAX_MEMBERS = 1000


class Layout(NamedTuple):
    """The names of the files with their md5s, the last one that of the test images, and the key of
    the labels in each pickled dictionary."""

    files: dict[str, str]
    labels: bytes


LAYOUTS = {
    10: Layout(
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        b"labels",
    ),
    100: Layout(
        {
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        },
        b"fine_labels",
    ),
}
OFFICIAL_SIZES = (10_000, 50_000)


def read_pickled_cifar(path: AnyPath, classes: int = 10) -> Arrays:
    """Read CIFAR-10 or CIFAR-100 from the authors' Python version.

    Parameters
    ----------
    path : str or Path
        `cifar-10-python.tar.gz`, the same decompressed to tar, or the extracted folder; likewise
        for CIFAR-100. Files of other names in it are ignored.
    classes : {10, 100}
        Which of the two; CIFAR-100 with its fine labels.

    Returns
    -------
    dict of str to array
        x_train, x_test, uint8 (N, 32, 32, 3); y_train, y_test, int64 (N,).

    Raises
    ------
    FormatError
        If a file is missing, twice there, damaged, too large, or has anything but NumPy's arrays,
        numbers, strings, lists and dictionaries.

    Notes
    -----
    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    if classes not in LAYOUTS:
        raise ValueError(f"classes: expected 10 or 100, found {classes!r}")
    layout = LAYOUTS[classes]
    files = _read_files(Path(path), layout.files)
    if missing := [name for name in layout.files if name not in files]:
        raise format_error(
            path, f"the files of CIFAR-{classes}", f"none called {', '.join(missing)}"
        )
    has_checksum = Path(path).is_file() and is_gzipped(path)
    batches = []
    for name, md5 in layout.files.items():
        where = f"{path}: {name}"
        batches.append(_read_batch(where, files[name], layout.labels))
        if not has_checksum and len(batches[-1][1]) in OFFICIAL_SIZES:
            check_published(where, files[name], md5)
    images, labels = zip(*batches, strict=True)
    return {
        "x_train": np.concatenate(images[:-1]),
        "y_train": np.concatenate(labels[:-1]),
        "x_test": images[-1],
        "y_test": labels[-1],
    }


def _read_files(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """The content of those files among `names` that a folder or a tar archive contains."""
    files: dict[str, bytes] = {}
    if path.is_dir():
        for name in names:
            if (path / name).is_file():
                _check_size(path, name, (path / name).stat().st_size)
                files[name] = (path / name).read_bytes()
        return files
    with open(path, "rb") as file, reading(path, "a tar of CIFAR's batches"):
        stream = _Limited(decompressed(file), path)
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for member in _first_members(archive, path):
                name = PurePosixPath(member.name).name
                if name in names and member.isfile() and (content := archive.extractfile(member)):
                    _check_size(path, name, member.size)
                    if name in files:
                        raise format_error(path, f"one file called {name}", "several")
                    files[name] = content.read()
        while stream.read(CHUNK_SIZE):  # to the end, where gzip has its checksum
            pass
    return files


def _first_members(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(archive):
        if number == MAX_MEMBERS:
            raise format_error(path, f"at most {MAX_MEMBERS} files", "more")
        yield member


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MAX_MEMBER_SIZE:
        raise format_error(path, f"a reasonable size of {name}", f"{size:,} bytes")


class _Limited:
    """A stream that raises FormatError when more is read than an archive of CIFAR's contains."""

    def __init__(self, stream: IO[bytes], path: Path):
        self.stream, self.path, self.left = stream, path, MAX_ARCHIVE_SIZE

    def read(self, size: int) -> bytes:
        data = self.stream.read(min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            expected = f"at most {MAX_ARCHIVE_SIZE:,} bytes when decompressed"
            raise format_error(self.path, expected, "more")
        return data


def _read_batch(
    where: str, pickled: bytes, labels_key: bytes
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images (N, 32, 32, 3) and labels (N,) of one pickled batch."""
    with reading(where, "a pickled CIFAR batch"):
        batch = read_pickle(pickled)
        if not isinstance(batch, dict):
            raise format_error(where, "a dictionary", type(batch).__name__)
        rows, labels = _rows_of(batch.get(b"data")), batch.get(labels_key)
        if rows is None:
            raise format_error(where, "`data` as a uint8 array of 3,072 columns", "something else")
        if not (isinstance(labels, list) and all(type(label) is int for label in labels)):
            raise format_error(where, f"a list of integers under {labels_key!r}", "something else")
        if len(labels) != len(rows):
            raise format_error(where, f"{len(rows):,} labels", f"{len(labels):,}")
        # A row is a red, a green and a blue plane of 32 x 32.
        images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), np.array(labels, np.int64)


def _rows_of(recorded: object) -> NDArray[np.uint8] | None:
    """The uint8 array (N, 3072) whose state was recorded; None for anything else."""
    match recorded:
        case Recorded(
            name="_reconstruct",
            state=(
                _,
                (int(count), 3072),
                Recorded(name="dtype", arguments=(b"u1", *_)),
                bool(fortran),
                bytes(pixels),
            ),
        ) if len(pixels) == count * 3072:
            order: Literal["F", "C"] = "F" if fortran else "C"
            return np.frombuffer(pixels, np.uint8).reshape((count, 3072), order=order)
    return None
