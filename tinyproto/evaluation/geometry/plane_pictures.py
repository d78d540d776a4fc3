"""Pictures of features in a plane, clean and attacked side by side, with the prototypes in place.

Every feature is drawn as the number of its class, so that the pictures can be read without colour.
Matplotlib and scikit-learn are imported when they are used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..figures import class_colours, new_figure, save_figure
from .pictures import SIDES, arrays_of
from .planes import discriminant_plane
from .report import GeometryReport

DRAWN = 10  # classes at most, the first ones
MOST = 800  # features in a panel, which more would fill


def plot_discriminant_plane(
    report: GeometryReport, path: str | Path, *, class_names: Sequence[str], title: str = ""
) -> None:
    """Draw the clean and the attacked features, and the prototypes, in the plane in which the
    classes of the clean features are farthest apart (see `discriminant_plane`).

    Parameters
    ----------
    report : GeometryReport
        What `geometry_report` returned, for features of 2 dimensions or more.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    class_names : list of str
        Names of the classes, of which the first ten are drawn.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For another ending, names of another number than the classes, and a report that was read
        from a file.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import geometry_report, plot_discriminant_plane
    >>> from tinyproto.networks import compact_cnn
    >>> x = np.random.default_rng(0).random((12, 8, 8, 3), dtype=np.float32)
    >>> report = geometry_report(compact_cnn(3, head="prototypes"), x, np.arange(12) % 3)
    >>> plot_discriminant_plane(report, "plane.png", class_names=["a", "b", "c"])
    """
    arrays = arrays_of(report)
    _check_names(class_names, len(arrays.prototypes))
    origin, axes = discriminant_plane(arrays.features[0], arrays.labels, len(arrays.prototypes))
    points, stars = (arrays.features - origin) @ axes.T, (arrays.prototypes - origin) @ axes.T
    unit = "discriminant of the clean features,\nin standard deviations within the classes"
    labels = [f"{which} {unit}" for which in ("first", "second")]
    _draw(report, points, stars, class_names, labels, path, title)


def plot_tsne(
    report: GeometryReport,
    path: str | Path,
    *,
    class_names: Sequence[str],
    seed: int = 0,
    title: str = "",
) -> None:
    """Draw the clean and the attacked features, and the prototypes, as t-SNE arranges them, all in
    one plane.

    Parameters
    ----------
    report : GeometryReport
        What `geometry_report` returned.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    class_names : list of str
        Names of the classes, of which the first ten are drawn.
    seed : int
        Seed of t-SNE.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        As `plot_discriminant_plane` does.
    ImportError
        Where scikit-learn is not installed.

    Notes
    -----
    t-SNE (van der Maaten and Hinton, 2008) keeps neighbours together. Distances between groups, and
    the sizes of groups, mean nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import geometry_report, plot_tsne
    >>> from tinyproto.networks import compact_cnn
    >>> x = np.random.default_rng(0).random((12, 8, 8, 3), dtype=np.float32)
    >>> report = geometry_report(compact_cnn(3, head="prototypes"), x, np.arange(12) % 3)
    >>> plot_tsne(report, "tsne.png", class_names=["a", "b", "c"])
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ImportError("t-SNE needs scikit-learn: pip install scikit-learn") from None
    arrays = arrays_of(report)
    _check_names(class_names, len(arrays.prototypes))
    count, width = arrays.features.shape[1:]
    everything = np.concatenate([arrays.features.reshape(-1, width), arrays.prototypes])
    perplexity = min(30.0, (len(everything) - 1) / 3)
    flat = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(everything)
    points, stars = flat[: 2 * count].reshape(2, count, 2), flat[2 * count :]
    _draw(report, points, stars, class_names, ["t-SNE, no unit", "t-SNE, no unit"], path, title)


def _check_names(class_names: Sequence[str], classes: int) -> None:
    if len(class_names) != classes:
        raise ValueError(f"class_names must name {classes} classes, not {len(class_names)}")


def _draw(
    report: GeometryReport, points: np.ndarray, stars: np.ndarray, class_names: Sequence[str],
    labels: Sequence[str], path: str | Path, title: str,
) -> None:  # fmt: skip
    """A panel for the clean and one for the attacked points (2, N, 2), with the same axes."""
    arrays, noun = arrays_of(report), report.settings.get("vectors", "prototype")
    drawn = range(min(DRAWN, len(class_names)))
    few = np.unique(np.linspace(0, len(arrays.labels) - 1, MOST).astype(int))
    few = few[arrays.labels[few] < len(drawn)]
    stars, colours = stars[: len(drawn)], class_colours(len(drawn))
    everything = np.concatenate([points[:, few].reshape(-1, 2), stars])
    low, high = everything.min(axis=0), everything.max(axis=0)
    edge = 0.04 * (high - low)
    low, high = low - edge, high + edge
    places = low + _apart((stars - low) / (high - low)) * (high - low)
    figure, axes = new_figure(2, width=6.2, height=6.6)
    for side, axis in enumerate(axes):
        for j in drawn:
            own = points[side, few[arrays.labels[few] == j]]
            axis.scatter(*own.T, s=22, color=colours[j], marker=f"${j}$", linewidths=0, alpha=0.8)
        _mark_prototypes(axis, stars, places, colours)
        axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        right = arrays.correct[side].mean()
        axis.set_title(f"{SIDES[side]}: {right:.0%} classified correctly", fontsize=11)
        axis.set_xlabel(labels[0], fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(labels[1], fontsize=9)
    handles = [_handle(f"${j}$", colours[j], class_names[j]) for j in drawn]
    handles.append(_handle("o", "white", f"the {noun} of a class"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=9, frameon=False)
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def _apart(points: np.ndarray, least: float = 0.055) -> np.ndarray:
    """The points (M, 2), moved until two of them are `least` apart, or nearly."""
    points = points.copy()
    for _ in range(100):
        for j, k in zip(*np.triu_indices(len(points), 1), strict=True):
            step = points[k] - points[j]
            length = float(np.linalg.norm(step))
            direction = step / length if length else np.array([1.0, 0.0])
            push = max(least - length, 0) / 2 * direction
            points[j], points[k] = points[j] - push, points[k] + push
    return points


def _mark_prototypes(axis: Any, stars: np.ndarray, places: np.ndarray, colours: np.ndarray) -> None:
    """The prototypes as circles with the numbers of their classes; a line leads to its place from
    one that was moved off another."""
    for j, (star, place, colour) in enumerate(zip(stars, places, colours, strict=True)):
        axis.plot(*np.stack([star, place]).T, color="black", linewidth=1.2, zorder=3)
        axis.scatter(*star, s=12, color="black", zorder=3)
        axis.scatter(*place, s=170, color="white", edgecolors="black", linewidths=1.4, zorder=4)
        axis.text(*place, str(j), ha="center", va="center", fontsize=10, fontweight="bold",
                  color=colour, zorder=5)  # fmt: skip


def _handle(marker: str, colour: Any, label: str) -> Any:
    """An entry of the legend."""
    from matplotlib.lines import Line2D

    circle = {"markeredgecolor": "black", "markersize": 11} if marker == "o" else {"markersize": 8}
    return Line2D([], [], linestyle="", marker=marker, color=colour, label=label, **circle)
