"""Wins counted one sample at a time, and what reviving changes and leaves."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prototypes.definitions import scores
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA, count_wins, dead_neurons, revive
from tinyproto.testing.prototypes import KINDS, problems

ARRAYS = ("weights_", "biases_", "positive_prototypes_", "negative_prototypes_")


def wins_by_hand(o, label, classes, per_class):
    """Overall wins and wins within the own class, sample by sample."""
    overall, within = [0] * (classes * per_class), [0] * (classes * per_class)
    for row, c in zip(o, label, strict=True):
        overall[max(range(len(row)), key=lambda k: row[k])] += 1
        own = range(c * per_class, (c + 1) * per_class)
        within[max(own, key=lambda k: row[k])] += 1
    return overall, within


@given(problems(samples=(1, 20)))
def test_wins_are_those_of_a_count_by_hand(problem):
    network, x, label = problem.network, problem.x, problem.label
    classes, per_class = len(network.classes_), network.prototypes_per_class
    overall, within = wins_by_hand(scores(problem, x), label, classes, per_class)
    assert count_wins(network, x).tolist() == overall
    assert count_wins(network, x, label).tolist() == within


def with_dead_neurons(kind, dead=(1, 2, 5), dtype="float64", names=None):
    """Three classes of 60 samples and 4 neurons each, those of `dead` far away from everything."""
    random = np.random.default_rng(0)
    y = np.arange(180) % 3
    x = random.normal(size=(180, 6)) + 6 * np.eye(3, 6)[y]
    network = kind(4, epochs=0, init="kmeans", dtype=dtype)
    labels = y if names is None else np.array(names)[y]
    network.fit(x, labels)
    for k in dead:
        if kind is IPWTA:
            network.biases_[k] = -1e3
        else:
            network.positive_prototypes_[k] = 1e3
    return network, x, labels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_revived_neurons_win_samples_and_no_other_neuron_moves(kind, dtype):
    network, x, y = with_dead_neurons(kind, dtype=dtype, names=["c", "a", "b"])
    before, accuracy = copy.deepcopy(network), network.score(x, y)
    wins = count_wins(network, x, y)
    assert dead_neurons(network, x, y).tolist() == [1, 2, 5]
    assert revive(network, x, y).tolist() == [1, 2, 5]

    after = count_wins(network, x, y)
    assert (after > 0).all()
    assert after.reshape(3, 4).sum(axis=1).tolist() == wins.reshape(3, 4).sum(axis=1).tolist()
    changed = np.zeros(12, dtype=bool)
    for name in ARRAYS:
        if hasattr(network, name):
            old, new = getattr(before, name), getattr(network, name)
            assert new.dtype == dtype
            changed |= (old != new).reshape(12, -1).any(axis=1)
    # The dead, and one or two busiest neurons of each of the two classes that had dead neurons.
    assert changed[[1, 2, 5]].all()
    assert changed.reshape(3, 4)[0].sum() in (3, 4)
    assert changed.reshape(3, 4)[1].tolist().count(True) == 2
    assert not changed.reshape(3, 4)[2].any()
    assert changed[4 + wins[4:8].argmax()]
    assert network.beta_ == before.beta_
    assert network.score(x, y) >= accuracy - 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_the_split_changes_scores_as_the_formula_says(kind):
    """For the one neuron that is split, oₖ ± βεu·(x − c) − ½βε², whose difference is linear in x
    and 0 at the mean of the samples that it won, and whose mean is oₖ, less ½βε²."""
    network, x, y = with_dead_neurons(kind, dead=(5,))
    label_wins = count_wins(network, x, y)
    busiest = 4 + int(label_wins[4:8].argmax())
    before = network.neuron_scores(x)
    own = before[y == 1][:, 4:8].argmax(axis=1) + 4 == busiest
    revive(network, x, y)
    after = network.neuron_scores(x)
    mean = x[y == 1][own].mean(axis=0)
    at_mean = network.neuron_scores(mean[None])[0]
    assert at_mean[busiest] == pytest.approx(at_mean[5], abs=1e-9)
    offset = (after[:, busiest] + after[:, 5]) / 2 - before[:, busiest]
    np.testing.assert_allclose(offset, offset[0], atol=1e-9)
    if kind is IPWTA:
        assert offset[0] == pytest.approx(0, abs=1e-9)
    else:
        shift = network.positive_prototypes_[busiest] - network.positive_prototypes_[5]
        assert offset[0] == pytest.approx(-network.beta_ * (shift @ shift) / 8)
        won = x[y == 1][own]
        spread = ((won - mean) @ shift / np.linalg.norm(shift)).std()
        assert np.linalg.norm(shift) == pytest.approx(2 * 0.1 * spread, rel=1e-6)


@given(problems(samples=(1, 30), features=(1, 5)))
def test_there_are_never_more_dead_neurons_and_none_moves_where_none_is_dead(problem):
    network, classes = problem.network, len(problem.network.classes_)
    random = np.random.default_rng(0)
    x = np.concatenate([problem.x, random.normal(size=(classes, problem.x.shape[1]))])
    y = np.concatenate([problem.label, np.arange(classes)])
    before = {name: a.copy() for name, a in problem.parameters.items()}
    dead = dead_neurons(network, x, y)
    revived = revive(network, x, y)
    assert set(revived) <= set(dead)
    assert len(dead_neurons(network, x, y)) <= len(dead) - len(revived)
    for name, array in problem.parameters.items():
        if len(revived):
            assert np.isfinite(array).all()
        else:
            np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_is_the_same_each_time(kind):
    first, second = with_dead_neurons(kind), with_dead_neurons(kind)
    revive(*first)
    revive(*second)
    for name in ARRAYS:
        if hasattr(first[0], name):
            np.testing.assert_array_equal(getattr(first[0], name), getattr(second[0], name))


def test_training_goes_on_with_revived_neurons():
    """A class on both sides of the other, both its neurons equal: the revived one is trained apart,
    and only then can the network tell the classes apart."""
    random = np.random.default_rng(0)
    y = np.arange(400) % 2
    x = 0.3 * random.normal(size=(400, 4))
    x[:, 0] += np.where(y == 0, np.where(np.arange(400) % 4 == 0, 3.0, -3.0), 0.0)
    network = EDWTA(2, epochs=0, init="class-mean", init_scale=0.0).fit(x, y)
    unchanged = copy.deepcopy(network)
    assert dead_neurons(network, x, y).tolist() == [1, 3]
    revive(network, x, y)
    for trained in (network, unchanged):
        trained.set_params(learning_rate=0.1)
        for _ in range(5):
            trained.partial_fit(x, y)
    assert network.score(x, y) == 1
    assert unchanged.score(x, y) < 0.9


@pytest.mark.parametrize("kind", [EDWTA, PlusMinusEDWTA])
def test_what_cannot_be_split_stays(kind):
    """Equal samples: no plane separates them."""
    x, y = np.repeat([[0.0, 1.0], [5.0, 1.0]], 10, axis=0), np.repeat([0, 1], 10)
    network = kind(2, epochs=0, init="class-mean").fit(x, y)
    before = network.positive_prototypes_.copy()
    assert len(dead_neurons(network, x, y)) == 2
    assert not len(revive(network, x, y))
    np.testing.assert_array_equal(network.positive_prototypes_, before)


def test_wrong_input_is_refused():
    network, x, y = with_dead_neurons(EDWTA)
    before = network.positive_prototypes_.copy()
    for call in (dead_neurons, revive):
        with pytest.raises(ValueError, match="y holds no sample of class 2"):
            call(network, x[y != 2], y[y != 2])
        with pytest.raises(ValueError, match="not fitted"):
            call(EDWTA(), x, y)
        with pytest.raises(ValueError, match="one label for each"):
            call(network, x, y[1:])
        with pytest.raises(ValueError, match="not one of the classes"):
            call(network, x, y + 1)
        with pytest.raises(ValueError, match="features"):
            call(network, x[:, 1:], y)
    np.testing.assert_array_equal(network.positive_prototypes_, before)


@given(st.sampled_from(KINDS), st.integers(0, 11))
def test_one_dead_neuron_is_revived_wherever_it_is(kind, k):
    network, x, y = with_dead_neurons(kind, dead=(k,))
    assert revive(network, x, y).tolist() == [k]
    assert not len(dead_neurons(network, x, y))
