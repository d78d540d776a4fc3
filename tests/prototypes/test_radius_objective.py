"""Training for the radius: the bound by its definition, the gradient by finite differences."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinyproto.prototypes import (
    EDWTA,
    IPWTA,
    PlusMinusEDWTA,
    exact_radius,
    save,
)
from tinyproto.prototypes import (
    load as load_network,
)
from tinyproto.prototypes.radius_objective import RadiusSteps, inverse_norms, product
from tinyproto.testing import finite_difference
from tinyproto.testing.prototypes import problems

BOX = (-2.0, 2.0)
NORMS = ("l2", "linf")


def linear(problem):
    """A and b for β = 1, by the definitions of the scores: b = o(0) and A = o(e_k) − o(0), of which
    ED-WTA's shared quadratic term is left out."""
    values = problem.parameters
    if "weights_" in values:
        return values["weights_"], values["biases_"]
    positive = values["positive_prototypes_"]
    negative = values.get("negative_prototypes_", 0 * positive)
    return positive - negative, ((negative**2).sum(axis=1) - (positive**2).sum(axis=1)) / 2


def pair_distance(problem, x, own, rival, norm, box):
    """The signed distance to where the two scores are equal, by bisection over the multiplier."""
    A, b = linear(problem)
    g, h = A[rival] - A[own], (A[own] - A[rival]) @ x + b[own] - b[rival]
    sign = np.sign(h)
    low, high = (-np.inf, np.inf) if box is None else (box[0] - x, box[1] - x)

    def delta(tau):
        step = tau * (g if norm == "l2" else np.sign(g)) * sign
        return np.clip(step, low, high)

    least, most = 0.0, 1e6
    for _ in range(70):
        middle = (least + most) / 2
        if abs(g @ delta(middle)) < abs(h):
            least = middle
        else:
            most = middle
    if most > 1e5:  # the pair does not meet in the box
        return None
    return sign * np.linalg.norm(delta(most), ord=2 if norm == "l2" else np.inf)


def bounds(problem, norm, without=()):
    """maxᵢ minⱼ r_ij, by loops; without some neurons."""
    A, b = linear(problem)
    dual = 2 if norm == "l2" else 1
    o = problem.x @ A.T + b
    owner = np.arange(len(b)) // problem.network.prototypes_per_class
    return np.array([
        max(
            min(
                (row[i] - row[j]) / np.linalg.norm(A[i] - A[j], ord=dual)
                for j in np.flatnonzero(owner != label)
                if j not in without
            )
            for i in np.flatnonzero(owner == label)
            if i not in without
        )
        for row, label in zip(o, problem.label, strict=True)
    ])  # fmt: skip


def pair_of(problem, x, label, norm):
    """The pair (i, j) of maxᵢ minⱼ r_ij by loops, and how far the choice is from another one."""
    A, b = linear(problem)
    o = A @ x + b
    owner = np.arange(len(b)) // problem.network.prototypes_per_class
    dual = 2 if norm == "l2" else 1
    ratio = np.full((len(b), len(b)), np.inf)
    for i in np.flatnonzero(owner == label):
        for j in np.flatnonzero(owner != label):
            ratio[i, j] = (o[i] - o[j]) / np.linalg.norm(A[i] - A[j], ord=dual)
    least = np.where(owner == label, ratio.min(axis=1), -np.inf)
    own = int(least.argmax())
    rivals, owners = np.sort(ratio[own]), np.sort(least[owner == label])
    gaps = [rivals[1] - rivals[0], *(owners[-1:] - owners[-2:-1]), abs(rivals[0])]
    return own, int(ratio[own].argmin()), min(gaps)


def loss_of(radius, target, temperature):
    if radius is None:
        return 0.0
    if temperature:
        return temperature * np.log1p(np.exp((target - radius) / temperature))
    return max(target - radius, 0.0)


@given(problems(features=(2, 6)), st.sampled_from(NORMS))
def test_the_bound_is_its_definition(problem, norm):
    found = problem.network.radius_bound(
        problem.x, problem.network.classes_[problem.label], norm=norm
    )
    np.testing.assert_allclose(found, bounds(problem, norm), rtol=1e-9, atol=1e-9)


