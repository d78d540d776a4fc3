"""Exact radii of many inputs: shared among processes, with a file from which to go on.

Every input is computed by itself (`Search.radii`), so its radius has the same bits for any number
of workers, whatever was stopped and resumed. Inputs go to the workers a few at a time, those of one
predicted class together, since the rows A_m − Aₖ of a class are computed when it is first met.
"""

import multiprocessing
import signal
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path

import numpy as np

from ...backend import cpu
from ...backend.device import Array
from ...progress import progress
from ...validation import check_count
from ..base import WinnerTakeAll
from .radius import prepare
from .radius_file import description, load_radii, save_radii
from .search import Search

INPUTS_PER_TASK = 16
INPUTS_PER_PRODUCT = 256  # whose class is predicted together
SAVE_EVERY = 10.0  # seconds

Part = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Some inputs' places, radii, and lengths of δ."""

_search: Search | None = None  # of a worker process


def certify(
    network: WinnerTakeAll,
    x: Array,
    y: Array | None = None,
    *,
    norm: str | float = "l2",
    lo: float | None = None,
    hi: float | None = None,
    overshoot: float = 0.0,
    workers: int = 1,
    path: str | Path | None = None,
    verbose: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The radii of `exact_radius`, for many inputs: in several processes, and resumable.

    Parameters
    ----------
    network : IPWTA, EDWTA or PlusMinusEDWTA
        A fitted network.
    x : array (N, …)
        The inputs.
    y : array (N,), optional
        The true labels; an input that is classified wrongly then has radius 0.
    norm, lo, hi, overshoot
        As in `exact_radius`.
    workers : int, default 1
        The number of processes, each with one thread; 1 computes in this one. They start as
        `multiprocessing` is set to; under "spawn", the program needs `if __name__ == "__main__":`.
    path : str or Path, optional
        A file, .npz, for the radii found so far. It is replaced as a whole every ten seconds, at
        the end, and when the computation is interrupted. If it exists, its radii are taken over.
    verbose : bool, default False
        Whether to show a progress bar.

    Returns
    -------
    radius : array (N,)
        In float64, the proven lower bounds of `exact_radius`: the same bits for any number of
        workers.
    length : array (N,)
        The norms of its perturbations, which reach another class: upper bounds. 0 where the radius
        is 0, ∞ where it is ∞.

    Raises
    ------
    ValueError
        As `exact_radius`, and for a file with radii of another network, other inputs or options.
    RuntimeError
        If a worker process ends without a result, as one does that is killed.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA
    >>> from tinyproto.prototypes.certificate import certify
    >>> x, y = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]]), [0, 0, 1, 1]
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="kmeans").fit(x, y)
    >>> radius, length = certify(network, x, y, path="radii.npz")
    >>> radius.round(6).tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    check_count("workers", workers)
    search, x, label = prepare(network, x, y, norm=norm, lo=lo, hi=hi, overshoot=overshoot)
    radius, length = np.full(len(x), np.nan), np.full(len(x), np.nan)
    if path is not None:
        content = description(search, x, label)
        if Path(path).exists():
            radius, length = load_radii(path, content)
    todo = np.flatnonzero(np.isnan(radius))
    tasks = _tasks(search, x, todo)
    share = _in_processes if workers > 1 and len(tasks) > 1 else _in_this_process
    bar = progress(
        len(x), "input", title="radii", initial=len(x) - len(todo), verbose=verbose
    )  # fmt: skip
    saved = time.monotonic()
    try:
        with closing(share(search, x, label, tasks, workers)) as parts, bar as advance:
            for at, radii, lengths in parts:
                radius[at], length[at] = radii, lengths
                advance(len(at), "")
                if path is not None and time.monotonic() - saved > SAVE_EVERY:
                    save_radii(path, radius, length, content)
                    saved = time.monotonic()
    except BrokenProcessPool:
        raise RuntimeError(
            f"a worker process ended before its radii were found ({(~np.isnan(radius)).sum()} of "
            f"{len(x)} are): it was killed, or is short of memory (use fewer workers), or could "
            f'not start (a program needs `if __name__ == "__main__":` around its start)'
        ) from None
    finally:
        if path is not None and len(todo):
            save_radii(path, radius, length, content)
    return radius, length


def _tasks(search: Search, x: np.ndarray, todo: np.ndarray) -> list[np.ndarray]:
    """Places of a few inputs each, those of one predicted class after another."""
    predicted = np.zeros(len(todo), dtype=int)
    for start in range(0, len(todo), INPUTS_PER_PRODUCT):
        part = slice(start, start + INPUTS_PER_PRODUCT)
        scores = x[todo[part]] @ search.real.A.T + search.real.b
        predicted[part] = search.owner[scores.argmax(axis=1)]
    tasks = []
    for each in range(search.owner[-1] + 1):
        at = todo[predicted == each]
        tasks += [at[i : i + INPUTS_PER_TASK] for i in range(0, len(at), INPUTS_PER_TASK)]
    return tasks


def _solve(search: Search, at: np.ndarray, x: np.ndarray, label: np.ndarray | None) -> Part:
    radius, delta = search.radii(x, label)
    length = np.linalg.norm(delta, ord=2 if search.task.norm == "l2" else np.inf, axis=1)
    return at, radius, np.where(np.isinf(radius), np.inf, length)


def _in_this_process(
    search: Search, x: np.ndarray, label: np.ndarray | None, tasks: list[np.ndarray], workers: int
) -> Generator[Part, None, None]:
    for at in tasks:
        yield _solve(search, at, x[at], None if label is None else label[at])


def _in_processes(
    search: Search, x: np.ndarray, label: np.ndarray | None, tasks: list[np.ndarray], workers: int
) -> Generator[Part, None, None]:
    """Parts in the order in which they are done. Ends when all workers have stopped."""
    context = multiprocessing.get_context()
    executor = ProcessPoolExecutor(min(workers, len(tasks)), context, _start_worker, (search,))
    try:
        futures = [
            executor.submit(_work, at, x[at], None if label is None else label[at]) for at in tasks
        ]
        for future in as_completed(futures):
            yield future.result()
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker(search: Search) -> None:
    """Ctrl-C is for the parent; the cores are for one thread of each worker."""
    global _search
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cpu.load_numba().set_num_threads(1)
    _search = search


def _work(at: np.ndarray, x: np.ndarray, label: np.ndarray | None) -> Part:
    assert _search is not None
    return _solve(_search, at, x, label)
