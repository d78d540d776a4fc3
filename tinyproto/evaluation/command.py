"""What the commands share: options, and how they end.

An error or an interruption is one line on standard error. The exit status is 1 for an error, 130
after Ctrl-C, 143 after SIGTERM, and 141 where the reader of standard output has gone (`| head`), in
silence. argparse ends with 2 for options that it does not know, and `tinyproto` for wrong input.
"""

import argparse
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..backend.device import DeviceError
from ..training import NotFinite
from ..workers import WorkersFailed
from .figures import FORMATS

WRONG_INPUT = (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError)
ERRORS = (ValueError, OSError, ImportError, MemoryError, DeviceError, NotFinite, WorkersFailed)


BROKEN_PIPE = 13
"""The number of SIGPIPE, which Windows does not have."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: files that are being written are cleaned up, as after Ctrl-C."""

    signal_number = signal.SIGTERM


class Ended(SystemExit):
    """The end of the process after a line, with a status other than 1."""

    def __init__(self, line: str, status: int):
        super().__init__(line)
        self.code = status


def add_run_options(parser: argparse.ArgumentParser, out: str) -> None:
    """The options of every program that trains; `out` is its folder of results."""
    add = parser.add_argument
    add("--seed", type=int, default=0, metavar="N", help="seed of all random numbers (0)")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (cpu)")
    add(
        "--out", type=Path, default=Path(out), metavar="DIR", help=f"folder for the results ({out})"
    )
    add("--overwrite", action="store_true", help="replace the results of another run in --out")
    add("--format", choices=FORMATS, default="png", help="file format of the pictures (png)")


def can_draw(packages: Mapping[str, str], *files: str) -> bool:
    """Whether these packages are installed (module: name on PyPI); if not, a line says which files
    are left out."""
    missing = [name for module, name in packages.items() if not importlib.util.find_spec(module)]
    if missing:
        install = f"pip install {' '.join(missing)}"
        print(f"left out: {', '.join(files)}; to draw them: {install}", file=sys.stderr)
    return not missing


def run_command(
    run: Callable[[], Any], advice: Callable[[], str] = lambda: "", *, wrong_input: int = 1
) -> None:
    """Run a command; end the process with one line and an exit status where it fails.

    Parameters
    ----------
    run : callable
        The command, without arguments.
    advice : callable
        Returns what a user can do after an interruption, to be said after it; "" for nothing.
    wrong_input : int
        The exit status for an argument or a file that the command cannot take.
    """
    main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _terminate) if main_thread else None
    try:
        run()
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        sys.exit(128 + BROKEN_PIPE)
    except ERRORS as error:
        line = f"error: {describe_error(error)}"
        if wrong_input == 1 or not isinstance(error, WRONG_INPUT):
            sys.exit(line)
        print(line, file=sys.stderr)
        raise Ended(line, wrong_input) from None
    except KeyboardInterrupt as stop:
        print("; ".join(filter(None, [str(stop) or "stopped", advice()])), file=sys.stderr)
        sys.exit(128 + getattr(stop, "signal_number", signal.SIGINT))
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def describe_error(error: BaseException) -> str:
    """The error in one line; one of the operating system names the file and not a number."""
    file = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if isinstance(error, OSError) and error.strerror and file is not None:
        return f"{file}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _drop_output() -> None:
    """Let what is left of standard output go nowhere, so that the end of Python does not complain
    that nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _terminate(number: int, frame: Any) -> None:
    raise Terminated
