"""The data sets' own file formats, read into NumPy arrays and nothing else.

A file from the network is not to be trusted. Every reader here returns whole arrays or raises
`FormatError`, one line that names the file, what was expected and what was found; a file that
cannot be opened raises the usual `OSError`. Nothing in a file is ever executed, and nothing is
unpacked to disk. Wherever a format carries a checksum, the file is read up to it.
"""

import gzip
import io
import math
import pickle
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

AnyPath = str | PathLike[str]
Arrays = dict[str, NDArray[Any]]

SPLITS = ("x_train", "y_train", "x_test", "y_test")

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
LARGEST_MEMBER = 256 << 20  # bytes; the largest real one, CIFAR-100's `train`, has 155 million


class FormatError(ValueError):
    """A file is damaged, or is not what its name says."""


def wrong(path: AnyPath, expected: str, found: str) -> FormatError:
    """The one line that every reader raises."""
    return FormatError(f"{path}: expected {expected}, found {found}")


@contextmanager
def _damage_is_one_line(path: AnyPath, expected: str) -> Iterator[None]:
    """Turn any failure inside into a `FormatError`.

    On damaged bytes gzip, zlib, tarfile, zipfile, pickle and NumPy raise a dozen unrelated kinds.
    """
    try:
        yield
    except FormatError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise wrong(path, expected, f"damage ({reason})") from error


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """The stream itself, or its content where it is gzipped, whatever the file is called."""
    magic = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if magic == GZIP_MAGIC else file  # type: ignore[return-value]