@settings(max_examples=5)
@given(problems(features=(2, 6)), st.sampled_from(NORMS))
def test_the_bounds_of_many_inputs_are_those_of_each(problem, norm):
    copies = 1 + 2100 // len(problem.x)  # more than two parts of what is computed at once
    x, y = problem.x, problem.network.classes_[problem.label]
    many = problem.network.radius_bound(np.tile(x, (copies, 1)), np.tile(y, copies), norm=norm)
    few = problem.network.radius_bound(x, y, norm=norm)
    np.testing.assert_allclose(many, np.tile(few, copies), rtol=1e-9, atol=1e-9)


@given(problems(features=(2, 5), per_class=(1, 4)), st.sampled_from(NORMS))
def test_the_exact_radius_is_never_smaller(problem, norm):
    y = problem.network.classes_[problem.label]
    bound = problem.network.radius_bound(problem.x, y, norm=norm)
    radius, _ = exact_radius(problem.network, problem.x, y, norm=norm)
    assert (radius >= np.maximum(bound, 0) * (1 - 1e-9)).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("box", [None, BOX])
@given(problems(features=(2, 5)), st.sampled_from([0.0, 0.3]), st.floats(0.5, 3))
def test_gradient(norm, box, problem, temperature, target):
    """Of ±ED-WTA without switching, ED-WTA and IP-WTA, one sample at a time."""
    network = problem.network
    network.set_params(norm=norm, target_radius=target, temperature=temperature, momentum=0.0)
    if box is not None:
        network.set_params(lo=box[0], hi=box[1])
    for x, label in zip(np.clip(problem.x[:2], *BOX), problem.label[:2], strict=True):
        own, rival, gap = pair_of(problem, x, label, norm)
        assume(gap > 1e-3)

        def value():
            r = pair_distance(problem, x, own, rival, norm, box)
            return loss_of(r, target, temperature)

        before = {name: array.copy() for name, array in problem.parameters.items()}
        r = pair_distance(problem, x, own, rival, norm, box)
        assume(r is None or abs(r - target) > 1e-3)  # the hinge has no derivative there
        if norm == "linf" and box is not None and r is not None:
            sides = np.concatenate([box[1] - x, x - box[0]])
            assume(np.abs(sides - abs(r)).min() > 1e-3)  # nor r where a side is reached
        loss = RadiusSteps(network, 1, 1)(x[None], label[None], 1.0, 0.0)
        updates = {name: problem.parameters[name] - before[name] for name in before}
        for name, array in problem.parameters.items():
            array[...] = before[name]
        np.testing.assert_allclose(loss[0], value(), rtol=1e-6, atol=1e-8)
        for name, array in problem.parameters.items():
            gradient = finite_difference(value, array, 1e-6)
            np.testing.assert_allclose(updates[name], -gradient, rtol=2e-4, atol=2e-5)


@given(problems(kinds=(PlusMinusEDWTA,), features=(2, 5)), st.sampled_from(NORMS))
def test_the_switching_rule_keeps_the_two_attracting_halves(problem, norm):
    network, x, label = problem.network, problem.x[:1], problem.label[:1]
    network.set_params(norm=norm, target_radius=50.0, momentum=0.0)
    own, rival, _ = pair_of(problem, x[0], label[0], norm)
    moved = {}
    for switching in (False, True):
        network.set_params(switching=switching)
        before = {name: array.copy() for name, array in problem.parameters.items()}
        RadiusSteps(network, 1, 1)(x, label, 1.0, 0.0)
        moved[switching] = {n: problem.parameters[n] - before[n] for n in before}
        for name, array in problem.parameters.items():
            array[...] = before[name]
    for name, stays in (("positive_prototypes_", rival), ("negative_prototypes_", own)):
        assert (moved[True][name][stays] == 0).all()
        moved[False][name][stays] = 0
        np.testing.assert_array_equal(moved[True][name], moved[False][name])


@given(problems(samples=(4, 8), features=(2, 5)), st.sampled_from(NORMS))
def test_the_last_quarter_aims_at_the_final_radius(problem, norm):
    problem.network.set_params(norm=norm, target_radius=50.0, final_target_radius=40.0)
    label = problem.label
    radius = problem.network.radius_bound(problem.x, problem.network.classes_[label], norm=norm)
    assume(radius.max() < 40)
    step = RadiusSteps(problem.network, len(radius), 4)
    for target in (50, 50, 50, 40):
        np.testing.assert_allclose(step(problem.x, label, 0.0, 0.0), target - radius, rtol=1e-9)


