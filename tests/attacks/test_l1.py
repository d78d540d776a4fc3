"""Attacks in L1: the projection against a general solver, distances against linear programmes."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attacks.test_hyperplane import optimize
from tinyproto.attacks import (
    Victim,
    apgd,
    apgd_targeted,
    autoattack,
    fab,
    minimum_norm,
    per_feature,
    square,
)
from tinyproto.attacks.autoattack import attacks_to_run, fab_in_ball
from tinyproto.attacks.l1 import shrink_to_l1_ball, steepest_step
from tinyproto.attacks.region import Region, norms, project_l1
from tinyproto.evaluation import evaluate
from tinyproto.prototypes import PlusMinusEDWTA
from tinyproto.testing.victims import flattened, hidden, problem

IN_BALL = {
    "apgd": partial(apgd, steps=12),
    "apgd, restarts": partial(apgd, steps=6, restarts=2, loss="dlr"),
    "apgd-t": partial(apgd_targeted, steps=6, targets=2),
    "square": partial(square, queries=20),
    "fab in ball": partial(fab_in_ball, steps=8),
}
each = pytest.mark.parametrize("name", IN_BALL)


def moves(seed, d=7, rows=1):
    random = np.random.default_rng(seed)
    length = np.abs(random.normal(size=(rows, d))).round(random.integers(1, 9))  # some are equal
    room = random.random((rows, d)) * random.choice([0, 0.5, np.inf], (rows, d), p=[0.1, 0.7, 0.2])
    room = np.where(np.isnan(room), 0.0, room)
    return length, room, random.uniform(0, length.sum(axis=1))


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_the_projection_is_the_nearest_point(seed):
    """A naive search for the multiplier, and that no feasible point of SciPy's is nearer."""
    length, room, eps = moves(seed)
    t = shrink_to_l1_ball(length, room, eps)
    assert (t >= 0).all()
    assert (t <= room).all()
    assert t.sum() <= eps[0] * (1 + 1e-12) + 1e-15
    low, high = 0.0, length.max()
    if np.minimum(length, room).sum() <= eps[0]:
        high = 0.0
    for _ in range(200):
        middle = (low + high) / 2
        inside = np.clip(length - middle, 0, room).sum() <= eps[0]
        low, high = (low, middle) if inside else (middle, high)
    np.testing.assert_allclose(t, np.clip(length - high, 0, room), atol=1e-12)
    if seed % 5 == 0:
        found = optimize.minimize(
            lambda p: ((p - length[0]) ** 2).sum(), t[0], jac=lambda p: 2 * (p - length[0]),
            bounds=[(0, min(u, 9)) for u in room[0]], method="SLSQP",
            constraints={"type": "ineq", "fun": lambda p: eps[0] - p.sum()},
            options={"ftol": 1e-14},
        )  # fmt: skip
        assert ((t - length) ** 2).sum() <= found.fun + 1e-8


def test_rows_are_projected_alone():
    length, room, eps = moves(3, rows=9)
    together = shrink_to_l1_ball(length, room, eps)
    for i in range(9):
        row = slice(i, i + 1)
        np.testing.assert_array_equal(
            shrink_to_l1_ball(length[row], room[row], eps[row]), together[row]
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 5))
def test_projected_points_lie_in_ball_and_box_to_the_last_bit(dtype, seed, eps):
    random = np.random.default_rng(seed)
    lo, hi = (0.0, 1.0) if seed % 2 else (-random.random(40), 1 + random.random(40))
    x = random.random((3, 40)).astype(dtype)
    found = project_l1(x, x + random.normal(size=x.shape), eps, lo, hi)
    assert found.dtype == dtype
    assert (norms(found.astype(np.float64) - x, "l1") <= eps).all()
    assert (found >= lo).all()
    assert (found <= hi).all()
    np.testing.assert_array_equal(project_l1(x, found, eps + 1e-3, lo, hi), found)


def test_the_steepest_step_takes_the_largest_elements():
    gradient = np.random.default_rng(0).normal(size=(5, 30))
    for sparsity in (0.0, 0.1, 0.5, 1.0):
        step = steepest_step(gradient, np.full(5, sparsity))
        count = max(1, round(30 * sparsity))
        for row, g in zip(step, gradient, strict=True):
            moved = np.sort(np.argsort(-np.abs(g))[:count])
            np.testing.assert_array_equal(np.flatnonzero(row), moved)
            np.testing.assert_allclose(row[moved], np.sign(g[moved]) / count)
    assert not steepest_step(np.zeros((1, 4)), np.ones(1)).any()


