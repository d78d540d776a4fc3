"""Properties of the three networks that hold whatever they have learned."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.backend.cpu import load_numba
from tinyproto.prototypes import PlusMinusEDWTA
from tinyproto.prototypes.cross_entropy import CrossEntropySteps
from tinyproto.testing.prototypes import KINDS, problems


def blobs(samples=120, features=5, classes=3, seed=0):
    random = np.random.default_rng(seed)
    label = np.arange(samples) % classes
    x = random.normal(size=(samples, features)) + 4 * np.eye(classes, features)[label]
    return x, label


@given(problems(kinds=(PlusMinusEDWTA,), samples=(1, 20)))
def test_prototypes_stay_in_the_convex_hull_of_start_and_data(problem):
    """Along every direction, prototypes stay between the extremes of all points."""
    network = problem.network
    points = np.concatenate([problem.x, network.positive_prototypes_, network.negative_prototypes_])
    directions = np.random.default_rng(0).normal(size=(points.shape[1], 200))
    smallest = (points @ directions).min(axis=0)
    largest = (points @ directions).max(axis=0)
    network.set_params(learning_rate=0.4, beta_learning_rate=0.0)  # α β |τ − q| < 1
    for _ in range(3):
        network.partial_fit(problem.x, problem.label)
    for w in (network.positive_prototypes_, network.negative_prototypes_):
        assert (w @ directions <= largest + 1e-12).all()
        assert (w @ directions >= smallest - 1e-12).all()


@given(problems(kinds=(PlusMinusEDWTA,)))
def test_a_sample_only_attracts_prototypes(problem):
    network, x, label = problem.network, problem.x[:1], problem.label[:1]
    pairs = [network.positive_prototypes_, network.negative_prototypes_]
    before = [np.linalg.norm(x - w, axis=1) for w in pairs]
    CrossEntropySteps(network)(x, label, 0.01, 0.0)
    for w, distance in zip(pairs, before, strict=True):
        assert (np.linalg.norm(x - w, axis=1) <= distance + 1e-12).all()


@given(problems())
def test_probabilities_sum_to_one_and_agree_with_the_prediction(problem):
    probability = problem.network.predict_proba(problem.x)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    assert (probability >= 0).all()
    predicted = problem.network.classes_[probability.argmax(axis=1)]
    np.testing.assert_array_equal(predicted, problem.network.predict(problem.x))


@given(problems(dtype="float32", samples=(2, 9)), st.integers(1, 8))
def test_scores_do_not_depend_on_the_batch_bit_for_bit(problem, cut):
    whole = problem.network.neuron_scores(problem.x)
    parts = [problem.network.neuron_scores(p) for p in (problem.x[:cut], problem.x[cut:]) if len(p)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("init", ["random", "kmeans", "class-mean"])
def test_learning_does_not_depend_on_the_number_of_threads(kind, batch_size, init):
    import numba

    load_numba()
    x, y = blobs()
    found = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        found.append(kind(2, epochs=3, batch_size=batch_size, init=init).fit(x, y).linear())
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("init", ["random", "kmeans", "class-mean"])
def test_it_learns_and_keeps_its_dtype(kind, dtype, init):
    x, y = blobs()
    network = kind(2, epochs=20, dtype=dtype, init=init).fit(x, np.array(["a", "b", "c"])[y])
    assert network.score(x, np.array(["a", "b", "c"])[y]) > 0.95
    assert network.decision_function(x).dtype == dtype
    assert network.classes_.tolist() == ["a", "b", "c"]
    assert network.prototype_labels_.tolist() == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize("kind", KINDS)
def test_far_away_samples_give_finite_updates(kind):
    """Exponentials underflow at scores of ±10⁴; E, τ and the updates must not."""
    x, y = blobs()
    network = kind(2, epochs=2, learning_rate=1e-6, beta_learning_rate=0.0).fit(100 * x, y)
    assert math.isfinite(network.loss_)
    assert np.isfinite(network.linear()[0]).all()


def test_shrunk_negatives_start_below_the_positives():
    x, y = blobs()
    network = PlusMinusEDWTA(
        2, epochs=0, init="kmeans", negative_init="shrunk", negative_init_fraction=0.25
    )
    network.fit(x, y)
    np.testing.assert_allclose(
        network.negative_prototypes_, 0.75 * network.positive_prototypes_, rtol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_callback_and_augment_see_every_epoch(kind):
    x, y = blobs()
    epochs, augmented = [], []

    def shuffle_features(samples, epoch):
        augmented.append(epoch)
        return samples + 0

    kind(1, epochs=4).fit(
        x, y, augment=shuffle_features, callback=lambda model, epoch, loss: epochs.append(epoch)
    )
    assert epochs == [1, 2, 3, 4]
    assert augmented == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_fit_initializes_again_and_gives_the_same(kind):
    x, y = blobs()
    network = kind(2, epochs=3).fit(x, y)
    first = network.linear()[0].copy()
    np.testing.assert_array_equal(network.fit(x, y).linear()[0], first)
    assert (network.set_params(random_state=1).fit(x, y).linear()[0] != first).any()


def test_two_classes_have_one_decision_value():
    x, y = blobs(classes=2)
    network = PlusMinusEDWTA(2, epochs=5).fit(x, y)
    decision = network.decision_function(x)
    assert decision.shape == (len(x),)
    np.testing.assert_array_equal(network.predict(x), (decision > 0).astype(int))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"prototypes_per_class": -1},
            "prototypes_per_class must be 1 or more, not -1",
        ),
        ({"prototypes_per_class": 2.5}, "prototypes_per_class must be .* not 2.5"),
        ({"init": "zeros"}, "init must be one of random, kmeans, class-mean, samples, not 'zeros'"),
        ({"epochs": -1}, "epochs must be .* not -1"),
        ({"batch_size": 0}, "batch_size must be .* not 0"),
        ({"learning_rate": 0}, "learning_rate must be a finite number above 0, not 0"),
        ({"beta": -2.0}, "beta must be a finite number above 0, not -2.0"),
        ({"dtype": "float16"}, "dtype must be .* not 'float16'"),
        ({"device": "tpu"}, "device must be 'cpu' or 'cuda', not 'tpu'"),
        ({"random_state": -3}, "random_state must be .* not -3"),
        (
            {"init": "kmeans", "prototypes_per_class": 99},
            "class 0 has 40 samples, too few for .*=99",
        ),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_parameters_get_one_line(kind, parameters, message):
    with pytest.raises(ValueError, match=message) as error:
        kind(**parameters).fit(*blobs())
    assert "\n" not in str(error.value)


def nan_at(x):
    x = x.copy()
    x[3, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (nan_at(x), y), "contains NaN: sample 3, feature 1"),
        (lambda x, y: (x * np.inf, y), r"contains (NaN|infinity)"),
        (lambda x, y: (x, np.zeros(len(x))), "holds one class: .*0"),
        (lambda x, y: (x[:0], y[:0]), r"no samples: 0 sample\(s\)"),
        (lambda x, y: (x[:, :0], y), r"0 feature\(s\)"),
        (lambda x, y: (x[:, 0], y), "Expected 2D array"),
        (lambda x, y: (x, y[:-1]), r"one label for each of the 120 samples, not \(119,\)"),
        (lambda x, y: (x, y + 0.5), "Unknown label type: continuous, such as 0.5"),
        (lambda x, y: (x + 1j, y), "Complex data not supported"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_data_gets_one_line(kind, change, message):
    with pytest.raises(ValueError, match=message) as error:
        kind().fit(*change(*blobs()))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_number_of_features_names_both(kind):
    network = kind(epochs=1).fit(*blobs())
    with pytest.raises(ValueError, match="X has 4 features, but .* is expecting 5 features"):
        network.predict(np.zeros((2, 4)))


def test_partial_fit_accepts_classes_that_come_later():
    x, y = blobs()
    network = PlusMinusEDWTA(1).partial_fit(x[y < 2], y[y < 2], classes=[0, 1, 2])
    network.partial_fit(x, y)
    assert network.classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="y holds 7, which is not one of the classes"):
        network.partial_fit(x, y * 7)
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        network.partial_fit(x, y, classes=[0, 1])
    network.partial_fit(x, y, classes=[2, 1, 0, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_linear_form_is_the_score_but_for_what_all_neurons_share(kind):
    x, y = blobs()
    network = kind(2, epochs=2, dtype="float64").fit(x, y)
    A, b = network.linear()
    difference = x @ A.T + b - network.neuron_scores(x)
    np.testing.assert_allclose(difference - difference[:, :1], 0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_fails_leaves_no_half_fitted_network(kind):
    x, y = blobs()
    network = kind(2, epochs=1, init="kmeans")
    rare = np.where(np.arange(len(y)) == 0, 9, y)
    for fit in (network.fit, network.partial_fit):
        with pytest.raises(ValueError, match="class 9 has 1 samples, too few"):
            fit(x, rare)
        with pytest.raises(ValueError, match="not fitted yet"):
            network.predict(x)
    assert network.set_params(init="random").fit(x, y).score(x, y) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_as_a_layer_it_accepts_images_of_any_shape_and_empty_batches(kind):
    x, y = blobs(features=6)
    network = kind(2, epochs=1).fit(x, y)
    z, backward = network(x.reshape(-1, 2, 3))
    np.testing.assert_array_equal(z, network.decision_function(x))
    assert backward(np.ones_like(z)).shape == (len(x), 2, 3)
    z, backward = network(np.zeros((0, 2, 3)))
    assert (z.shape, backward(z).shape) == ((0, 3), (0, 2, 3))
