"""Readers of the data sets' file formats: idx, MATLAB and npz (CIFAR's pickles are in `cifar`).

Files from the network are not trusted. Every reader returns complete arrays or raises
`FormatError`, with one line that names the file, what was expected and what was found; a file that
cannot be opened raises `OSError`. Nothing in a file is executed, and nothing is extracted to disk.
Where a format contains a checksum, the whole file is read, so that the checksum is verified.
"""

import gzip
import io
import math
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

AnyPath = str | PathLike[str]
Arrays = dict[str, NDArray[Any]]

SPLITS = ("x_train", "y_train", "x_test", "y_test")

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
CHUNK_SIZE = 1 << 20  # bytes


class FormatError(ValueError):
    """A file is damaged, or its content is not what its name says."""


def format_error(path: AnyPath, expected: str, found: str) -> FormatError:
    """The error that every reader raises, as one line."""
    return FormatError(f"{path}: expected {expected}, found {found}")


@contextmanager
def reading(path: AnyPath, expected: str) -> Iterator[None]:
    """Turn every exception in the block into a `FormatError`.

    For damaged bytes, gzip, zlib, tarfile, zipfile, pickle and NumPy raise many different ones.
    """
    try:
        yield
    except FormatError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise format_error(path, expected, f"damage ({reason})") from error


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """The file, or its content if it is gzipped, whatever its name is."""
    magic = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if magic == GZIP_MAGIC else file  # type: ignore[return-value]


def _read_at_most(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes, or fewer at the end; in chunks, as the size may be wrong."""
    chunks = []
    while size > 0 and (chunk := stream.read(min(size, CHUNK_SIZE))):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


# idx: MNIST, Fashion-MNIST


def read_idx(path: AnyPath) -> NDArray[Any]:
    """Read an idx file, gzipped or not: the format of MNIST and Fashion-MNIST.

    Parameters
    ----------
    path : str or Path
        File to read.

    Returns
    -------
    array
        Writable, in the machine's byte order, of the type and shape in the file.

    Raises
    ------
    FormatError
        If the file is truncated, damaged, longer than its header says, or not an idx file.

    Notes
    -----
    The format (LeCun, Cortes, Burges; the MNIST page): two zero bytes, a type code, the number of
    axes, one big-endian uint32 per axis, then the elements in C order, big-endian.
    """
    with open(path, "rb") as file, reading(path, "an idx file"):
        stream = decompressed(file)
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES:
            raise format_error(
                path, "an idx header 00 00 <type> <axes>", magic.hex(" ") or "no bytes"
            )
        dtype, axes = np.dtype(IDX_TYPES[magic[2]]), magic[3]
        sizes = stream.read(4 * axes)
        if len(sizes) < 4 * axes:
            raise format_error(
                path, f"the sizes of {axes} axes", f"only {len(sizes)} bytes of them"
            )
        shape = tuple(np.frombuffer(sizes, ">u4").tolist())
        size = math.prod(shape) * dtype.itemsize
        elements = _read_at_most(stream, size + 1)  # one more detects trailing bytes
        if len(elements) != size:
            found = f"{len(elements):,}" if len(elements) < size else "more"
            raise format_error(path, f"{size:,} bytes for shape {shape} of {dtype.name}", found)
        return np.ndarray(shape, dtype, elements).astype(dtype.newbyteorder("="))


# MATLAB: SVHN


def read_svhn(path: AnyPath) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one of SVHN's files of cropped digits, such as `train_32x32.mat`; needs SciPy.

    Parameters
    ----------
    path : str or Path
        File to read.

    Returns
    -------
    images : array (N, 32, 32, 3)
        uint8.
    labels : array (N,)
        int64; the label 10 of the files, which means the digit 0, becomes 0.

    Raises
    ------
    FormatError
        If the file is damaged or contains other arrays.
    ImportError
        If SciPy is not installed.

    Notes
    -----
    Source: Netzer and others, "Reading digits in natural images", 2011.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(f"{path}: a .mat file needs SciPy: pip install scipy") from error
    with open(path, "rb") as file, reading(path, "SVHN's .mat file"):
        content = loadmat(file, variable_names=("X", "y"))
        images, labels = content.get("X"), content.get("y")
        if images is None or images.dtype != np.uint8 or images.shape[:-1] != (32, 32, 3):
            raise format_error(path, "X, uint8 (32, 32, 3, N)", describe(images))
        count = images.shape[-1]
        if labels is None or labels.dtype.kind not in "iu" or labels.shape != (count, 1):
            raise format_error(path, f"y, integers ({count}, 1)", describe(labels))
        labels = labels.ravel().astype(np.int64)
        labels[labels == 10] = 0
        return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels


def describe(array: NDArray[Any] | None) -> str:
    """The type and shape of an array, for an error message."""
    return "none" if array is None else f"{array.dtype} {array.shape}"


# npz: the samples in the package, and converted data sets


def read_npz(path: AnyPath, names: Collection[str] = SPLITS) -> Arrays:
    """Read arrays from an .npz file, without pickles.

    Parameters
    ----------
    path : str or Path
        File to read.
    names : collection of str
        Names of the arrays.

    Returns
    -------
    dict of str to array

    Raises
    ------
    FormatError
        If the file is damaged, lacks an array or contains Python objects.

    Notes
    -----
    Each member is read completely before it is parsed: zip verifies a checksum only when the last
    byte of a member is read, which `numpy.load` does not always do.
    """
    with (
        open(path, "rb") as file,
        reading(path, "a .npz file"),
        zipfile.ZipFile(file) as archive,
    ):
        members = archive.namelist()
        if missing := [name for name in names if f"{name}.npy" not in members]:
            found = ", ".join(member.removesuffix(".npy") for member in members)
            raise format_error(path, f"the arrays {', '.join(missing)}", f"only {found or 'none'}")
        return {name: _npy(archive.read(f"{name}.npy")) for name in names}


def _npy(content: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array