@given(
    problems(samples=(4, 8), features=(2, 5), per_class=(1, 4)),
    st.sampled_from(NORMS),
    st.sampled_from([0.3, 0.9]),
)
def test_dropout_leaves_neurons_out_of_a_mini_batch(problem, norm, dropout):
    network, x, label = problem.network, problem.x, problem.label
    network.set_params(norm=norm, target_radius=50.0, momentum=0.0, dropout=dropout)
    step = RadiusSteps(network, 2 * len(x), 2)
    for _ in range(3):
        mask = step._left_out()
        assert (mask == step._left_out()).all()
        assert not mask.reshape(-1, network.prototypes_per_class).all(axis=1).any()
        expected = 50 - bounds(problem, norm, np.flatnonzero(mask))
        before = {name: array.copy() for name, array in problem.parameters.items()}
        np.testing.assert_allclose(step(x, label, 1e-3, 0.0), expected, rtol=1e-9)
        for name, array in problem.parameters.items():
            if name != "beta":
                assert (array[mask] == before[name][mask]).all()


def test_dropout_draws_each_neuron_anew(digits):
    x, y = digits
    network = EDWTA(20, **{**SETTINGS, "init": "samples", "epochs": 0, "dropout": 0.3})
    network.fit(x, y)
    step = RadiusSteps(network, len(x), 1)
    masks = []
    for start in range(0, len(x), 50):
        masks.append(step._left_out())
        step(x[start : start + 50], np.searchsorted(network.classes_, y[start : start + 50]), 0, 0)
    masks = np.array(masks)  # 20 batches × 200 neurons
    assert abs(masks.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / masks.size)
    assert (masks.mean(axis=0) < 0.9).all()
    assert masks.any(axis=0).mean() > 0.95
    network.n_epochs_ += 1
    assert (RadiusSteps(network, len(x), 1)._left_out() != masks[0]).any()


@given(problems(samples=(4, 8), features=(2, 5)), st.sampled_from(NORMS), st.floats(0, 1))
def test_the_ramp_gives_up_what_is_below_it_in_the_last_quarter(problem, norm, ramp):
    network = problem.network
    network.set_params(norm=norm, target_radius=50.0, momentum=0.0, ramp=ramp)
    x, label = problem.x, problem.label
    radius = network.radius_bound(x, network.classes_[label], norm=norm)
    assume(np.abs(radius - ramp).min() > 1e-6)
    step = RadiusSteps(network, len(x), 4)
    for epoch in range(4):
        np.testing.assert_allclose(
            step(x, label, 0.0, 0.0),
            50.0 - (np.maximum(radius, ramp) if epoch == 3 else radius),
            rtol=1e-9,
        )
    kept = radius > ramp
    moved = []
    for some, parts in ((slice(None), 1.0), (kept, kept.mean())):
        before = {name: array.copy() for name, array in problem.parameters.items()}
        step.total = 10**9 if parts == 1.0 else -(10**9)  # within the ramp, and before it
        if kept.any():
            step(x[some], label[some], float(parts), 0.0)
        moved.append({name: problem.parameters[name] - before[name] for name in before})
        for name, array in problem.parameters.items():
            array[...] = before[name]
    for name, change in moved[0].items():
        np.testing.assert_allclose(change, moved[1][name], rtol=1e-7, atol=1e-10)


@given(problems(samples=(3, 6), features=(2, 5)), st.sampled_from(NORMS))
def test_a_mini_batch_averages_its_samples_and_has_momentum(problem, norm):
    """Two steps of Nesterov's momentum by the textbook, from the gradients of single samples."""
    network = problem.network
    network.set_params(norm=norm, target_radius=50.0, momentum=0.0)
    values = problem.parameters
    start = {name: array.copy() for name, array in values.items()}

    def mean_gradient():
        at = {name: array.copy() for name, array in values.items()}
        total = {name: np.zeros_like(array) for name, array in values.items()}
        for x, label in zip(problem.x[:, None], problem.label[:, None], strict=True):
            RadiusSteps(network, 1, 1)(x, label, 1.0, 0.0)
            for name, array in values.items():
                total[name] += (array - at[name]) / len(problem.x)
                array[...] = at[name]
        return total

    velocity = {name: np.zeros_like(array) for name, array in values.items()}
    for _ in range(2):
        gradient = mean_gradient()
        for name, array in values.items():
            velocity[name] = 0.5 * velocity[name] + gradient[name]
            array += 1e-3 * (gradient[name] + 0.5 * velocity[name])
    expected = {name: array.copy() for name, array in values.items()}
    for name, array in values.items():
        array[...] = start[name]
    network.set_params(momentum=0.5)
    step = RadiusSteps(network, 1, 1)
    step(problem.x, problem.label, 1e-3, 0.0)
    step(problem.x, problem.label, 1e-3, 0.0)
    for name, array in values.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-11)


