"""Outlier scores: their definitions, their calibration, and their AUROC on digits."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.backend.blas import one_blas_thread
from tinyproto.data import load_outliers
from tinyproto.prototypes import (
    EDWTA,
    IPWTA,
    SCORES,
    Detector,
    PlusMinusEDWTA,
    auroc,
    fpr_at_tpr,
    roc_curve,
)


@pytest.fixture(autouse=True)
def serial_blas():
    """On a busy machine the threads of BLAS wait for one another, which takes most of the time."""
    with one_blas_thread():
        yield


@pytest.fixture(scope="module")
def network(digits):
    return PlusMinusEDWTA(3, epochs=8).fit(*digits[:2])


@pytest.mark.parametrize("score", SCORES)
def test_the_threshold_rejects_the_given_fraction_of_training_data(digits, network, score):
    for fraction in (0.02, 0.1):
        detector = Detector(network, score, false_rejection=fraction).fit(*digits[:2])
        rejected = 1 - detector.accepts(digits[0]).mean()
        assert abs(rejected - fraction) < 0.002
        below = detector.score(digits[2]) <= detector.threshold_
        np.testing.assert_array_equal(detector.accepts(digits[2]), below)


@pytest.mark.parametrize("score", SCORES)
def test_a_score_depends_on_its_own_sample_only(digits, network, score):
    detector = Detector(network, score).fit(*digits[:2])
    whole = detector.score(digits[2][:50])
    parts = [detector.score(digits[2][i : i + 1])[0] for i in range(50)]
    np.testing.assert_allclose(parts, whole, rtol=1e-9)


def test_distance_and_margin_are_their_definitions(digits, network):
    x, y, x_test, _ = digits
    o = network.neuron_scores(x_test)
    winner = o.argmax(axis=1)
    distance = np.linalg.norm(x_test - network.positive_prototypes_[winner], axis=1)
    np.testing.assert_allclose(
        Detector(network, "distance").fit(x, y).score(x_test), distance, rtol=1e-5
    )
    z = np.sort(o.reshape(len(o), 10, -1).max(axis=2), axis=1)
    np.testing.assert_allclose(
        Detector(network, "margin").fit(x, y).score(x_test), z[:, -2] - z[:, -1], rtol=1e-4
    )


def test_profile_is_its_definition(digits, network):
    """Distances, residual, means and covariances from NumPy's own least squares and `cov`."""
    x, y, x_test, _ = digits
    w = network.positive_prototypes_.astype(np.float64)

    def profiles(images):
        images = images.astype(np.float64)
        distances = [np.linalg.norm(images - prototype, axis=1) for prototype in w]
        coefficients = np.linalg.lstsq(w.T, images.T, rcond=None)[0]
        residual = ((images.T - w.T @ coefficients) ** 2).sum(axis=0)
        return np.column_stack([*distances, np.log(residual)])

    winner = network.neuron_scores(x).argmax(axis=1)
    correct = winner // 3 == y
    r, winner, owner = profiles(x)[correct], winner[correct], winner[correct] // 3
    means = [
        r[winner == k].mean(axis=0)
        if (winner == k).sum() >= 50
        else r[owner == k // 3].mean(axis=0)
        for k in range(30)
    ]
    error = r - np.array(means)[winner]
    expected, found = [], network.neuron_scores(x_test[:40]).argmax(axis=1)
    for k, profile in zip(found, profiles(x_test[:40]), strict=True):
        own = error[owner == k // 3]
        S = 0.9 * own.T @ own / len(own) + 0.1 * error.T @ error / len(error)
        S += 1e-4 * np.trace(S) / len(S) * np.eye(len(S))
        difference = profile - means[k]
        expected.append(difference @ np.linalg.solve(S, difference))
    score = Detector(network).fit(x, y).score(x_test[:40])
    np.testing.assert_allclose(score, expected, rtol=1e-4)


def test_the_profile_separates_noise_from_digits(digits, network):
    detector = Detector(network).fit(*digits[:2])
    noise = np.random.default_rng(0).random((500, 784), np.float32)
    assert auroc(detector.score(digits[2]), detector.score(noise)) > 0.999
    shuffled = np.random.default_rng(0).permuted(digits[2], axis=1)
    assert auroc(detector.score(digits[2]), detector.score(shuffled)) > 0.98


def test_outliers_on_all_of_mnist(mnist):
    """AUROCs near those of the full training that the results report."""
    x, y, x_test, _ = mnist
    detector = Detector(PlusMinusEDWTA(epochs=5).fit(x, y)).fit(x, y)
    inliers = detector.score(x_test)
    minimum = {"notmnist": 0.99, "fashion": 0.92, "emnist-letters": 0.88}
    for name, images in load_outliers().items():
        outliers = detector.score(images.reshape(len(images), -1) / np.float32(255))
        assert auroc(inliers, outliers) >= minimum[name]


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_auroc_is_the_probability_of_the_right_order(inliers, outliers):
    a, b = np.array(inliers, float), np.array(outliers, float)
    pairs = (b[:, None] > a).mean() + 0.5 * (b[:, None] == a).mean()
    np.testing.assert_allclose(auroc(a, b), pairs)


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 1000))
def test_roc_curve_has_the_area_and_fpr_lies_on_it(n, m, seed):
    random = np.random.default_rng(seed)
    inliers, outliers = random.normal(size=n), random.normal(size=m) + 1
    false, true = roc_curve(inliers, outliers)
    area = ((false[1:] - false[:-1]) * (true[1:] + true[:-1]) / 2).sum()
    np.testing.assert_allclose(area, auroc(inliers, outliers), atol=1e-12)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert 0 <= fpr_at_tpr(inliers, outliers) <= 1


