"""Accuracy against the radius: one run of attacks that look for the nearest points gives all radii.

An attack such as FAB or Carlini and Wagner's returns, for each example, the nearest misclassified
point that it found, at a distance r. The example is right at every radius below r as far as this
attack knows, and wrong at r and above. So the accuracies at all radii are those distances, sorted.
They are upper bounds: a better attack finds nearer points. Matplotlib is imported when it is used.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..validation import check_shape, resolve_norm
from .figures import LINE_STYLES, new_figure, save_figure
from .report import NORMS, Report

__all__ = ["accuracy_at", "nearest_distances", "plot_robustness_curves"]

POINTS = 400  # of each curve
SHOWN = 1.05  # of the largest distance or radius


def nearest_distances(report: Report) -> np.ndarray:
    """The distance from each example to the nearest misclassified point that any attack found.

    Parameters
    ----------
    report : Report
        What `evaluate` returned.

    Returns
    -------
    array (N,)
        In the norm and the units of the report: 0 for an example that is misclassified unattacked,
        ∞ where no attack found a point.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> from tinyproto.evaluation import evaluate
    >>> from tinyproto.evaluation.robustness_curve import nearest_distances
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.3]]), np.array([0, 0, 0])
    >>> report = evaluate(victim, x, y, ["fab"], eps=0.1, verbose=False)
    >>> nearest_distances(report).round(2).tolist()
    [0.4, 0.05, 0.0]
    """
    found = np.full(len(report.correct), np.inf)
    for result in report.results.values():
        found = np.minimum(found, result.distance)
    return np.where(report.correct, found, 0.0)


def accuracy_at(distances: np.ndarray, eps: np.ndarray | float) -> np.ndarray:
    """The accuracy under attack at each radius.

    Parameters
    ----------
    distances : array (N,)
        Those of `nearest_distances`.
    eps : array (E,) or float
        Radii, 0 or more, in the same units.

    Returns
    -------
    array (E,)
        The fraction of the examples whose nearest misclassified point is farther than eps.

    Raises
    ------
    ValueError
        For no distances, negative ones or NaN, and for such radii.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.robustness_curve import accuracy_at
    >>> accuracy_at(np.array([0.4, 0.05, 0.0, np.inf]), [0.0, 0.05, 0.5]).tolist()
    [0.75, 0.5, 0.25]
    """
    distances, eps = np.asarray(distances, np.float64), np.asarray(eps, np.float64)
    check_shape("distances", distances, ("N",))
    if not len(distances) or not (distances >= 0).all() or not (eps >= 0).all():
        raise ValueError("distances, of one example or more, and eps must be 0 or more")
    at = np.searchsorted(np.sort(distances), eps, side="right")
    accuracy: np.ndarray = 1 - at / len(distances)
    return accuracy


def plot_robustness_curves(
    curves: Mapping[str, np.ndarray],
    path: str | Path,
    *,
    norm: str | float = "linf",
    marked: float | None = None,
    title: str = "",
) -> None:
    """Draw the accuracy under attack against the radius.

    Parameters
    ----------
    curves : dict of str to array (N,)
        Distances, as of `nearest_distances`, by the name of their curve.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    norm : {"linf", "l2", "l1"}
        Norm of the distances.
    marked : float, optional
        A radius at which the accuracies are written.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For no curve, another ending, and as `accuracy_at` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.robustness_curve import plot_robustness_curves
    >>> distances = np.random.default_rng(0).exponential(0.03, 200)
    >>> plot_robustness_curves({"network": distances}, "robustness.png", marked=8 / 255)
    """
    if not curves:
        raise ValueError("curves must have one curve or more, not none")
    every = np.concatenate([np.ravel(distances) for distances in curves.values()])
    farthest = max(float(every[np.isfinite(every)].max(initial=0)), marked or 0.0) or 1.0
    grid = np.linspace(0.0, SHOWN * farthest, POINTS)
    figure, (axis,) = new_figure(1, width=6.4, height=4.2)
    for n, (name, distances) in enumerate(curves.items()):
        label = name
        if marked is not None:
            label = f"{name}: {100 * float(accuracy_at(distances, marked)):.1f} % at {marked:.3g}"
        style = LINE_STYLES[n % len(LINE_STYLES)]
        axis.plot(grid, 100 * accuracy_at(distances, grid), style, linewidth=1.8, label=label)
    if marked is not None:
        axis.axvline(marked, color="0.6", linewidth=0.8)
    axis.set(
        xlabel=f"{NORMS[resolve_norm(norm, tuple(NORMS))]} norm of the perturbation",
        ylabel="accuracy in %",
        xlim=(0, grid[-1]), ylim=(0, 104),
    )  # fmt: skip
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.legend(loc="upper right", fontsize=9, framealpha=1.0, edgecolor="0.9")
    if title:
        figure.suptitle(title, fontsize=12)
    save_figure(figure, path)