@given(st.integers(1, 9), st.integers(1, 700), st.integers(0, 2**32 - 1))
def test_products_and_norms(samples, neurons, seed):
    random = np.random.default_rng(seed)
    x, A = random.normal(size=(samples, 3)), random.normal(size=(neurons, 3))
    np.testing.assert_allclose(product(x, A), x @ A.T, rtol=1e-12, atol=1e-12)
    A = A[:40]
    for norm, dual in (("l2", 2), ("linf", 1)):
        expected = np.linalg.norm(A[:, None] - A, ord=dual, axis=2)
        found = 1 / inverse_norms(A, norm)
        off = ~np.eye(len(A), dtype=bool)
        np.testing.assert_allclose(found[off], expected[off], rtol=1e-6, atol=1e-6)


@given(problems(samples=(1, 1)), st.sampled_from([8, 16, 20]))
def test_the_norms_are_computed_four_times_in_an_epoch(problem, samples):
    step, label = RadiusSteps(problem.network, samples, 2), problem.label
    with patch("tinyproto.prototypes.radius_objective.inverse_norms", wraps=inverse_norms) as norms:
        for done in range(2 * samples):
            step(problem.x, label, 0.0, 0.0)
            assert norms.call_count == 1 + done // (samples // 4)


@pytest.fixture(scope="module")
def digits(digits):
    x, y, *_ = digits
    return x[:1000], y[:1000]


SETTINGS = {
    "objective": "radius", "batch_size": 50, "init": "kmeans", "schedule": "cosine", "epochs": 6,
}  # fmt: skip


@pytest.mark.parametrize("kind", [IPWTA, EDWTA, PlusMinusEDWTA])
@pytest.mark.parametrize(("norm", "target", "rate"), [("l2", 2.5, 0.5), ("linf", 0.2, 3.0)])
def test_training_makes_digits_robust(digits, kind, norm, target, rate):
    x, y = digits
    network = kind(3, norm=norm, target_radius=target, learning_rate=rate, **SETTINGS)
    start = network.set_params(epochs=0).fit(x, y).radius_bound(x, y, norm=norm)
    radius = network.set_params(epochs=6).fit(x, y).radius_bound(x, y, norm=norm)
    assert (radius > target / 2).mean() > (start > target / 2).mean() + 0.05
    assert np.maximum(target - radius, 0).mean() < 0.9 * np.maximum(target - start, 0).mean()


def test_the_bits_do_not_depend_on_threads_and_a_file_keeps_the_settings(digits, tmp_path):
    x, y = digits
    network = PlusMinusEDWTA(3, learning_rate=0.5, lo=0.0, hi=1.0, switching=True, **SETTINGS)
    network.fit(x, y)
    import numba

    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        again = PlusMinusEDWTA(**network.get_params()).fit(x, y)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(again.positive_prototypes_, network.positive_prototypes_)
    save(network, tmp_path / "model.npz")
    assert load_network(tmp_path / "model.npz").get_params() == network.get_params()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"objective": "margin"}, "objective must be one of cross-entropy, radius, not 'margin'"),
        ({"norm": "l1"}, "norm must be 'l2' or 'linf', not 'l1'"),
        ({"target_radius": 0}, "target_radius"),
        ({"momentum": 1.0}, "momentum must be 0 or more and below 1, not 1.0"),
        ({"temperature": -1}, "temperature"),
        ({"ramp": 2.5}, "ramp must be below the radius aimed at, not 2.5"),
        ({"ramp": 2.0, "final_target_radius": 1.9}, "ramp must be below the radius aimed at"),
        ({"final_target_radius": 0}, "final_target_radius"),
        ({"dropout": 1}, "dropout must be 0 or more and below 1, not 1"),
        ({"dropout": -0.1}, "dropout"),
        ({"lo": 0.0}, "the box needs both lo and hi, not lo=0.0, hi=None"),
        ({"lo": 1.0, "hi": 0.0}, "lo must be below hi"),
        ({"lo": 0.0, "hi": 0.5}, r"X must lie in \[0.0, 0.5\]"),
    ],
)
def test_what_is_refused(digits, parameters, message):
    with pytest.raises(ValueError, match=message):
        EDWTA(2, **{**SETTINGS, **parameters}).fit(*digits)
