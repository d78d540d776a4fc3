"""Fetch one file, so that its final name only ever stands for the whole, right file.

The bytes go to `NAME.part`, which is kept when the connection breaks and continued by the next
call. Only when the md5 is the expected one is it renamed, and a rename is atomic.
"""

import hashlib
import os
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError

from .formats import AnyPath

if sys.platform != "win32":
    import fcntl

TIMEOUT = 5.0  # seconds that a server may stay silent
PIECE = 1 << 18  # bytes

Progress = Callable[[int, int | None], None]


def download(url: str, path: AnyPath, md5: str, *, progress: Progress | None = None) -> Path:
    """Bring `url` to `path`, unless the right file is there already, and return `path`.

    progress(bytes so far, bytes in all or None) is called now and then; without it a tqdm bar is
    drawn if tqdm is installed and stderr is a terminal.

    Raises ConnectionError if the network fails (what has come is kept for the next call),
    ValueError if the whole file has another md5 (it is removed), OSError if it cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _one_process_at_a_time(path.parent):
        if path.is_file() and md5_of(path) == md5:
            return path
        part = path.with_name(path.name + ".part")
        if not (part.is_file() and md5_of(part) == md5):
            _fetch(url, part, progress or _terminal_bar(path.name))
        if (found := md5_of(part)) != md5:
            part.unlink()
            raise ValueError(f"{url}: expected md5 {md5}, found {found}; the file was not kept")
        os.replace(part, path)
    return path


def md5_of(path: AnyPath) -> str:
    """The md5 of a file, in hexadecimal: what the authors publish, a check against accidents."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _one_process_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which even a crash releases; where there are no locks, go on."""
    with open(folder / ".lock", "ab") as file:
        if sys.platform != "win32":
            with suppress(OSError):  # some network file systems
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(url: str, part: Path, progress: Progress) -> None:
    """Write the rest of `url` to `part`, or all of it if the server cannot continue."""
    with _network_failure_is_one_line(url):
        response = _request(url, offset=part.stat().st_size if part.is_file() else 0)
    with response:
        resumed = response.status == 206
        with open(part, "ab" if resumed else "wb") as file:
            length = response.headers["Content-Length"]
            total = file.tell() + int(length) if length else None
            while piece := _next_piece(url, response):
                file.write(piece)
                progress(file.tell(), total)
            if total is not None and file.tell() < total:
                raise ConnectionError(
                    f"{url}: the connection ended after {file.tell():,} of {total:,} bytes; "
                    "the next attempt will continue from there"
                )


def _request(url: str, offset: int) -> HTTPResponse:
    # Packed on the way, the bytes could be neither counted nor continued.
    headers = {"User-Agent": "tinyproto", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and offset:  # we have as much or more than there is: begin again
            return _request(url, offset=0)
        raise
    return response


def _next_piece(url: str, response: HTTPResponse) -> bytes:
    with _network_failure_is_one_line(url):
        return response.read(PIECE)


@contextmanager
def _network_failure_is_one_line(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPException) as error:
        reason = " ".join((str(error) or type(error).__name__).split())
        raise ConnectionError(f"{url}: the download failed: {reason}") from error


def _terminal_bar(name: str) -> Progress:
    """A tqdm bar where there is a terminal to draw it on and tqdm to draw it; else nothing."""
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
