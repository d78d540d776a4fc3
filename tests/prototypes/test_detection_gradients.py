"""The gradients of the outlier scores against finite differences, in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prototypes.detector_cases import detectors, make_detector
from tinyproto.prototypes import SCORES, PlusMinusEDWTA
from tinyproto.testing import finite_difference


def value_of(detector):
    """The function whose gradient `score_gradient` is: `combined` has a surrogate."""
    surrogate = getattr(detector._score, "surrogate", None)
    return surrogate or detector.score


@pytest.mark.parametrize("score", SCORES)
@given(data=st.data())
def test_the_gradient_is_that_of_the_score(score, data):
    """For the winning neuron and for any other one, also where there are fewer features than
    prototypes, and the residual of the profile is 0."""
    detector, x, _ = data.draw(detectors((score,)))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    points = random.random((4, x.shape[1]))
    winning = detector.network_.neuron_scores(points).argmax(axis=1)
    other = random.integers(0, len(detector.network_.prototype_labels_), len(points))
    value = value_of(detector)
    for neuron in (winning, other):
        expected = finite_difference(lambda n=neuron: value(points, n).sum(), points, 1e-6)
        found = detector.score_gradient(points, neuron)
        scale = 1 + np.abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, atol=2e-6)
    np.testing.assert_array_equal(
        detector.score_gradient(points), detector.score_gradient(points, winning)
    )


def test_the_gradient_at_a_prototype_is_finite():
    for score in SCORES:
        detector, _, _ = make_detector(PlusMinusEDWTA, score, 0, features=9)
        w = detector.network_.positive_prototypes_
        assert np.isfinite(detector.score_gradient(w)).all()
        if score == "distance":
            assert (detector.score_gradient(w, np.arange(len(w))) == 0).all()


def test_the_surrogate_orders_inputs_nearly_as_the_counts_do():
    detector, x, _ = make_detector(PlusMinusEDWTA, "combined", 3, rejection=0.05)
    neuron = detector.network_.neuron_scores(x).argmax(axis=1)
    ranks = [np.argsort(np.argsort(v)) for v in (detector.score(x), value_of(detector)(x, neuron))]
    assert np.corrcoef(*ranks)[0, 1] > 0.9


@pytest.mark.parametrize("score", SCORES)
def test_a_gradient_does_not_depend_on_the_other_inputs(score):
    detector, x, _ = make_detector(PlusMinusEDWTA, score, 1, features=7)
    whole = detector.score_gradient(x)
    parts = np.concatenate([detector.score_gradient(x[i : i + 7]) for i in range(0, len(x), 7)])
    np.testing.assert_array_equal(whole, parts)


def test_the_margin_as_if_a_neuron_won():
    """Of the neuron's class: minus the lead, and positive where another class leads."""
    detector, x, _ = make_detector(PlusMinusEDWTA, "margin", 2)
    z = detector.network_.neuron_scores(x).reshape(len(x), 3, 2).max(axis=2)
    for c in range(3):
        expected = np.delete(z, c, axis=1).max(axis=1) - z[:, c]
        for neuron in (2 * c, 2 * c + 1):
            found = detector.score(x, np.full(len(x), neuron))
            np.testing.assert_allclose(found, expected, atol=1e-12)
    with pytest.raises(ValueError, match="neuron must hold classes, 0 … 5, not 6"):
        detector.score(x, np.full(len(x), 6))
