"""Reader of numeric arrays in MATLAB's level 5 files (`save` from version 5 on, but not -v7.3).

A file is a header of 128 bytes and then one element for each variable; an element has a tag, its
type and its number of bytes. A variable is an element of the type matrix, whose elements are: flags
with its class, its sizes, its name, and its numbers in column-major order. Or it is that element
compressed by zlib, whose checksum is verified here. Source: MathWorks, "MAT-File Format".
"""

import math
import struct
import zlib
from collections.abc import Collection
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MATRIX, COMPRESSED = 14, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC_CLASSES = range(6, 16)
COMPLEX = 0x0800
MAX_SIZE = 1 << 30  # bytes of an array; SVHN's largest has 225 million
CHUNK_SIZE = 1 << 16  # bytes


def read_matrices(file: IO[bytes], names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The variables of these names that a file has, in the types in which they are stored.

    Raises ValueError for damage, and for an array of theirs that is not numeric; also zlib.error
    and struct.error.
    """
    header = file.read(128)
    byte_order = {b"IM": "<", b"MI": ">"}.get(header[126:])
    if byte_order is None or header[124:126] not in (b"\0\1", b"\1\0"):
        raise ValueError("it is no MATLAB file of level 5")
    found: dict[str, NDArray[Any]] = {}
    while tag := file.read(8):
        kind, size = struct.unpack(f"{byte_order}II", tag)
        start = file.tell()
        if kind == COMPRESSED:
            inflated = _Inflated(file, size)
            kind, inner = struct.unpack(f"{byte_order}II", inflated.read(8))
            matrix = _Matrix(inflated, inner, byte_order)
        else:
            inflated, matrix = None, _Matrix(file, size, byte_order)
        if kind != MATRIX:
            raise ValueError(f"it has an element of type {kind}, which is no variable")
        name = matrix.read_header()
        if name in found:
            raise ValueError(f"it has two variables called {name}")
        if name in names:
            found[name] = matrix.read_numbers()
            if inflated:
                inflated.finish()
        file.seek(0, 2)
        if file.tell() < start + size:
            raise ValueError(f"it ends before the {size:,} bytes of {name}")
        file.seek(start + size)
    return found


class _Inflated:
    """The decompressed bytes of `size` bytes of a file."""

    def __init__(self, file: IO[bytes], size: int):
        self.file, self.left, self.inflate = file, size, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        data = b""
        while not data and size and not self.inflate.eof:
            compressed = self.inflate.unconsumed_tail
            if not compressed:
                compressed = self.file.read(min(self.left, CHUNK_SIZE))
                self.left -= len(compressed)
            data = self.inflate.decompress(compressed, size)
            if not data and not compressed:
                break
        return data

    def finish(self) -> None:
        """Raises ValueError unless the stream ends here; zlib.error for a wrong checksum."""
        if self.read(1) or not self.inflate.eof:
            raise ValueError("a compressed variable is longer than its sizes say, or cut off")


class _Matrix:
    """One variable, whose elements are read one after the other."""

    def __init__(self, stream: Any, size: int, byte_order: str):
        self.stream, self.left, self.byte_order = stream, size, byte_order
        self.shape: tuple[int, ...] = ()
        self.numeric = False

    def read_header(self) -> str:
        """The variable's name; its class and sizes are stored."""
        _, data = self.read_element(8)
        (flags,) = struct.unpack(f"{self.byte_order}I4x", data)
        self.numeric = flags & 0xFF in NUMERIC_CLASSES and not flags & COMPLEX
        _, data = self.read_element(128)
        self.shape = struct.unpack(f"{self.byte_order}{len(data) // 4}i", data)
        return self.read_element(64)[1].decode("ascii")

    def read_numbers(self) -> NDArray[Any]:
        """The array. Raises ValueError, before anything is allocated, where sizes do not agree."""
        kind, size, small = self.read_tag()
        if not self.numeric or kind not in TYPES or min(self.shape, default=-1) < 0:
            raise ValueError("it has a variable that is no numeric array")
        dtype = np.dtype(self.byte_order + TYPES[kind])
        most = 4 if small else min(MAX_SIZE, self.left)
        if math.prod(self.shape) * dtype.itemsize != size or size > most:
            raise ValueError(f"it has {size:,} bytes for an array {self.shape} of {dtype.name}")
        numbers = np.empty(size, np.uint8)
        numbers[...] = np.frombuffer(small[:size], np.uint8) if small else 0
        if not small:
            self.read_into(numbers)
            self.take(-size % 8)
        array: NDArray[Any] = np.ndarray(self.shape, dtype, numbers.data, order="F")
        return array.astype(dtype.newbyteorder("="), copy=False)

    def read_element(self, most: int) -> tuple[int, bytes]:
        """The type and the data of an element of no more than so many bytes."""
        kind, size, small = self.read_tag()
        if size > most:
            raise ValueError(f"it has a header of {size:,} bytes, more than {most}")
        data = small[:size] if small else self.take(size + -size % 8)[:size]
        return kind, data

    def read_tag(self) -> tuple[int, int, bytes]:
        """The type and size of an element; and its data, if those are so few that the tag has
        them."""
        tag = self.take(8)
        kind, size = struct.unpack(f"{self.byte_order}II", tag)
        if not kind >> 16:
            return kind, size, b""
        if kind >> 16 > 4:
            raise ValueError("it has a damaged tag")
        return kind & 0xFFFF, kind >> 16, tag[4:]

    def take(self, size: int) -> bytes:
        taken = np.empty(size, np.uint8)
        self.read_into(taken)
        return taken.tobytes()

    def read_into(self, array: NDArray[np.uint8]) -> None:
        done = 0
        self.left -= len(array)
        if self.left < 0:
            raise ValueError("it has an element that is longer than its variable")
        while done < len(array):
            data = self.stream.read(min(len(array) - done, CHUNK_SIZE))
            if not data:
                raise ValueError("it ends within a variable")
            array[done : done + len(data)] = np.frombuffer(data, np.uint8)
            done += len(data)
