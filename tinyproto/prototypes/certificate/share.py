"""Radii of many inputs, a few at a time: in this process, or in the workers of an executor.

Every input is computed by itself (`Search.radii`), so its radius has the same bits wherever it is
computed. The inputs of a task are of one predicted class, since the rows A_m − Aₖ of a class are
computed when it is first met.
"""

from collections.abc import Generator, Iterator

import numpy as np

from ...workers import ExecutorLike, Workers
from .search import Search

INPUTS_PER_TASK = 16
INPUTS_PER_PRODUCT = 256  # whose class is predicted together

Part = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Some inputs' places, radii (n,), and δ (n, d)."""


def radii_in_parts(
    search: Search,
    x: np.ndarray,
    label: np.ndarray | None,
    todo: np.ndarray,
    executor: ExecutorLike | None,
) -> Generator[Part, None, None]:
    """The radii of the inputs at the places `todo`, in the order in which they are done."""
    tasks = ((at, x[at], None if label is None else label[at]) for at in places(search, x, todo))
    if executor is None:
        yield from (solve(search, *task) for task in tasks)
        return
    with Workers(executor, solve, search, {}) as workers:
        yield from workers.run(tasks)


def places(search: Search, x: np.ndarray, todo: np.ndarray) -> Iterator[np.ndarray]:
    """Those of a few inputs each, of one predicted class after another."""
    predicted = np.zeros(len(todo), dtype=int)
    for start in range(0, len(todo), INPUTS_PER_PRODUCT):
        part = slice(start, start + INPUTS_PER_PRODUCT)
        scores = x[todo[part]] @ search.real.A.T + search.real.b
        predicted[part] = search.owner[scores.argmax(axis=1)]
    for each in range(search.owner[-1] + 1):
        at = todo[predicted == each]
        yield from (at[i : i + INPUTS_PER_TASK] for i in range(0, len(at), INPUTS_PER_TASK))


def solve(search: Search, at: np.ndarray, x: np.ndarray, label: np.ndarray | None) -> Part:
    return at, *search.radii(x, label)
