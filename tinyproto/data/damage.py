"""What the readers of the data sets' files share: the one error that every damage becomes."""

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import IO, Any

from numpy.typing import NDArray

from ..npz import Header

AnyPath = str | PathLike[str]
Arrays = dict[str, NDArray[Any]]


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


def is_gzipped(path: AnyPath) -> bool:
    """Whether a file begins as a gzip file does; its content then has a checksum."""
    with open(path, "rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def check_published(where: AnyPath, content: bytes, md5: str) -> None:
    """Raise FormatError unless this is the content of the authors' file: for a file of the official
    number of images in a format without a checksum."""
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        changed = f"md5 {found}: it is damaged, or changed (changed data can be put into an .npz)"
        raise format_error(where, f"the published file, md5 {md5}", changed)


def describe(array: NDArray[Any] | Header | None) -> str:
    """The type and shape of an array, for an error message."""
    return "none" if array is None else f"{array.dtype} {array.shape}"
