"""Scores of features: against naive formulas, their gradients against finite differences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.feature_networks import winner_take_all_detector
from tinyproto.layers import Flatten, ReLU, Sequential
from tinyproto.networks import Network
from tinyproto.prototypes import FEATURE_SCORES, SCORES, FeatureDetector, head_vectors
from tinyproto.testing import finite_difference
from tinyproto.testing.networks import identity_network, random_network

HEADS = ("prototypes", "linear")
seeds = st.integers(0, 2**20)


def images(seed, count=60, shape=(3, 2)):
    return np.random.default_rng(seed).random((count, *shape))


def naive(kind, h, w, b, m):
    """One score of one image, in plain Python."""
    z = [sum(a * c for a, c in zip(h, row, strict=True)) + t for row, t in zip(w, b, strict=True)]
    if kind == "distance":
        return math.dist(h, w[m])
    if kind == "angle":
        dot = sum(a * c for a, c in zip(h, w[m], strict=True))
        return math.acos(dot / (math.hypot(*h) * math.hypot(*w[m])))
    if kind == "margin":
        return max(value for j, value in enumerate(z) if j != m) - z[m]
    return -math.log(sum(math.exp(value) for value in z))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", FEATURE_SCORES)
@given(seed=seeds)
def test_each_score_is_that_of_its_formula(kind, head, seed):
    network, x = random_network(seed, head=head), images(seed)
    detector = FeatureDetector(network, kind).fit(x)
    h = network.features(x)[0]
    w, b = head_vectors(network.head)
    z = network(x)[0]
    np.testing.assert_allclose(z, h @ w.T + b, atol=1e-9)
    answer = z.argmax(axis=1)
    for m in (answer, (answer + 1) % 3):
        expected = [naive(kind, *row) for row in zip(h, [w] * 60, [b] * 60, m, strict=True)]
        np.testing.assert_allclose(detector.score(x, m), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(detector.score(x), detector.score(x, answer))
    np.testing.assert_array_equal(detector.judge(x)[0], answer)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", FEATURE_SCORES)
@given(seed=seeds)
def test_gradients_at_features_and_at_pixels(kind, head, seed):
    network, x = random_network(seed, head=head), images(seed)
    detector, some = FeatureDetector(network, kind).fit(x), x[:3].copy()
    h = network.features(some)[0].copy()
    for answer in (network(some)[0].argmax(axis=1), np.array([0, 1, 2])):
        score = lambda a=answer: detector.feature_score(h, a)[0].sum()  # noqa: E731
        check(detector.feature_score(h, answer)[1], finite_difference(score, h, 1e-6))
        score = lambda a=answer: detector.score(some, a).sum()  # noqa: E731
        check(detector.score_gradient(some, answer), finite_difference(score, some, 1e-6))
    own = detector.score_gradient(some, network(some)[0].argmax(axis=1))
    np.testing.assert_array_equal(detector.score_gradient(some), own)


def check(found, expected):
    assert found.shape == expected.shape
    scale = 1 + np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-6)


@pytest.mark.parametrize("score", SCORES)
@given(seed=st.integers(0, 200))
def test_scores_of_a_winner_take_all_network_on_the_features(score, seed):
    """Those of the best neuron of the answer's class, and their gradient at the pixels."""
    network, x = random_network(seed), images(seed, 90)
    if np.bincount(network(x)[0].argmax(axis=1), minlength=3).min() < 4:
        return
    given_detector = winner_take_all_detector(network, x, score)
    detector, some = FeatureDetector(network, given_detector).fit(x), x[:3].copy()
    assert detector.kind == f"±ED-WTA {score}"
    h, answer = network.features(some)[0], np.array([0, 1, 2])
    o = given_detector.network_.neuron_scores(h)
    neuron = [2 * m + int(o[n, 2 * m : 2 * m + 2].argmax()) for n, m in enumerate(answer)]
    expected = given_detector.score(h, np.array(neuron))
    np.testing.assert_allclose(detector.score(some, answer), expected, rtol=1e-12)

    value = getattr(given_detector._score, "surrogate", None) or given_detector.score

    def total():
        return value(network.features(some)[0], np.array(neuron)).sum()

    check(detector.score_gradient(some, answer), finite_difference(total, some, 1e-6))


