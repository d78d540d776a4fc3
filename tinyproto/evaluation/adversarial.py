"""A file of the adversarial examples that evaluations have found, one row for each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..attacks import Victim
from ..backend.device import Array, array_module, to_host
from ..state import save_arrays
from .checks import examples_checksum
from .report import UNBOUNDED, Report, Result

KIND = "adversarial examples"


def save_adversarial(
    path: str | Path,
    victim: Victim,
    x: Array,
    y: Array,
    reports: Sequence[Report],
    *,
    index: Array | None = None,
    batch_size: int = 250,
    metadata: Mapping[str, Any] | None = None,
) -> int:
    """Write the adversarial examples of evaluations of one victim to a file.

    Parameters
    ----------
    path : str or Path
        The file, .npz, which is written whole or not at all.
    victim : Victim
        The classifier, for its answers.
    x, y : array
        The examples and labels that were attacked.
    reports : list of Report
        From `evaluate(…, keep_adversarial=True)`: one for each radius, all in one norm.
    index : array (N,), optional
        Indices of the examples in their data set; 0 … N − 1 if not given.
    batch_size : int
        Number of examples per call of the victim.
    metadata : mapping, optional
        Anything else to store, of JSON's types.

    Returns
    -------
    int
        The number M of adversarial examples.

    Raises
    ------
    ValueError
        For reports of other examples, or of several norms.

    Notes
    -----
    The entries have one row for each attack that found a misclassified point within eps of an
    example, in the order of the reports, their attacks, and the examples:

    - adversarial (M, …): the point, as the attack returned it.
    - label, prediction (M,): the right class and the answer, columns of the victim's scores.
    - index (M,): of the example in its data set.
    - eps (M,): the radius of the evaluation, float64. attack (M,): the attack's name.
    - distance (M,): from the example to the point, float64.
    - norm (): that of eps and distance.

    Examples that are misclassified unattacked have no row.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> from tinyproto.evaluation import evaluate, save_adversarial
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.9, 0.1], [0.55, 0.45]]), np.array([0, 0])
    >>> report = evaluate(
    ...     victim, x, y, ["fgsm"], eps=0.1, keep_adversarial=True, verbose=False)
    >>> save_adversarial("adversarial.npz", victim, x, y, [report])
    1
    >>> with np.load("adversarial.npz") as file:
    ...     file["index"], file["label"], file["prediction"], file["adversarial"].round(2)
    (array([1]), array([0]), array([1]), array([[0.45, 0.55]]))
    """
    places = np.arange(len(x)) if index is None else to_host(index)
    labels = to_host(y)
    norms = {report.settings["norm"] for report in reports}
    known = {examples_checksum(x, y, at) for at in (places, np.arange(len(x)))}
    if len(norms) != 1 or any(report.settings.get("images") not in known for report in reports):
        raise ValueError("reports must be one or more, of these examples and of one norm")
    found = [
        (report.settings["eps"], name, at, result.distance[at], result.adversarial[at])
        for report in reports
        for name, result in report.results.items()
        if not name.endswith(UNBOUNDED)
        for at in sorted(result.adversarial)
    ]
    at = np.array([row[2] for row in found], dtype=np.int64)
    points = np.stack([row[4] for row in found]) if found else np.empty((0, *x.shape[1:]), x.dtype)
    save_arrays(
        {
            "adversarial": points,
            "label": labels[at],
            "prediction": _answers(victim, points, x, batch_size),
            "index": places[at],
            "eps": np.array([row[0] for row in found], dtype=np.float64),
            "attack": np.array([row[1] for row in found], dtype=np.str_),
            "distance": np.array([row[3] for row in found], dtype=np.float64),
            "norm": np.array(norms.pop()),
        },
        path,
        {"kind": KIND, **(metadata or {})},
    )
    return len(found)


def count_missing(result: Result) -> int:
    """How many misclassified points an earlier run had found that were not found again."""
    return int((result.attacked & ~result.robust).sum()) - len(result.adversarial)


def _answers(victim: Victim, points: np.ndarray, x: Array, batch_size: int) -> np.ndarray:
    """The class that the victim answers for each point, (M,)."""
    xp, uncounted = array_module(x), victim.uncounted()
    answers = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(points), batch_size):
        z, _ = uncounted(xp.asarray(points[start : start + batch_size]))
        answers.append(to_host(z.argmax(axis=1)))
    return np.concatenate(answers)
