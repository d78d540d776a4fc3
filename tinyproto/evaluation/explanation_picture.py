"""A picture of decisions: the image, the prototypes that decided, and each pixel's share.

Matplotlib is imported when it is used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..backend.device import to_host
from ..prototypes import IPWTA, PlusMinusEDWTA, WinnerTakeAll
from ..validation import check_shape
from .explanation import Explanation, explain
from .figures import save_figure

__all__ = ["plot_explanations"]

SIZE = 1.45  # of a panel, in inches
Panel = tuple[str, np.ndarray, bool]  # title, image, and whether it has a sign


def plot_explanations(
    network: WinnerTakeAll,
    images: np.ndarray,
    path: str | Path,
    *,
    attacked: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "",
) -> None:
    """Draw a row for each image: the image, the prototypes of the winner and of the rival, and the
    shares of the pixels in the margin; and a second row for the attacked image, with what the
    attack changed.

    Parameters
    ----------
    network : WinnerTakeAll
        A fitted network of H W features.
    images : array (N, H, W)
        Grey images.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    attacked : array (N, H, W), optional
        The same images after an attack.
    class_names : list of str, optional
        Names of the network's classes; their labels by default.
    title : str
        Title of the picture.

    Raises
    ------
    ValueError
        For images of other shapes, and names of another number than the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.explanation_picture import plot_explanations
    >>> from tinyproto.prototypes import PlusMinusEDWTA
    >>> images, y = np.random.default_rng(0).random((40, 6, 6)), np.arange(40) % 2
    >>> network = PlusMinusEDWTA(3, epochs=1).fit(images.reshape(40, 36), y)
    >>> plot_explanations(network, images[:2], "explanations.png", attacked=images[2:4])
    """
    check_shape("images", images, ("N", "H", "W"))
    names = [str(c) for c in (network.classes_ if class_names is None else class_names)]
    if len(names) != len(network.classes_):
        raise ValueError(f"class_names must name {len(network.classes_)} classes, not {len(names)}")
    rows = np.asarray(images)[:, None]
    if attacked is not None:
        check_shape("attacked", attacked, images.shape)
        rows = np.stack([images, attacked], axis=1)
    rows = rows.reshape(-1, *images.shape[1:])
    found = explain(network, rows.reshape(len(rows), -1))
    panels: list[list[Panel | None]] = [
        [*_panels(network, rows[n], found, n, names)] for n in range(len(rows))
    ]
    if attacked is not None:
        for n in range(0, len(rows), 2):
            change = rows[n + 1] - rows[n]
            panels[n].insert(1, None)
            panels[n + 1].insert(1, (f"change, {np.abs(change).max():.2g} at most", change, True))
    largest = float(np.abs(found.shares).max()) or 1.0
    _draw(panels, largest, attacked is not None, path, title)


def _panels(
    network: WinnerTakeAll, image: np.ndarray, found: Explanation, n: int, names: Sequence[str]
) -> list[Panel]:
    """The panels of one row."""

    def name(label: Any) -> str:
        return names[int(np.searchsorted(network.classes_, label))]

    is_weights = isinstance(network, IPWTA)
    arrays = {"W" if is_weights else "w⁺": "weights_" if is_weights else "positive_prototypes_"}
    if isinstance(network, PlusMinusEDWTA):
        arrays["w⁻"] = "negative_prototypes_"
    winner, rival = name(found.predicted[n]), name(found.rival_class[n])
    panels: list[Panel] = [(f"answer: {winner}", image, False)]
    for neuron, owner in ((found.winner[n], winner), (found.rival[n], rival)):
        for symbol, array in arrays.items():
            prototype = to_host(getattr(network, array))[neuron].reshape(image.shape)
            panels.append((f"{owner}: {symbol}", prototype, is_weights))
    shares = found.shares[n].reshape(image.shape)
    panels.append((f"{winner} − {rival}: {found.margin[n]:.3g}", shares, True))
    return panels


def _draw(
    panels: list[list[Panel | None]], largest: float, in_pairs: bool, path: str | Path, title: str
) -> None:
    from matplotlib.figure import Figure

    columns = len(panels[0])
    figure = Figure(figsize=(SIZE * columns, 1.2 * SIZE * len(panels) + 0.8), layout="constrained")
    grid = figure.subplots(len(panels), columns, squeeze=False)
    drawn: Any = None
    for n, (axes, row) in enumerate(zip(grid, panels, strict=True)):
        for axis, panel in zip(axes, row, strict=True):
            if panel is None:
                axis.set_axis_off()
                continue
            name, image, signed = panel
            limit = largest if axis is axes[-1] else max(float(np.abs(image).max()), 1e-12)
            options = {"cmap": "gray_r"}
            if signed:
                options = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}  # type: ignore[dict-item]
            drawn = axis.imshow(image, interpolation="nearest", **options)
            axis.set_title(name, fontsize=9)
            axis.set_xticks([])
            axis.set_yticks([])
        if in_pairs:
            axes[0].set_ylabel("attacked" if n % 2 else "clean", fontsize=9)
    bar = figure.colorbar(drawn, ax=grid, orientation="horizontal", shrink=0.5, pad=0.01, aspect=40)
    bar.set_ticks([-largest, 0.0, largest], labels=["for the rival", "0", "for the answer"])
    bar.set_label("share of a pixel in the margin (last column)", fontsize=9)
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)
