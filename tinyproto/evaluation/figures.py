"""Helpers of the pictures: figures, PNG files, grids of images; Matplotlib is imported on use."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..state import atomic_write


def new_figure(columns: int, *, width: float, height: float) -> tuple[Any, Any]:
    """A figure and its row of axes, each of this width and height in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def save_figure(figure: Any, path: str | Path) -> None:
    """Write the figure as PNG. The file is written completely or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
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
