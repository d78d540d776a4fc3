"""A picture of prototypes of features: the images nearest to each, and farthest from it.

Matplotlib is imported when it is used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..validation import check_count
from .deep_explanation import Neighbours
from .figures import save_figure

__all__ = ["plot_nearest_and_farthest"]

SIZE = 0.62  # of an image, in inches
GAP = 0.3  # between the two halves, as a fraction of an image


def plot_nearest_and_farthest(
    found: Neighbours,
    images: np.ndarray,
    path: str | Path,
    *,
    row_names: Sequence[str],
    image_names: Sequence[str] | None = None,
    count: int = 8,
    title: str = "",
) -> None:
    """Draw a row for each prototype: the nearest images on the left, the farthest on the right.

    Parameters
    ----------
    found : Neighbours
        Of P prototypes.
    images : array (N, H, W) or (N, H, W, 3)
        The images whose features were compared: uint8, or from 0 to 1.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    row_names : list of str
        A name for each prototype, P.
    image_names : list of str, optional
        A short name for each image, N, such as its class, which is written below it.
    count : int
        The number of images in each half, at most.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For names of another number than the prototypes or the images, and images of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.deep_explanation import nearest_and_farthest
    >>> from tinyproto.evaluation.deep_explanation_picture import plot_nearest_and_farthest
    >>> random = np.random.default_rng(0)
    >>> images, features = random.random((20, 8, 8, 3)), random.random((20, 5))
    >>> found = nearest_and_farthest(features, features[:2], 4)
    >>> plot_nearest_and_farthest(found, images, "nearest.png", row_names=["cat", "dog"])
    """
    check_count("count", count)
    rows = len(found.nearest)
    if len(row_names) != rows:
        raise ValueError(f"row_names must name {rows} prototypes, not {len(row_names)}")
    if image_names is not None and len(image_names) != len(images):
        raise ValueError(f"image_names must name {len(images)} images, not {len(image_names)}")
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))):
        raise ValueError(f"images must be (N, H, W) or (N, H, W, 3), not {images.shape}")
    last = max(int(found.nearest.max()), int(found.farthest.max()))
    if last >= len(images):
        raise ValueError(f"images must hold image {last} of the neighbours, not {len(images)} only")
    from matplotlib.figure import Figure

    shown = min(count, found.nearest.shape[1])
    height = SIZE * (1.0 if image_names is None else 1.25)
    figure = Figure(
        figsize=(SIZE * (2 * shown + GAP) + 1.4, height * rows + 0.9), layout="constrained"
    )
    widths = [*[1.0] * shown, GAP, *[1.0] * shown]
    grid = figure.subplots(rows, len(widths), squeeze=False, width_ratios=widths)
    for row, axes in enumerate(grid):
        halves = (axes[:shown], found.nearest[row]), (axes[shown + 1 :], found.farthest[row])
        axes[shown].set_visible(False)
        for half, indices in halves:
            for axis, index in zip(half, indices, strict=False):
                name = "" if image_names is None else image_names[int(index)]
                _draw(axis, images[int(index)], name)
        axes[0].set_ylabel(row_names[row], fontsize=9, rotation=0, ha="right", va="center")
    for first, text in ((0, "nearest"), (shown + 1, "farthest")):
        grid[0, first].set_title(text, fontsize=10, loc="left")
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def _draw(axis: Any, image: np.ndarray, name: str) -> None:
    grey = image.ndim == 2 or image.shape[2] == 1
    image = image.reshape(image.shape[:2]) if grey else image
    limits = {"vmin": 0, "vmax": 255 if image.dtype == np.uint8 else 1}
    axis.imshow(image, interpolation="nearest", **({"cmap": "gray", **limits} if grey else {}))
    axis.set_xticks([])
    axis.set_yticks([])
    if name:
        axis.set_xlabel(name, fontsize=7, labelpad=1)
