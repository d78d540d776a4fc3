"""The outlier scores: chosen on training digits alone, then compared on other images.

    python benchmarks/bench_outliers.py [--quick] [--json FILE]

The choice: each of ten networks is trained on nine digits of the first 50,000 training images; of
the last 10,000, these nine digits are the inliers and the tenth is the outlier. The score with the
highest mean AUROC is chosen, and only then are the sets of outliers used. For comparison: the
distance to the nearest of 10,000 stored images. The last column counts multiplications per image.
"""

from typing import Any

import numpy as np
from common import argument_parser, load_mnist, report

from tinyproto.data import load_outliers
from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import SCORES, Detector, PlusMinusEDWTA, auroc, fpr_at_tpr
from tinyproto.random import uniform

STORED = 10_000


def leave_one_digit_out(x: np.ndarray, y: np.ndarray, epochs: int) -> dict[str, float]:
    """The mean AUROC of each score, the left-out digit being the outlier."""
    training = np.arange(len(x)) < len(x) * 5 // 6
    areas: dict[str, list[float]] = {score: [] for score in SCORES}
    for digit in range(10):
        inlier = y != digit
        train, test = training & inlier, ~training & inlier
        network = PlusMinusEDWTA(epochs=epochs, decay=0.95 ** (49 / epochs)).fit(x[train], y[train])
        for score in SCORES:
            detector = Detector(network, score).fit(x[train], y[train])
            outliers = detector.score(x[~training & ~inlier])
            areas[score].append(auroc(detector.score(x[test]), outliers))
    return {score: float(np.mean(found)) for score, found in areas.items()}


def nearest_neighbour(x: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """The Euclidean distance of each of x to the nearest stored image."""
    squared = (stored**2).sum(axis=1)[None, :] - 2 * x @ stored.T
    return np.sqrt(np.maximum((x**2).sum(axis=1) + squared.min(axis=1), 0))


def main() -> None:
    chosen = argument_parser(__doc__).parse_args()
    x, y, x_test, _, _ = load_mnist(chosen.data)
    left_out = leave_one_digit_out(x, y, epochs=2 if chosen.quick else 12)
    best = max(left_out, key=lambda score: left_out[score])

    network = PlusMinusEDWTA(epochs=5 if chosen.quick else 49).fit(x, y)
    found = load_outliers(chosen.data)
    outliers = {name: i.reshape(len(i), -1) / np.float32(255) for name, i in found.items()}
    outliers["noise"] = uniform(784, np.arange(10_000), seed=0, stream="noise").astype(np.float32)

    neurons, features = len(network.prototype_labels_), x.shape[1]
    prediction = 2 * neurons * features  # products with both prototypes of every neuron
    profile = prediction + features + neurons**2 + (neurons + 1) ** 2
    rows: list[dict[str, Any]] = []
    for score in SCORES:
        detector = Detector(network, score).fit(x, y)
        inlier_scores = detector.score(x_test)
        outlier_scores = {name: detector.score(s) for name, s in outliers.items()}
        row: dict[str, Any] = {"score": score + (" (chosen)" if score == best else "")}
        row |= {"left-out digit": left_out[score], **measures(inlier_scores, outlier_scores)}
        rows.append({**row, "multiplications": profile if score == "profile" else prediction})
    stored = x[:STORED]
    inlier_scores = nearest_neighbour(x_test, stored)
    outlier_scores = {name: nearest_neighbour(s, stored) for name, s in outliers.items()}
    row = {"score": f"1-NN, {len(stored):,} images", "left-out digit": ""}
    row |= measures(inlier_scores, outlier_scores)
    rows.append({**row, "multiplications": len(stored) * features})
    note = "AUROC / fraction of outliers accepted where 95 % of the test images are"
    report(rows, chosen.json, note)


def measures(inliers: np.ndarray, outliers: dict[str, np.ndarray]) -> dict[str, str]:
    return {
        name: f"{auroc(inliers, scores):.4f} / {fpr_at_tpr(inliers, scores):.3f}"
        for name, scores in outliers.items()
    }


if __name__ == "__main__":
    run_command(main)
