"""The three pictures: accuracy by K, prototypes as they form, one neuron's sliding threshold."""

from pathlib import Path
from typing import Any

import numpy as np

from tinyproto.evaluation.figures import new_figure, save_figure
from tinyproto.prototypes import count_wins

from . import NETWORKS
from .history import Snapshot, activity, nearest_to, record
from .runs import PROTOTYPES, Images

TITLES = {"mnist": "MNIST", "fashion": "Fashion-MNIST"}
COLOURS = dict(zip(NETWORKS, ("tab:green", "tab:orange", "tab:blue"), strict=True))
STAGES = {
    0: "start", 100: "100 images", 1_000: "1,000", 10_000: "10,000",
    60_000: "1 epoch", 180_000: "3 epochs", 720_000: "12 epochs",
}  # fmt: skip
FORMING = {"mnist": (0, 2, 3, 8), "fashion": (0, 1, 7, 9)}  # classes, a neuron of each is drawn
SHOWN = 20_000  # training images whose activity is drawn
BIN = 1.0  # of the activity, in the mean of the plasticity
MIN_SAMPLES = 100


def draw(rows: list[dict[str, Any]], found: dict[str, Images], folder: Path) -> None:
    """All pictures; two of them from training a network of each data set anew."""
    folder.mkdir(parents=True, exist_ok=True)
    histories = {name: record(name, images) for name, images in found.items()}
    plot_accuracy(rows, folder / "paper_accuracy.png")
    plot_formation(histories, found, folder / "paper_formation.png")
    plot_threshold(histories["mnist"], found["mnist"], folder / "paper_threshold.png")


def plot_accuracy(rows: list[dict[str, Any]], path: Path) -> None:
    """Mean test accuracy against K, with a band of one standard deviation over the seeds."""
    figure, axes = new_figure(2, width=4.6, height=4.2)
    for axis, (data, title) in zip(axes, TITLES.items(), strict=True):
        for network, colour in COLOURS.items():
            found = {
                k: [
                    row["test accuracy %"]
                    for row in rows
                    if (row.get("data"), row.get("network"), row.get("prototypes"))
                    == (data, network, k)
                    and row["rates"] == "chosen"
                ]
                for k in PROTOTYPES
            }
            ks = [k for k, values in found.items() if values]
            mean = np.array([np.mean(found[k]) for k in ks])
            deviation = np.array([np.std(found[k], ddof=1) if len(found[k]) > 1 else 0 for k in ks])
            axis.plot(ks, mean, color=colour, marker="o", markersize=4, label=network)
            axis.fill_between(
                ks, mean - deviation, mean + deviation, color=colour, alpha=0.25, lw=0
            )
        axis.set_xscale("log")
        axis.set_xticks(PROTOTYPES, labels=list(map(str, PROTOTYPES)))
        axis.minorticks_off()
        axis.grid(color="0.92")
        axis.set(title=title, xlabel="K, neurons of each class")
    axes[0].set_ylabel("test accuracy, %")
    axes[0].legend(loc="lower right", frameon=False)
    figure.suptitle("Test accuracy of the three networks with equally many neurons", fontsize=12)
    save_figure(figure, path)


def plot_formation(
    histories: dict[str, list[Snapshot]], found: dict[str, Images], path: Path
) -> None:
    """w⁺ and w⁻ of four neurons at growing numbers of training images, for each data set."""
    figure, axes = new_figure(2, width=4.6, height=5.4)
    for axis, (data, history) in zip(axes, histories.items(), strict=True):
        images, classes = found[data], FORMING[data]
        wins = count_wins(history[-1].network, images.x[:SHOWN], images.y[:SHOWN]).reshape(10, -1)
        neurons = [c * wins.shape[1] + int(wins[c].argmax()) for c in classes]
        stages = [nearest_to(stage, history).network for stage in STAGES]
        rows = [
            [grey_levels(vars(network)[name][k]) for network in stages]
            for k in neurons
            for name in ("positive_prototypes_", "negative_prototypes_")
        ]
        gaps = [(0, 0), (0, 0), (0, 3), (0, 3)]
        tiles = np.pad(np.reshape(rows, (len(rows), -1, 28, 28)), gaps, constant_values=np.nan)
        picture = tiles.transpose(0, 2, 1, 3).reshape(len(rows) * 31, -1)
        axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(TITLES[data], fontsize=11)
        places = np.arange(max(len(STAGES), len(rows))) * 31 + 14
        axis.set_xticks(places[: len(STAGES)], labels=list(STAGES.values()), fontsize=7)
        labels = [label for c in classes for label in (f"{images.class_names[c]}  w⁺", "w⁻")]
        axis.set_yticks(places[: len(rows)], labels=labels, fontsize=8)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.suptitle(
        "w⁺ soon looks like its class; w⁻ follows, until the two can hardly be told apart",
        fontsize=12,
    )
    save_figure(figure, path)


