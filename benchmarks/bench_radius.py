"""An epoch of training for the radius, beside the same epoch in NumPy with np.add.at.

    python benchmarks/bench_radius.py [--quick] [--json FILE] [--data DIR]

EDWTA with 40 prototypes of each digit, mini-batches of 500, the L2 radius without a box. The NumPy
epoch is the textbook one: in every mini-batch the norms of the pairs from a Gram matrix, the pair
of maxᵢ minⱼ for each sample, the gradient of each prototype added up by np.add.at; with NumPy's own
threads. Both start from the same prototypes, and the mean hinge of the
training digits after the epoch is printed for both. Times are medians of alternating runs.
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
        square = (w**2).sum(axis=1)
        score = samples @ w.T - square / 2
        norms = np.sqrt(np.maximum(square[:, None] + square - 2 * w @ w.T, 1e-12))
        own, rival = np.empty_like(y), np.empty_like(y)
        radius = np.empty(len(samples), dtype=w.dtype)
        for c in np.unique(owner):
            members, some = np.flatnonzero(owner == c), np.flatnonzero(y == c)
            others = np.flatnonzero(owner != c)
            gaps = score[some][:, members, None] - score[some][:, None, others]
            ratio = gaps / norms[np.ix_(members, others)]
            nearest = ratio.argmin(axis=2)
            least = np.take_along_axis(ratio, nearest[..., None], axis=2)[..., 0]
            best = least.argmax(axis=1)
            at = np.arange(len(some))
            own[some], rival[some] = members[best], others[nearest[at, best]]
            radius[some] = least[at, best]
        norm = norms[own, rival]
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
    hinges = {}
    for name, w in (("tinyproto", network.positive_prototypes_.copy()), ("NumPy", found["w"])):
        network.positive_prototypes_[...] = w
        radius = network.radius_bound(x, y)
        hinges[f"mean hinge after it, {name}"] = float(np.maximum(TARGET - radius, 0).mean())
    rows = [
        {
            "epoch of": f"{len(x)} digits, {10 * PER_CLASS} neurons",
            **{f"{name}, s": value for name, value in seconds.items()},
            "NumPy / tinyproto": seconds["NumPy, np.add.at"] / seconds["tinyproto"],
            **hinges,
        }
    ]
    report(rows, chosen.json)


if __name__ == "__main__":
    run_command(main)
