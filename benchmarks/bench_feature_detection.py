"""Detectors in the feature space of a deep network: outliers, and attackers who know them or not.

    python benchmarks/bench_feature_detection.py [--quick] [--json FILE] [--attacked N]

The Adv-DPNP network of benchmarks/models and test images of CIFAR-10. A ±ED-WTA network is fitted
on the features of training images, with the network's answers as labels. Each score may refuse 5 %
of the training images. An attack, L∞ at 8/255, evades a detector if its image is classified wrongly
and accepted. Rows are written score after score, and those that FILE has are kept.
"""

from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, known_rows, report, write_rows

from tinyproto import networks
from tinyproto.attacks import Victim, pgd
from tinyproto.data import colour_outliers, load
from tinyproto.evaluation import FeatureDetectionReport, feature_detection_report
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.deep_explanation import collect_features, explain_network
from tinyproto.prototypes import FEATURE_SCORES, Detector, FeatureDetector

MODEL = Path(__file__).parent / "models" / "cifar10_adv_dpnp.npz"
EPS = 8 / 255
CALIBRATION = 2000  # training images, the first ones
WINNER_TAKE_ALL = ("distance", "margin", "combined")
ATTACKER = "adaptive attacker: evades %"
Images = np.ndarray


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--attacked", type=int, default=300, metavar="N", help="attacked test images"
    )
    chosen = parser.parse_args()
    training, test, attacked = (500, 100, 10) if chosen.quick else (4000, 1000, chosen.attacked)
    data = load("cifar10", chosen.data, download=False)
    x, x_test = (in_unit_interval(i) for i in (data.x_train[:training], data.x_test[:test]))
    y_test = data.y_test[:test]
    network = networks.fold(networks.load(MODEL))
    note = (
        f"compact_cnn of Adv-DPNP; {len(x):,} training images, {len(x_test):,} test images of "
        f"{data.name}, the first {attacked} attacked; seed 0"
    )
    about = {
        "training": len(x), "test": len(x_test), "attacked": attacked, "whole data": data.complete
    }  # fmt: skip
    rows = known_rows(chosen.json, about)
    known = {row["score"] for row in rows if ATTACKER in row}

    def write(some: list[dict[str, Any]]) -> None:
        """Add rows, those of one table together."""
        rows.extend(some)
        rows.sort(key=lambda row: (ATTACKER in row, "score" in row))
        write_rows(rows, chosen.json, note, about)

    points = pgd(Victim(network), x_test[:attacked], y_test[:attacked], eps=EPS, early_exit=False)
    right = network(x_test[:attacked])[0].argmax(axis=1) == y_test[:attacked]
    # PGD leaves alone what is misclassified: only the others are images under attack.
    found = explain_network(network, x, x_test, y_test, attacked=points[right])
    if not any("score" not in row for row in rows):
        write([explanation_row(found)])
    features, answers = collect_features(network, x)
    sets = colour_outliers(data.x_test, count=min(test, 300), directory=chosen.data)
    outliers = {name: in_unit_interval(images) for name, images in sets.items()}
    scores: list[str | Detector] = [
        *FEATURE_SCORES,
        *(Detector(found.network, score).fit(features, answers) for score in WINNER_TAKE_ALL),
    ]
    for score in scores:
        detector = FeatureDetector(network, score)
        if detector.kind in known:
            continue
        measured = feature_detection_report(
            detector.fit(x[:CALIBRATION]),
            x_test,
            y_test,
            eps=EPS,
            outliers=outliers,
            attacked=attacked,
        )
        write([outlier_row(measured), attack_row(measured)])
        print(rows[-1], flush=True)
    report(rows, chosen.json, note, about)


def in_unit_interval(images: Images) -> Images:
    """uint8 as float32 in [0, 1]."""
    return images / np.float32(255)


def explanation_row(found: Any) -> dict[str, Any]:
    return {
        "±ED-WTA on the features": f"neurons a class: {found.network.prototypes_per_class}",
        "fidelity %": percent(found.fidelity),
        "fidelity under PGD %": percent(found.fidelity_attacked),
        "accuracy %": percent(found.accuracy),
        "accuracy of the deep network %": percent(found.deep_accuracy),
    }


def outlier_row(found: FeatureDetectionReport) -> dict[str, Any]:
    measures = {name: f"{area:.3f} / {fpr:.3f}" for name, (area, fpr) in found.outliers.items()}
    return {"score": found.score, **measures}


def attack_row(found: FeatureDetectionReport) -> dict[str, Any]:
    return {
        "score": found.score,
        "images attacked": found.attacked,
        "refused unattacked %": percent(found.false_rejection),
        "ignoring attacker: AUROC": "" if found.ignoring_auroc is None
        else round(found.ignoring_auroc, 3),
        "refused %": percent(found.ignoring_refused),
        "evades %": percent(found.ignoring_evasion),
        ATTACKER: percent(found.adaptive_evasion),
        "accuracy under attack with refusal %": percent(found.robust_accuracy),
        "without a detector %": percent(found.without_detector),
    }  # fmt: skip


def percent(share: float | None) -> float | str:
    """Empty where there is no figure."""
    return "" if share is None else round(100 * share, 1)


if __name__ == "__main__":
    run_command(main)
