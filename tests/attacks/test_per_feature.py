"""Bounds, radii and kept features of their own for each feature, as tabular data has them."""

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
    carlini_wagner,
    fab,
    fgsm,
    per_feature,
    pgd,
    scaled,
    square,
)
from tinyproto.attacks.autoattack import fab_in_ball
from tinyproto.attacks.box import clip_to_box
from tinyproto.attacks.hyperplane import projection_step
from tinyproto.attacks.region import norms
from tinyproto.evaluation import evaluate
from tinyproto.testing.victims import hidden, problem

IN_BALL = {
    "fgsm": fgsm,
    "pgd": partial(pgd, steps=8),
    "apgd": partial(apgd, steps=8),
    "apgd-t": partial(apgd_targeted, steps=8, targets=2),
    "square": partial(square, queries=20),
    "fab in ball": partial(fab_in_ball, steps=8, restarts=2),
    "autoattack": partial(autoattack, version=["apgd-ce"]),
}
NEAREST = {
    "fab": partial(fab, steps=8, bisections=3),
    "fab-t": partial(fab, steps=8, targets=2, restarts=2),
    "cw": lambda *a, norm: carlini_wagner(
        *a, steps=20, binary_search_steps=3, learning_rate=0.1, initial_const=1.0
    ),
}
EVERY = IN_BALL | NEAREST
each = pytest.mark.parametrize("name", EVERY)
each_in_ball = pytest.mark.parametrize("name", IN_BALL)
each_norm = pytest.mark.parametrize("norm", ["linf", "l2"])
quiet = pytest.mark.filterwarnings(
    "ignore:eps .* is more than", "ignore::tinyproto.attacks.FlatGradientWarning"
)


def table(seed, dtype=np.float64, count=6):
    """A victim of features with units of their own, some of them kept, and rows in its box."""
    random = np.random.default_rng(seed)
    lo = random.normal(size=6) * 10 ** random.uniform(-1, 2, 6)
    width = 10 ** random.uniform(-1, 2, 6)
    hi, keep = lo + width, random.random(6) < 0.3
    model = hidden(seed, dtype=dtype)

    def table_model(x):
        z, backward = model(((x - lo) / width).astype(dtype))
        return z, lambda dz: (backward(dz) / width).astype(dtype)

    victim = Victim(table_model, lo=lo, hi=hi, keep=keep)
    x = np.clip((lo + width * random.random((count, 6))).astype(dtype), lo, hi)
    x = clip_to_box(x, lo + 0 * x, lo, hi) if dtype == np.float64 else x.astype(dtype)
    return victim, x, victim(x)[0].argmax(axis=1), (lo, hi, keep)


@quiet
@each_norm
@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=6)
@given(st.integers(0, 10_000), st.floats(0, 3))
def test_points_lie_between_the_bounds_of_each_feature(name, norm, dtype, seed, eps):
    victim, x, y, (lo, hi, keep) = table(seed, dtype)
    options = {"eps": eps} if name in IN_BALL else {}
    found = EVERY[name](victim, x, y, norm=norm, **options)
    exact = x.astype(np.float64)
    assert found.dtype == dtype
    assert (found[:, keep] == x[:, keep]).all()
    assert (found >= np.minimum(lo, exact)).all()
    assert (found <= np.maximum(hi, exact)).all()
    if name in IN_BALL:
        assert (norms(found.astype(np.float64) - exact, norm) <= eps).all()


@each_norm
@each
def test_equal_bounds_for_each_feature_are_bounds_for_all(name, norm):
    victim, x, y = problem(5)
    same = Victim(victim.model, lo=np.zeros(6), hi=np.ones((1, 6))[0])
    options = {"eps": 0.1} if name in IN_BALL else {}
    expected = EVERY[name](victim, x, y, norm=norm, **options)
    assert (expected != x).any()
    found = EVERY[name](same, x, y, norm=norm, **options)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@each_norm
