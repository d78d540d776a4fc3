"""Saving and loading arrays: one .npz file with an entry for each name, and metadata as JSON.

Nothing is pickled, so loading a file never runs code from it. Nothing is compressed, so loading a
file never needs more memory than the file has bytes. Each entry has a checksum (zip's CRC-32).
"""

import hashlib
import json
import os
import secrets
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .backend.device import Array, to_host
from .npz import KINDS, read_arrays
from .parameters import Tree, leaves

__all__ = [
    "METADATA",
    "array_checksum",
    "atomic_write",
    "load_arrays",
    "parameters_checksum",
    "save_arrays",
]

METADATA = "metadata.json"
"""The entry of the file that holds the metadata."""

CHUNK_SIZE = 1 << 24  # bytes of an array that are hashed at a time


def save_arrays(
    arrays: Mapping[str, Array], path: str | Path, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write named arrays and metadata to one file, whole or not at all (see `atomic_write`).

    Parameters
    ----------
    arrays : mapping of str to array
        Arrays of NumPy or CuPy, of any shape, of numbers, booleans, bytes or text.
    path : str or Path
        The file. Its folder is made if there is none.
    metadata : mapping, optional
        Anything else to store, of JSON's types.

    Raises
    ------
    ValueError
        For an array of another kind, such as Python objects, or one named "metadata.json", and for
        metadata that JSON cannot hold.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.state import load_arrays, save_arrays
    >>> save_arrays({"features/0/weight": np.eye(2)}, "model.npz", {"classes": 2})
    >>> arrays, metadata = load_arrays("model.npz")
    >>> list(arrays), metadata
    (['features/0/weight'], {'classes': 2})
    """
    host = {name: to_host(array) for name, array in arrays.items()}
    for name, array in host.items():
        if array.dtype.hasobject:
            raise ValueError(f"cannot save {name!r}: its elements are Python objects")
        if array.dtype.kind not in KINDS:
            raise ValueError(f"cannot save {name!r}: its dtype is {array.dtype}")
        if name == METADATA or "\0" in name:
            raise ValueError(f"{name!r} is not a name for an array")
    try:
        text = np.frombuffer(json.dumps(dict(metadata or {})).encode(), dtype=np.uint8)
    except (TypeError, ValueError) as error:
        raise ValueError(f"metadata must be what JSON can hold: {error}") from None
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in {METADATA: text, **host}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    arrays : dict of str to array
        NumPy arrays by name, in the order in which they were saved.
    metadata : dict
        The metadata.

    Raises
    ------
    ValueError
        For any other file, and for one that is damaged, whatever the damage is.
    OSError
        For a file that cannot be opened.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.state import load_arrays, save_arrays
    >>> save_arrays({"x": np.arange(3)}, "x.npz")
    >>> load_arrays("x.npz")
    ({'x': array([0, 1, 2])}, {})
    """
    with open(path, "rb") as file:
        try:
            arrays = read_arrays(file, compressed=False)
            if METADATA not in arrays:
                raise ValueError(f"it has no {METADATA}")
            metadata = json.loads(arrays.pop(METADATA).tobytes())
            if not isinstance(metadata, dict):
                raise ValueError(f"its metadata are {type(metadata).__name__}, not a dict")
        except Exception as error:  # for damaged bytes, zipfile and json raise many different ones
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path} is not a file that tinyproto saved: {reason}") from None
    return arrays, metadata


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all: a program that is killed leaves the old file as it was.

    The block writes to a temporary file in the same folder, whose name no other call uses. When the
    block ends without an error, that file is flushed to the disk and renamed to `path` in one step;
    otherwise it is removed. The permissions are those of the old file, or of any new one.

    Parameters
    ----------
    path : str or Path
        The file to write. Its folder is made if there is none. The file that a link points to is
        replaced, not the link.

    Yields
    ------
    Path
        The temporary file.

    Raises
    ------
    ValueError
        If `path` is a folder or a device, or if a file is where its folder should be.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tinyproto.state import atomic_write
    >>> with atomic_write("answer.txt") as temporary:
    ...     _ = temporary.write_text("42")
    >>> Path("answer.txt").read_text()
    '42'
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "a device"
        raise ValueError(f"{path} is {kind}: a file is needed")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"{path} needs a folder where there is a file") from None
    temporary = _create_temporary(target)
    try:
        yield temporary
        _flush_to_disk(temporary)
        if target.exists():
            with suppress(OSError):
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the new name is on the disk once the folder is
        with suppress(OSError):  # some network file systems
            _flush_to_disk(target.parent)


def _create_temporary(target: Path) -> Path:
    """A new, empty file beside `target`, with the permissions that any new file gets."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def array_checksum(array: Array) -> str:
    """A checksum of an array's shape, dtype and elements, by which a file says what it belongs to.

    Parameters
    ----------
    array : array
        Any but one of objects.

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.state import array_checksum
    >>> array_checksum(np.zeros((2, 3))) == array_checksum(np.zeros((3, 2)))
    False
    """
    array = np.asarray(to_host(array))
    digest = hashlib.blake2b(f"{array.shape} {array.dtype.str}".encode(), digest_size=8)
    rows = max(1, CHUNK_SIZE // max(1, array[:1].nbytes)) if array.ndim else 1
    for start in range(0, len(array) if array.ndim else 1, rows):
        chunk = array[start : start + rows] if array.ndim else array
        digest.update(np.ascontiguousarray(chunk).view(np.uint8).data if chunk.size else b"")
    return digest.hexdigest()


def parameters_checksum(params: Tree) -> str:
    """A checksum of all parameters of a network, by which a file says whose figures it has.

    Parameters
    ----------
    params : Tree
        Parameters, on any device.

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> from tinyproto.layers import Linear, initialize
    >>> from tinyproto.state import parameters_checksum
    >>> one, other = (initialize(Linear(3, 2), seed).params for seed in (0, 1))
    >>> parameters_checksum(one) == parameters_checksum(other)
    False
    """
    flat = [to_host(leaf).ravel() for _, leaf in leaves(params)]
    return array_checksum(np.concatenate(flat or [np.zeros(0)]))