def _read_at_most(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes, or what there is; in pieces, lest a lying header make us reserve gigabytes."""
    pieces = []
    while size > 0 and (piece := stream.read(min(size, 1 << 20))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


# idx: MNIST, Fashion-MNIST


def read_idx(path: AnyPath) -> NDArray[Any]:
    """Read an idx file, gzipped or not.

    The format (LeCun, Cortes, Burges; the MNIST page): two zero bytes, a type code, the number of
    axes, one big-endian uint32 per axis, then the elements in C order, big-endian.

    Returns a writable array in the machine's byte order.
    Raises FormatError if the file is truncated, damaged, longer than it says, or no idx file.
    """
    with open(path, "rb") as file, _damage_is_one_line(path, "an idx file"):
        stream = _unpacked(file)
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES:
            raise wrong(path, "an idx header 00 00 <type> <axes>", magic.hex(" ") or "no bytes")
        dtype, axes = np.dtype(IDX_TYPES[magic[2]]), magic[3]
        sizes = stream.read(4 * axes)
        if len(sizes) < 4 * axes:
            raise wrong(path, f"the sizes of {axes} axes", f"only {len(sizes)} bytes of them")
        shape = tuple(np.frombuffer(sizes, ">u4").tolist())
        size = math.prod(shape) * dtype.itemsize
        elements = _read_at_most(stream, size + 1)  # one more, to notice trailing bytes
        if len(elements) != size:
            found = f"{len(elements):,}" if len(elements) < size else "more"
            raise wrong(path, f"{size:,} bytes for shape {shape} of {dtype.name}", found)
        return np.ndarray(shape, dtype, elements).astype(dtype.newbyteorder("="))


# Pickles in a tar: CIFAR-10, CIFAR-100


class _CifarLayout(NamedTuple):
    train: tuple[str, ...]  # file names
    test: str
    labels: bytes  # the key in each pickled dictionary


CIFAR_LAYOUTS = {
    10: _CifarLayout(tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", b"labels"),
    100: _CifarLayout(("train",), "test", b"fine_labels"),
}


def read_pickled_cifar(path: AnyPath, classes: int = 10) -> Arrays:
    """Read CIFAR-10 or CIFAR-100 (`classes`; fine labels) from the authors' Python version.

    `path` is `cifar-10-python.tar.gz` (unpacked to tar, too) or the extracted folder. Known file
    names are read, all others are passed over. The files are pickles of Python 2; no object is
    made and no function called on their behalf, see `_CifarUnpickler`.

    Returns x_train, x_test, uint8 (N, 32, 32, 3); y_train, y_test, int64 (N,).
    Raises FormatError if a file is missing, damaged, too large, or asks for a forbidden global.
    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    if classes not in CIFAR_LAYOUTS:
        raise ValueError(f"classes: expected 10 or 100, found {classes!r}")
    layout = CIFAR_LAYOUTS[classes]
    names = (*layout.train, layout.test)
    files = _cifar_files(Path(path), names)
    if missing := [name for name in names if name not in files]:
        raise wrong(path, f"the files of CIFAR-{classes}", f"none called {', '.join(missing)}")
    batches = [_cifar_batch(f"{path}: {name}", files[name], layout.labels) for name in names]
    images, labels = zip(*batches, strict=True)
    return {
        "x_train": np.concatenate(images[:-1]),
        "y_train": np.concatenate(labels[:-1]),
        "x_test": images[-1],
        "y_test": labels[-1],
    }


def _cifar_files(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """The bytes of those files among `names` that a folder or a tar holds."""
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in names if (path / name).is_file()}
    files: dict[str, bytes] = {}
    with open(path, "rb") as file, _damage_is_one_line(path, "a tar of CIFAR's batches"):
        stream = _unpacked(file)
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in names and member.isfile() and (content := archive.extractfile(member)):
                    if member.size > LARGEST_MEMBER:
                        raise wrong(path, f"a reasonable size of {name}", f"{member.size:,} bytes")
                    files[name] = content.read()
        while stream.read(1 << 20):  # gzip keeps its checksum at the very end
            pass
    return files


class _Recorded:
    """What unpickling makes in the place of a NumPy object: it notes its state and does nothing."""

    arguments: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _CifarUnpickler(pickle.Unpickler):
    """Builds numbers, strings, lists and dictionaries, and `_Recorded` for NumPy's three names.

    A pickle is a program: it may call any function that it can name. This one can name nothing,
    not even NumPy's own, so there is nothing that a hostile file could call.
    """

    NUMPY = frozenset(
        {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
    )

    def find_class(self, module: str, name: str) -> type[_Recorded]:
        if (module, name) in self.NUMPY:
            return _Recorded
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused")


def _cifar_batch(
    where: str, pickled: bytes, labels_key: bytes
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One batch: images (N, 32, 32, 3) and labels (N,)."""
    with _damage_is_one_line(where, "a pickled CIFAR batch"):
        batch = _CifarUnpickler(io.BytesIO(pickled), encoding="bytes").load()
        rows, labels = _recorded_rows(batch.get(b"data")), batch.get(labels_key)
        if rows is None:
            raise wrong(where, "`data` as a uint8 array of 3,072 columns", "something else")
        if not (isinstance(labels, list) and all(type(label) is int for label in labels)):
            raise wrong(where, f"a list of integers under {labels_key!r}", "something else")
        if len(labels) != len(rows):
            raise wrong(where, f"{len(rows):,} labels", f"{len(labels):,}")
        # A row is a red, a green and a blue plane of 32 x 32.
        images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), np.array(labels, np.int64)


def _recorded_rows(recorded: object) -> NDArray[np.uint8] | None:
    """The uint8 array (N, 3072) whose pickled state was noted, or None if it is anything else."""
    match recorded:
        case _Recorded(
            state=(_, (int(count), 3072), _Recorded(arguments=(b"u1", *_)), fortran, bytes(pixels))
        ) if len(pixels) == count * 3072:
            order: Literal["F", "C"] = "F" if fortran else "C"
            return np.frombuffer(pixels, np.uint8).reshape((count, 3072), order=order)
    return None


# MATLAB: SVHN


def read_svhn(path: AnyPath) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one of SVHN's cropped-digit files, `train_32x32.mat` and the like; needs SciPy.

    Returns images uint8 (N, 32, 32, 3) and labels int64 (N,); the files' label 10 becomes the
    digit 0 that it stands for.
    Raises FormatError if the file is damaged or holds other arrays, ImportError without SciPy.
    Source: Netzer and others, "Reading digits in natural images", 2011.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(f"{path}: a .mat file needs SciPy: pip install scipy") from error
    with open(path, "rb") as file, _damage_is_one_line(path, "SVHN's .mat file"):
        content = loadmat(file, variable_names=("X", "y"))
        images, labels = content.get("X"), content.get("y")
        if images is None or images.dtype != np.uint8 or images.shape[:-1] != (32, 32, 3):
            raise wrong(path, "X, uint8 (32, 32, 3, N)", _described(images))
        count = images.shape[-1]
        if labels is None or labels.dtype.kind not in "iu" or labels.shape != (count, 1):
            raise wrong(path, f"y, integers ({count}, 1)", _described(labels))
        labels = labels.ravel().astype(np.int64)
        labels[labels == 10] = 0
        return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels


def _described(array: NDArray[Any] | None) -> str:
    return "none" if array is None else f"{array.dtype} {array.shape}"


# npz: our own samples, and what people convert to


def read_npz(path: AnyPath, names: Collection[str] = SPLITS) -> Arrays:
    """Read the arrays called `names` from an .npz file, without pickles.

    Each member is read whole before it is parsed: the zip's checksum is only looked at when a
    member's last byte has been asked for, which `numpy.load` does not promise to do.

    Raises FormatError if the file is damaged, lacks an array or holds Python objects.
    """
    with (
        open(path, "rb") as file,
        _damage_is_one_line(path, "a .npz file"),
        zipfile.ZipFile(file) as archive,
    ):
        members = archive.namelist()
        if missing := [name for name in names if f"{name}.npy" not in members]:
            found = ", ".join(member.removesuffix(".npy") for member in members)
            raise wrong(path, f"the arrays {', '.join(missing)}", f"only {found or 'none'}")
        return {name: _npy(archive.read(f"{name}.npy")) for name in names}


def _npy(content: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array
