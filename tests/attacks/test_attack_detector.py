"""The attack on a classifier and its detector: what it returns, and how much it finds."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.prototypes.detector_cases import detectors, make_detector
from tinyproto.attacks import Victim, attack_detector, evades, pgd
from tinyproto.attacks.region import norms
from tinyproto.prototypes import (
    EDWTA,
    IPWTA,
    SCORES,
    Detector,
    PlusMinusEDWTA,
    certified_detection_radius,
    exact_radius,
)


@pytest.fixture(scope="module")
def network(digits):
    return PlusMinusEDWTA(3, epochs=8).fit(*digits[:2])


@pytest.mark.filterwarnings("ignore:eps .* is more than half")
@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=15)
@given(data=st.data(), eps=st.floats(0.01, 0.5))
def test_points_are_in_the_ball_and_the_box_and_evade_or_are_unchanged(norm, data, eps):
    detector, x, y = data.draw(detectors(SCORES))
    x, y = x[:15], y[:15]
    found = attack_detector(detector, x, y, eps=eps, norm=norm, steps=10)
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert (norms(found - x, norm) <= eps).all()
    assert found.min() >= 0
    assert found.max() <= 1
    changed = (found != x).any(axis=1)
    evading = (detector.network_.predict(found) != y) & detector.accepts(found)
    assert evading[changed].all()
    np.testing.assert_array_equal(evades(detector, found, y), evading)


@pytest.mark.filterwarnings("ignore:eps .* is more than half")
@pytest.mark.parametrize("score", SCORES)
@given(data=st.data())
def test_nothing_that_random_search_finds_is_missed(score, data):
    """In two dimensions, where 2,000 random points cover a ball."""
    detector, x, y = data.draw(detectors((score,), features=(2, 2)))
    x, y = x[:6], y[:6]
    eps = 0.3
    found = evades(detector, attack_detector(detector, x, y, eps=eps, norm="linf", steps=20), y)
    moved = x[:, None] + np.random.default_rng(0).uniform(-eps, eps, size=(len(x), 2000, 2))
    moved = np.clip(moved, 0, 1).reshape(-1, 2)
    random = evades(detector, moved, np.repeat(y, 2000)).reshape(len(x), 2000).mean(axis=1)
    assert found[random > 0.05].all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("score", SCORES)
def test_it_finds_more_than_attackers_who_ignore_the_detector(digits, network, score, norm):
    x, y, x_test, y_test = digits
    detector = Detector(network, score).fit(x, y)
    images, labels = x_test[:100], y_test[:100]
    eps = {"l2": 1.2, "linf": 0.08}[norm]
    knowing = evades(
        detector, attack_detector(detector, images, labels, eps=eps, norm=norm), labels
    )
    for options in ({"early_exit": False}, {}, {"loss": "margin", "steps": 50}):
        ignorant = pgd(Victim(network), images, labels, eps=eps, norm=norm, **options)
        found = evades(detector, ignorant, labels)
        assert knowing.sum() >= found.sum()
        if not options.get("early_exit", True):
            assert knowing[found].all()
    if norm == "l2" and score == "margin":  # the nearest wrong point is accepted by none
        nearest = images + exact_radius(network, images, labels, lo=0.0, hi=1.0)[1]
        assert evades(detector, nearest, labels).sum() < knowing.sum()


@pytest.mark.parametrize("score", ["distance", "margin"])
def test_it_finds_nearly_all_that_is_not_certified(digits, network, score):
    x, y, x_test, y_test = digits
    detector = Detector(network, score).fit(x, y)
    images, labels = x_test[:100], y_test[:100]
    radius = certified_detection_radius(detector, images, labels, lo=0.0, hi=1.0)
    eps = float(np.median(radius))
    found = evades(detector, attack_detector(detector, images, labels, eps=eps), labels)
    assert not found[radius > eps].any()
    assert found[radius < 0.98 * eps].mean() > 0.9


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_results_do_not_depend_on_the_batch(digits, network, norm):
    x, y, x_test, y_test = digits
    detector = Detector(network).fit(x, y)
    eps, index = {"l2": 1.5, "linf": 0.1}[norm], np.arange(30)
    images, labels = x_test[:30], y_test[:30]
    options = {"eps": eps, "norm": norm, "steps": 10}
    whole = attack_detector(detector, images, labels, **options)
    for part in (slice(0, 7), slice(7, 30)):
        some = attack_detector(detector, images[part], labels[part], index=index[part], **options)
        np.testing.assert_array_equal(some, whole[part])
    assert (whole != images).any()


def test_a_radius_for_each_image_other_shapes_and_labels():
    detector, x, y = make_detector(EDWTA, "distance", 0)
    names = np.array(["a", "b", "c"])
    network = EDWTA(2, epochs=0, init="kmeans", dtype="float64").fit(x, names[y])
    detector = Detector(network, "distance", false_rejection=0.2).fit(x, names[y])
    eps = np.linspace(0, 0.5, len(x))
    found = attack_detector(detector, x.reshape(-1, 2, 2), names[y], eps=eps, steps=10)
    assert found.shape == (len(x), 2, 2)
    assert (norms(found.reshape(len(x), -1) - x) <= eps).all()
    assert evades(detector, found, names[y]).any()
    none = attack_detector(detector, x[:0], y[:0].astype(str), eps=0.1)
    assert none.shape == (0, 4)


def test_a_network_without_prototypes():
    detector, x, y = make_detector(IPWTA, "margin", 1)
    found = attack_detector(detector, x, y, eps=0.5)
    assert evades(detector, found, y).mean() > evades(detector, x, y).mean()


@given(detectors(("distance", "margin"), features=(3, 3)))
def test_an_image_that_evades_as_it_is_is_not_changed(case):
    detector, x, y = case
    evading = evades(detector, x, y)
    assume(evading.any())
    found = attack_detector(detector, x, y, eps=0.1, steps=5)
    np.testing.assert_array_equal(found[evading], x[evading])


def test_wrong_arguments_get_one_line():
    detector, x, y = make_detector(PlusMinusEDWTA, "margin", 0)
    with pytest.raises(ValueError, match="not calibrated yet"):
        attack_detector(Detector(detector.network, "margin"), x, y, eps=0.1)
    for options, message in (
        ({"eps": -1.0}, "eps must be 0 or more"),
        ({"eps": 0.1, "norm": "l1"}, "norm must be"),
        ({"eps": 0.1, "steps": 0}, "steps must be 1 or more"),
        ({"eps": 0.1, "weights": (0.0,)}, "each of the weights must be"),
        ({"eps": 0.1, "weights": ()}, "weights must be a tuple of one number or more, not"),
        ({"eps": 0.1, "weights": 1.0}, "weights must be a tuple of one number or more, not 1.0"),
        ({"eps": 0.1, "lo": 0.5}, "x must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            attack_detector(detector, x, y, **options)
    with pytest.raises(ValueError, match="not one of the classes"):
        attack_detector(detector, x, y + 5, eps=0.1)
