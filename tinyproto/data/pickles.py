"""Reader of the pickles in CIFAR's archives, without the pickle module.

A pickle is a program for a machine with a stack: it may call any function that it can name, and may
ask for any amount of memory. The machine here knows only the opcodes in files that Python 2 wrote:
numbers, strings, lists, dictionaries whose keys are strings, tuples, and NumPy's three names, which
are recorded and never called. It takes no more memory than a small multiple of the file.
"""

import struct
from dataclasses import dataclass
from typing import Any

MAX_OPCODES = 1_000_000  # CIFAR-100's `train` has about 250,000
MAX_NAME = 100  # bytes of a line with a module or a name
NUMPY = {
    b"numpy.core.multiarray\n_reconstruct\n": "_reconstruct",
    b"numpy\nndarray\n": "ndarray",
    b"numpy\ndtype\n": "dtype",
}
INTEGERS = {b"K": "<B", b"M": "<H", b"J": "<i"}
SIZES = {b"U": "<B", b"T": "<i", b"\x8a": "<B"}
INDICES = {b"q": "<B", b"r": "<I", b"h": "<B", b"j": "<I"}
CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
TUPLES = {b")": 0, b"\x85": 1, b"\x86": 2, b"\x87": 3}


@dataclass
class Recorded:
    """A NumPy object that is not made: its name, what it would be called with, and its state."""

    name: str
    arguments: tuple[Any, ...] | None = None
    state: Any = None


def read_pickle(content: bytes) -> Any:
    """The object that a pickle describes. Raises ValueError for an opcode or a name that CIFAR's
    files do not need, and for damage also IndexError, KeyError and struct.error."""
    return _Machine(content).run()


class _Machine:
    """The stack, the positions of the marks on it, the memo, and the place in the pickle."""

    def __init__(self, content: bytes):
        self.content, self.place = content, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_OPCODES):
            code = self.take(1)
            if code == b".":
                return self.stack.pop()
            self.execute(code)
        raise ValueError(f"it has more than {MAX_OPCODES:,} opcodes")

    def take(self, size: int) -> bytes:
        taken = self.content[self.place : self.place + size]
        if size < 0 or len(taken) < size:
            raise ValueError(f"it ends after {len(self.content):,} bytes")
        self.place += size
        return taken

    def number(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    def execute(self, code: bytes) -> None:
        stack = self.stack
        if code in INTEGERS:
            stack.append(self.number(INTEGERS[code]))
        elif code in INDICES:
            index = self.number(INDICES[code])
            if code in b"qr":
                self.memo[index] = stack[-1]
            else:
                stack.append(self.memo[index])
        elif code in SIZES:
            text = self.take(self.number(SIZES[code]))
            if code == b"\x8a" and len(text) > 8:
                raise ValueError(f"it has an integer of {len(text)} bytes")
            stack.append(int.from_bytes(text, "little", signed=True) if code == b"\x8a" else text)
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in TUPLES:
            stack.append(tuple(self.pop(len(stack) - TUPLES[code])))
        else:
            self.build(code)

    def build(self, code: bytes) -> None:
        """Containers and NumPy's objects."""
        stack = self.stack
        if code == b"(":
            self.marks.append(len(stack))
        elif code == b"t":
            stack.append(tuple(self.pop(self.marks.pop())))
        elif code in b"]}":
            stack.append([] if code == b"]" else {})
        elif code in b"ae":
            self.extend(self.pop(len(stack) - 1 if code == b"a" else self.marks.pop()))
        elif code in b"su":
            self.update(self.pop(len(stack) - 2 if code == b"s" else self.marks.pop()))
        elif code == b"c":
            stack.append(Recorded(self.name()))
        elif code == b"R":
            function, arguments = self.pop(len(stack) - 2)
            if type(function) is not Recorded or function.arguments is not None:
                raise ValueError("it calls what is no function")
            stack.append(Recorded(function.name, arguments))
        elif code == b"b":
            (state,) = self.pop(len(stack) - 1)
            if type(stack[-1]) is not Recorded:
                raise ValueError("it gives a state to what is no object")
            stack[-1].state = state
        elif code == b"I":  # how protocol 1 writes booleans
            stack.append({b"00\n": False, b"01\n": True}[self.take(3)])
        elif code == b"\x80":
            self.take(1)
        else:
            raise ValueError(f"it has the opcode {code!r}, which is refused")

    def pop(self, start: int) -> list[Any]:
        """What is on the stack from `start` on, which must be above the last mark."""
        if start < (self.marks[-1] if self.marks else 0) or start > len(self.stack):
            raise ValueError("it takes more from its stack than there is")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        """Keys are strings only: to hash a deep tuple could kill the process."""
        keys = items[::2]
        if type(self.stack[-1]) is not dict or not all(type(key) is bytes for key in keys):
            raise ValueError("it has a dictionary with a key that is no string")
        self.stack[-1].update(zip(keys, items[1::2], strict=True))

    def name(self) -> str:
        """The two lines of a module and a name."""
        lines = self.content[self.place : self.place + 2 * MAX_NAME].split(b"\n", 2)[:2]
        named = b"".join(line + b"\n" for line in lines)
        if named not in NUMPY:
            shown = ".".join(line.decode("ascii", "replace") for line in lines)
            raise ValueError(f"it names {shown}, which is refused")
        self.place += len(named)
        return NUMPY[named]
