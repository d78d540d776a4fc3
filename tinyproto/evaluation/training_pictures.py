"""Pictures of a training run: loss and accuracies, attacked images, and the latent space.

Matplotlib is imported when it is used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .figures import new_figure, save_figure
from .geometry.checks import class_indices
from .latent_picture import plot_latent_space

__all__ = ["plot_attacks", "plot_history", "plot_latent_space"]

ACCURACIES = {  # key in a row of the history: label and colour of its curve
    "train": ("training images, in training", "0.6"),
    "clean": ("held out, clean", "tab:blue"),
    "robust": ("held out, attacked", "tab:red"),
}
RIGHT_AT_THE_END = {  # the title of the accuracies: the last of these that there is
    "train": "{:.1%} of the training images are right at the end.",
    "clean": "{:.1%} of the held-out images are right at the end.",
    "robust": "Attacked, {:.1%} of the held-out images are right at the end.",
}


def plot_history(
    history: Sequence[Mapping[str, float]], path: str | Path, *, title: str = ""
) -> None:
    """Draw the training loss (left) and the accuracies (right) over the epochs.

    Parameters
    ----------
    history : list of dict
        A row for each epoch, as `fit` returns them: epoch, loss and train (accuracy), and clean and
        robust where images were held out. Accuracies are in [0, 1].
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For a history without rows.

    Examples
    --------
    >>> from tinyproto.evaluation.training_pictures import plot_history
    >>> rows = [{"epoch": e, "loss": 1 / e, "train": 1 - 1 / e} for e in (1, 2, 3)]
    >>> plot_history(rows, "curves.png")
    """
    if not history:
        raise ValueError("history must have a row for one epoch or more, not none")
    figure, (left, right) = new_figure(2, width=5.2, height=4.2)
    style: dict[str, Any] = {"linewidth": 1.8, "markersize": 4}
    if len(history) <= 30:
        style["marker"] = "o"
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["loss"] for row in history], color="0.25", **style)
    left.set(xlabel="epoch", ylabel="mean loss on the training images")
    left.set_title(f"The training loss ends at {history[-1]['loss']:.3g}.", fontsize=11)
    for key, (label, colour) in ACCURACIES.items():
        rows = [row for row in history if key in row]
        if rows:
            right.set_title(RIGHT_AT_THE_END[key].format(rows[-1][key]), fontsize=11)
            label = f"{label}: {rows[-1][key]:.1%} at the end"
            values = [100 * row[key] for row in rows]
            right.plot([row["epoch"] for row in rows], values, color=colour, label=label, **style)
    right.set(xlabel="epoch", ylabel="accuracy in %")
    right.set_ylim(0, 1.35 * right.get_ylim()[1])  # leaves room for the legend above the curves
    right.set_yticks([tick for tick in right.get_yticks() if tick <= 100])
    right.legend(loc="upper left", fontsize=9, frameon=False)
    for axis in (left, right):
        axis.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(color="0.92")
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def plot_attacks(
    images: np.ndarray,
    attacked: np.ndarray,
    path: str | Path,
    *,
    labels: np.ndarray,
    clean_probabilities: np.ndarray,
    attacked_probabilities: np.ndarray,
    class_names: Sequence[str],
    eps: float,
    title: str = "",
) -> None:
    """Draw correctly classified images before and after an attack, and by how much they changed.

    Parameters
    ----------
    images, attacked : array (n, H, W, 3)
        Images in [0, 1] before and after the attack, a column each; 6 to 8 fill a page.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    labels : array (n,)
        True classes, as indices of `class_names`.
    clean_probabilities, attacked_probabilities : array (n, C)
        The classifier's probabilities before and after the attack. Below each image stands the
        most probable class, in red if it is wrong, and then that of the true class, too.
    class_names : list of str
        Names of the classes.
    eps : float
        Radius of the attack in L∞, in the units of the images.
    title : str
        A second line of the title.

    Raises
    ------
    ValueError
        For arrays whose shapes or labels do not match, and for images that are misclassified before
        the attack, whose attack would show nothing.

    Notes
    -----
    A difference of 0 is drawn grey; the largest difference in any image is black or white.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.training_pictures import plot_attacks
    >>> images = np.random.default_rng(0).random((1, 4, 4, 3))
    >>> before, after = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
    >>> plot_attacks(
    ...     images, 1 - images, "attacks.png", labels=[0], clean_probabilities=before,
    ...     attacked_probabilities=after, class_names=["cat", "dog"], eps=1.0,
    ... )
    """
    x, moved = np.asarray(images, dtype=np.float64), np.asarray(attacked, dtype=np.float64)
    if x.ndim != 4 or x.shape[3] != 3 or not len(x) or moved.shape != x.shape:
        raise ValueError(
            f"images and attacked must both be (n, H, W, 3), not {x.shape} and {moved.shape}"
        )
    y = class_indices(labels, len(x), len(class_names))
    before, after = np.asarray(clean_probabilities), np.asarray(attacked_probabilities)
    for name, p in (("clean_probabilities", before), ("attacked_probabilities", after)):
        if p.shape != (len(x), len(class_names)):
            raise ValueError(f"{name} must be {(len(x), len(class_names))}, not {p.shape}")
    if (before.argmax(axis=1) != y).any():
        wrong = np.flatnonzero(before.argmax(axis=1) != y)
        raise ValueError(f"image {wrong[0]} is misclassified before the attack: leave it out")
    changed = int((after.argmax(axis=1) != y).sum())
    difference = moved - x
    largest = float(np.abs(difference).max()) or eps
    rows = {
        "image": x,
        f"difference\n× {0.5 / largest:.3g}\n(grey is 0)": 0.5 + 0.5 * difference / largest,
        f"attacked\nε = {_radius(eps)}": moved,
    }
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 * max(len(x), 5) + 1.2, 5.0), layout="constrained")
    axes = figure.subplots(len(rows), len(x), squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(np.clip(picture, 0, 1), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10, labelpad=8)
    _label_row(axes[0][0], "answer")
    _label_row(axes[2][0], "answer\ntrue class" if changed else "answer")
    for line, p in ((axes[0], before), (axes[2], after)):
        for axis, row, true in zip(line, p, y, strict=True):
            _name_answer(axis, row, int(true), class_names)
    sentence = f"The attack changes {changed} of {len(x)} right answers into wrong ones."
    figure.suptitle("\n".join(filter(None, [sentence, title])), fontsize=11)
    save_figure(figure, path)


def _name_answer(axis: Any, p: np.ndarray, true: int, class_names: Sequence[str]) -> None:
    """The most probable class below an image and, where it is wrong, the true one."""
    predicted = int(p.argmax())
    right = predicted == true
    axis.set_xlabel(
        f"{class_names[predicted]} {p[predicted]:.0%}", fontsize=9,
        color="black" if right else "tab:red", weight="normal" if right else "bold",
    )  # fmt: skip
    if not right:
        axis.annotate(
            f"{class_names[true]} {p[true]:.0%}", (0.5, 0), (0, -16), ha="center", va="top",
            xycoords="axes fraction", textcoords="offset points", fontsize=9,
        )  # fmt: skip


def _label_row(axis: Any, text: str) -> None:
    """A grey label to the left of an axis, level with the text below it."""
    axis.annotate(
        text, (0, 0), (-8, -4), textcoords="offset points", xycoords="axes fraction",
        ha="right", va="top", fontsize=9, color="0.45",
    )  # fmt: skip


def _radius(eps: float) -> str:
    """A radius as text: a multiple of 1/255 as "8/255", others as a number."""
    steps = eps * 255
    whole = abs(steps - round(steps)) < 1e-6 * max(steps, 1) and round(steps) > 0
    return f"{round(steps)}/255" if whole else f"{eps:.3g}"
