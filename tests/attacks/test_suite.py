"""APGD, FAB, Square, C&W and AutoAttack: what each of them must hold, on small victims."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.attacks import (
    Victim,
    apgd,
    apgd_targeted,
    autoattack,
    carlini_wagner,
    fab,
    square,
)
from tinyproto.attacks.ball import lengths


def linear(W, b):
    """z = x W + b, and its gradient."""

    def model(x):
        return x @ W + b, lambda dz: dz @ W.T

    return model


def hidden(seed, d=6, classes=5, width=12):
    """Scores of a random network with one hidden layer."""
    random = np.random.default_rng(seed)
    A, B = random.normal(size=(d, width)), random.normal(size=(width, classes))
    offset = random.normal(size=width)

    def model(x):
        inner = x @ A + offset
        return np.maximum(inner, 0) @ B, lambda dz: ((dz @ B.T) * (inner > 0)) @ A.T

    return model


def setup(seed, count=8, d=6, classes=5):
    random = np.random.default_rng(seed)
    victim = Victim(hidden(seed, d, classes))
    x = random.random((count, d))
    z, _ = victim(x)
    return victim, x, z.argmax(axis=1)


BALL = {
    "apgd": apgd,
    "apgd on dlr": lambda *a, **k: apgd(*a, loss="dlr", **k),
    "apgd-t": lambda *a, **k: apgd_targeted(*a, targets=4, **k),
    "square": lambda *a, steps=100, **k: square(*a, queries=steps, **k),
}
NEAREST = {
    "fab": lambda *a, norm="l2", **k: fab(*a, norm=norm, **k),
    "fab-t": lambda *a, norm="l2", **k: fab(*a, norm=norm, targets=4, **k),
    "cw": lambda *a, norm="l2", **k: carlini_wagner(*a, steps=60, searches=4, **k),
}
each_in_a_ball = pytest.mark.parametrize("name", BALL)
each_norm = pytest.mark.parametrize("norm", ["linf", "l2"])


@each_norm
@each_in_a_ball
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=10)
@given(st.integers(0, 10_000), st.floats(0, 0.5))
def test_points_lie_in_ball_and_box_to_the_last_bit(name, norm, dtype, seed, eps):
    victim, x, y = setup(seed)
    x = x.astype(dtype)
    y = victim(x)[0].argmax(axis=1)
    attacked = BALL[name](victim, x, y, eps=eps, norm=norm, steps=12)
    assert attacked.dtype == dtype
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert (lengths(attacked.astype(np.float64) - x, norm) <= eps).all()


@each_norm
@each_in_a_ball
def test_an_example_does_not_depend_on_its_batch(name, norm):
    victim, x, y = setup(3, count=9)
    index = np.arange(100, 109)
    together = BALL[name](victim, x, y, eps=0.1, norm=norm, steps=15, seed=4, index=index)
    for part in ([0], [3, 1], [8, 7, 6, 5, 4]):
        alone = BALL[name](
            victim, x[part], y[part], eps=0.1, norm=norm, steps=15, seed=4, index=index[part]
        )
        np.testing.assert_allclose(alone, together[part], rtol=0, atol=1e-12)


@each_norm
@each_in_a_ball
def test_a_larger_ball_leaves_fewer_right(name, norm):
    victim, x, y = setup(5, count=60)
    right = []
    for eps in (0.0, 0.02, 0.1, 0.4):
        attacked = BALL[name](victim, x, y, eps=eps, norm=norm, steps=40)
        right.append((victim(attacked)[0].argmax(axis=1) == y).sum())
    assert right[0] == 60
    assert right == sorted(right, reverse=True)
    assert right[-1] < 30


@each_in_a_ball
def test_what_is_wrong_already_is_left_alone(name):
    victim, x, y = setup(1)
    attacked = BALL[name](victim, x, (y + 1) % 5, eps=0.1, steps=5)
    np.testing.assert_array_equal(attacked, x)


@pytest.mark.parametrize("name", [*BALL, *NEAREST])
def test_nothing_to_attack(name):
    victim, x, y = setup(1)
    options = {"eps": 0.1} if name in BALL else {}
    found = (BALL | NEAREST)[name](victim, x[:0], y[:0], **options)
    assert found.shape == (0, 6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_on_a_linear_victim_the_nearest_wrong_point_is_known(seed):
    """Of two classes, far from the box's faces: |z_1 − z_0| / ‖w‖ in the dual norm."""
    random = np.random.default_rng(seed)
    w = random.normal(size=8)
    x = random.uniform(0.45, 0.55, (4, 8))
    gap = random.uniform(0.02, 0.1, 4) * random.choice([-1, 1], 4)
    W = np.stack([np.zeros(8), w], axis=1)
    b = np.zeros((4, 2))
    b[:, 1] = gap * np.linalg.norm(w) - x @ w

    def model(p):
        return p @ W + b[: len(p)], lambda dz: dz @ W.T

    victim, y = Victim(model), (gap > 0).astype(int)
    score = np.abs(gap) * np.linalg.norm(w)
    exact = {"l2": score / np.linalg.norm(w), "linf": score / np.abs(w).sum(),
             "l1": score / np.abs(w).max()}  # fmt: skip
    for norm, distance in exact.items():
        found = fab(victim, x, y, norm=norm, steps=30, bisections=20)
        reached = lengths(found - x, norm)
        assert (reached >= distance * (1 - 1e-9)).all()
        np.testing.assert_allclose(reached, distance, rtol=2e-2)
    found = carlini_wagner(victim, x, y, steps=400, searches=12)
    reached = lengths(found - x, "l2")
    assert (reached >= exact["l2"] * (1 - 1e-9)).all()
    np.testing.assert_allclose(reached, exact["l2"], rtol=0.05)
    for factor, fooled in ((0.99, False), (1.05, True)):
        for norm in ("linf", "l2"):
            eps = factor * exact[norm].max() if fooled else factor * exact[norm].min()
            attacked = apgd(victim, x, y, eps=eps, norm=norm, steps=100)
            wrong = model(attacked)[0].argmax(axis=1) != y
            assert wrong.all() if fooled else not wrong.any()


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_few_classes(classes):
    victim, x, y = setup(4, classes=classes)
    for name in ("standard", "plus"):
        attacked = autoattack(victim, x, y, eps=1.0, version=name, norm="linf")
        assert (victim(attacked)[0].argmax(axis=1) == y).sum() <= len(y) // 2


def test_constant_scores_are_survived():
    """No gradient, no margin: everything is right, or nothing is, and stays so."""
    victim = Victim(lambda x: (np.ones((len(x), 4)), lambda dz: np.zeros_like(x)))
    x = np.full((3, 5), 0.5)
    attacked = autoattack(victim, x, np.zeros(3, int), eps=0.1)
    assert np.isfinite(attacked).all()


def test_passes_are_counted():
    victim, x, y = setup(7, count=5)
    victim.forward_passes = victim.backward_passes = 0
    apgd(victim, x, y, eps=0.01, steps=10, early_exit=False)
    assert victim.forward_passes == 5 + 5 * 11
    assert victim.backward_passes == 5 * 11
