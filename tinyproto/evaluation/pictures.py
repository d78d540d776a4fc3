"""Pictures of prototypes. Matplotlib and Pillow are imported when they are used."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..state import atomic_write
from .figures import LINE_STYLES, image_grid, new_figure, save_figure

__all__ = ["animate_prototypes", "plot_prototypes", "plot_roc_curves"]

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]

FEW_CURVES = 5  # whose legend fits beside them
CHARACTERS_PER_PANEL = 42  # of a title


def plot_prototypes(
    panels: Mapping[str, np.ndarray],
    path: str | Path,
    *,
    class_names: Sequence[str],
    signed: Mapping[str, tuple[str, str]] | None = None,
    title: str = "",
    max_per_class: int = 6,
) -> None:
    """Draw prototypes as images: a panel for each kind, with a row for each class.

    Parameters
    ----------
    panels : dict of str to array (K, H, W)
        Prototypes as grey images, sorted by class, by the title of their panel.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    class_names : list of str
        Names of the classes, from top to bottom.
    signed : dict of str to (str, str), optional
        For panels whose images have a sign, by their title: what blue, which is below 0, and red,
        which is above, mean. The bar of colours below the panel says it.
    title : str
        Title of the picture.
    max_per_class : int
        Number of prototypes of a class that are drawn, at most.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.pictures import plot_prototypes
    >>> prototypes = np.random.default_rng(0).random((4, 8, 8))
    >>> plot_prototypes({"prototypes": prototypes}, "prototypes.png", class_names=["cat", "dog"])
    """
    figure, axes = new_figure(len(panels), width=3.6, height=7.0)
    for axis, (name, images) in zip(axes, panels.items(), strict=True):
        picture, step = image_grid(images, len(class_names), max_per_class)
        low, high = float(np.nanmin(picture)), float(np.nanmax(picture))
        colours, meaning = "gray_r", "grey level of a pixel"
        if signed is not None and name in signed:
            high = max(-low, high)
            low, colours, meaning = -high, "RdBu_r", ",  ".join(signed[name])
        drawn = axis.imshow(picture, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        bar = figure.colorbar(drawn, ax=axis, orientation="horizontal", shrink=0.8, pad=0.01)
        values = [low, 0.0, high] if colours != "gray_r" else [low, high]
        bar.set_ticks(values, labels=[f"{value:z.2f}" for value in values], fontsize=8)
        bar.ax.tick_params(length=0)
        bar.set_label(meaning, fontsize=9)
        axis.set_title(name, fontsize=11)
        axis.set_xticks([])
        axis.set_yticks(np.arange(len(class_names)) * step + step / 2)
        axis.set_yticklabels(class_names if axis is axes[0] else [])
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    figure.suptitle(textwrap.fill(title, CHARACTERS_PER_PANEL * len(panels)), fontsize=12)
    save_figure(figure, path)


def plot_roc_curves(panels: Mapping[str, Curves], path: str | Path, *, title: str = "") -> None:
    """Draw ROC curves of outlier detection, with a logarithmic axis of accepted outliers.

    Parameters
    ----------
    panels : dict of str to dict of str to (array, array)
        Panel title → label → the fraction of outliers and the fraction of inliers (test images)
        that are accepted at each threshold.
    path : str or Path
        File to write: PNG, SVG or PDF, as its name ends.
    title : str
        Title of the picture.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.pictures import plot_roc_curves
    >>> outliers = np.linspace(0, 1, 50)
    >>> plot_roc_curves({"outliers": {"noise": (outliers, outliers**0.2)}}, "detection.png")
    """
    figure, axes = new_figure(len(panels), width=5.2, height=4.4)
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        for n, (label, (outliers, inliers)) in enumerate(curves.items()):
            style = LINE_STYLES[n % len(LINE_STYLES)]
            axis.plot(np.maximum(outliers, 1e-4), inliers, style, label=label)
        axis.axhline(0.95, color="0.7", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", xlim=(1e-3, 1), ylim=(0, 1.01), title=name)
        axis.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 0.95, 1])
        axis.set(xlabel="fraction of outliers accepted", ylabel="fraction of test images accepted")
        if len(curves) <= FEW_CURVES:
            axis.legend(loc="lower right", fontsize=8)
        else:  # below, where it covers none of them
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=8)
    figure.suptitle(title, fontsize=12)
    save_figure(figure, path)


def animate_prototypes(
    frames: Sequence[tuple[str, np.ndarray]],
    path: str | Path,
    *,
    classes: int,
    max_per_class: int = 6,
    milliseconds: int = 160,
) -> None:
    """Write a GIF of prototypes during training, with a column for each class.

    Black is the largest number of the frame, which stands beside its caption: a network's random
    start can be seen although its numbers are small.

    Parameters
    ----------
    frames : list of (str, array (K, H, W))
        Caption and prototypes, sorted by class, of each frame.
    path : str or Path
        GIF file to write.
    classes : int
        Number of classes.
    max_per_class : int
        Number of prototypes of a class that are drawn, at most.
    milliseconds : int
        Time that each frame is shown; the last is shown for two seconds.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.pictures import animate_prototypes
    >>> final = np.random.default_rng(0).random((6, 8, 8))
    >>> frames = [(f"epoch {epoch}", final * epoch / 3) for epoch in range(4)]
    >>> animate_prototypes(frames, "training.gif", classes=3)
    """
    from PIL import Image, ImageDraw, ImageFont

    drawn = []
    for caption, images in frames:
        limit = float(images.max()) if images.max() > 0 else 1.0
        rows = images.reshape(classes, -1, *images.shape[1:])[:, :max_per_class]
        columns = rows.swapaxes(0, 1).reshape(-1, *images.shape[1:])
        picture, _ = image_grid(columns, rows.shape[1], classes)
        ink = np.nan_to_num(np.clip(picture / limit, 0, 1))
        grey = Image.fromarray(np.uint8(255 - np.round(15 * ink) * 17))  # 16 greys: a small file
        grey = grey.resize((2 * grey.width, 2 * grey.height), Image.Resampling.NEAREST)
        canvas = Image.new("L", (grey.width, grey.height + 24), 255)
        canvas.paste(grey, (0, 24))
        ImageDraw.Draw(canvas).text(
            (6, 5), f"{caption} (black: {limit:.2g})", fill=0, font=ImageFont.load_default(14)
        )
        drawn.append(canvas)
    durations = [milliseconds] * (len(drawn) - 1) + [2000]
    with atomic_write(path) as temporary:
        drawn[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=drawn[1:],
            duration=durations,
            loop=0,
        )
