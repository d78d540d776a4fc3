"""What the model refuses: outliers, and attacked images, with the figure of an attacker who knows
the detector beside that of one who does not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...evaluation import (
    DetectionReport,
    FeatureDetectionReport,
    detection_report,
    feature_detection_report,
)
from ...evaluation.detection_picture import plot_evasion
from ...evaluation.pictures import plot_roc_curves
from ...networks import Network
from ...prototypes import (
    FEATURE_SCORES,
    Detector,
    FeatureDetector,
    WinnerTakeAll,
    auroc,
    fpr_at_tpr,
    roc_curve,
)
from ..content import Block, LeftOut, Picture, Row, Section, Table, Text, percent
from ..subject import Subject

ATTACKED = 100  # images
NEURONS = 1000  # with more, only the score that costs the least
CALIBRATION = 2000  # training images of a network of layers
SEARCH: dict[str, Any] = {"steps": 20, "weights": (1.0,)}
SHORT_SEARCH: dict[str, Any] = {"steps": 20, "targets": 1, "weights": (0.0,), "restarts": 0}
"""Of the attacker who knows the score, of a winner-take-all network and of features: the short one
finds nearly all that a long search does."""
ACCEPTED = "Accepted: the fraction of the outliers, where 95 % of the test images are accepted."
NOTE = (
    "Refused, ignoring: of the misclassified images of an attacker who ignores the detector. "
    "Evaded: attacked images for which the attacker found a point that is classified wrongly and "
    "accepted; a longer attack may find more. "
)
NOTES = {
    True: f"In %. Refused, unattacked: of the same images. {NOTE}Proved: there is no such point. "
    "Proved without a detector: no point is misclassified.",
    False: f"In %. Refused, unattacked: of all test images. {NOTE}Right without a detector: none "
    "of the attackers got them misclassified and accepted, nor the ignoring one misclassified.",
}
"""By whether the network is a winner-take-all network."""


class Scored(NamedTuple):
    """An outlier score: those of test images and of each kind of outliers, and its report."""

    inliers: np.ndarray
    outliers: dict[str, np.ndarray]
    report: DetectionReport | FeatureDetectionReport

    @property
    def mean_area(self) -> float:
        return float(np.mean([auroc(self.inliers, values) for values in self.outliers.values()]))


def detection(subject: Subject, folder: Path) -> Section:
    """Tables of AUROC and of evasion, ROC curves, and the two attackers side by side."""
    if subject.winner_take_all is not None:
        scored = _of_winner_take_all(subject, subject.winner_take_all)
    elif subject.network is not None and subject.images.shape[1:] == (32, 32, 3):
        scored = _of_features(subject, subject.network)
    else:
        raise LeftOut("no outliers of this kind of images are at hand")
    best = max(scored, key=lambda score: scored[score].mean_area)
    safest = min(scored, key=lambda score: scored[score].report.adaptive_evasion)
    _draw(subject, scored, best, folder)
    areas = _area_rows(scored)
    evaded = percent(scored[safest].report.adaptive_evasion)
    attacked = getattr(scored[safest].report, "attacked", scored[safest].report.images)
    text = Text(
        "A detector refuses inputs whose score is above a threshold that leaves 95 % of the "
        f"training images. Against an attacker who knows it ({subject.ball}), {safest} does best: "
        f"at least {evaded} % of the first {attacked} images evade it. A detector is no defence by "
        "itself: refusing an image is counted as a success here."
    )
    described = "; ".join(f"{row['outliers']}: {row[best].split(',')[0]}" for row in areas)
    evasion = [_evasion_row(score, found.report) for score, found in scored.items()]
    told = "; ".join(
        f"{row['score']}: {row['evaded, ignoring']} %, {row['evaded, knowing']} %"
        for row in evasion
    )
    note = NOTES[subject.winner_take_all is not None]
    blocks: list[Block] = [
        text,
        Picture("roc.png", f"ROC curves of the score {best}, with the AUROC {described}."),
        Table("Outliers: AUROC, and accepted in %", areas, ACCEPTED),
        Picture("evasion.png", f"Evaded by an attacker who ignores the score; knows it: {told}."),
        Table("Attacked images, the attacker ignoring or knowing the detector", evasion, note),
    ]
    figures = {"evaded by an attacker who knows the detector": f"at least {evaded} %"}
    return Section("Detection", blocks, figures)


def _of_winner_take_all(subject: Subject, network: WinnerTakeAll) -> dict[str, Scored]:
    x_train = subject.data.x_train.reshape(len(subject.data.x_train), -1) / np.float32(255)
    many = len(network.linear()[1]) > NEURONS or not hasattr(network, "positive_prototypes_")
    outliers = {
        name: images.reshape(len(images), -1) / np.float32(255)
        for name, images in subject.outliers.items()
    }
    found = {}
    for kind in ("margin",) if many else ("margin", "distance", "profile"):
        detector = Detector(network, kind).fit(x_train, subject.data.y_train)
        report = detection_report(
            detector, subject.flat[:ATTACKED], subject.labels[:ATTACKED], eps=subject.eps,
            norm=subject.norm, seed=subject.seed, **SEARCH,
        )  # fmt: skip
        scores = {name: detector.score(images) for name, images in outliers.items()}
        found[kind] = Scored(detector.score(subject.flat), scores, report)
    return found


def _of_features(subject: Subject, network: Network) -> dict[str, Scored]:
    xp = subject.xp
    x_train = xp.asarray(subject.data.x_train[:CALIBRATION]) / xp.float32(255)
    found = {}
    for kind in FEATURE_SCORES:
        detector = FeatureDetector(network, kind).fit(x_train)
        report = feature_detection_report(
            detector, subject.x, subject.y, eps=subject.eps, norm=subject.norm,
            attacked=ATTACKED, seed=subject.seed, **SHORT_SEARCH,
        )  # fmt: skip
        scores = {
            name: detector.score(xp.asarray(images) / xp.float32(255))
            for name, images in subject.outliers.items()
        }
        found[kind] = Scored(detector.score(subject.x), scores, report)
    return found


def _draw(subject: Subject, scored: Mapping[str, Scored], best: str, folder: Path) -> None:
    shown = scored[best]
    curves = {
        f"{name}: {auroc(shown.inliers, values):.3f}": roc_curve(shown.inliers, values)
        for name, values in shown.outliers.items()
    }
    plot_roc_curves(
        {f"score {best}": curves}, folder / "roc.png",
        title=f"{subject.name}: outliers, each with its AUROC",
    )  # fmt: skip
    reports = [found.report for found in scored.values()]
    plot_evasion(reports, folder / "evasion.png", title=f"{subject.name}: two attackers")


def _area_rows(scored: Mapping[str, Scored]) -> list[Row]:
    """AUROC and the accepted fraction of each kind of outliers, for every score."""

    def cell(found: Scored, name: str) -> str:
        area = auroc(found.inliers, found.outliers[name])
        return f"{area:.3f}, {percent(fpr_at_tpr(found.inliers, found.outliers[name]))}"

    first = next(iter(scored.values()))
    return [
        {"outliers": name, **{score: cell(found, name) for score, found in scored.items()}}
        for name in first.outliers
    ]


def _evasion_row(score: str, report: DetectionReport | FeatureDetectionReport) -> Row:
    row = {
        "score": score,
        "refused unattacked": percent(report.false_rejection),
        "refused, ignoring": percent(report.ignoring_refused),
        "evaded, ignoring": percent(report.ignoring_evasion),
        "evaded, knowing": percent(report.adaptive_evasion),
    }
    without = percent(report.without_detector)
    if isinstance(report, DetectionReport):
        return row | {"proved": percent(report.certified), "proved without a detector": without}
    return row | {"right without a detector": without}
