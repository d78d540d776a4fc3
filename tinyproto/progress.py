"""A progress bar: tqdm's where it is installed, else a line now and then."""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, str], None]


@contextmanager
def progress(
    total: int,
    unit: str,
    *,
    title: str = "training",
    done: int = 0,
    shown: bool = True,
    lines: int = 10,
) -> Iterator[Advance]:
    """`advance(count, text)`: so many units more, and what to say of them.

    done: units that an earlier run has done. lines: how many, at most, without tqdm.
    """
    if not shown:
        yield lambda count, text: None
    elif importlib.util.find_spec("tqdm") is None:
        started, reached, said = time.perf_counter(), done, done * lines // max(total, 1)

        def line(count: int, text: str) -> None:
            nonlocal reached, said
            reached += count
            if reached * lines // max(total, 1) > said:
                said = reached * lines // total
                elapsed = time.perf_counter() - started
                print(f"{reached}/{total} {unit}, {elapsed:.0f} s: {text}", file=sys.stderr)

        yield line
    else:
        from tqdm import tqdm

        with tqdm(total=total, initial=done, unit=unit, desc=title) as bar:

            def advance(count: int, text: str) -> None:
                bar.set_postfix_str(text, refresh=False)
                bar.update(count)

            yield advance
