"""What the model refuses: outliers, and attacked images, with the figure of an attacker who knows
the detector beside that of one who does not."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data import load_outliers
from ...evaluation import DetectionReport, detection_report
from ...evaluation.pictures import plot_roc_curves
from ...prototypes import Detector, WinnerTakeAll, auroc, fpr_at_tpr, roc_curve
from ...random import uniform
from ..content import Block, LeftOut, Picture, Row, Section, Table, Text
from ..subject import Subject

ATTACKED = 100  # images
NEURONS = 1000  # with more, only the score that costs the least
OUTLIERS = 1000  # images of each kind
NOTE = (
    "Fractions in %. Refused unattacked: test images that the detector refuses. Evaded: images for "
    "which the attacker found a point that is classified wrongly and accepted. Proved: images for "
    "which there is no such point."
)


class Scored(NamedTuple):
    """An outlier score: those of test images and of each kind of outliers, and its report."""

    inliers: np.ndarray
    outliers: dict[str, np.ndarray]
    report: DetectionReport

    @property
    def mean_area(self) -> float:
        return float(np.mean([auroc(self.inliers, values) for values in self.outliers.values()]))


def detection(subject: Subject, folder: Path) -> Section:
    """Tables of AUROC and of evasion, and ROC curves, for every score."""
    network = subject.winner_take_all
    if network is None:
        raise LeftOut("no detector")
    scored = _scores(subject, network)
    best = max(scored, key=lambda score: scored[score].mean_area)
    shown = scored[best]
    curves = {
        f"{name}: {auroc(shown.inliers, values):.3f}": roc_curve(shown.inliers, values)
        for name, values in shown.outliers.items()
    }
    plot_roc_curves(
        {f"score {best}": curves}, folder / "detection.png",
        title=f"{subject.name}: outliers, each with its AUROC",
    )  # fmt: skip
    areas: list[Row] = [
        {
            "outliers": name,
            **{f"AUROC, {score}": f"{auroc(found.inliers, found.outliers[name]):.3f}"
               for score, found in scored.items()},
            **{f"accepted %, {score}": _percent(fpr_at_tpr(found.inliers, found.outliers[name]))
               for score, found in scored.items()},
        }
        for name in next(iter(scored.values())).outliers
    ]  # fmt: skip
    evasion = [_evasion_row(score, found.report) for score, found in scored.items()]
    safest = min(scored, key=lambda score: scored[score].report.adaptive_evasion)
    evaded = _percent(scored[safest].report.adaptive_evasion)
    text = Text(
        "A detector refuses inputs whose score is above a threshold that leaves 95 % of the "
        f"training images. Against an attacker who knows it ({subject.ball}), {safest} does best: "
        f"{evaded} % of {min(ATTACKED, len(subject.y))} images evade it. A detector is no defence "
        "by itself: refusing an image is counted as a success here."
    )
    described = "; ".join(", ".join(f"{k} {v}" for k, v in row.items()) for row in areas)
    blocks: list[Block] = [
        text,
        Picture("detection.png", f"ROC curves of the score {best}. {described}."),
        Table("Outliers", areas, "accepted: of the outliers, where 95 % of the test images are"),
        Table("Attacked images, the attacker ignoring or knowing the detector", evasion, NOTE),
    ]
    return Section("Detection", blocks, {"evaded by an attacker who knows the detector":
                                         f"{evaded} %"})  # fmt: skip


def _scores(subject: Subject, network: WinnerTakeAll) -> dict[str, Scored]:
    x_train = subject.data.x_train.reshape(len(subject.data.x_train), -1) / np.float32(255)
    many = len(network.linear()[1]) > NEURONS or not hasattr(network, "positive_prototypes_")
    outliers = _outliers(subject, x_train.shape[1])
    found = {}
    for kind in ("margin",) if many else ("margin", "distance", "profile"):
        detector = Detector(network, kind).fit(x_train, subject.data.y_train)
        report = detection_report(
            detector, subject.flat[:ATTACKED], subject.labels[:ATTACKED], eps=subject.eps,
            norm=subject.norm, seed=subject.seed, steps=20, weights=(1.0,),
        )  # fmt: skip
        scores = {name: detector.score(images) for name, images in outliers.items()}
        found[kind] = Scored(detector.score(subject.flat), scores, report)
    return found


def _outliers(subject: Subject, features: int) -> dict[str, np.ndarray]:
    """Noise, and the images of other data sets that are at hand, (N, features) in [0, 1]."""
    sets = load_outliers(subject.folder) if subject.data.name == "mnist" else {}
    noise = uniform(features, np.arange(OUTLIERS), seed=subject.seed, stream="noise")
    return {
        **{name: x[:OUTLIERS].reshape(-1, features) / np.float32(255) for name, x in sets.items()},
        "uniform noise": noise.astype(np.float32),
    }


def _evasion_row(score: str, report: DetectionReport) -> Row:
    return {
        "score": score,
        "refused unattacked": _percent(report.false_rejection),
        "refused, ignoring": _percent(report.ignoring_refused),
        "evaded, ignoring": _percent(report.ignoring_evasion),
        "evaded, knowing": _percent(report.adaptive_evasion),
        "proved": _percent(report.certified),
        "proved without a detector": _percent(report.without_detector),
    }


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}"
