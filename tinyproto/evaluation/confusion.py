"""Which classes are confused, and which class becomes which under attack.

Matplotlib is imported when it is used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..validation import check_count
from .figures import new_figure, save_figure
from .geometry.checks import class_indices

NAMED = 20  # classes at most whose names and numbers fit

__all__ = ["changed_classes", "confusion_matrix", "plot_confusion"]


def confusion_matrix(y: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count the examples of each class that get each answer.

    Parameters
    ----------
    y : array (N,)
        The true classes, integers in 0 … classes − 1.
    predicted : array (N,)
        The answers, in the same range.
    classes : int
        Number of classes.

    Returns
    -------
    array (classes, classes)
        A row for each true class, a column for each answer.

    Raises
    ------
    ValueError
        For arrays of different lengths, and for other values.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.confusion import confusion_matrix
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    check_count("classes", classes)
    y = class_indices(y, len(y), classes, "y")
    predicted = class_indices(predicted, len(y), classes, "predicted")
    return np.bincount(y * classes + predicted, minlength=classes**2).reshape(classes, classes)


def changed_classes(
    y: np.ndarray, clean: np.ndarray, attacked: np.ndarray, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Which class becomes which, among the examples that an attack turned from right to wrong.

    Parameters
    ----------
    y : array (N,)
        The true classes, integers in 0 … C − 1.
    clean, attacked : array (N,)
        The answers without and with the attack.
    class_names : list of str
        The names of the C classes.

    Returns
    -------
    list of dict
        For each pair that occurs, the most frequent first: "class", "becomes", "images", and "% of
        the class" of which this is the share, among its examples that are right unattacked.

    Raises
    ------
    ValueError
        As `confusion_matrix` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.confusion import changed_classes
    >>> y, attacked = np.array([0, 0, 0, 1]), np.array([1, 0, 1, 1])
    >>> changed_classes(y, np.array([0, 0, 0, 1]), attacked, ["cat", "dog"])
    [{'class': 'cat', 'becomes': 'dog', 'images': 2, '% of the class': 66.66666666666667}]
    """
    count, classes = len(y), len(class_names)
    y = class_indices(y, count, classes, "y")
    right = class_indices(clean, count, classes, "clean") == y
    attacked = class_indices(attacked, count, classes, "attacked")
    counts = confusion_matrix(y[right], attacked[right], classes)
    total = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")
    return [
        {
            "class": class_names[row],
            "becomes": class_names[column],
            "images": int(counts[row, column]),
            "% of the class": float(100 * counts[row, column] / total[row]),
        }
        for row, column in zip(*np.unravel_index(order, counts.shape), strict=True)
        if counts[row, column]
    ]


def plot_confusion(
    matrices: Mapping[str, np.ndarray],
    path: str | Path,
    *,
    class_names: Sequence[str],
    title: str = "",
) -> None:
    """Draw confusion matrices side by side, each row in % of its class.

    Parameters
    ----------
    matrices : dict of str to array (C, C)
        Those of `confusion_matrix`, by the title of their panel.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    class_names : list of str
        The names of the C classes.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For no matrix, one of another size than the names, and another ending.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.confusion import plot_confusion
    >>> matrix = np.array([[9, 1], [2, 8]])
    >>> plot_confusion({"clean": matrix}, "confusion.png", class_names=["cat", "dog"])
    """
    size = len(class_names)
    for name, matrix in matrices.items():
        if np.shape(matrix) != (size, size):
            raise ValueError(
                f"the matrix {name!r} must be ({size}, {size}) as the class names, not "
                f"{np.shape(matrix)}"
            )
    if not matrices:
        raise ValueError("matrices must have one matrix or more, not none")
    side = 1.6 + 0.36 * min(size, NAMED)
    figure, axes = new_figure(len(matrices), width=side, height=side)
    ticks = np.arange(size)
    for axis, (name, counts) in zip(axes, matrices.items(), strict=True):
        matrix = np.asarray(counts)
        percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axis.imshow(percent, cmap="Blues", vmin=0, vmax=100)
        if size <= NAMED:
            for row, column in zip(*np.nonzero(percent >= 0.5), strict=True):
                value = percent[row, column]
                colour = "white" if value > 55 else "black"
                axis.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour,
                          fontsize=8)  # fmt: skip
            axis.set_xticks(ticks, labels=class_names, rotation=60, ha="right", fontsize=8)
            axis.set_yticks(ticks, labels=class_names, fontsize=8)
        axis.set(title=name, xlabel="answer")
    axes[0].set_ylabel("true class, its images as 100 %")
    if title:
        figure.suptitle(title, fontsize=12)
    save_figure(figure, path)
