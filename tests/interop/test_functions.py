"""A bare function of scores as a victim."""

import numpy as np
import pytest

from tinyproto.attacks import pgd, square
from tinyproto.interop import from_scores
from tinyproto.testing.victims import flattened, hidden

MODEL = flattened(hidden(3, d=16, classes=4))
X = np.random.default_rng(0).random((10, 4, 4, 1))


def scores(x):
    return MODEL(x)[0]


def test_square_attacks_it_and_others_refuse_it_in_one_sentence():
    y = scores(X).argmax(axis=1)
    victim = from_scores(scores)
    assert repr(victim).startswith("Victim(scores, lo=0.0, hi=1.0")
    found = square(victim, X, y, eps=0.3, queries=50)
    assert (scores(found).argmax(axis=1) != y).mean() > 0.5
    with pytest.raises(ValueError, match="without a function for gradients, which") as error:
        pgd(victim, X, y, eps=0.3)
    assert "\n" not in str(error.value)


def test_what_a_network_knows_beside_its_scores_is_not_used():
    z, backward = from_scores(MODEL)(X)
    np.testing.assert_array_equal(z, scores(X))
    with pytest.raises(ValueError, match="without a function for gradients"):
        backward(z)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: scores(x).tolist(),
        lambda x: list(scores(x)),
        lambda x: tuple(map(tuple, scores(x).tolist())),
        lambda x: (scores(x), None),
    ],
)
def test_lists_of_numbers_become_arrays(function):
    np.testing.assert_array_equal(from_scores(function)(X)[0], scores(X))


def test_lists_of_two_examples_are_not_taken_for_a_pair():
    found = from_scores(lambda x: tuple(scores(x).tolist()))(X[:2])[0]
    np.testing.assert_array_equal(found, scores(X[:2]))


def test_counts_are_scores(recwarn):
    votes = np.eye(4, dtype=np.int64)[scores(X).argmax(axis=1)]
    z, _ = from_scores(lambda x: votes)(X)
    assert z.dtype == np.float64
    np.testing.assert_array_equal(z, votes)


def test_probabilities_are_not_warned_of(recwarn):
    from_scores(lambda x: np.full((len(x), 4), 0.25))(X)
    assert len(recwarn) == 0


def test_a_function_that_writes_to_its_input_does_no_harm():
    def careless(x):
        z = scores(x)
        x[...] = 7
        return z

    before = X.copy()
    y = scores(X).argmax(axis=1)
    square(from_scores(careless), X, y, eps=0.1, queries=5)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda z: z[:, 0], r"an array \(10, C\), not \(10,\); of one score s make two"),
        (lambda z: z * np.nan, "scores must be finite"),
        (lambda z: None, r"must be an array \(10, C\), not NoneType"),
        (lambda z: z > 0, "must be floating-point numbers, not bool"),
    ],
)
def test_what_it_must_not_return(output, message):
    with pytest.raises(ValueError, match=message) as error:
        from_scores(lambda x: output(scores(x)))(X)
    assert "\n" not in str(error.value)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="the model must be a function"):
        from_scores(3)


def test_a_method_of_an_estimator_is_a_function():
    neighbors = pytest.importorskip("sklearn.neighbors", reason="needs scikit-learn")
    x = X.reshape(10, 16)
    estimator = neighbors.KNeighborsClassifier(3).fit(x, np.arange(10) % 2)
    z, _ = from_scores(estimator.predict_proba)(x)
    np.testing.assert_array_equal(z, estimator.predict_proba(x))
