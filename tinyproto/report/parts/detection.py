"""What the model refuses: outliers, and attacked images, with the figure of an attacker who knows
the detector beside that of one who does not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...data import colour_outliers, load_outliers
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
from ...random import uniform
from ..content import Block, LeftOut, Picture, Row, Section, Table, Text
from ..subject import Subject

ATTACKED = 100  # images
NEURONS = 1000  # with more, only the score that costs the least
OUTLIERS = 300  # images of each kind
CALIBRATION = 2000  # training images of a network of layers
SHORT_SEARCH: dict[str, Any] = {"steps": 20, "targets": 1, "weights": (0.0,), "restarts": 0}
"""Of the attacker who knows a score of features: it finds nearly all that a long search does."""
ACCEPTED = "Accepted: the fraction of the outliers, where 95 % of the test images are accepted."
NOTE = (
    "In %. Refused unattacked: test images that the detector refuses. Evaded: images for which the "
    "attacker found a point that is classified wrongly and accepted. Proved, for winner-take-all "
    "networks: images for which there is no such point."
)


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
    evaded = _percent(scored[safest].report.adaptive_evasion)
    attacked = getattr(scored[safest].report, "attacked", scored[safest].report.images)
    text = Text(
        "A detector refuses inputs whose score is above a threshold that leaves 95 % of the "
        f"training images. Against an attacker who knows it ({subject.ball}), {safest} does best: "
        f"{evaded} % of {attacked} images evade it. A detector is no defence by itself: refusing "
        "an image is counted as a success here."
    )
    described = "; ".join(f"{row['outliers']}: {row[best].split(',')[0]}" for row in areas)
    evasion = [_evasion_row(score, found.report) for score, found in scored.items()]
    told = "; ".join(
        f"{row['score']}: {row['evaded, ignoring']} %, {row['evaded, knowing']} %"
        for row in evasion
    )
    blocks: list[Block] = [
        text,
        Picture("roc.png", f"ROC curves of the score {best}, with the AUROC {described}."),
        Table("Outliers: AUROC, and accepted in %", areas, ACCEPTED),
        Picture("evasion.png", f"Evaded by an attacker who ignores the score; knows it: {told}."),
        Table("Attacked images, the attacker ignoring or knowing the detector", evasion, NOTE),
    ]
    figures = {"evaded by an attacker who knows the detector": f"{evaded} %"}
    return Section("Detection", blocks, figures)


def _of_winner_take_all(subject: Subject, network: WinnerTakeAll) -> dict[str, Scored]:
    x_train = subject.data.x_train.reshape(len(subject.data.x_train), -1) / np.float32(255)
    many = len(network.linear()[1]) > NEURONS or not hasattr(network, "positive_prototypes_")
    outliers = _grey_outliers(subject, x_train.shape[1])
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


def _of_features(subject: Subject, network: Network) -> dict[str, Scored]:
    xp = subject.xp
    x_train = xp.asarray(subject.data.x_train[:CALIBRATION]) / xp.float32(255)
    kinds = colour_outliers(
        subject.images, count=min(OUTLIERS, len(subject.y)), directory=subject.folder,
        seed=subject.seed,
    )  # fmt: skip
    found = {}
    for kind in FEATURE_SCORES:
        detector = FeatureDetector(network, kind).fit(x_train)
        report = feature_detection_report(
            detector, subject.x, subject.y, eps=subject.eps, norm=subject.norm,
            attacked=ATTACKED, seed=subject.seed, **SHORT_SEARCH,
        )  # fmt: skip
        scores = {
            name: detector.score(xp.asarray(images) / xp.float32(255))
            for name, images in kinds.items()
        }
        found[kind] = Scored(detector.score(subject.x), scores, report)
    return found


def _grey_outliers(subject: Subject, features: int) -> dict[str, np.ndarray]:
    """Noise, and the images of other data sets that are at hand, (N, features) in [0, 1]."""
    sets = load_outliers(subject.folder) if subject.data.name == "mnist" else {}
    noise = uniform(features, np.arange(OUTLIERS), seed=subject.seed, stream="noise")
    return {
        **{name: x[:OUTLIERS].reshape(-1, features) / np.float32(255) for name, x in sets.items()},
        "uniform noise": noise.astype(np.float32),
    }


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
        return f"{area:.3f}, {_percent(fpr_at_tpr(found.inliers, found.outliers[name]))}"

    first = next(iter(scored.values()))
    return [
        {"outliers": name, **{score: cell(found, name) for score, found in scored.items()}}
        for name in first.outliers
    ]


def _evasion_row(score: str, report: DetectionReport | FeatureDetectionReport) -> Row:
    row = {
        "score": score,
        "refused unattacked": _percent(report.false_rejection),
        "refused, ignoring": _percent(report.ignoring_refused),
        "evaded, ignoring": _percent(report.ignoring_evasion),
        "evaded, knowing": _percent(report.adaptive_evasion),
    }
    without = _percent(report.without_detector)
    if isinstance(report, DetectionReport):
        return row | {"proved": _percent(report.certified), "proved without a detector": without}
    return row | {"right without a detector": without}


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}"