def test_an_angle_of_0_and_features_of_0():
    network = identity_network([[2.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    x = np.array([[3.0, 0.0], [0.0, 0.0], [1e-9, 1.0]])
    detector = FeatureDetector(network, "angle").fit(x)
    answer = np.array([0, 0, 1])
    np.testing.assert_allclose(detector.score(x, answer), [0, np.pi / 2, 1e-9], rtol=1e-12)
    gradient = detector.score_gradient(x, answer)
    np.testing.assert_array_equal(gradient[:2], 0)
    np.testing.assert_allclose(gradient[2], [1, 0], atol=1e-8)
    distance = FeatureDetector(network, "distance").fit(x)
    at_prototype = np.array([[2.0, 0.0]])
    np.testing.assert_array_equal(distance.score_gradient(at_prototype, np.array([0])), 0)


def test_the_energy_of_large_scores_does_not_overflow():
    network = identity_network([[1000.0, 0.0], [0.0, 1000.0]], [0.0, 0.0])
    x = np.array([[2.0, 1.0], [1.0, 1.0]])
    detector = FeatureDetector(network, "energy").fit(x)
    np.testing.assert_allclose(detector.score(x), [-2000, -1000 - math.log(2)], rtol=1e-12)


@pytest.mark.parametrize("rejected", [0.05, 0.3])
@pytest.mark.parametrize("kind", FEATURE_SCORES)
def test_the_threshold_rejects_the_fraction_that_it_may(kind, rejected):
    network, x = random_network(3), images(3, 400)
    detector = FeatureDetector(network, kind, false_rejection=rejected).fit(x)
    assert (~detector.accepts(x)).mean() == pytest.approx(rejected, abs=1 / 400)
    np.testing.assert_array_equal(detector.accepts(x), detector.score(x) <= detector.threshold_)


@pytest.mark.parametrize("kind", [*FEATURE_SCORES, *SCORES[1:]])
def test_scores_do_not_depend_on_the_batch(kind):
    network, x = random_network(1, dtype=np.float32), images(1, 90).astype(np.float32)
    score = kind
    if kind not in FEATURE_SCORES:
        score = winner_take_all_detector(network, x, kind)
    whole = FeatureDetector(network, score).fit(x)
    parts = FeatureDetector(network, score, batch_size=7).fit(x)
    np.testing.assert_array_equal(whole.score(x), parts.score(x))
    assert whole.threshold_ == parts.threshold_


def test_the_network_is_that_of_the_calibration():
    network, x = random_network(2), images(2)
    detector = FeatureDetector(network, "margin").fit(x)
    before = detector.score(x)
    network.head.params["prototypes"][...] = 0
    np.testing.assert_array_equal(detector.score(x), before)
    with pytest.raises(ValueError, match="at least one image"):
        detector.fit(x[:0])
    np.testing.assert_array_equal(detector.score(x), before)  # what is refused changes nothing


def test_wrong_arguments_get_one_line():
    network, x = random_network(0), images(0)
    for options, message in (
        ({"score": "softmax"}, "score must be one of distance, angle, margin, energy or a Detect"),
        ({"false_rejection": 1.0}, "false_rejection must be between 0 and 1"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            FeatureDetector(network, **options)
    with pytest.raises(ValueError, match="head must be a PrototypeHead or Linear, not Sequential"):
        FeatureDetector(Network(Flatten(), Sequential(ReLU())))
    with pytest.raises(ValueError, match="not calibrated yet"):
        FeatureDetector(network).score(x)
    detector = FeatureDetector(network).fit(x)
    for answer, message in (
        (np.full(60, 3), "answer must hold classes, 0 … 2, not 3"),
        (np.zeros(59, int), "answer must hold one label for each of 60"),
    ):
        with pytest.raises(ValueError, match=message):
            detector.score(x, answer)
    two = random_network(0, classes=2)
    given_detector = winner_take_all_detector(two, x, "margin")
    with pytest.raises(ValueError, match="must know all classes, 0 … 2, not 0, 1"):
        FeatureDetector(network, given_detector)
