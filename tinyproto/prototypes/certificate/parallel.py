"""Exact radii of many inputs: shared among processes, with a file from which to go on."""

import time
from contextlib import closing
from pathlib import Path

import numpy as np

from ...backend.device import Array
from ...progress import progress
from ...validation import check_count
from ...workers import ExecutorLike, worker_processes
from ..base import WinnerTakeAll
from .radius import prepare
from .radius_file import description, load_radii, save_radii
from .share import INPUTS_PER_TASK, radii_in_parts

SAVE_EVERY = 10.0  # seconds


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
    executor: ExecutorLike | None = None,
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
        The number of processes, which share the cores; 1 computes in this one. They start as
        `multiprocessing` is set to; under "spawn", the program needs `if __name__ == "__main__":`.
    executor : Executor or callable, optional
        Instead of `workers`: whose workers share the inputs, as in `exact_radius`.
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
        If worker processes end without a result again and again. One that is killed is replaced.

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
    workers = min(workers, -(-len(todo) // INPUTS_PER_TASK))
    if workers > 1 and executor is None:
        executor = worker_processes(workers)
    order = 2 if search.task.norm == "l2" else np.inf
    bar = progress(
        len(x), "input", title="radii", initial=len(x) - len(todo), verbose=verbose
    )  # fmt: skip
    saved = time.monotonic()
    try:
        with closing(radii_in_parts(search, x, label, todo, executor)) as parts, bar as advance:
            for at, radii, delta in parts:
                lengths = np.linalg.norm(delta, ord=order, axis=1)
                radius[at], length[at] = radii, np.where(np.isinf(radii), np.inf, lengths)
                advance(len(at), "")
                if path is not None and time.monotonic() - saved > SAVE_EVERY:
                    save_radii(path, radius, length, content)
                    saved = time.monotonic()
    finally:
        if path is not None and len(todo):
            save_radii(path, radius, length, content)
    return radius, length
