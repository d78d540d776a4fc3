"""A class that the network has never seen as outliers: the scores of features, and their AUROC.

    python benchmarks/bench_left_out.py [--quick] [--json FILE] [--left-out NAME] [--run DIR]

compact_cnn learns nine classes of CIFAR-10 by Adv-DPNP with single-step training images (N-FGSM),
10 epochs. The outliers are the test images of the class that was left out; they are told from the
test images of the nine. With --run, the training is kept in DIR and goes on there after an
interruption. --quick takes 2,000 training images and one epoch.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, report

from tinyproto import networks
from tinyproto.data import load
from tinyproto.data.augment import crop_and_flip
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.deep_explanation import collect_features, explain_network
from tinyproto.networks import CIFAR10_MEAN, CIFAR10_STD
from tinyproto.optimizers import SGD
from tinyproto.prototypes import (
    FEATURE_SCORES,
    Detector,
    FeatureDetector,
    auroc,
    fpr_at_tpr,
)
from tinyproto.schedules import one_cycle
from tinyproto.training import DEFENSES, NFGSMConfig, fit

CALIBRATION = 2000  # training images
WINNER_TAKE_ALL = ("distance", "margin")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--left-out", default="truck", metavar="NAME", help="the class (truck)")
    parser.add_argument("--run", type=Path, metavar="DIR", help="keep the training here")
    chosen = parser.parse_args()
    data = load("cifar10", chosen.data, download=False)
    if chosen.left_out not in data.class_names:
        raise ValueError(f"--left-out must be one of {', '.join(data.class_names)}")
    left_out = data.class_names.index(chosen.left_out)
    known = [c for c in range(len(data.class_names)) if c != left_out]
    learned = np.flatnonzero(data.y_train != left_out)[: 2000 if chosen.quick else None]
    x, y = data.x_train[learned], np.searchsorted(known, data.y_train[learned])
    network = networks.compact_cnn(
        len(known), head="prototypes", mean=CIFAR10_MEAN, std=CIFAR10_STD, seed=0
    )
    train(network, x, y, 1 if chosen.quick else 10, chosen.run)
    network = networks.fold(network)
    is_known = data.y_test != left_out
    test, outliers = (images / np.float32(255) for images in
                      (data.x_test[is_known], data.x_test[~is_known]))  # fmt: skip
    y_test = np.searchsorted(known, data.y_test[is_known])
    training = x[:CALIBRATION] / np.float32(255)
    found = explain_network(network, training, test, y_test)
    features, answers = collect_features(network, training)
    scores: list[str | Detector] = [*FEATURE_SCORES]
    if len(found.network.classes_) == len(known):  # otherwise a class is never the answer
        scores += [
            Detector(found.network, score).fit(features, answers) for score in WINNER_TAKE_ALL
        ]
    rows = []
    for score in scores:
        detector = FeatureDetector(network, score).fit(training)
        inner, outer = detector.score(test), detector.score(outliers)
        rows.append({
            "score": detector.kind,
            "AUROC": round(auroc(inner, outer), 3),
            "outliers accepted where 95 % of the others are, %":
                round(100 * fpr_at_tpr(inner, outer), 1),
        })  # fmt: skip
    note = (
        f"left out: {chosen.left_out}, {len(outliers):,} test images of it against {len(test):,} "
        f"of the nine learned classes, of which {100 * found.deep_accuracy:.1f} % are classified "
        f"correctly; {len(x):,} training images; seed 0"
    )
    report(rows, chosen.json, note)


def train(
    network: networks.Network, x: np.ndarray, y: np.ndarray, epochs: int, folder: Path | None
) -> None:
    """Adv-DPNP on these images; a training that is in the folder goes on."""
    saved: dict[str, Any] = {}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / "checkpoint.npz"
        saved = {"checkpoint": checkpoint, "resume": checkpoint.exists()}
    fit(
        network,
        partial(DEFENSES["adv-dpnp"], attack=NFGSMConfig()),
        x,
        y,
        epochs=epochs,
        optimizer=SGD(momentum=0.9, weight_decay=5e-4),
        schedule=partial(one_cycle, 0.1),
        augment=crop_and_flip,
        seed=0,
        **saved,
    )


if __name__ == "__main__":
    run_command(main)
