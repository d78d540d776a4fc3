"""A picture of a latent space: the plane in which three classes are decided, and angles.

Matplotlib is imported when it is used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .figures import class_colours, kernel_density, name_points, new_figure, save_figure
from .geometry.angles import pairwise_angles, prototype_angles, simplex_angle
from .geometry.checks import class_indices
from .geometry.planes import prototype_plane


def plot_latent_space(
    features: np.ndarray,
    labels: np.ndarray,
    prototypes: np.ndarray,
    path: str | Path,
    *,
    class_names: Sequence[str],
    biases: np.ndarray | None = None,
    noun: str = "prototype",
    title: str = "",
) -> None:
    """Draw the features of the three classes that are confused most in the plane through their
    prototypes (left), and how the angles of all features to prototypes are distributed (right).

    Parameters
    ----------
    features : array (N, d)
        Features, N ≥ 2.
    labels : array (N,)
        Classes of the features, as indices of `class_names`.
    prototypes : array (M, d)
        A vector for each class, drawn as a star: prototypes, or the weights of a linear head;
        M ≥ 2.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    class_names : list of str
        Names of the M classes.
    biases : array (M,), optional
        Those of a linear head; 0 by default.
    noun : str
        What the texts call such a vector.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For shapes that do not match.

    Notes
    -----
    Left: among the three classes, the regions are exactly those of the largest score (see
    `geometry.prototype_plane`). Right: densities are kernel estimates with Silverman's bandwidth.

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
    own, rival = prototype_angles(features, y, prototypes)
    h, c = np.asarray(features, dtype=np.float64), np.asarray(prototypes, dtype=np.float64)
    b = np.zeros(len(c)) if biases is None else np.asarray(biases, dtype=np.float64)
    figure, (left, right) = new_figure(2, width=5.6, height=5.2)
    drawn = _most_confused(h @ c.T + b, y)
    _draw_plane(left, h, y, c, b, drawn, [class_names[j] for j in drawn], noun)
    _draw_densities(right, own, rival, c, noun)
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def _most_confused(z: np.ndarray, y: np.ndarray) -> list[int]:
    """The two classes that are most often taken for each other, and the one that is most often
    confused with these; with two classes, both. Among equals, the most frequent classes."""
    confused = np.zeros((z.shape[1],) * 2)
    np.add.at(confused, (y, z.argmax(axis=1)), 1)
    count = np.bincount(y, minlength=len(confused)) / (4 * len(y))
    confused += confused.T + count + count[:, None]
    np.fill_diagonal(confused, -1)
    first, second = np.unravel_index(confused.argmax(), confused.shape)
    third = confused[first] + confused[second]
    third[[first, second]] = -1
    return sorted({int(first), int(second), int(third.argmax())})


def _draw_plane(
    axis: Any,
    h: np.ndarray,
    y: np.ndarray,
    c: np.ndarray,
    b: np.ndarray,
    drawn: Sequence[int],
    names: Sequence[str],
    noun: str,
) -> None:
    """Features of the classes `drawn` in the plane through their prototypes, over the regions in
    which each of these classes has the largest score."""
    of_these = np.isin(y, drawn)
    origin, axes = prototype_plane(h[of_these] if of_these.any() else h, c[drawn])
    dots, stars = (h[of_these] - origin) @ axes.T, (c[drawn] - origin) @ axes.T
    colours = class_colours(len(drawn))
    points = np.concatenate([dots, stars])
    low, high = points.min(axis=0), points.max(axis=0)
    half, middle = 0.62 * float((high - low).max()), (low + high) / 2
    x, up = (np.linspace(m - half, m + half, 400) for m in middle)
    grid = np.stack(np.meshgrid(x, up), axis=-1)
    scores = (grid @ axes + origin) @ c[drawn].T + b[drawn]
    extent = (x[0], x[-1], up[0], up[-1])
    axis.imshow(colours[scores.argmax(axis=2)], extent=extent, origin="lower", alpha=0.18)
    order = np.random.default_rng(0).permutation(len(dots))  # no class covers the others
    place = np.searchsorted(drawn, y[of_these])
    axis.scatter(*dots[order].T, s=13, c=colours[place[order]], alpha=0.8, linewidths=0)
    axis.scatter(*stars.T, s=300, c=colours, marker="*", edgecolors="black", zorder=3)
    name_points(axis, stars, names)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_color("0.8")
    right = (np.einsum("nd,jd->nj", h[of_these], c[drawn]) + b[drawn]).argmax(axis=1) == place
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    axis.set_title(f"{right.mean():.0%} of the dots are in their class's region.", fontsize=11)
    axis.set_xlabel(
        f"{len(dots):,} images of {listed} (dots), the {noun} of each class (stars),\n"
        f"in the plane through the {noun}s; a region is where a class wins among these",
        fontsize=9,
    )


def _draw_densities(
    axis: Any, own: np.ndarray, rival: np.ndarray, c: np.ndarray, noun: str
) -> None:
    """Densities of the angles to the own and to the nearest rival vector."""
    kinds = ((own, "to its own class's", "0.25"), (rival, "to the nearest other", "tab:red"))
    grid = np.linspace(0, max(own.max(), rival.max()) + 5, 500)
    for angles, name, colour in kinds:
        density = kernel_density(angles, grid, least_width=0.5)
        label = f"{name} {noun}: {np.median(angles):.0f}° in the median"
        axis.fill_between(grid, density, color=colour, alpha=0.25, linewidth=0)
        axis.plot(grid, density, color=colour, label=label)
    between = pairwise_angles(c)[np.triu_indices(len(c), 1)]
    axis.set(xlim=(0, grid[-1]), yticks=[], ylabel="density of the images")
    axis.set_ylim(0, 1.3 * axis.get_ylim()[1])  # leaves room for the legend
    axis.legend(
        loc="upper left", fontsize=9, frameon=False, title="angle of a feature", alignment="left"
    )
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(
        f"{(own < rival).mean():.0%} of the features are nearest to their own {noun}.", fontsize=11
    )
    axis.set_xlabel(
        f"angle in degrees; the {noun}s themselves are {between.min():.1f}° to "
        f"{between.max():.1f}° apart\n(in a regular simplex of {len(c)}, all are "
        f"{simplex_angle(len(c)):.1f}° apart)",
        fontsize=9,
    )
