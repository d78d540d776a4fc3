"""Pictures of a training run: how it went, what an attack does, what the latent space is like.

Matplotlib is imported where it draws.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .geometry import _labels, angles, plane, simplex_angle
from .pictures import _figure, _save

ACCURACIES = {  # of a row of `fit`: the label and the colour of its curve
    "train": ("training images, as learned from", "0.6"),
    "clean": ("held out, clean", "tab:blue"),
    "robust": ("held out, attacked", "tab:red"),
}


def curves(path: str | Path, history: Sequence[Mapping[str, float]], title: str = "") -> None:
    """The loss (left) and the accuracies in percent (right) over the epochs.

    history: rows as `fit` returns them, with epoch, loss and train, and with clean and robust
    where there was something held out; accuracies are shares. Raises ValueError for no rows.
    """
    if not history:
        raise ValueError("history must have a row for one epoch or more, not none")
    figure, (left, right) = _figure(2, width=5.2, height=4.2)
    style: dict[str, Any] = {"linewidth": 1.8, "markersize": 4}
    if len(history) <= 30:
        style["marker"] = "o"
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["loss"] for row in history], color="0.25", **style)
    left.set(title="training loss", xlabel="epoch")
    for key, (label, colour) in ACCURACIES.items():
        rows = [row for row in history if key in row]
        if rows:
            label = f"{label}: {rows[-1][key]:.1%} at the end"
            shares = [100 * row[key] for row in rows]
            right.plot([row["epoch"] for row in rows], shares, color=colour, label=label, **style)
    right.set(title="accuracy in %", xlabel="epoch")
    right.set_ylim(0, 1.35 * right.get_ylim()[1])  # the legend has its place above the curves
    right.set_yticks([tick for tick in right.get_yticks() if tick <= 100])
    right.legend(loc="upper left", fontsize=9, frameon=False)
    for axis in (left, right):
        axis.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(color="0.92")
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=12)
    _save(figure, path)


def attacks(
    path: str | Path,
    images: np.ndarray,
    attacked: np.ndarray,
    truth: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    class_names: Sequence[str],
    eps: float,
    title: str = "",
) -> None:
    """A column for each image: clean, the difference at full contrast, attacked.

    images, attacked: (n, H, W, 3) in [0, 1]; 6 to 8 fill a page. truth, before, after: (n,), the
    class and the answers to the clean and to the attacked image, indices of `class_names`; they
    stand above and below, a wrong answer in red. eps: the radius, in units of the images. The
    difference is drawn about grey, so that its largest value in any image is black or white.
    Raises ValueError for arrays that do not belong together.
    """
    x, moved = np.asarray(images, dtype=np.float64), np.asarray(attacked, dtype=np.float64)
    if x.ndim != 4 or x.shape[3] != 3 or not len(x) or moved.shape != x.shape:
        raise ValueError(
            f"images and attacked must both be (n, H, W, 3), not {x.shape} and {moved.shape}"
        )
    for name, answers in (("truth", truth), ("before", before), ("after", after)):
        _labels(answers, len(x), len(class_names), name)
    difference = moved - x
    reach = float(np.abs(difference).max()) or eps
    rows = {
        "clean": x,
        f"difference\n× {0.5 / reach:.3g}\n(grey is 0)": 0.5 + 0.5 * difference / reach,
        f"attacked\nε = {_radius(eps)}": moved,
    }
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.3 * max(len(x), 4) + 1.3, 5.1), layout="constrained")
    axes = figure.subplots(len(rows), len(x), squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(np.clip(picture, 0, 1))
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11, labelpad=8)
    for line, answers in ((axes[0], before), (axes[2], after)):
        _beside(line[0], "answer", 0.0, "top")
        for axis, answer, right in zip(line, answers, truth, strict=True):
            colour, weight = ("black", "normal") if answer == right else ("tab:red", "bold")
            axis.set_xlabel(class_names[int(answer)], color=colour, weight=weight, fontsize=11)
    _beside(axes[0][0], "truth", 1.0, "bottom")
    for axis, right in zip(axes[0], truth, strict=True):
        axis.set_title(class_names[int(right)], fontsize=11)
    figure.suptitle(title, fontsize=12)
    _save(figure, path)


def latent(
    path: str | Path,
    features: np.ndarray,
    labels: np.ndarray,
    prototypes: np.ndarray,
    class_names: Sequence[str],
    title: str = "",
) -> None:
    """Features (dots) and prototypes (stars) in the plane of `geometry.plane`, and the angles
    between prototypes beside it.

    features (N, d), labels (N,); prototypes (M, d), M ≥ 2, of the classes named, in this order, or
    what stands for them: class means, or the weights of a linear head. What looks near in the
    plane need not be; the angles are those in the whole space. They are drawn white where they are
    those of a regular simplex, red where they are smaller, blue where they are larger.
    Raises ValueError for shapes that do not belong together.
    """
    if len(prototypes) < 2 or len(class_names) != len(prototypes):
        raise ValueError(
            "there must be a prototype for each class, and two or more, not "
            f"{len(prototypes)} for {len(class_names)} classes"
        )
    y = _labels(labels, len(features), len(prototypes))
    dots, stars, share = plane(features, prototypes)
    between = angles(prototypes)
    colours = _colours(len(stars))
    few = len(stars) <= 20
    figure, (left, right) = _figure(2, width=6.0, height=5.8)

    left.scatter(*dots.T, s=11, c=colours[y], alpha=0.65, linewidths=0)
    left.scatter(
        *stars.T, s=230 if few else 60, c=colours, marker="*", edgecolors="black",
        linewidths=0.9 if few else 0.3, zorder=3,
    )  # fmt: skip
    if few:
        _name_stars(left, stars, class_names)
    drawn = np.concatenate([dots, stars])
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    reach = 0.66 * float((high - low).max())  # a square, with room for names at its edge
    (across, up) = (low + high) / 2
    left.set(xlim=(across - reach, across + reach), ylim=(up - reach, up + reach), aspect="equal")
    left.tick_params(labelsize=8, colors="0.5")
    for spine in left.spines.values():
        spine.set_color("0.8")
    left.set_title(f"{len(dots):,} test images (dots) and the prototypes (stars)", fontsize=11)
    left.set_xlabel(
        f"this plane shows {share:.0%} of the features' variance;\n"
        "what is near in it need not be: compare the angles",
        fontsize=10,
    )

    _angle_matrix(right, between, class_names)
    if few:
        for label, colour in zip(right.get_yticklabels(), colours, strict=True):
            label.set_bbox({"facecolor": (*colour[:3], 0.45), "edgecolor": "none", "pad": 1.5})
    figure.suptitle(title, fontsize=12)
    _save(figure, path)


def _angle_matrix(axis: Any, between: np.ndarray, class_names: Sequence[str]) -> None:
    from matplotlib.colors import TwoSlopeNorm

    count, regular = len(between), simplex_angle(len(between))
    off = between[~np.eye(count, dtype=bool)]
    reach = max(5.0, float(np.abs(off - regular).max()))  # rounding is to look like nothing
    shown = np.where(np.eye(count, dtype=bool), np.nan, between)
    picture = axis.imshow(
        shown, cmap="RdBu", norm=TwoSlopeNorm(regular, regular - reach, regular + reach)
    )
    axis.set_facecolor("0.9")  # the diagonal
    axis.figure.colorbar(picture, ax=axis, shrink=0.75, label="angle in degrees")
    axis.set_title("angles between prototypes", fontsize=11)
    axis.tick_params(length=0)
    if count <= 20:
        axis.set_xticks(np.arange(count), class_names, rotation=45, ha="right", fontsize=9)
        axis.set_yticks(np.arange(count), class_names, fontsize=9)
    if count <= 12:
        for row, column in zip(*np.nonzero(~np.eye(count, dtype=bool)), strict=True):
            angle = between[row, column]
            colour = "white" if abs(angle - regular) > 0.65 * reach else "black"
            axis.text(
                column, row, f"{angle:.0f}", ha="center", va="center", fontsize=9, color=colour
            )
    axis.set_xlabel(
        f"here {off.min():.1f}° to {off.max():.1f}°;  in a regular simplex of {count} (white)\n"
        f"all are arccos(−1/{count - 1}) = {regular:.1f}°",
        fontsize=10,
    )


def _name_stars(axis: Any, stars: np.ndarray, class_names: Sequence[str]) -> None:
    """Names beside the stars, on the side away from the middle of them."""
    from matplotlib.patheffects import withStroke

    out = stars - stars.mean(axis=0)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    for star, (right, up), name in zip(stars, out, class_names, strict=True):
        axis.annotate(
            name, star, (12 * right, 14 * up), textcoords="offset points", fontsize=10, zorder=4,
            ha="left" if right > 0.3 else "right" if right < -0.3 else "center",
            va="bottom" if up > 0.3 else "top" if up < -0.3 else "center",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip


def _beside(axis: Any, text: str, height: float, side: str) -> None:
    """A grey word to the left of an axis, level with what stands above or below it."""
    axis.annotate(
        text, (0, height), (-8, 6 if side == "bottom" else -5), textcoords="offset points",
        xycoords="axes fraction", ha="right", va=side, fontsize=10, color="0.45",
    )  # fmt: skip


def _colours(classes: int) -> np.ndarray:
    """RGBA for each class: ten that are easy to tell apart, twenty that are not so easy, else
    hues that go round as classes do."""
    from matplotlib import colormaps

    if classes <= 20:
        return np.asarray(colormaps["tab10" if classes <= 10 else "tab20"](np.arange(classes)))
    return np.asarray(colormaps["hsv"](np.arange(classes) / classes))


def _radius(eps: float) -> str:
    """8/255 as it is written, and other radii as numbers."""
    steps = eps * 255
    whole = abs(steps - round(steps)) < 1e-6 * max(steps, 1) and round(steps) > 0
    return f"{round(steps)}/255" if whole else f"{eps:.3g}"
