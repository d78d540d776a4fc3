"""A progress bar on standard error: tqdm's where it is installed, else a line now and then."""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Advance", "progress"]

Advance = Callable[[int, str], None]
"""advance(count, text): `count` more units are done, and what to write beside the bar."""


@contextmanager
def progress(
    total: int,
    unit: str,
    *,
    title: str = "training",
    initial: int = 0,
    verbose: bool = True,
    max_lines: int = 10,
    leave: bool = True,
) -> Iterator[Advance]:
    """Show how far a loop is.

    Parameters
    ----------
    total : int
        Units in the whole loop.
    unit : str
        What is counted, such as "image".
    title : str
        What is written in front of the bar.
    initial : int
        Units that an earlier run has done.
    verbose : bool
        False shows nothing.
    max_lines : int
        How many lines there are at most where tqdm is not installed.
    leave : bool
        Whether the bar of tqdm stays on the screen at the end.

    Yields
    ------
    Advance
        advance(count, text), to be called after each part of the loop.

    Examples
    --------
    >>> from tinyproto.progress import progress
    >>> with progress(1000, "image", verbose=False) as advance:
    ...     for batch in range(10):
    ...         advance(100, f"loss {1 / (1 + batch):.3f}")
    """
    if not verbose:
        yield lambda count, text: None
    elif importlib.util.find_spec("tqdm") is None:
        started, done = time.perf_counter(), initial
        printed = done * max_lines // max(total, 1)

        def print_line(count: int, text: str) -> None:
            nonlocal done, printed
            done += count
            if done * max_lines // max(total, 1) > printed:
                printed = done * max_lines // max(total, 1)
                elapsed = time.perf_counter() - started
                line = f"{title}: {done}/{total} {unit}s, {elapsed:.0f} s"
                print(f"{line}: {text}" if text else line, file=sys.stderr)

        yield print_line
    else:
        from tqdm import tqdm

        with tqdm(total=total, initial=initial, unit=unit, desc=title, leave=leave) as bar:

            def advance(count: int, text: str) -> None:
                bar.set_postfix_str(text, refresh=False)
                bar.update(count)

            yield advance
