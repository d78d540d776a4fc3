"""What happens to locks, memory and threads when the process forks.

Of the parent's threads, only the one that forks goes on in the child. A lock that another held is
then held for ever, and what it was in the middle of stays so.
"""

import logging  # noqa: F401  (before anything is registered here: its lock is taken last)
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import Any


def at_fork(
    in_child: Callable[[], None],
    locks: Callable[[], Iterable[AbstractContextManager[Any]]] = tuple,
) -> None:
    """Hold locks while the process forks, and call a function in the child."""
    held = ExitStack()

    def hold() -> None:
        for lock in locks():
            held.enter_context(lock)

    def release_in_child() -> None:
        held.close()
        in_child()

    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(
            before=hold, after_in_parent=held.close, after_in_child=release_in_child
        )


def was_forked() -> bool:
    """Whether this process was forked, as far as Linux tells: its flags have PF_FORKNOEXEC."""
    try:
        with open("/proc/self/stat") as file:
            flags = file.read().rpartition(")")[2].split()[6]
    except OSError:
        return False
    return bool(int(flags) & 0x40)
