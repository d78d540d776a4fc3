"""Numeric arrays of MATLAB's level 5 files (`save` from version 5 on, but not -v7.3), by SciPy.

SciPy's reader is not made for hostile files: it allocates what a size says, decompresses without an
end, and a type that it does not know ends the process. So it is given a copy in memory in which
nothing is compressed, and only after every variable's class, type and sizes were checked. A file is
a header of 128 bytes and then one element for each variable, which may be compressed by zlib; an
element is a type, a number of bytes, and these bytes. Source: MathWorks, "MAT-File Format".
"""

import io
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import IO, Any

from numpy.typing import NDArray

MATRIX, COMPRESSED = 14, 15
NUMERIC_CLASSES, NUMERIC_TYPES = range(6, 16), {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}
COMPLEX = 0x0800
MAX_SIZE = 1 << 28  # bytes of all variables; SVHN's largest file has 225 million
CHUNK_SIZE = 1 << 16  # bytes


def read_matrices(file: IO[bytes], names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The variables of these names that a file has, in the types in which they are stored.

    Raises ValueError, or one of several other exceptions, for damage, and for a variable that is
    not an array of real numbers.
    """
    from scipy.io import loadmat, whosmat

    content = _checked(file)
    variables = whosmat(content)
    if len({name for name, _, _ in variables}) < len(variables):
        raise ValueError("it has two variables of one name")
    if any(min(shape, default=-1) < 0 for _, shape, _ in variables):
        raise ValueError("it has a negative size")
    found = loadmat(content, variable_names=names)
    return {name: found[name] for name in names if name in found}


def _checked(file: IO[bytes]) -> io.BytesIO:
    """A file in memory with the same variables, none of them compressed, and safe to be read."""
    header = file.read(128)
    byte_order = {b"\0\1IM": "<", b"\1\0MI": ">"}.get(header[124:])
    if byte_order is None or 0 in header[:4]:  # as the files of version 4 have
        raise ValueError("it is no MATLAB file of level 5")
    content = io.BytesIO()
    content.write(header)
    while tag := file.read(8):
        kind, size = struct.unpack(f"{byte_order}II", tag)
        start, chunks = content.tell(), _chunks(file, size)
        if kind == COMPRESSED:
            chunks = _inflated(chunks)
        else:
            content.write(tag)
        for chunk in chunks:
            content.write(chunk)
            if content.tell() > MAX_SIZE:
                raise ValueError(f"it has more than {MAX_SIZE:,} bytes of variables")
        head = bytes(content.getbuffer()[start : start + 1024])
        _check_variable(head, content.tell() - start, byte_order)
    return content


def _chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        chunk = file.read(min(size, CHUNK_SIZE))
        if not chunk:
            raise ValueError(f"it ends {size:,} bytes before the end of a variable")
        size -= len(chunk)
        yield chunk


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Raises ValueError unless the stream ends; zlib.error for a wrong checksum."""
    inflate = zlib.decompressobj()
    for chunk in chunks:
        while data := inflate.decompress(chunk, CHUNK_SIZE):
            yield data
            chunk = inflate.unconsumed_tail
    if not inflate.eof:
        raise ValueError("it has a compressed variable without an end")


def _check_variable(head: bytes, size: int, byte_order: str) -> None:
    """Raise ValueError unless this is the beginning of an element of `size` bytes that is an array
    of real numbers: its flags, its sizes, its name and its numbers, each no longer than itself."""
    kind, inner, flags = struct.unpack_from(f"{byte_order}II8xI", head)
    if kind != MATRIX or inner != size - 8:
        raise ValueError(f"it has an element of type {kind}, {size:,} bytes, where a variable was")
    if flags & 0xFF not in NUMERIC_CLASSES or flags & COMPLEX:
        raise ValueError("it has a variable that is no array of real numbers")
    end = 24
    for _ in ("sizes", "name", "numbers"):
        start = end + -end % 8
        kind, inner = struct.unpack_from(f"{byte_order}II", head, start)
        few = kind >> 16  # bytes of data within the tag
        kind, end = (kind & 0xFFFF, start + 8) if few else (kind, start + 8 + inner)
        if end > size:
            raise ValueError(f"it has {inner:,} bytes in a variable of {size:,}")
    if kind not in NUMERIC_TYPES:
        raise ValueError(f"it has numbers of the unknown type {kind}")
    if size - end >= 8:  # more than padding
        raise ValueError(f"it has a variable with {size - end:,} bytes after its numbers")
