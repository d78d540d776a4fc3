"""A picture of certified accuracy: the curve that is proved, and that which attacks leave.

Matplotlib is imported when it is used.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..prototypes import certified_accuracy
from ..validation import check_shape, resolve_norm
from .figures import new_figure, save_figure
from .robustness_curve import accuracy_at

__all__ = ["plot_certified_accuracy"]

POINTS = 400  # of each curve
SHOWN = 1.05  # how far the axis goes beyond the distance at which nothing is left
NORMS = {"l2": "L2", "linf": "L∞"}


def plot_certified_accuracy(
    radius: np.ndarray,
    attacked: np.ndarray,
    path: str | Path,
    *,
    norm: str | float = "l2",
    unboxed: np.ndarray | None = None,
    marked: float | None = None,
    title: str = "",
) -> None:
    """Draw the accuracy under perturbations of a norm: the lower curve, which is proved, the upper
    one, which attacks leave, and what lies between them.

    Parameters
    ----------
    radius : array (N,)
        Proven radii, 0 for wrong predictions (`prototypes.certify`).
    attacked : array (N,)
        For the same inputs, the distance of the nearest point at which an attack changed the
        class: 0 for wrong predictions, ∞ where no attack succeeded.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    norm : str or float
        That of the distances, in any of the ways of `validation.resolve_norm`.
    unboxed : array (N,), optional
        Proven radii without the range of valid inputs, for a third curve.
    marked : float, optional
        A radius at which both accuracies are written.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For an unknown norm, arrays of different lengths, and those that `certified_accuracy`
        refuses.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.certified_picture import plot_certified_accuracy
    >>> radius = np.linspace(0, 3, 50)
    >>> plot_certified_accuracy(radius, 1.05 * radius, "certified.png", marked=1.0)
    """
    for other, array in (("attacked", attacked), ("unboxed", unboxed)):
        if array is not None:
            check_shape(other, array, np.shape(radius))
    name = NORMS.get(resolve_norm(norm), str(norm))
    distances = np.concatenate([np.ravel(radius), np.ravel(attacked)])
    farthest = SHOWN * float(distances[np.isfinite(distances)].max(initial=1e-12))

    def proved_at(eps: np.ndarray) -> np.ndarray:
        return 100 * certified_accuracy(radius, eps)

    def left_at(eps: np.ndarray) -> np.ndarray:
        return 100 * accuracy_at(attacked, eps)

    grid = np.linspace(0.0, farthest, POINTS)
    proved, left = proved_at(grid), left_at(grid)
    figure, (axis,) = new_figure(1, width=6.4, height=4.4)
    axis.fill_between(grid, proved, left, color="0.85", label="between them: not known")
    style: dict[str, Any] = {"linewidth": 1.8}
    axis.plot(grid, left, "-.", color="tab:red", label="right under all attacks tried", **style)
    axis.plot(grid, proved, color="tab:blue", label="proved to stay right", **style)
    if unboxed is not None:
        axis.plot(
            grid, 100 * certified_accuracy(unboxed, grid), color="tab:blue", linewidth=1.2,
            linestyle="--", label="proved without the range of pixels",
        )  # fmt: skip
    if marked is not None:
        lower, upper = (float(at(np.array([marked]))[0]) for at in (proved_at, left_at))
        axis.axvline(marked, color="0.6", linewidth=0.8)
        axis.annotate(
            f"at {marked:g}: {lower:.1f} % proved,\n{upper:.1f} % under attack",
            (marked, upper), (8, 10), textcoords="offset points", fontsize=9,
        )  # fmt: skip
    axis.set(xlabel=f"{name} norm of the perturbation", ylabel="accuracy in %")
    axis.set_xlim(0, farthest)
    axis.set_ylim(0, 104)
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.legend(loc="upper right", fontsize=9, framealpha=1.0, edgecolor="0.9")
    if title:
        figure.suptitle(title, fontsize=12)
    save_figure(figure, path)
