"""Pictures of prototypes. Matplotlib and Pillow are imported where they draw."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..state import atomic_write

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


def prototype_panels(
    path: str | Path,
    panels: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    *,
    signed: Sequence[str] = (),
    title: str = "",
    most: int = 6,
) -> None:
    """A row for each class, a panel for each kind of prototype.

    panels: title → images (neurons, height, width), neurons sorted by class.
    signed: titles whose images have a sign; they are drawn blue below 0 and red above.
    most: how many neurons of a class are shown.
    """
    figure, axes = _figure(len(panels), width=4.2, height=7.4)
    for axis, (name, images) in zip(axes, panels.items(), strict=True):
        picture, step = _grid(images, len(class_names), most)
        if name in signed:
            reach = float(np.nanmax(np.abs(picture)))
            axis.imshow(picture, cmap="RdBu_r", vmin=-reach, vmax=reach)
        else:
            axis.imshow(picture, cmap="gray_r")
        axis.set_title(name, fontsize=12)
        axis.set_xticks([])
        axis.set_yticks(np.arange(len(class_names)) * step + step / 2)
        axis.set_yticklabels(class_names if axis is axes[0] else [])
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    figure.suptitle(title, fontsize=12)
    _save(figure, path)


def roc_curves(path: str | Path, panels: Mapping[str, Curves], title: str = "") -> None:
    """Panels of ROC curves: the share of outliers accepted (logarithmic) against that of inliers.

    panels: title → {label: (accepted outliers, accepted inliers)}.
    """
    figure, axes = _figure(len(panels), width=5.2, height=4.4)
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        for label, (false, true) in curves.items():
            axis.plot(np.maximum(false, 1e-4), true, label=label)
        axis.axhline(0.95, color="0.7", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", xlim=(1e-3, 1), ylim=(0, 1.01), title=name)
        axis.set(xlabel="share of strangers accepted", ylabel="share of test images accepted")
        axis.legend(loc="lower right", fontsize=8)
    figure.suptitle(title, fontsize=12)
    _save(figure, path)


def formation(
    path: str | Path,
    frames: Sequence[tuple[str, np.ndarray]],
    classes: int,
    *,
    most: int = 6,
    milliseconds: int = 160,
) -> None:
    """A GIF of prototypes as they form: frames are (caption, images (neurons, height, width)).

    Grey levels are those of the last frame throughout, classes run from left to right.
    """
    from PIL import Image, ImageDraw, ImageFont

    reach = float(np.abs(frames[-1][1]).max()) or 1.0
    drawn = []
    for caption, images in frames:
        rows = images.reshape(classes, -1, *images.shape[1:])[:, :most]
        upright = rows.swapaxes(0, 1).reshape(-1, *images.shape[1:])  # a class is a column
        picture, _ = _grid(upright, rows.shape[1], classes)
        ink = np.nan_to_num(np.clip(picture / reach, 0, 1))
        grey = Image.fromarray(np.uint8(255 - np.round(15 * ink) * 17))  # 16 greys: a small file
        grey = grey.resize((2 * grey.width, 2 * grey.height), Image.Resampling.NEAREST)
        canvas = Image.new("L", (grey.width, grey.height + 24), 255)
        canvas.paste(grey, (0, 24))
        ImageDraw.Draw(canvas).text((6, 5), caption, fill=0, font=ImageFont.load_default(14))
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


def _grid(images: np.ndarray, classes: int, most: int, gap: int = 2) -> tuple[np.ndarray, int]:
    """The images of each class in a row, with gaps of NaN: the picture and the height of a row."""
    neurons, height, width = images.shape
    shown = min(most, neurons // classes)
    rows = images.reshape(classes, -1, height, width)[:, :shown].astype(np.float64)
    padded = np.pad(rows, [(0, 0), (0, 0), (0, gap), (0, gap)], constant_values=np.nan)
    picture = padded.transpose(0, 2, 1, 3).reshape(classes * (height + gap), -1)
    return picture, height + gap


def _figure(columns: int, *, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _save(figure: Any, path: str | Path) -> None:
    """Write the figure; it appears whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
