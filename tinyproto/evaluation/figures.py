"""Helpers of the pictures: figures, their files, grids of images, densities, names of points.

Matplotlib is imported when it is used.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..state import atomic_write

FORMATS = ("png", "svg", "pdf")
LINE_STYLES = ("-", "--", "-.", ":")
"""By which the lines of a picture are told apart without their colours."""
NO_DATE: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata without which two files of one picture would differ."""


def new_figure(columns: int, *, width: float, height: float) -> tuple[Any, Any]:
    """A figure and its row of axes, each of this width and height in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def save_figure(figure: Any, path: str | Path) -> None:
    """Write the figure as PNG (150 dpi), SVG or PDF, as the path ends. The file is written
    completely or not at all. Raises ValueError for another ending."""
    from matplotlib import rc_context

    kind = Path(path).suffix.removeprefix(".")
    if kind not in FORMATS:
        raise ValueError(f"a picture must end in .{', .'.join(FORMATS)}, not {Path(path).name!r}")
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "tinyproto"}):
        figure.savefig(buffer, format=kind, dpi=150, metadata=NO_DATE.get(kind))
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def image_grid(
    images: np.ndarray, classes: int, max_per_class: int, gap: int = 2
) -> tuple[np.ndarray, int]:
    """The images (n, H, W) of each class in a row, with gaps of NaN, as one picture; and the
    distance from one row to the next in pixels."""
    count, height, width = images.shape
    drawn = min(max_per_class, count // classes)
    rows = images.reshape(classes, -1, height, width)[:, :drawn].astype(np.float64)
    padded = np.pad(rows, [(0, 0), (0, 0), (0, gap), (0, gap)], constant_values=np.nan)
    picture = padded.transpose(0, 2, 1, 3).reshape(classes * (height + gap), -1)
    return picture, height + gap


def kernel_density(values: np.ndarray, grid: np.ndarray, *, least_width: float) -> np.ndarray:
    """A Gaussian kernel estimate of a density on a grid, with Silverman's bandwidth, or
    `least_width` where that is narrower."""
    low, high = np.percentile(values, [25, 75])
    scale = min(float(values.std()), (high - low) / 1.34) or float(values.std())
    width = max(0.9 * scale * len(values) ** -0.2, least_width)
    bumps = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2)
    density: np.ndarray = bumps.mean(axis=1) / (width * np.sqrt(2 * np.pi))
    return density


def name_points(axis: Any, points: np.ndarray, names: Sequence[str]) -> None:
    """Names above the points (n, 2), or below those in the lower half."""
    from matplotlib.patheffects import withStroke

    for point, up, name in zip(points, points[:, 1] - points[:, 1].mean(), names, strict=True):
        axis.annotate(
            name, point, (0, 12 if up > 0 else -12), textcoords="offset points", fontsize=11,
            ha="center", va="bottom" if up > 0 else "top", zorder=4,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip


def class_colours(classes: int) -> np.ndarray:
    """RGBA for each class: Matplotlib's ten distinct colours, again and again."""
    from matplotlib import colormaps

    return np.asarray(colormaps["tab10"](np.arange(classes) % 10))
