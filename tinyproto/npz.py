"""Reading .npz files that are not trusted: zip archives with one array, an .npy, in each member.

Nothing is believed before it was checked. The header of an array is matched with a pattern, not
evaluated; it must agree with the size that the archive gives for the member, and the caller sees
all shapes before the first array is allocated. Each member is read to its end, where zip has its
checksum.
"""

import math
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, Literal, NamedTuple

import numpy as np

CHUNK_SIZE = 1 << 20  # bytes
MAX_SIZE = 1 << 30  # bytes of an array that is compressed; the images of SVHN have 225 million
MAX_HEADER = 4096  # bytes; those of arrays without fields have 118
HEADER = re.compile(
    rb"\{ *'descr': *'([<>|=]?(?:\?|[biufcSU]\d{1,9}))', *'fortran_order': *(True|False),"
    rb" *'shape': *\(((?:\d{1,19}L?, *)*(?:\d{1,19}L?)?)\) *,? *\} *\n?"
)
KINDS = "biufcSU"
"""The kinds of dtypes that can be read: numbers, booleans, bytes and text."""


class Header(NamedTuple):
    """What is known of an array before it is read."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int  # bytes before the elements

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


Choose = Callable[[Mapping[str, Header]], Iterable[str]]
"""All headers by name ↦ the names of the arrays to read; it raises for what it does not expect."""


def read_arrays(
    file: IO[bytes], choose: Choose = list, *, compressed: bool = True
) -> dict[str, np.ndarray]:
    """The arrays that `choose` names, in that order, writable.

    Without `compressed`, only members that are stored as they are, so that all of them together are
    no larger than the file. Raises ValueError, and for damage many other exceptions.
    """
    with zipfile.ZipFile(file) as archive:
        members = _members(archive)
        if not compressed:
            _require_stored(members, os.fstat(file.fileno()).st_size)
        headers = {name: _header(archive, member) for name, member in members.items()}
        return {name: _array(archive, members[name], headers[name]) for name in choose(headers)}


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by the names of their arrays. Raises ValueError for a name that occurs twice."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name, dot, kind = member.filename.rpartition(".npy")
        if not dot or kind:
            raise ValueError(f"{member.filename!r} in it is no array, an .npy")
        if name in members:
            raise ValueError(f"there are two arrays called {name!r}")
        members[name] = member
    return members


def _require_stored(members: Mapping[str, zipfile.ZipInfo], size: int) -> None:
    for name, member in members.items():
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise ValueError(f"{name} is compressed")
    total = sum(member.file_size for member in members.values())
    if total > size:
        raise ValueError(f"its arrays should have {total:,} bytes, and the file has {size:,}")


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
    """The header of one array, which must give the size that the member has."""
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as stream:
        magic = stream.read(8)
        form = {b"\x93NUMPY\x01\x00": "<H", b"\x93NUMPY\x02\x00": "<I"}.get(magic)
        if form is None:
            raise ValueError(f"{name} is no array of a known version of the format .npy")
        (length,) = struct.unpack(form, stream.read(struct.calcsize(form)))
        if length > MAX_HEADER:
            raise ValueError(f"{name} has a header of {length:,} bytes")
        text = stream.read(length)
    match = HEADER.fullmatch(text)
    if match is None or len(text) < length:
        what = "Python objects" if re.search(rb"'\|?O\d*'", text) else "an unknown kind of elements"
        raise ValueError(f"{name} holds {what}, or its header is damaged")
    dtype, order, sizes = match.groups()
    shape = tuple(int(size.strip(b" L")) for size in sizes.split(b",") if size.strip())
    start = 8 + struct.calcsize(form) + length
    header = Header(np.dtype(dtype.decode()), shape, order == b"True", start)
    if start + header.nbytes != member.file_size:
        raise ValueError(
            f"{name} should have {header.nbytes:,} bytes for its shape {shape}, "
            f"and has {member.file_size - start:,}"
        )
    if member.compress_type != zipfile.ZIP_STORED and header.nbytes > MAX_SIZE:
        raise ValueError(f"{name} would have {header.nbytes:,} bytes, more than {MAX_SIZE:,}")
    return header


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, header: Header) -> np.ndarray:
    """One array, and the verification of its checksum."""
    elements, done = np.empty(header.nbytes, np.uint8), 0
    with archive.open(member) as stream:
        stream.read(header.start)
        while chunk := stream.read(CHUNK_SIZE):  # to the end, where the checksum is verified
            elements[done : done + len(chunk)] = np.frombuffer(chunk, np.uint8)
            done += len(chunk)
    if done != header.nbytes:
        raise ValueError(f"{member.filename} ends after {done:,} of {header.nbytes:,} bytes")
    order: Literal["F", "C"] = "F" if header.fortran else "C"
    return np.ndarray(header.shape, header.dtype, elements.data, order=order)
