"""The attack on a deep network and its detector: what it returns, and how much it finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.feature_networks import trained_network, winner_take_all_detector
from tinyproto.attacks import Victim, attack_feature_detector, evades, pgd
from tinyproto.attacks.evasion import ignoring_attack
from tinyproto.attacks.feature_detector import CONFIDENCE, _Search
from tinyproto.attacks.inputs import validate_inputs
from tinyproto.attacks.region import Region, norms
from tinyproto.prototypes import FEATURE_SCORES, FeatureDetector
from tinyproto.testing.networks import identity_network, random_network

quiet = pytest.mark.filterwarnings("ignore:eps .* is more than half")
EPS = {"linf": 0.1, "l2": 1.5}


@pytest.fixture(scope="module")
def network(digits):
    return trained_network(*digits[:2])


def detector_of(network, x, kind):
    given_detector = winner_take_all_detector(network, x, kind[3:]) if "WTA" in kind else None
    return FeatureDetector(network, given_detector or kind).fit(x)


@quiet
@pytest.mark.parametrize("norm", ["l2", "linf"])
@given(seed=st.integers(0, 2**20), eps=st.floats(0.01, 0.5))
def test_points_are_in_the_ball_and_the_box_and_evade_or_are_unchanged(norm, seed, eps):
    random = np.random.default_rng(seed)
    network, x = random_network(seed), random.random((30, 3, 2))
    detector = FeatureDetector(network, FEATURE_SCORES[seed % 4], false_rejection=0.3).fit(x)
    x, y = x[:12], random.integers(0, 3, 12)
    found = attack_feature_detector(detector, x, y, eps=eps, norm=norm, steps=6)
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert (norms(found - x, norm) <= eps).all()
    assert found.min() >= 0
    assert found.max() <= 1
    evading = (network(found)[0].argmax(axis=1) != y) & detector.accepts(found)
    np.testing.assert_array_equal(evades(detector, found, y), evading)
    assert evading[(found != x).any(axis=(1, 2))].all()
    before = evades(detector, x, y)
    np.testing.assert_array_equal(found[before], x[before])


def test_steps_fall_from_a_quarter_of_the_radius(monkeypatch):
    network, x = random_network(1), np.random.default_rng(1).random((30, 3, 2))
    detector = FeatureDetector(network, "margin", false_rejection=0.9).fit(x)
    seen, step = [], Region.step

    def watched(region, examples, points, gradient, size):
        seen.append(float(np.max(size)) / 0.1)
        return step(region, examples, points, gradient, size)

    monkeypatch.setattr(Region, "step", watched)
    y = network(x)[0].argmax(axis=1)
    steps = 8
    attack_feature_detector(
        detector, x, y, eps=0.1, steps=steps, targets=1, weights=(0.0,), restarts=0
    )
    expected = 0.125 * (1 + np.cos(np.pi * np.arange(steps) / steps))
    np.testing.assert_allclose(seen[-steps:], expected, rtol=1e-6)


def nearest_accepted(x, centre, radius, norm):
    """The distance from x to a disc, by 100,000 points of its circle."""
    angle = np.linspace(0, 2 * np.pi, 100_000)
    circle = centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return norms(circle - x, norm).min()


@quiet
@pytest.mark.parametrize("norm", ["l2", "linf"])
@given(seed=st.integers(0, 2**20))
def test_it_decides_whether_a_disc_is_within_reach(norm, seed):
    """The features are the inputs, the head compares the distances to two prototypes, and accepted
    is a disc around each. An input of class 0 evades by a point of the other disc."""
    random = np.random.default_rng(seed)
    w = np.array([[0.2, 0.5], [0.8, 0.5]]) + random.uniform(-0.1, 0.1, (2, 2))
    network = identity_network(w, -0.5 * (w**2).sum(axis=1))
    angle, radius = random.uniform(0, 2 * np.pi, 200), 0.15
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    detector = FeatureDetector(network, "distance").fit(w[0] + radius * ring)
    assert detector.threshold_ == pytest.approx(radius)
    x = (w[0] + random.uniform(-0.1, 0.1, 2))[None]
    distance = nearest_accepted(x[0], w[1], radius, norm)
    y = np.array([0])
    for factor, expected in ((0.97, False), (1.03, True)):
        found = attack_feature_detector(detector, x, y, eps=factor * distance, norm=norm)
        assert evades(detector, found, y).tolist() == [expected]


@quiet
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("kind", ["margin", "energy"])
@given(seed=st.integers(0, 2**20))
def test_it_decides_whether_a_half_space_is_within_reach(kind, norm, seed):
    """The scores are ±t for t = w·(x − c). Accepted is a large |t|, and class 1 is accepted in a
    half-space, to which it takes a step along w, or along its signs."""
    random = np.random.default_rng(seed)
    w, centre = random.normal(size=6), random.uniform(0.45, 0.55, 6)
    network = identity_network([w, -w], [-w @ centre, w @ centre])
    x = (centre + 0.1 * w / np.linalg.norm(w))[None]
    t = w @ (x[0] - centre)
    detector = FeatureDetector(network, kind).fit(x)
    threshold = -2 * t if kind == "margin" else -np.log(2 * np.cosh(t))
    assert detector.threshold_ == pytest.approx(threshold)
    distance = 2 * t / np.linalg.norm(w, ord=2 if norm == "l2" else 1)
    y = np.array([0])
    for factor, expected in ((0.98, False), (1.02, True)):
        found = attack_feature_detector(detector, x, y, eps=factor * distance, norm=norm)
        assert evades(detector, found, y).tolist() == [expected]


@pytest.mark.parametrize("weight", [0.0, 0.7])
@given(seed=st.integers(0, 2**20))
def test_the_direction_is_that_of_the_formula(weight, seed):
    """Towards the class while it is not reached, with λ times the way to a lower score where the
    point is refused; once it is reached, to a lower score alone."""
    random = np.random.default_rng(seed)
    network, x = random_network(seed), random.random((24, 3, 2))
    detector = FeatureDetector(network, FEATURE_SCORES[seed % 4], false_rejection=0.5).fit(x)
    target = random.integers(0, 3, 24)
    inputs = validate_inputs(Victim(network), x, target, None, 0.1, "linf")
    h, _ = network.features(x)
    z, _ = network.head(h)
    found = _Search(detector, Victim(network), inputs, 1)._direction(h, z, target, weight)
    scores = detector.score(x, target)
    slopes, w = detector.feature_score(h, target)[1], network.head.params["prototypes"]
    for n, c in enumerate(target):
        rival = max((j for j in range(3) if j != c), key=lambda j, n=n: z[n, j])
        towards = w[c] - w[rival]
        least = CONFIDENCE * np.linalg.norm(towards) * np.linalg.norm(h[n])
        down = -slopes[n] / np.linalg.norm(slopes[n]) * (scores[n] > detector.threshold_)
        expected = down
        if z[n, c] - z[n, rival] < least:
            expected = towards / np.linalg.norm(towards) + weight * down
        np.testing.assert_allclose(found[n], expected, atol=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", [*FEATURE_SCORES, "WTAdistance", "WTAmargin", "WTAcombined"])
def test_it_finds_more_than_an_attacker_who_ignores_the_detector(digits, network, kind, norm):
    x, _, x_test, y_test = digits
    detector = detector_of(network, x[:1000], kind)
    images, labels = x_test[:80], y_test[:80]
    options = {"eps": EPS[norm] / 2, "norm": norm}
    ignorant = ignoring_attack(Victim(network), images, labels, **options)
    np.testing.assert_array_equal(
        ignorant, pgd(Victim(network), images, labels, early_exit=False, **options)
    )
    ignoring = evades(detector, ignorant, labels)
    found = attack_feature_detector(detector, images, labels, steps=20, **options)
    knowing = evades(detector, found, labels)
    assert knowing[ignoring].all()
    assert knowing.sum() > ignoring.sum()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_results_do_not_depend_on_the_batch(digits, network, norm):
    x, _, x_test, y_test = digits
    detector = FeatureDetector(network, "energy").fit(x[:500])
    images, labels, index = x_test[:30], y_test[:30], np.arange(30)
    options = {"eps": EPS[norm] / 2, "norm": norm, "steps": 8}
    whole = attack_feature_detector(detector, images, labels, **options)
    for part in (slice(0, 7), slice(7, 30)):
        some = attack_feature_detector(
            detector, images[part], labels[part], index=index[part], **options
        )
        np.testing.assert_array_equal(some, whole[part])
    assert (whole != images).any()


def test_a_radius_for_each_image_and_no_image():
    network, x = random_network(0), np.random.default_rng(0).random((20, 3, 2))
    detector = FeatureDetector(network, "margin").fit(x)
    y, eps = network(x)[0].argmax(axis=1), np.linspace(0, 0.4, 20)
    found = attack_feature_detector(detector, x, y, eps=eps, steps=10, restarts=0)
    assert (norms(found - x, "linf") <= eps).all()
    assert evades(detector, found, y).any()
    assert attack_feature_detector(detector, x[:0], y[:0], eps=0.1).shape == (0, 3, 2)


def test_wrong_arguments_get_one_line():
    network, x = random_network(0), np.random.default_rng(0).random((20, 3, 2))
    y = np.zeros(20, dtype=int)
    with pytest.raises(ValueError, match="not calibrated yet"):
        attack_feature_detector(FeatureDetector(network), x, y, eps=0.1)
    detector = FeatureDetector(network).fit(x)
    for options, message in (
        ({"eps": -1.0}, "eps must be 0 or more"),
        ({"eps": 0.1, "norm": "l1"}, "norm must be"),
        ({"eps": 0.1, "steps": 0}, "steps must be 1 or more"),
        ({"eps": 0.1, "targets": 0}, "targets must be 1 or more"),
        ({"eps": 0.1, "restarts": -1}, "restarts must be 0 or more"),
        ({"eps": 0.1, "weights": (-1.0,)}, "each of the weights must be"),
        ({"eps": 0.1, "weights": ()}, "weights must be a tuple of one number or more, not"),
        ({"eps": 0.1, "weights": 1.0}, "weights must be a tuple of one number or more, not 1.0"),
        ({"eps": 0.1, "lo": 0.5}, "x must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            attack_feature_detector(detector, x, y, **options)
    with pytest.raises(ValueError, match="y must hold classes, 0 … 2, not 3"):
        attack_feature_detector(detector, x, y + 3, eps=0.1)
    with pytest.raises(ValueError, match="y must hold classes, 0 … 2, not 3"):
        evades(detector, x, y + 3)
