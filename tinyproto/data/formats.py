"""Readers of the data sets' file formats: idx, MATLAB, npz, and CIFAR's pickles (see `cifar`).

Files from the network are not trusted. Every reader returns complete arrays or raises
`FormatError`, with one line that names the file, what was expected and what was found; a file that
cannot be opened raises `OSError`. Nothing in a file is executed, and nothing is extracted to disk.
Sizes are checked before anything is allocated, so that a small file takes no more than a bounded
amount of memory. Where a format contains a checksum, the whole file is read, so that the checksum
is verified; idx and tar have one only if they are gzipped.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..npz import Header, read_arrays
from ..optional import require_package
from .cifar import read_pickled_cifar as read_pickled_cifar
from .damage import (
    CHUNK_SIZE,
    AnyPath,
    Arrays,
    decompressed,
    describe,
    format_error,
    reading,
)
from .damage import FormatError as FormatError
from .matlab import read_matrices

SPLITS = ("x_train", "y_train", "x_test", "y_test")

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_SIZE = 1 << 30  # bytes of an array; the images of SVHN have 225 million


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
        if size > MAX_SIZE:
            raise format_error(path, f"at most {MAX_SIZE:,} bytes", f"sizes {shape}: {size:,}")
        elements = _read_at_most(stream, size + 1)  # one more detects trailing bytes
        if len(elements) != size:
            found = f"{len(elements):,}" if len(elements) < size else "more"
            raise format_error(path, f"{size:,} bytes for shape {shape} of {dtype.name}", found)
        return np.ndarray(shape, dtype, elements).astype(dtype.newbyteorder("="))


# MATLAB: SVHN


def read_svhn(path: AnyPath) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one of SVHN's files of cropped digits, such as `train_32x32.mat`.

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
    require_package("scipy", "reading SVHN's .mat files")
    with open(path, "rb") as file, reading(path, "SVHN's .mat file"):
        content = read_matrices(file, ("X", "y"))
        images, labels = content.get("X"), content.get("y")
        if images is None or images.dtype != np.uint8 or images.shape[:-1] != (32, 32, 3):
            raise format_error(path, "X, uint8 (32, 32, 3, N)", describe(images))
        count = images.shape[-1]
        if labels is None or labels.dtype.kind not in "iu" or labels.shape != (count, 1):
            raise format_error(path, f"y, integers ({count}, 1)", describe(labels))
        labels = labels.ravel().astype(np.int64)
        labels[labels == 10] = 0
        return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels


# npz: the samples in the package, and converted data sets


def read_npz(
    path: AnyPath,
    names: Collection[str] = SPLITS,
    check: Callable[[Mapping[str, Header]], None] = lambda headers: None,
) -> Arrays:
    """Read arrays from an .npz file, without pickles.

    Parameters
    ----------
    path : str or Path
        File to read.
    names : collection of str
        Names of the arrays.
    check : callable, optional
        Called, before anything is allocated, with the headers of all arrays by name, which have a
        dtype and a shape. It raises `FormatError` for those that are not as expected.

    Returns
    -------
    dict of str to array

    Raises
    ------
    FormatError
        If the file is damaged, lacks an array, contains Python objects, or an array has more than
        `MAX_SIZE` bytes.
    """

    def choose(headers: Mapping[str, Header]) -> Collection[str]:
        if missing := [name for name in names if name not in headers]:
            found = f"only {', '.join(headers) or 'none'}"
            raise format_error(path, f"the arrays {', '.join(missing)}", found)
        check(headers)
        return names

    with open(path, "rb") as file, reading(path, "a .npz file"):
        return read_arrays(file, choose)