def grey_levels(image: np.ndarray) -> np.ndarray:
    """The image with 0 as white and its largest number as black, in 16 levels: a small file."""
    scaled = np.clip(image / max(float(image.max()), 1e-9), 0, 1)
    rounded: np.ndarray = np.round(15 * scaled) / 15
    return rounded


def plot_threshold(history: list[Snapshot], images: Images, path: Path, label: int = 3) -> None:
    """One neuron's activity A·x and threshold θ during training, and its plasticity.

    Left: the median activity, and the middle 80 %, for the images of its class that it wins at the
    end, and for images of other classes. Right: the mean of r = τ − q, in proportion to which a
    sample changes the neuron, against A·x − θ.
    """
    x, y = images.x[:SHOWN], images.y[:SHOWN]
    network = history[-1].network
    own = np.flatnonzero(network.prototype_labels_ == label)
    wins = sum(count_wins(snapshot.network, x[y == label])[own] for snapshot in history)
    neuron = int(own[np.argmax(wins)])  # the one that is in use longest
    winner = own[network.neuron_scores(x)[:, own].argmax(axis=1)]
    groups = {
        f"images of a “{label}” that it wins": ((y == label) & (winner == neuron), "tab:red"),
        "images of other classes": (y != label, "tab:blue"),
    }
    figure, axes = new_figure(2, width=4.7, height=4.0)
    after_start = history[1:]
    observed = [activity(snapshot.network, neuron, x, y) for snapshot in after_start]
    samples = [snapshot.samples for snapshot in after_start]
    for name, (mask, colour) in groups.items():
        low, median, high = np.array(
            [np.quantile(found.activity[mask], (0.1, 0.5, 0.9)) for found in observed]
        ).T
        axes[0].plot(samples, median, color=colour, label=f"activity A·x, {name}")
        axes[0].fill_between(samples, low, high, color=colour, alpha=0.15, lw=0)
    thresholds = [found.threshold for found in observed]
    axes[0].plot(samples, thresholds, color="black", lw=2, label="threshold θ")
    axes[0].set(xscale="log", xlabel="training images seen", ylabel="activity, threshold")
    axes[0].set_title("The threshold slides with the activity", fontsize=11)
    axes[0].legend(loc="upper left", fontsize=8, frameon=False)
    plot_plasticity(axes[1], {"10,000 images": 10_000, "1 epoch": 60_000, "12 epochs": 720_000},
                    history, neuron, images.x, images.y)  # fmt: skip
    save_figure(figure, path)


def plot_plasticity(
    axis: Any,
    stages: dict[str, int],
    history: list[Snapshot],
    neuron: int,
    x: np.ndarray,
    y: np.ndarray,
) -> None:
    """The mean of r over training images of about equal A·x − θ, at some stages of training."""
    for (name, stage), colour in zip(
        stages.items(), ("#9ecae1", "#3182bd", "#08306b"), strict=True
    ):
        found = activity(nearest_to(stage, history).network, neuron, x, y)
        above = found.activity - found.threshold
        place = np.round(above / BIN).astype(int)
        bins = [p for p in range(-8, 9) if (place == p).sum() >= MIN_SAMPLES]
        mean = [found.plasticity[place == p].mean() for p in bins]
        axis.plot(BIN * np.array(bins), mean, color=colour, marker=".", label=f"after {name}")
    axis.axhline(0, color="0.8", lw=0.8)
    axis.axvline(0, color="0.8", lw=0.8)
    axis.set(xlabel="activity above the threshold, A·x − θ", ylabel="mean of τ − q")
    axis.set_title("Plasticity changes its sign near the threshold", fontsize=11)
    axis.legend(loc="upper left", fontsize=8, frameon=False)
