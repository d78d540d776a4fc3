"""An epoch of training for the radius, beside the same epoch in NumPy with np.add.at.

    python benchmarks/bench_radius.py [--quick] [--json FILE] [--data DIR]

EDWTA with 40 prototypes of each digit, mini-batches of 500, the L2 radius without a box. The NumPy
epoch is the textbook one: the norms of the pairs from a Gram matrix in every mini-batch, the
gradient of each prototype added up by np.add.at, NumPy's own threads. Both start from the same
prototypes; the largest difference of the prototypes after one epoch is printed, relative to the
largest change. Times are medians of alternating runs.
"""

from typing import Any

import numpy as np
from common import argument_parser, load_mnist, median_seconds, report

from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import EDWTA

PER_CLASS, BATCH, TARGET, MOMENTUM, RATE = 40, 500, 2.5, 0.9, 8.0


def numpy_epoch(w: np.ndarray, owner: np.ndarray, x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """One epoch of the hinge, in the order of the samples."""
    w, velocity = w.copy(), np.zeros_like(w)
    for start in range(0, len(x), BATCH):
        samples, y = x[start : start + BATCH], label[start : start + BATCH]
        row = np.arange(len(samples))
        square = (w**2).sum(axis=1)
        score = samples @ w.T - square / 2
        own_class = owner == y[:, None]
        own = np.where(own_class, score, -np.inf).argmax(axis=1)
        norms = np.sqrt(np.maximum(square[own, None] + square - 2 * w[own] @ w.T, 1e-12))
        ratio = np.where(own_class, np.inf, (score[row, own][:, None] - score) / norms)
        rival = ratio.argmin(axis=1)
        radius = ratio[row, rival].astype(w.dtype)
        norm = norms[row, rival]
        weight = ((radius < TARGET) / norm / len(samples)).astype(w.dtype)[:, None]
        point = samples + (radius / norm)[:, None] * (w[rival] - w[own])
        gradient = np.zeros_like(w)
        np.add.at(gradient, own, weight * (point - w[own]))
        np.add.at(gradient, rival, -weight * (point - w[rival]))
        velocity = MOMENTUM * velocity + gradient
        w += np.float32(RATE) * (gradient + MOMENTUM * velocity)
    return w


def main() -> None:
    chosen = argument_parser(__doc__).parse_args()
    x, y, *_ = load_mnist(chosen.data)
    if chosen.quick:
        x, y = x[:10_000], y[:10_000]
    network = EDWTA(
        PER_CLASS, epochs=0, init="kmeans", objective="radius", batch_size=BATCH,
        target_radius=TARGET, momentum=MOMENTUM, learning_rate=RATE,
    ).fit(x, y)  # fmt: skip
    first = network.positive_prototypes_.copy()
    owner = np.arange(10 * PER_CLASS) // PER_CLASS
    label = np.searchsorted(network.classes_, y)

    def ours() -> None:
        network.positive_prototypes_[...] = first
        network.partial_fit(x, y)

    found: dict[str, Any] = {}

    def in_numpy() -> None:
        found["w"] = numpy_epoch(first, owner, x, label)

    seconds = median_seconds(
        {"tinyproto": ours, "NumPy, np.add.at": in_numpy}, 1 if chosen.quick else 5
    )
    difference = np.abs(network.positive_prototypes_ - found["w"]).max()
    change = np.abs(found["w"] - first).max()
    rows = [
        {
            "epoch of": f"{len(x)} digits, {10 * PER_CLASS} neurons",
            **{f"{name}, s": value for name, value in seconds.items()},
            "NumPy / tinyproto": seconds["NumPy, np.add.at"] / seconds["tinyproto"],
            "difference / change of the prototypes": float(difference / change),
        }
    ]
    report(rows, chosen.json)


if __name__ == "__main__":
    run_command(main)