def test_the_other_networks(digits):
    euclidean = EDWTA(2, epochs=2).fit(*digits[:2])
    assert Detector(euclidean).fit(*digits[:2]).score(digits[2]).shape == (len(digits[2]),)
    inner = IPWTA(2, epochs=2).fit(*digits[:2])
    assert Detector(inner, "margin").fit(*digits[:2]).score(digits[2]).shape == (len(digits[2]),)
    with pytest.raises(ValueError, match="IPWTA has no prototypes for the score 'profile'"):
        Detector(inner)


@pytest.mark.parametrize("score", SCORES)
def test_a_detector_can_be_pickled(digits, network, score):
    detector = Detector(network, score).fit(*digits[:2])
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.score(digits[2][:20]), detector.score(digits[2][:20]))


def test_a_neuron_that_wins_few_samples_is_calibrated_on_its_class(digits):
    """With many neurons and few epochs some never win; noise that they win is still rejected."""
    network = PlusMinusEDWTA(12, epochs=2).fit(*digits[:2])
    detector = Detector(network, "combined").fit(*digits[:2])
    noise = np.random.default_rng(0).random((300, 784), np.float32)
    assert detector.accepts(noise).mean() < 0.1


def test_a_class_that_is_never_predicted_correctly_is_named(digits):
    x, y, _, _ = digits
    network = PlusMinusEDWTA(2, epochs=1).fit(x, y)
    with pytest.raises(ValueError, match="no sample of class 4 is classified correctly"):
        Detector(network).fit(x[y != 4], y[y != 4])


def test_wrong_use_gets_one_line(network):
    with pytest.raises(ValueError, match="score must be one of .*, not 'entropy'"):
        Detector(network, "entropy")
    with pytest.raises(ValueError, match="false_rejection must be between 0 and 1, not 0"):
        Detector(network, false_rejection=0)
    with pytest.raises(ValueError, match="not calibrated yet; call fit first"):
        Detector(network).score(np.zeros((1, 784)))
    with pytest.raises(ValueError, match="not fitted yet"):
        Detector(PlusMinusEDWTA())
    with pytest.raises(TypeError, match="network must be a WinnerTakeAll, not ndarray"):
        Detector(np.zeros(3))
    with pytest.raises(ValueError, match="false_rejection must be a finite number"):
        Detector(network, false_rejection="few")


@pytest.mark.parametrize("score", SCORES)
def test_the_data_are_checked_as_those_of_the_network(digits, network, score):
    x, y, _, _ = digits
    detector = Detector(network, score)
    for labels, message in ((y[:-1], "one label for"), (y + 1, "is not one of"), (y + 0.5, "cont")):
        with pytest.raises(ValueError, match=message):
            detector.fit(x, labels)
    detector.fit(x, y)
    for samples in (x[:, 1:], x[0], x * np.nan):
        with pytest.raises(ValueError, match="X|Expected 2D array"):
            detector.score(samples)


@pytest.mark.parametrize("score", SCORES)
def test_a_network_that_is_trained_further_does_not_change_its_detector(digits, score):
    x, y, x_test, _ = digits
    network = PlusMinusEDWTA(2, epochs=2).fit(x, y)
    detector = Detector(network, score).fit(x, y)
    before = detector.score(x_test)
    network.set_params(prototypes_per_class=9).partial_fit(x, y)
    np.testing.assert_array_equal(detector.score(x_test), before)


@pytest.mark.parametrize(
    ("inliers", "tpr", "expected"),
    [
        ([0, 1, np.inf], 0.95, 1),  # the threshold lies between 1 and ∞
        ([0, np.inf, np.inf], 0.95, 1),
        ([0, 1, np.inf], 0.5, 1 / 3),
        ([-np.inf, 1, 2], 0.25, 1 / 3),
        ([False, True], 0.5, 1 / 3),
    ],
)
def test_the_fpr_of_scores_that_are_infinite_or_no_numbers(inliers, tpr, expected):
    assert fpr_at_tpr(np.array(inliers), np.array([0.5, 2.0, 3.0]), tpr) == expected


@given(st.lists(st.floats(-9, 9), min_size=1), st.floats(0, 1))
def test_the_threshold_of_the_fpr_is_a_quantile(inliers, tpr):
    threshold = np.quantile(inliers, tpr)
    outliers = np.array([np.nextafter(threshold, -10), threshold, np.nextafter(threshold, 10)])
    assert fpr_at_tpr(inliers, outliers, tpr) == 2 / 3


@pytest.mark.parametrize("function", [auroc, fpr_at_tpr, roc_curve])
def test_scores_of_a_roc_curve_are_one_number_each(function):
    right = np.array([0.1, 0.3])
    function(right.tolist(), right.tolist())
    for wrong in ([], right[:, None], np.array([0.1, np.nan]), np.array(["a"]), 3.0):
        with pytest.raises(ValueError, match="inliers (must )?hold"):
            function(wrong, right)
        with pytest.raises(ValueError, match="outliers (must )?hold"):
            function(right, wrong)
    for tpr in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="tpr must be"):
            fpr_at_tpr(right, right, tpr)
