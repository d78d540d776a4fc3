"""Helpers of the pictures: figures, their files, grids of images; Matplotlib is imported on use."""

import io
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