def test_bounds_of_channels_broadcast(norm):
    x = np.random.default_rng(0).random((3, 4, 4, 2)) * [1, 2]
    W = np.random.default_rng(1).normal(size=(32, 3))
    victim = Victim(
        lambda x: (x.reshape(-1, 32) @ W, lambda dz: (dz @ W.T).reshape(x.shape)),
        hi=np.array([1.0, 2.0]),
    )
    y = victim(x)[0].argmax(axis=1)
    for attack in (partial(apgd, eps=0.3), partial(square, eps=0.3, queries=30), fab):
        found = attack(victim, x, y, norm=norm)
        assert (found != x).any()
        assert found.min() >= 0
        assert found[..., 0].max() <= 1
        assert 1 < found[..., 1].max() <= 2


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_the_step_to_a_hyperplane_is_the_shortest_in_any_box(norm, seed):
    """The box of each feature is that of [0, 1] in other units; SciPy minimizes over it."""
    random = np.random.default_rng(seed)
    lo, hi = random.normal(size=5), np.zeros(5)
    hi[:] = lo + random.uniform(0.1, 3, 5)
    lo[0], hi[1] = -np.inf, np.inf
    x = np.clip(random.normal(size=(1, 5)), lo, hi)
    w = random.normal(size=(1, 5)) * (random.random((1, 5)) < 0.8)
    b = (w * x).sum(axis=1) + random.normal(size=1)
    step = projection_step(x, w, b, norm=norm, lo=lo, hi=hi)
    assert (x + step >= lo - 1e-12).all()
    assert (x + step <= hi + 1e-12).all()
    missing = b[0] - (w * x).sum()
    # δ = p − q with p, q ≥ 0, and a bound t for each in L∞
    bounds = [(0, v if np.isfinite(v) else None) for v in (*(hi - x[0]), *(x[0] - lo))]
    columns = np.concatenate([w[0], -w[0], [0.0]])[None]
    if norm == "linf":
        cost, cap = np.r_[np.zeros(10), 1.0], np.hstack([np.eye(10), -np.ones((10, 1))])
        limits = {"A_ub": cap, "b_ub": np.zeros(10)}
    else:
        cost, limits = np.r_[np.ones(10), 0.0], {}
    least = optimize.linprog(
        cost, A_eq=columns, b_eq=[missing], bounds=[*bounds, (0, None)], **limits
    )
    reached = float((w * step).sum())
    if not least.success:
        assert abs(reached) < abs(missing)
        return
    np.testing.assert_allclose(reached, missing, atol=1e-9)
    if norm == "l2":  # the conditions of a minimum: δ is λ w where no bound holds it
        free = (x + step > lo + 1e-9)[0] & (x + step < hi - 1e-9)[0] & (w[0] != 0)
        ratio = step[0, free] / w[0, free]
        held = ~free & (w[0] != 0)
        multiplier = np.median(ratio) if free.any() else np.inf * np.sign(missing)
        np.testing.assert_allclose(ratio, multiplier, rtol=1e-7, atol=1e-9)
        assert (np.abs(step[0, held]) <= np.abs(multiplier * w[0, held]) + 1e-9).all()
    else:
        np.testing.assert_allclose(norms(step, norm)[0], least.fun, atol=1e-9)


@quiet
@each_norm
@each_in_ball
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_no_feature_goes_farther_than_its_radius(name, norm, dtype, seed):
    victim, x, y, (lo, hi, keep) = table(seed, dtype)
    random = np.random.default_rng(seed)
    eps = (hi - lo) * random.uniform(0, 0.6, 6) * (random.random(6) < 0.7)
    found = per_feature(IN_BALL[name], victim, x, y, eps=eps, norm=norm)
    exact = x.astype(np.float64)
    assert found.dtype == dtype
    assert (np.abs(found - exact) <= eps).all()
    assert (found[:, keep | (eps == 0)] == x[:, keep | (eps == 0)]).all()
    assert (found >= np.minimum(lo, exact)).all()
    assert (found <= np.maximum(hi, exact)).all()
    if norm == "l2":
        assert (norms((found - exact) / np.where(eps > 0, eps, 1)) <= 1 + 1e-5).all()


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_a_linear_victim_falls_exactly_where_the_radii_allow_it(seed):
    """The margin of x is m = w·x, and the least inside the radii and the box Σ_j of the worst
    corner: known in closed form."""
    random = np.random.default_rng(seed)
    w, hi = random.normal(size=5), 10 ** random.uniform(-1, 2, 5)
    w /= hi
    victim = Victim(
        lambda x: ((x @ w)[:, None] * [1, -1], lambda dz: (dz[:, :1] - dz[:, 1:]) * w), hi=hi
    )
    x = random.random((9, 5)) * hi
    y = victim(x)[0].argmax(axis=1)
    eps = hi * random.uniform(0, 0.3, 5) * (random.random(5) < 0.8)
    worst = np.where((w > 0) == (y == 0)[:, None], np.maximum(x - eps, 0), np.minimum(x + eps, hi))
    margin = (worst @ w) * np.where(y == 0, 1, -1)
    found = per_feature(partial(pgd, steps=40), victim, x, y, eps=eps, norm="linf")
    fooled = victim(found)[0].argmax(axis=1) != y
    clear = np.abs(margin) > 1e-9
    np.testing.assert_array_equal(fooled[clear], (margin < 0)[clear])


