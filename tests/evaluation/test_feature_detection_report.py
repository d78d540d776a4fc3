"""The report on a detector in feature space: its figures, all of them; the picture of evasion."""

import numpy as np
import pytest

from tests.feature_networks import trained_network
from tinyproto.attacks import Victim, attack_feature_detector, evades, evasion, pgd
from tinyproto.evaluation import (
    DetectionReport,
    FeatureDetectionReport,
    detection_picture,
    feature_detection_report,
)
from tinyproto.evaluation.detection_picture import plot_evasion
from tinyproto.prototypes import FEATURE_SCORES, FeatureDetector, auroc, fpr_at_tpr
from tinyproto.testing.networks import random_network


@pytest.fixture(scope="module")
def network(digits):
    return trained_network(*digits[:2])


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", FEATURE_SCORES)
def test_the_figures_are_what_they_are_called(digits, network, kind, norm):
    x, _, x_test, y_test = digits
    x, y, eps = x_test[:120], y_test[:120], {"linf": 0.05, "l2": 0.7}[norm]
    detector = FeatureDetector(network, kind).fit(digits[0][:800])
    noise = np.random.default_rng(0).random((50, 784), dtype=np.float32)
    options = {"eps": eps, "norm": norm}
    report = feature_detection_report(
        detector, x, y, outliers={"noise": noise}, attacked=60, steps=8, restarts=0, **options
    )
    scores, accepted = detector.score(x), detector.accepts(x)
    some = x[:60], y[:60]
    ignorant = pgd(Victim(network), *some, early_exit=False, **options)
    wrong = network(ignorant)[0].argmax(axis=1) != some[1]
    refused = ~detector.accepts(ignorant)
    points = attack_feature_detector(detector, *some, steps=8, restarts=0, **options)
    found = evades(detector, points, some[1])
    assert (report.score, report.norm, report.eps) == (kind, norm, eps)
    assert (report.images, report.attacked) == (120, 60)
    assert report.accuracy == (network(x)[0].argmax(axis=1) == y).mean()
    assert report.false_rejection == pytest.approx(1 - accepted.mean())
    outliers = detector.score(noise)
    assert report.outliers == {"noise": (auroc(scores, outliers), fpr_at_tpr(scores, outliers))}
    assert report.ignoring_auroc == auroc(scores, detector.score(ignorant[wrong]))
    assert report.ignoring_refused == pytest.approx(refused[wrong].mean())
    assert report.ignoring_evasion == pytest.approx((wrong & ~refused).mean())
    assert report.adaptive_evasion == pytest.approx(found.mean())
    assert report.robust_accuracy == pytest.approx(1 - found.mean())
    assert report.without_detector == pytest.approx(1 - (wrong | found).mean())
    assert report.ignoring_evasion <= report.adaptive_evasion
    assert report.without_detector <= report.robust_accuracy


def case():
    network, x = random_network(0), np.random.default_rng(0).random((40, 3, 2))
    return FeatureDetector(network).fit(x), x, network(x)[0].argmax(axis=1)


def test_no_figure_can_be_left_out():
    detector, x, y = case()
    figures = feature_detection_report(detector, x, y, eps=0.01, steps=2)._asdict()
    for name in figures:
        some = {key: value for key, value in figures.items() if key != name}
        with pytest.raises(TypeError, match=f"missing 1 required positional argument: '{name}'"):
            FeatureDetectionReport(**some)


def test_a_norm_may_be_written_in_several_ways():
    detector, x, y = case()
    norms = {
        feature_detection_report(detector, x, y, eps=0.01, norm=norm, steps=1).norm
        for norm in ("Linf", np.inf)
    }
    assert norms == {"linf"}


def test_the_number_of_attacked_images_is_checked_and_they_are_attacked_in_parts(monkeypatch):
    detector, x, y = case()
    for attacked, message in ((0, "1 or more, not 0"), (-1, "1 or more, not -1"), (2.5, "2.5")):
        with pytest.raises(ValueError, match=f"attacked must be .*{message}"):
            feature_detection_report(detector, x, y, attacked=attacked, steps=1)
    options = {"eps": 0.1, "attacked": 39, "steps": 2, "index": np.arange(40) + 5}
    expected, sizes = feature_detection_report(detector, x, y, **options), []
    monkeypatch.setattr(evasion, "IMAGES", 16)

    def watched(victim, x, y, **options):
        sizes.append(len(x))
        return pgd(victim, x, y, **options)

    monkeypatch.setattr(evasion, "pgd", watched)
    assert feature_detection_report(detector, x, y, **options) == expected
    assert set(sizes) == {16, 7}


def test_an_attack_that_fools_nobody_and_no_images():
    detector, x, y = case()
    report = feature_detection_report(detector, x, y, eps=0.0, steps=2)
    assert report.ignoring_auroc is None
    assert report.ignoring_refused is None
    assert (report.adaptive_evasion, report.robust_accuracy) == (0, 1)
    assert (report.without_detector, report.outliers) == (1, {})
    with pytest.raises(ValueError, match="at least one image"):
        feature_detection_report(detector, x[:0], y[:0])


def reports():
    shared = {
        "norm": "linf", "eps": 8 / 255, "images": 100, "false_rejection": 0.05,
        "ignoring_auroc": 0.7, "ignoring_refused": 0.2, "without_detector": 0.3,
    }  # fmt: skip
    deep = {**shared, "attacked": 50, "outliers": {}, "accuracy": 0.7}
    return [
        FeatureDetectionReport(
            score="energy", ignoring_evasion=0.25, adaptive_evasion=0.5, robust_accuracy=0.5, **deep
        ),
        DetectionReport(
            score="margin", ignoring_evasion=0.5, adaptive_evasion=0.75, robust_accuracy=0.25,
            certified=None, **shared,
        ),
    ]  # fmt: skip


def test_the_picture_shows_both_attackers_in_one_line(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    kept = []
    monkeypatch.setattr(detection_picture, "save_figure", lambda figure, path: kept.append(figure))
    plot_evasion(reports(), tmp_path / "p.png", title="a title")
    (axis,) = kept[0].axes
    lines, ignoring, adaptive = axis.collections
    np.testing.assert_allclose(ignoring.get_offsets(), [[25, 0], [50, 1]])
    np.testing.assert_allclose(adaptive.get_offsets(), [[50, 0], [75, 1]])
    ends = [segment[:, 0].tolist() for segment in lines.get_segments()]
    np.testing.assert_allclose(ends, [[25, 50], [50, 75]])
    shapes = [part.get_paths()[0].vertices.shape for part in (ignoring, adaptive)]
    assert shapes[0] != shapes[1]  # to be told apart without colours
    assert [label.get_text() for label in axis.get_yticklabels()] == ["energy", "margin"]
    assert "eps 8/255" in axis.get_xlabel()
    assert [text.get_text()[:20] for text in kept[0].legends[0].texts] == [
        "attacker who ignores", "attacker who knows t",
    ]  # fmt: skip


def test_the_picture_is_of_one_radius(tmp_path):
    for some in ([], [reports()[0], reports()[1]._replace(eps=0.1)]):
        with pytest.raises(ValueError, match="must be of one norm and eps"):
            plot_evasion(some, tmp_path / "p.png")
    assert not list(tmp_path.iterdir())
