"""The projection onto a hyperplane in a box against SciPy's general solvers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.attacks.hyperplane import projection_step
from tinyproto.attacks.region import norms

optimize = pytest.importorskip("scipy.optimize")
NORMS = ["linf", "l2", "l1"]
each_norm = pytest.mark.parametrize("norm", NORMS)


def problem(seed, d, sparse=False):
    random = np.random.default_rng(seed)
    x, w = random.random((1, d)), random.normal(size=(1, d))
    if sparse:
        w *= random.random((1, d)) < 0.5
    return x, w, (w * x).sum(axis=1) + random.normal(size=1)


def reference(x, w, b, norm):
    """The least norm, by SciPy; None where the box does not intersect the hyperplane."""
    x, w, d = x[0], w[0], x.shape[1]
    required = b[0] - w @ x
    if norm == "l2":
        start = np.clip(w * required / max(w @ w, 1e-12), -x, 1 - x)
        found = optimize.minimize(
            lambda p: p @ p, start, jac=lambda p: 2 * p, bounds=list(zip(-x, 1 - x, strict=True)),
            constraints={"type": "eq", "fun": lambda p: w @ p - required, "jac": lambda p: w},
            method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        return np.sqrt(found.fun) if found.success else None
    # δ = p − q with p, q ≥ 0; L1 adds them up, L∞ has a bound t for each.
    cost = np.concatenate([np.zeros(2 * d), [1.0]]) if norm == "linf" else np.ones(2 * d)
    column = np.zeros((1, 1)) if norm == "linf" else np.zeros((1, 0))
    equal = np.concatenate([w[None], -w[None], column], axis=1)
    bounds = [(0, 1 - v) for v in x] + [(0, v) for v in x]
    A_ub, b_ub = None, None
    if norm == "linf":
        bounds.append((0, None))
        eye = np.eye(2 * d)
        A_ub, b_ub = np.concatenate([eye, -np.ones((2 * d, 1))], axis=1), np.zeros(2 * d)
    found = optimize.linprog(cost, A_ub=A_ub, b_ub=b_ub, A_eq=equal, b_eq=[required], bounds=bounds)
    return found.fun if found.success else None


@each_norm
@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.booleans())
def test_the_step_is_the_shortest(norm, seed, d, sparse):
    x, w, b = problem(seed, d, sparse)
    step = projection_step(x, w, b, norm=norm)
    assert (x + step >= -1e-12).all()
    assert (x + step <= 1 + 1e-12).all()
    least = reference(x, w, b, norm)
    if least is None:  # the hyperplane does not intersect the box: the nearest point of the box
        extreme = np.where(w * np.sign(b - (w * x).sum()) > 0, 1.0, 0.0)
        np.testing.assert_allclose((x + step)[w != 0], extreme[w != 0], atol=1e-12)
    else:
        np.testing.assert_allclose((w * (x + step)).sum(axis=1), b, atol=1e-8)
        np.testing.assert_allclose(norms(step, norm), least, rtol=1e-5, atol=1e-7)


@each_norm
def test_examples_do_not_influence_each_other(norm):
    rows = [problem(seed, 5) for seed in range(7)]
    x, w, b = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    together = projection_step(x, w, b, norm=norm)
    alone = [projection_step(*row, norm=norm) for row in rows]
    np.testing.assert_array_equal(together, np.concatenate(alone))


@each_norm
def test_a_normal_of_0_gives_no_step(norm):
    step = projection_step(np.full((2, 3), 0.5), np.zeros((2, 3)), np.ones(2), norm=norm)
    assert not step.any()


@each_norm
def test_a_point_on_the_hyperplane_does_not_move(norm):
    x, w, _ = problem(0, 4)
    assert not projection_step(x, w, (w * x).sum(axis=1), norm=norm).any()


def test_another_box():
    x, w = np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]])
    step = projection_step(x, w, np.array([6.0]), norm="l2", lo=-1.0, hi=3.0)
    np.testing.assert_allclose(step, [[1.0, 3.0]])


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="'l3'"):
        projection_step(np.zeros((1, 1)), np.ones((1, 1)), np.ones(1), norm="l3")