@each
@pytest.mark.filterwarnings("ignore::tinyproto.attacks.FlatGradientWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=5)
@given(st.integers(0, 10_000), st.floats(0, 2))
def test_attacked_points_lie_in_ball_and_box(name, dtype, seed, eps):
    victim, x, y = problem(seed, dtype=dtype)
    found = IN_BALL[name](victim, x, y, eps=eps, norm="l1")
    assert found.dtype == dtype
    assert found.min() >= 0
    assert found.max() <= 1
    assert (norms(found.astype(np.float64) - x, "l1") <= eps).all()


@each
def test_an_example_has_the_same_bits_in_any_batch(name):
    victim, x, y = problem(3, count=8)
    index = np.arange(8) + 60
    attack = partial(IN_BALL[name], victim, eps=0.4, norm=1, seed=2)
    together = attack(x, y, index=index)
    assert (together != x).any()
    for part in ([5], [6, 0, 3]):
        np.testing.assert_array_equal(attack(x[part], y[part], index=index[part]), together[part])


@pytest.mark.parametrize("shape", [(9, 9, 2), (5, 8, 1), (1, 40, 1)])
def test_square_on_images_of_any_shape(shape):
    victim = Victim(flattened(hidden(4, int(np.prod(shape)), dtype=np.float32)))
    x = np.random.default_rng(4).random((4, *shape)).astype(np.float32)
    y = victim(x)[0].argmax(axis=1)
    found = square(victim, x, y, eps=4.0, norm="l1", queries=60)
    assert (found != x).any(axis=(1, 2, 3)).all()
    assert (norms(found.astype(np.float64) - x, "l1") <= 4.0).all()


def nearest_in_l1(network, x, label):
    """The exact distance to another class inside [0, 1]: the least of linear programmes, one for
    each neuron of the other classes, which has to beat all of the own class. δ = p − q."""
    A, b = network.linear()
    owner = np.repeat(network.classes_, len(A) // len(network.classes_))
    least = np.inf
    for j in np.flatnonzero(owner != label):
        beaten = A[owner == label] - A[j]
        limit = b[j] - b[owner == label] - beaten @ x
        found = optimize.linprog(
            np.ones(2 * len(x)), A_ub=np.hstack([beaten, -beaten]), b_ub=limit,
            bounds=[(0, v) for v in (*(1 - x), *x)],
        )  # fmt: skip
        least = min(least, found.fun) if found.success else least
    return least


def test_no_attack_undercuts_the_exact_distance_and_fab_reaches_it():
    random = np.random.default_rng(0)
    x = random.random((90, 6))
    label = (x[:, 0] > x[:, 1]) * 1 + (x[:, 2] > 0.6)
    network = PlusMinusEDWTA(2, epochs=20, dtype="float64", random_state=0).fit(x, label)
    x = x[:10]
    predicted = network.predict(x)
    exact = np.array([nearest_in_l1(network, *row) for row in zip(x, predicted, strict=True)])
    victim, y = Victim(network), np.searchsorted(network.classes_, predicted)
    search = partial(minimum_norm, victim=victim, x=x, y=y, norm="l1", halvings=8)
    found = {
        "apgd-t": search(partial(apgd_targeted, steps=30)),
        "square": search(partial(square, queries=60)),
        "fab": fab(victim, x, y, norm="l1", bisections=20),
    }
    ratios = {name: norms(points - x, "l1") / exact for name, points in found.items()}
    assert all(ratio[ratio > 0].min() > 1 - 1e-9 for ratio in ratios.values())
    assert np.median(ratios["apgd-t"]) < 1.3
    assert ratios["fab"].max() < 1.001


def test_apgd_reaches_the_exact_distance_of_a_linear_victim_far_from_the_box():
    """Without a bound that binds, all of it goes to the largest |w_j|."""
    w = np.random.default_rng(1).normal(size=20)
    victim = Victim(
        lambda x: ((x @ w)[:, None] * [1, -1], lambda dz: (dz[:, :1] - dz[:, 1:]) * w),
        lo=-50.0, hi=50.0,
    )  # fmt: skip
    x = np.random.default_rng(2).normal(size=(12, 20))
    y = victim(x)[0].argmax(axis=1)
    exact = np.abs(x @ w) / np.abs(w).max()
    for factor, fooled in ((1 - 1e-9, 0), (1.01, 12)):
        found = apgd(victim, x, y, eps=factor * exact, norm="l1", steps=100)
        assert (victim(found)[0].argmax(axis=1) != y).sum() == fooled


def test_balls_shrink_and_steps_are_spent_as_the_authors_do():
    victim, x, y = problem(7, count=5)
    farthest = []
    model = victim.model

    def watched(points):
        farthest.append(norms(points - x, "l1").max())
        return model(points)

    victim.model, victim.forward_passes = watched, 0
    apgd(victim, x, y, eps=1e-5, norm="l1", steps=20)
    assert victim.forward_passes == 5 * (1 + 20 + 3)
    assert max(farthest) <= 3e-5 * (1 + 1e-9)
    assert max(farthest[-9:]) <= 1e-5 * (1 + 1e-9)
    assert max(farthest[:8]) > 2.5e-5


def test_a_start_fills_the_ball():
    victim, x, _ = problem(2, count=50)
    start = Region(x, 0.2, "l1", victim).random_point(np.arange(50), seed=0)
    np.testing.assert_allclose(norms(start - x, "l1"), 0.2, rtol=1e-9)


def test_autoattack_and_evaluations_in_l1():
    standard = attacks_to_run("standard", "l1")
    assert list(standard) == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert standard["apgd-ce"].keywords["restarts"] == 5
    assert standard["apgd-t"].keywords == {"targets": 5}
    victim, x, y = problem(5, count=12)
    found = autoattack(victim, x, y, eps=0.3, norm="l1", version=["apgd-ce", "fab-t"])
    wrong = victim(found)[0].argmax(axis=1) != y
    assert 0 < wrong.sum() < 12
    report = evaluate(victim, x, y, ["apgd-ce", "fab"], eps=0.3, norm="l1", verbose=False)
    assert "L1, eps 0.3" in report.text()
    assert not report.robust[wrong].any()
    for attacks, message in (
        (["pgd-20"], "attack 'pgd-20' is for norm 'linf' or 'l2', not 'l1'"),
        ("masking", "attacks 'masking' are for norm 'linf' or 'l2', not 'l1'"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(victim, x, y, attacks, eps=0.3, norm="l1", verbose=False)


def test_radii_of_features_in_l1():
    victim, x, y = problem(5)
    eps = np.array([0.0, 1.0, 1.0, 0.5, 0.5, 2.0])
    found = per_feature(partial(apgd, steps=12), victim, x, y, eps=eps, norm="l1")
    assert (found[:, 0] == x[:, 0]).all()
    assert (np.abs((found - x)[:, 1:]) / eps[1:]).sum(axis=1).max() <= 1 + 1e-9