def test_an_example_does_not_depend_on_its_batch():
    victim, x, y, (lo, hi, _) = table(3)
    attack = partial(per_feature, partial(pgd, steps=5), victim, eps=0.1 * (hi - lo))
    index = np.arange(50, 56)
    together = attack(x, y, index=index)
    assert (together != x).any()
    for part in ([4], [2, 0]):
        np.testing.assert_array_equal(attack(x[part], y[part], index=index[part]), together[part])


def test_scaled_victims_of_scaled_examples_are_evaluated():
    victim, x, y, (lo, hi, _) = table(4, count=12)
    scale = hi - lo
    report = evaluate(
        scaled(victim, scale), x / scale, y, ["pgd-20", "fab"], eps=0.2, verbose=False
    )
    assert report.results["pgd-20"].robust.sum() < 12
    found = per_feature(pgd, victim, x, y, eps=0.2 * scale)
    robust = victim(found)[0].argmax(axis=1) == y
    np.testing.assert_array_equal(robust, report.results["pgd-20"].robust)


def test_what_is_refused():
    victim, x, y = problem(1)
    with pytest.raises(ValueError, match=r"eps must be an array like one example, of shape \(6,\)"):
        per_feature(pgd, victim, x, y, eps=np.ones(8))
    with pytest.raises(ValueError, match=r"of shape \(6,\), not 0.1; a radius for each example"):
        per_feature(pgd, victim, x, y, eps=0.1)
    wide = Victim(victim.model, hi=255.0)
    for kind in ("i8", "u1", "f2", "?"):
        with pytest.raises(ValueError, match=r"x must hold .*use x.astype\(np.float32\)"):
            per_feature(pgd, wide, (40 * x).astype(kind), y, eps=np.full(6, 0.5))
    with pytest.raises(ValueError, match=r"must be one without eps, not partial\(…, eps=0.1\)"):
        per_feature(partial(pgd, eps=0.1), victim, x, y, eps=np.ones(6))
    with pytest.raises(ValueError, match="the victim must be a Victim"):
        per_feature(pgd, victim.model, x, y, eps=np.ones(6))
    for wrong in (np.full(6, -1.0), np.full(6, np.inf), np.full(6, np.nan)):
        with pytest.raises(ValueError, match="array of finite numbers, 0 or more"):
            per_feature(pgd, victim, x, y, eps=wrong)
    with pytest.raises(ValueError, match=r"one for each of 8 examples, not .* per_feature"):
        pgd(victim, x, y, eps=np.ones(6))
    with pytest.raises(ValueError, match=r"hi must be .* of shape \(6,\), not \(5,\)"):
        pgd(Victim(victim.model, hi=np.ones(5)), x, y, eps=0.1)
    for box in ({"lo": np.zeros(5)}, {"keep": np.zeros((6, 2), bool)}):
        with pytest.raises(ValueError, match=r"lo, hi and keep must broadcast .* not lo .*hi .6,."):
            Victim(victim.model, **{"lo": np.zeros(6), "hi": np.ones(6)} | box)
    with pytest.raises(ValueError, match=r"keep must be an array .* of shape \(6,\), not \(5,\)"):
        pgd(Victim(victim.model, keep=np.zeros(5, bool)), x, y, eps=0.1)
    with pytest.raises(ValueError, match="x must lie in .* of each feature, and does not"):
        pgd(Victim(victim.model, hi=np.full(6, 0.01)), x, y, eps=0.1)
    with pytest.raises(ValueError, match="keep must be an array of bool like one example, not i"):
        Victim(victim.model, keep=np.zeros(6, int))
    with pytest.raises(ValueError, match="needs finite bounds for each feature"):
        carlini_wagner(Victim(victim.model, hi=np.r_[np.ones(5), np.inf]), x, y)
