"""Download of one file; under its final name there is only ever the complete, verified file.

The bytes are written to `NAME.part`, which is kept when the connection breaks and continued by the
next call. It is renamed, which is atomic, only if it has the expected md5. Where a folder cannot be
locked, each call writes to a file of its own, which is not kept.
"""

import hashlib
import os
import secrets
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError

from .damage import AnyPath

if sys.platform != "win32":
    import fcntl

TIMEOUT = 5.0  # seconds without an answer of the server
CHUNK_SIZE = 1 << 18  # bytes

Progress = Callable[[int, int | None], None]


def download(url: str, path: AnyPath, md5: str, *, progress: Progress | None = None) -> Path:
    """Download a file, unless the right file is there already.

    Parameters
    ----------
    url : str
        Address of the file.
    path : str or Path
        File to write.
    md5 : str
        Expected checksum, hexadecimal.
    progress : callable, optional
        Called with the number of bytes so far and the total, or None if it is unknown. By default,
        a tqdm bar if tqdm is installed and stderr is a terminal.

    Returns
    -------
    Path
        The path that was given.

    Raises
    ------
    ConnectionError
        If the network fails; what has been received is kept for the next call.
    ValueError
        If the complete file has another md5; it is removed.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _folder_lock(path.parent) as locked:
        if path.is_file() and md5_of(path) == md5:
            return path
        unique = "" if locked else f".{secrets.token_hex(8)}"
        part = path.with_name(f"{path.name}{unique}.part")
        try:
            if not (part.is_file() and md5_of(part) == md5):
                _fetch(url, part, progress or _progress_bar(path.name))
            if (found := md5_of(part)) != md5:
                part.unlink()
                raise ValueError(f"{url}: expected md5 {md5}, found {found}; the file was not kept")
            os.replace(part, path)
        finally:
            if not locked:
                part.unlink(missing_ok=True)
    return path


def md5_of(path: AnyPath) -> str:
    """The md5 of a file, hexadecimal. It detects damage, not attacks; the authors publish it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _folder_lock(folder: Path) -> Iterator[bool]:
    """Lock a folder for this call until the end of the block or of the process; yields whether the
    system can."""
    with open(folder / ".lock", "ab") as file:
        locked = sys.platform != "win32"
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:  # some network file systems
                locked = False
        yield locked


def _fetch(url: str, part: Path, progress: Progress) -> None:
    """Append the rest of `url` to `part`, or write all of it if the server cannot continue."""
    with _network(url):
        response = _request(url, offset=part.stat().st_size if part.is_file() else 0)
    with response:
        resumed = response.status == 206
        with open(part, "ab" if resumed else "wb") as file:
            length = response.headers["Content-Length"]
            total = file.tell() + int(length) if length else None
            while chunk := _read_chunk(url, response):
                file.write(chunk)
                progress(file.tell(), total)
            file.flush()
            os.fsync(file.fileno())  # the name must not be on the disk before the bytes
            if total is not None and file.tell() < total:
                raise ConnectionError(
                    f"{url}: the connection ended after {file.tell():,} of {total:,} bytes; "
                    "the next attempt will continue from there"
                )


def _request(url: str, offset: int) -> HTTPResponse:
    # Compressed in transfer, the bytes could be neither counted nor continued.
    headers = {"User-Agent": "tinyproto", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and offset:  # the part is as long as the file, or longer: start again
            return _request(url, offset=0)
        raise
    return response


def _read_chunk(url: str, response: HTTPResponse) -> bytes:
    with _network(url):
        return response.read(CHUNK_SIZE)


@contextmanager
def _network(url: str) -> Iterator[None]:
    """Turn every failure of the network in the block into a ConnectionError of one line."""
    try:
        yield
    except (OSError, HTTPException) as error:
        reason = " ".join((str(error) or type(error).__name__).split())
        raise ConnectionError(f"{url}: the download failed: {reason}") from error


def _progress_bar(name: str) -> Progress:
    """A tqdm bar if tqdm is installed and stderr is a terminal; otherwise nothing."""
    try:
        from tqdm import tqdm
    except ImportError:
        return lambda done, total: None
    bar = tqdm(desc=name, unit="B", unit_scale=True, disable=None)  # None: only on a terminal

    def show(done: int, total: int | None) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show
