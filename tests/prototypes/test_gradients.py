"""Each update against finite differences of the defined loss; the switching rule by itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.prototypes.definitions import loss
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA
from tinyproto.prototypes.cross_entropy import CrossEntropySteps
from tinyproto.testing import check_gradients, finite_difference
from tinyproto.testing.prototypes import KINDS, problems

RATE = 1e-3
CLOSE = {"rtol": 1e-6, "atol": 1e-8}


def step(problem, x, label):
    """One mini-batch: what it adds to each parameter, divided by the learning rate, and E."""
    arrays = problem.parameters
    before = {name: array.copy() for name, array in arrays.items()}
    value = CrossEntropySteps(problem.network)(x, label, RATE, RATE)
    after = problem.parameters
    updates = {name: (after[name] - before[name]) / RATE for name in after}
    for name, array in arrays.items():  # restore everything, in place
        array[...] = before[name]
    if "beta" in before:
        problem.network._beta = arrays["beta"]
    return updates, value


@given(problems())
def test_the_loss_is_its_definition(problem):
    _, value = step(problem, problem.x, problem.label)
    np.testing.assert_allclose(value.sum(), loss(problem, problem.x, problem.label), **CLOSE)


@given(problems(kinds=(IPWTA, EDWTA)))
def test_full_gradient(problem):
    updates, _ = step(problem, problem.x, problem.label)
    for name, value in problem.parameters.items():
        gradient = finite_difference(lambda: loss(problem, problem.x, problem.label), value)
        np.testing.assert_allclose(updates[name], -gradient, **CLOSE)


@given(problems(kinds=(PlusMinusEDWTA,)))
def test_switching_rule_is_the_gradient_where_it_updates_and_zero_elsewhere(problem):
    owner = (
        np.arange(len(problem.network.prototype_labels_)) // problem.network.prototypes_per_class
    )
    for x, label in zip(problem.x[:, None], problem.label[:, None], strict=True):
        updates, _ = step(problem, x, label)
        own = owner == label[0]
        for name, moving in (("positive_prototypes_", own), ("negative_prototypes_", ~own)):
            gradient = finite_difference(lambda: loss(problem, x, label), problem.parameters[name])
            np.testing.assert_allclose(updates[name][moving], -gradient[moving], **CLOSE)
            assert (updates[name][~moving] == 0).all()
        gradient = finite_difference(lambda: loss(problem, x, label), problem.parameters["beta"])
        np.testing.assert_allclose(updates["beta"], -gradient, **CLOSE)


@given(problems(samples=(2, 6)))
def test_a_mini_batch_sums_the_updates_of_its_samples(problem):
    together, _ = step(problem, problem.x, problem.label)
    alone = [
        step(problem, x, label)[0]
        for x, label in zip(problem.x[:, None], problem.label[:, None], strict=True)
    ]
    for name, update in together.items():
        np.testing.assert_allclose(update, sum(a[name] for a in alone), rtol=1e-9, atol=1e-10)


@given(problems(), st.integers(0, 2**32 - 1))
def test_input_gradient(problem, seed):
    """A class score has a kink where its winner changes."""
    check_gradients(problem.network, problem.x, directions=2, seed=seed)


@given(problems(samples=(1, 12)), st.sampled_from([1e-3, 0.05]))
def test_mini_batches_of_one_are_the_online_rule(problem, rate):
    network = problem.network
    network.set_params(learning_rate=rate, beta_learning_rate=rate / 10)
    start = {name: value.copy() for name, value in problem.parameters.items()}
    losses = [
        CrossEntropySteps(network)(x, label, rate, rate / 10)[0]
        for x, label in zip(problem.x[:, None], problem.label[:, None], strict=True)
    ]
    stepped = {name: value.copy() for name, value in problem.parameters.items()}
    for name, value in problem.parameters.items():
        value[...] = start[name]
    network.partial_fit(problem.x, problem.label)
    for name, value in problem.parameters.items():
        np.testing.assert_allclose(value, stepped[name], rtol=0, atol=1e-12)
    np.testing.assert_allclose(network.loss_, np.mean(losses), rtol=1e-12, atol=1e-12)


def test_every_kind_is_covered():
    assert set(KINDS) == {IPWTA, EDWTA, PlusMinusEDWTA}
