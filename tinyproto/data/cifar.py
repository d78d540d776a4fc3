"""Reader of CIFAR-10 and CIFAR-100: pickles of Python 2 in a tar archive, read without unpickling.

A pickle is a program: it may call any function that it can name. The unpickler here refuses every
name but NumPy's three, and replaces those by a class that only records what it is given.
"""

import io
import pickle
import tarfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .formats import CHUNK_SIZE, AnyPath, Arrays, decompressed, format_error, reading

MAX_MEMBER_SIZE = 256 << 20  # bytes; the largest one, CIFAR-100's `train`, has 155 million


class Layout(NamedTuple):
    """The names of the files, and the key of the labels in each pickled dictionary."""

    train: tuple[str, ...]
    test: str
    labels: bytes


LAYOUTS = {
    10: Layout(tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", b"labels"),
    100: Layout(("train",), "test", b"fine_labels"),
}


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
        If a file is missing, damaged, too large, or names anything but NumPy's arrays.

    Notes
    -----
    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    if classes not in LAYOUTS:
        raise ValueError(f"classes: expected 10 or 100, found {classes!r}")
    layout = LAYOUTS[classes]
    names = (*layout.train, layout.test)
    files = _read_files(Path(path), names)
    if missing := [name for name in names if name not in files]:
        raise format_error(
            path, f"the files of CIFAR-{classes}", f"none called {', '.join(missing)}"
        )
    batches = [_read_batch(f"{path}: {name}", files[name], layout.labels) for name in names]
    images, labels = zip(*batches, strict=True)
    return {
        "x_train": np.concatenate(images[:-1]),
        "y_train": np.concatenate(labels[:-1]),
        "x_test": images[-1],
        "y_test": labels[-1],
    }


def _read_files(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """The content of those files among `names` that a folder or a tar archive contains."""
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in names if (path / name).is_file()}
    files: dict[str, bytes] = {}
    with open(path, "rb") as file, reading(path, "a tar of CIFAR's batches"):
        stream = decompressed(file)
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in names and member.isfile() and (content := archive.extractfile(member)):
                    if member.size > MAX_MEMBER_SIZE:
                        raise format_error(
                            path, f"a reasonable size of {name}", f"{member.size:,} bytes"
                        )
                    files[name] = content.read()
        while stream.read(CHUNK_SIZE):  # to the end, where gzip has its checksum
            pass
    return files


class _Recorded:
    """Replaces a NumPy object: it records its arguments and state and does nothing."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Builds numbers, strings, lists, dictionaries, and `_Recorded` for NumPy's three names.

    It resolves no other name, not even NumPy's own, so a hostile file has nothing to call.
    """

    NUMPY = frozenset(
        {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
    )

    def find_class(self, module: str, name: str) -> type[_Recorded]:
        if (module, name) in self.NUMPY:
            return _Recorded
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is refused")


def _read_batch(
    where: str, pickled: bytes, labels_key: bytes
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images (N, 32, 32, 3) and labels (N,) of one pickled batch."""
    with reading(where, "a pickled CIFAR batch"):
        batch = _Unpickler(io.BytesIO(pickled), encoding="bytes").load()
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
        case _Recorded(
            state=(_, (int(count), 3072), _Recorded(arguments=(b"u1", *_)), fortran, bytes(pixels))
        ) if len(pixels) == count * 3072:
            order: Literal["F", "C"] = "F" if fortran else "C"
            return np.frombuffer(pixels, np.uint8).reshape((count, 3072), order=order)
    return None
