"""Pictures of a training run: loss and accuracies, attacked images, and the latent space.

Matplotlib is imported when it is used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .figures import new_figure, save_figure
from .geometry import class_indices, pairwise_angles, project_to_plane, simplex_angle

__all__ = ["plot_attacks", "plot_history", "plot_latent_space"]

ACCURACIES = {  # key in a row of the history: label and colour of its curve
    "train": ("training images, in training", "0.6"),
    "clean": ("held out, clean", "tab:blue"),
    "robust": ("held out, attacked", "tab:red"),
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
        PNG file to write.
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
    left.set(title="training loss", xlabel="epoch")
    for key, (label, colour) in ACCURACIES.items():
        rows = [row for row in history if key in row]
        if rows:
            label = f"{label}: {rows[-1][key]:.1%} at the end"
            values = [100 * row[key] for row in rows]
            right.plot([row["epoch"] for row in rows], values, color=colour, label=label, **style)
    right.set(title="accuracy in %", xlabel="epoch")
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
    clean_predictions: np.ndarray,
    attacked_predictions: np.ndarray,
    class_names: Sequence[str],
    eps: float,
    title: str = "",
) -> None:
    """Draw images before and after an attack, and the difference between them.

    Parameters
    ----------
    images, attacked : array (n, H, W, 3)
        Images in [0, 1] before and after the attack, a column each; 6 to 8 fill a page.
    path : str or Path
        PNG file to write.
    labels : array (n,)
        True classes, as indices of `class_names`.
    clean_predictions, attacked_predictions : array (n,)
        Classes predicted before and after the attack; a wrong one is written in red.
    class_names : list of str
        Names of the classes.
    eps : float
        Radius of the attack, in the units of the images.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For arrays whose shapes or labels do not match.

    Notes
    -----
    A difference of 0 is drawn grey; the largest difference in any image is black or white.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.training_pictures import plot_attacks
    >>> images = np.random.default_rng(0).random((1, 4, 4, 3))
    >>> plot_attacks(
    ...     images, 1 - images, "attacks.png", labels=[0], clean_predictions=[0],
    ...     attacked_predictions=[1], class_names=["cat", "dog"], eps=1.0,
    ... )
    """
    x, moved = np.asarray(images, dtype=np.float64), np.asarray(attacked, dtype=np.float64)
    if x.ndim != 4 or x.shape[3] != 3 or not len(x) or moved.shape != x.shape:
        raise ValueError(
            f"images and attacked must both be (n, H, W, 3), not {x.shape} and {moved.shape}"
        )
    classes = {
        "labels": labels,
        "clean_predictions": clean_predictions,
        "attacked_predictions": attacked_predictions,
    }
    for name, indices in classes.items():
        class_indices(indices, len(x), len(class_names), name)
    difference = moved - x
    largest = float(np.abs(difference).max()) or eps
    rows = {
        "clean": x,
        f"difference\n× {0.5 / largest:.3g}\n(grey is 0)": 0.5 + 0.5 * difference / largest,
        f"attacked\nε = {_radius(eps)}": moved,
    }
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.3 * max(len(x), 4) + 1.3, 5.1), layout="constrained")
    axes = figure.subplots(len(rows), len(x), squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(np.clip(picture, 0, 1))
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11, labelpad=8)
    for line, predictions in ((axes[0], clean_predictions), (axes[2], attacked_predictions)):
        _label_row(line[0], "predicted", 0.0, "top")
        for axis, predicted, true in zip(line, predictions, labels, strict=True):
            colour, weight = ("black", "normal") if predicted == true else ("tab:red", "bold")
            axis.set_xlabel(class_names[int(predicted)], color=colour, weight=weight, fontsize=11)
    _label_row(axes[0][0], "true class", 1.0, "bottom")
    for axis, true in zip(axes[0], labels, strict=True):
        axis.set_title(class_names[int(true)], fontsize=11)
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def plot_latent_space(
    features: np.ndarray,
    labels: np.ndarray,
    prototypes: np.ndarray,
    path: str | Path,
    *,
    class_names: Sequence[str],
    title: str = "",
) -> None:
    """Draw features and prototypes in a plane (left), and the angles between prototypes (right).

    Parameters
    ----------
    features : array (N, d)
        Features, drawn as dots.
    labels : array (N,)
        Classes of the features, as indices of `class_names`.
    prototypes : array (M, d)
        A vector for each class, drawn as a star: prototypes, class means, or the weights of a
        linear head; M ≥ 2.
    path : str or Path
        PNG file to write.
    class_names : list of str
        Names of the M classes.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For shapes that do not match.

    Notes
    -----
    The plane is that of `geometry.project_to_plane`: points that are close in it need not be close
    in the whole space. The angles are those in the whole space: white for the angle of a regular
    simplex, red for smaller, blue for larger angles.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.training_pictures import plot_latent_space
    >>> features = np.random.default_rng(0).normal(size=(20, 4))
    >>> labels = np.arange(20) % 3
    >>> plot_latent_space(features, labels, np.eye(3, 4), "latent.png", class_names=["a", "b", "c"])
    """
    if len(prototypes) < 2 or len(class_names) != len(prototypes):
        raise ValueError(
            "there must be a prototype for each class, and two or more, not "
            f"{len(prototypes)} for {len(class_names)} classes"
        )
    y = class_indices(labels, len(features), len(prototypes))
    dots, stars, explained = project_to_plane(features, prototypes)
    angles = pairwise_angles(prototypes)
    colours = _colours(len(stars))
    few = len(stars) <= 20
    figure, (left, right) = new_figure(2, width=6.0, height=5.8)

    left.scatter(*dots.T, s=11, c=colours[y], alpha=0.65, linewidths=0)
    left.scatter(
        *stars.T, s=230 if few else 60, c=colours, marker="*", edgecolors="black",
        linewidths=0.9 if few else 0.3, zorder=3,
    )  # fmt: skip
    if few:
        _name_stars(left, stars, class_names)
    drawn = np.concatenate([dots, stars])
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    half = 0.66 * float((high - low).max())  # a square, with room for names at its edge
    middle = (low + high) / 2
    left.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half, half], aspect="equal")
    left.tick_params(labelsize=8, colors="0.5")
    for spine in left.spines.values():
        spine.set_color("0.8")
    left.set_title(f"{len(dots):,} test images (dots) and the prototypes (stars)", fontsize=11)
    left.set_xlabel(
        f"this plane shows {explained:.0%} of the features' variance;\n"
        "points close in it need not be close: see the angles",
        fontsize=10,
    )

    _draw_angles(right, angles, class_names)
    if few:
        for label, colour in zip(right.get_yticklabels(), colours, strict=True):
            label.set_bbox({"facecolor": (*colour[:3], 0.45), "edgecolor": "none", "pad": 1.5})
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def _draw_angles(axis: Any, angles: np.ndarray, class_names: Sequence[str]) -> None:
    """The matrix of angles, with numbers for up to 12 classes."""
    from matplotlib.colors import TwoSlopeNorm

    count, regular = len(angles), simplex_angle(len(angles))
    between = angles[~np.eye(count, dtype=bool)]
    scale = max(5.0, float(np.abs(between - regular).max()))  # rounding errors stay white
    without_diagonal = np.where(np.eye(count, dtype=bool), np.nan, angles)
    picture = axis.imshow(
        without_diagonal, cmap="RdBu", norm=TwoSlopeNorm(regular, regular - scale, regular + scale)
    )
    axis.set_facecolor("0.9")  # the diagonal
    axis.figure.colorbar(picture, ax=axis, shrink=0.75, label="angle in degrees")
    axis.set_title("angles between prototypes", fontsize=11)
    axis.tick_params(length=0)
    if count <= 20:
        axis.set_xticks(np.arange(count), class_names, rotation=45, ha="right", fontsize=9)
        axis.set_yticks(np.arange(count), class_names, fontsize=9)
    if count <= 12:
        for row, column in zip(*np.nonzero(~np.eye(count, dtype=bool)), strict=True):
            angle = angles[row, column]
            colour = "white" if abs(angle - regular) > 0.65 * scale else "black"
            axis.text(
                column, row, f"{angle:.0f}", ha="center", va="center", fontsize=9, color=colour
            )
    axis.set_xlabel(
        f"here {between.min():.1f}° to {between.max():.1f}°;  "
        f"in a regular simplex of {count} (white)\nall are arccos(−1/{count - 1}) = {regular:.1f}°",
        fontsize=10,
    )


def _name_stars(axis: Any, stars: np.ndarray, class_names: Sequence[str]) -> None:
    """Names beside the stars, on the side away from their centre."""
    from matplotlib.patheffects import withStroke

    out = stars - stars.mean(axis=0)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    for star, (right, up), name in zip(stars, out, class_names, strict=True):
        axis.annotate(
            name, star, (12 * right, 14 * up), textcoords="offset points", fontsize=10, zorder=4,
            ha="left" if right > 0.3 else "right" if right < -0.3 else "center",
            va="bottom" if up > 0.3 else "top" if up < -0.3 else "center",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip


def _label_row(axis: Any, text: str, height: float, side: str) -> None:
    """A grey label to the left of an axis, level with the text above or below it."""
    axis.annotate(
        text, (0, height), (-8, 6 if side == "bottom" else -5), textcoords="offset points",
        xycoords="axes fraction", ha="right", va=side, fontsize=10, color="0.45",
    )  # fmt: skip


def _colours(classes: int) -> np.ndarray:
    """RGBA for each class: Matplotlib's ten or twenty distinct colours, or hues for more."""
    from matplotlib import colormaps

    if classes <= 20:
        return np.asarray(colormaps["tab10" if classes <= 10 else "tab20"](np.arange(classes)))
    return np.asarray(colormaps["hsv"](np.arange(classes) / classes))


def _radius(eps: float) -> str:
    """A radius as text: a multiple of 1/255 as "8/255", others as a number."""
    steps = eps * 255
    whole = abs(steps - round(steps)) < 1e-6 * max(steps, 1) and round(steps) > 0
    return f"{round(steps)}/255" if whole else f"{eps:.3g}"
