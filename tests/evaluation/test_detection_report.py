"""The report on a detector: its figures are those of the attacks and proofs, and all are there."""

import numpy as np
import pytest

from tests.prototypes.detector_cases import make_detector
from tinyproto.attacks import Victim, attack_detector, evades, pgd
from tinyproto.evaluation import DetectionReport, detection_report
from tinyproto.prototypes import (
    EDWTA,
    SCORES,
    PlusMinusEDWTA,
    auroc,
    certified_detection_radius,
    exact_radius,
)


@pytest.mark.filterwarnings("ignore:eps .* is more than half")
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("score", SCORES)
def test_the_figures_are_what_they_are_called(score, norm):
    detector, x, y = make_detector(PlusMinusEDWTA, score, 4)
    x, y, eps, box = x[:60], y[:60], 0.2, {"norm": norm, "lo": 0.0, "hi": 1.0}
    report = detection_report(detector, x, y, eps=eps, norm=norm)
    network = detector.network_

    ignorant = pgd(Victim(network), x, y, eps=eps, norm=norm, early_exit=False)
    wrong = network.predict(ignorant) != y
    accepted = detector.accepts(ignorant)
    found = evades(detector, attack_detector(detector, x, y, eps=eps, norm=norm), y)
    assert report.images == 60
    assert report.eps == eps
    assert (report.score, report.norm) == (score, norm)
    assert report.false_rejection == pytest.approx(1 - detector.accepts(x).mean())
    assert report.ignoring_refused == pytest.approx(1 - accepted[wrong].mean())
    assert report.ignoring_evasion == pytest.approx((wrong & accepted).mean())
    expected = auroc(detector.score(x), detector.score(ignorant[wrong]))
    assert report.ignoring_auroc == pytest.approx(expected)
    assert report.adaptive_evasion == pytest.approx(found.mean())
    assert report.robust_accuracy == pytest.approx(1 - found.mean())
    assert report.without_detector == pytest.approx(
        (exact_radius(network, x, y, **box)[0] > eps).mean()
    )
    if score in ("profile", "combined"):
        assert report.certified is None
    else:
        radius = certified_detection_radius(detector, x, y, **box)
        assert report.certified == pytest.approx((radius > eps).mean())
        assert report.without_detector <= report.certified <= report.robust_accuracy
    assert report.adaptive_evasion >= report.ignoring_evasion


def test_a_norm_may_be_written_in_several_ways():
    detector, x, y = make_detector(EDWTA, "distance", 0)
    norms = {detection_report(detector, x[:9], y[:9], eps=0.05, norm=n).norm for n in ("L2", 2)}
    assert norms == {"l2"}


def test_no_figure_can_be_left_out():
    detector, x, y = make_detector(EDWTA, "distance", 0)
    figures = detection_report(detector, x, y, eps=0.01)._asdict()
    for name in figures:
        some = {key: value for key, value in figures.items() if key != name}
        with pytest.raises(TypeError, match=f"missing 1 required positional argument: '{name}'"):
            DetectionReport(**some)


def test_an_attack_that_fools_nobody_and_no_images():
    detector, x, y = make_detector(EDWTA, "distance", 0)
    right = detector.network_.predict(x) == y
    report = detection_report(detector, x[right][:9], y[right][:9], eps=0.0)
    assert report.ignoring_auroc is None
    assert report.ignoring_refused is None
    assert report.adaptive_evasion == 0
    assert report.robust_accuracy == 1
    with pytest.raises(ValueError, match="at least one image"):
        detection_report(detector, x[:0], y[:0], eps=0.1)


def test_without_scipy_the_figures_that_need_it_are_left_out(monkeypatch):
    import tinyproto.evaluation.detection as module

    def missing(*args, **options):
        raise ImportError("the exact L∞ radius needs SciPy")

    monkeypatch.setattr(module, "exact_radius", missing)
    monkeypatch.setattr(module, "certified_detection_radius", missing)
    detector, x, y = make_detector(EDWTA, "distance", 0)
    report = detection_report(detector, x[:9], y[:9], eps=0.05, norm="linf")
    assert report.certified is None
    assert report.without_detector is None
    assert np.isfinite(report.adaptive_evasion)
