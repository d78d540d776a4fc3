"""The folder of a run's results: for one run at a time, and with the results of one run only."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextmanager
def result_folder(
    folder: Path,
    files: Iterable[str],
    *,
    overwrite: bool = False,
    checkpoint: str | None = None,
    resume: bool = False,
) -> Iterator[None]:
    """Within the block, the folder is this run's: another process that enters it is refused.

    Parameters
    ----------
    folder : Path
        The folder; it is made, and removed if it is still empty at the end.
    files : iterable of str
        Names of the files that the run writes.
    overwrite : bool
        Whether these files may be there already. `remove_results` removes them.
    checkpoint : str, optional
        The one of them from which a run can continue.
    resume : bool
        Whether it does: then the others may be there, too, and a line says so if none is.

    Raises
    ------
    ValueError
        For a folder that cannot be written to, one that another run uses, and one with results
        that may not be overwritten; nothing has been changed then.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: a folder for the results is needed")
    with _locked(
        folder / ".lock", f"results to {folder}", f"another run is writing its results to {folder}"
    ):
        found = [name for name in files if (folder / name).exists()]
        if resume and not found:
            print(f"{folder} has nothing to resume: this run starts anew", file=sys.stderr)
        elif found and not overwrite and not (resume and checkpoint in found):
            what = f"no {checkpoint} to resume, but " if resume else ""
            advice = ["choose another --out", "replace them with --overwrite"]
            advice += ["continue with --resume"] if checkpoint in found else []
            raise ValueError(
                f"{folder} has {what}the results of a run ({', '.join(found)}): "
                f"{', '.join(advice[:-1])} or {advice[-1]}"
            )
        yield


def remove_results(folder: Path, files: Iterable[str]) -> None:
    """Remove what an earlier run has left, so that the folder never has a part of each."""
    for name in files:
        (folder / name).unlink(missing_ok=True)


@contextmanager
def lock_for(path: Path | None, what: str) -> Iterator[None]:
    """`exclusive` for one who writes to a file, if there is one; `what` is what the other is. The
    file's folder is made, and removed if it is still empty at the end."""
    if path is None:
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    with _locked(lock, str(path), f"another {what} is writing to {path}"):
        yield


@contextmanager
def _locked(lock: Path, what: str, refusal: str) -> Iterator[None]:
    """`exclusive`, in a folder that is made, and removed if it is still empty at the end. Raises
    ValueError with `what` cannot be written for a folder in which no file can be made."""
    new = not lock.parent.exists()
    try:
        with suppress(FileExistsError):  # a file: then `touch` says that it is no folder
            lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise ValueError(f"cannot write {what}: {error.strerror}") from None
    try:
        with exclusive(lock, refusal):
            yield
    finally:
        if new:
            with suppress(OSError):  # not empty
                lock.parent.rmdir()


@contextmanager
def exclusive(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock of a file, which is removed at the end. The lock is the operating system's: it
    ends with the process, however that ends. Raises ValueError(refusal) if it is taken."""
    while True:
        file = open(path, "a")  # noqa: SIM115
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            raise ValueError(refusal) from None
        except OSError:
            pass  # a file system without locks
        with suppress(FileNotFoundError):  # removed by the one that held it: make another
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                break
        file.close()
    try:
        yield
    finally:
        with suppress(PermissionError):  # on Windows a file that is open cannot be removed
            path.unlink(missing_ok=True)
        file.close()


def _lock(file: IO[str]) -> None:
    """Lock the file or raise an OSError at once."""
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
