"""Pictures of a latent space, clean and attacked; Matplotlib is imported when it is used."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..figures import kernel_density, new_figure, save_figure
from .report import GeometryReport, LatentArrays

SIDES = ("clean", "attacked")
ARROWS = 40  # of the images in plot_movement
STYLES = (("own", "0.25", "-", ""), ("rival", "tab:red", "--", "///"))


def plot_distances(report: GeometryReport, path: str | Path, *, title: str = "") -> None:
    """Draw the densities of the distances to the own and to the nearest rival prototype, for clean
    and for attacked images.

    Parameters
    ----------
    report : GeometryReport
        What `geometry_report` returned.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For another ending, and for a report that was read from a file.

    Notes
    -----
    Densities are kernel estimates with Silverman's bandwidth.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import geometry_report, plot_distances
    >>> from tinyproto.networks import compact_cnn
    >>> x = np.random.default_rng(0).random((12, 8, 8, 3), dtype=np.float32)
    >>> report = geometry_report(compact_cnn(3, head="prototypes"), x, np.arange(12) % 3)
    >>> plot_distances(report, "distances.png")
    """
    arrays = arrays_of(report)
    values = (arrays.own_distance, arrays.rival_distance)
    high = 1.05 * float(np.max(values))
    grid = np.linspace(0, high, 500)

    def draw(axis: Any, each: np.ndarray, label: str, colour: str, line: str, hatch: str) -> None:
        density = kernel_density(each, grid, least_width=high / 500)
        axis.fill_between(grid, density, facecolor=colour, alpha=0.15, linewidth=0)
        axis.plot(grid, density, color=colour, linestyle=line, label=label)

    _two_panels(
        report, values, draw, "distance", ", in the features' units", path, title, (0, high)
    )


def plot_angles(report: GeometryReport, path: str | Path, *, title: str = "") -> None:
    """Draw histograms of the angles to the own and to the nearest rival prototype, for clean and
    for attacked images.

    Parameters
    ----------
    report : GeometryReport
        What `geometry_report` returned.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For another ending, and for a report that was read from a file.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import geometry_report, plot_angles
    >>> from tinyproto.networks import compact_cnn
    >>> x = np.random.default_rng(0).random((12, 8, 8, 3), dtype=np.float32)
    >>> report = geometry_report(compact_cnn(3), x, np.arange(12) % 3)
    >>> plot_angles(report, "angles.png", title="Weight vectors")
    """
    arrays = arrays_of(report)
    values = (arrays.own_angle, arrays.rival_angle)
    high = min(180, 5 * np.ceil(float(np.max(values)) / 5 + 1))
    bins = np.linspace(0, high, 49)

    def draw(axis: Any, each: np.ndarray, label: str, colour: str, line: str, hatch: str) -> None:
        axis.hist(each, bins, histtype="stepfilled", facecolor=(*_rgb(colour), 0.15),
                  edgecolor=colour, linestyle=line, linewidth=1.5, hatch=hatch, label=label,
                  density=True)  # fmt: skip

    _two_panels(report, values, draw, "angle", " in degrees", path, title, (0, high))


def plot_movement(report: GeometryReport, path: str | Path, *, title: str = "") -> None:
    """Draw each image at its distances to the own and to the nearest rival prototype, clean and
    attacked, with arrows from the one to the other for a few dozens of images.

    Parameters
    ----------
    report : GeometryReport
        What `geometry_report` returned.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For another ending, and for a report that was read from a file.

    Notes
    -----
    With prototypes of one length and no bias, an image is classified correctly where its own
    prototype is nearer than any rival: the line of equal distances is the decision. With weight
    vectors it is not.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import geometry_report, plot_movement
    >>> from tinyproto.networks import compact_cnn
    >>> x = np.random.default_rng(0).random((12, 8, 8, 3), dtype=np.float32)
    >>> report = geometry_report(compact_cnn(3, head="prototypes"), x, np.arange(12) % 3)
    >>> plot_movement(report, "movement.png")
    """
    arrays, noun = arrays_of(report), report.settings.get("vectors", "prototype")
    points = np.stack([arrays.own_distance, arrays.rival_distance], axis=2)  # (2, N, 2)
    figure, (axis,) = new_figure(1, width=6.6, height=7.2)
    low, high = float(points.min()), float(points.max())
    edge = 0.04 * (high - low)
    limits = (low - edge, high + edge)
    axis.fill_between(limits, limits, limits[1], color="tab:green", alpha=0.08, linewidth=0)
    decision = "equal distances" + (": the decision" if noun == "prototype" else "")
    for side, (marker, colour) in enumerate((("o", "0.35"), ("x", "tab:red"))):
        label = f"{SIDES[side]} ({arrays.correct[side].mean():.0%} correct)"
        axis.plot(*points[side].T, linestyle="", marker=marker, markersize=4, label=label,
                  markerfacecolor="none", markeredgecolor=colour, alpha=0.45)  # fmt: skip
    axis.plot(limits, limits, color="0.2", linestyle="--", linewidth=1.2, label=decision)
    chosen = np.unique(np.linspace(0, len(arrays.labels) - 1, ARROWS).astype(int))
    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    chosen = chosen[arrays.movement[chosen] > 0]
    for n in chosen:
        axis.annotate("", points[1, n], points[0, n], arrowprops=arrow, zorder=3)
    axis.set(xlim=limits, ylim=limits, aspect="equal")
    axis.set_xlabel(f"distance to the own {noun}")
    axis.set_ylabel(f"distance to the nearest rival {noun}")
    axis.text(0.02, 0.98, f"nearer to the own {noun}", transform=axis.transAxes, va="top",
              fontsize=9, color="tab:green")  # fmt: skip
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    arrows = f"Each of {len(chosen)} arrows is one image, from clean to attacked."
    axis.set_title(arrows, fontsize=11)
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def arrays_of(report: GeometryReport) -> LatentArrays:
    """The arrays of a report. Raises ValueError for one that has none."""
    if report.arrays is None:
        raise ValueError("a report that was read from a file has no features to draw")
    return report.arrays


def _two_panels(
    report: GeometryReport, values: Sequence[np.ndarray], draw: Callable[..., None], what: str,
    unit: str, path: str | Path, title: str, limits: tuple[float, float],
) -> None:  # fmt: skip
    """A panel for clean and one for attacked images, with the same axes: `draw` is called for the
    values (2, N) of the own and of the rival prototypes."""
    noun, arrays = report.settings.get("vectors", "prototype"), arrays_of(report)
    figure, axes = new_figure(2, width=5.4, height=4.4)
    for side, axis in enumerate(axes):
        for each, (which, colour, line, hatch) in zip(values, STYLES, strict=True):
            name = f"own {noun}" if which == "own" else f"nearest rival {noun}"
            middle = f"{np.median(each[side]):.3g}{'°' if what == 'angle' else ''}"
            draw(axis, each[side], f"{name}: {middle} in the median", colour, line, hatch)
        nearer = (values[0][side] < values[1][side]).mean()
        axis.set_title(
            f"{SIDES[side]}: {nearer:.0%} nearest to the own {noun}"
            + ("" if noun == "prototype" else f", {arrays.correct[side].mean():.0%} correct"),
            fontsize=11,
        )
        axis.set(xlim=limits, yticks=[], xlabel=f"{what} of a feature{unit}")
        axis.spines[["top", "right"]].set_visible(False)
    top = 1.3 * max(axis.get_ylim()[1] for axis in axes)  # leaves room for the legends
    for axis in axes:
        axis.set_ylim(0, top)
        axis.legend(loc="upper left", fontsize=9, frameon=False, title=f"{what} to the",
                    alignment="left")  # fmt: skip
    axes[0].set_ylabel("density of the images")
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)
