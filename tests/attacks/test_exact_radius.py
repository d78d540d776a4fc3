"""Attacks against the exact distance to the decision boundary: linear victims, ±ED-WTA."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.attacks import (
    Victim,
    apgd,
    apgd_targeted,
    carlini_wagner,
    carlini_wagner_linf,
    fab,
    fgsm,
    pgd,
    square,
)
from tinyproto.attacks.region import norms
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA
from tinyproto.prototypes.certificate import exact_radius

DUAL = {"l2": 2, "linf": 1, "l1": math.inf}
IN_A_BALL = {
    "fgsm": fgsm,
    "pgd": pgd,
    "cw-linf": lambda *a, norm, **k: carlini_wagner_linf(*a, **k),
    "apgd": apgd,
    "apgd on dlr": lambda *a, **k: apgd(*a, loss="dlr", **k),
    "apgd-t": apgd_targeted,
}


def linear(seed, d=8, classes=2):
    """A linear victim, examples far from the bounds of the box, its predictions, and the distances
    to the nearest misclassified point: least |z_y − z_k| / ‖w_y − w_k‖ in the dual norm."""
    random = np.random.default_rng(seed)
    W = random.normal(size=(d, classes))
    x = random.uniform(0.45, 0.55, (5, d))
    b = -x.mean(axis=0) @ W

    def model(p):
        return np.stack([row @ W for row in p]) + b, lambda dz: np.stack([W @ row for row in dz])

    z = model(x)[0]
    y = z.argmax(axis=1)
    distances = {}
    for norm, order in DUAL.items():
        slopes = np.linalg.norm(W[:, :, None] - W[:, None, :], ord=order, axis=0)[y]
        gaps = z[np.arange(5), y][:, None] - z
        gaps[np.arange(5), y] = np.inf
        distances[norm] = (gaps / np.where(slopes > 0, slopes, 1)).min(axis=1)
    return Victim(model), x, y, distances


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@given(st.integers(0, 10_000), st.sampled_from([2, 3, 6]))
def test_fab_finds_the_nearest_misclassified_point_of_a_linear_victim(norm, seed, classes):
    victim, x, y, distances = linear(seed, classes=classes)
    found = fab(victim, x, y, norm=norm, steps=20, bisections=30)
    reached = norms(found - x, norm)
    assert (victim(found)[0].argmax(axis=1) != y).all()
    assert (reached >= distances[norm] * (1 - 1e-9)).all()
    np.testing.assert_allclose(reached, distances[norm], rtol=1e-6, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_carlini_and_wagner_find_it_as_well(seed):
    """Within 2 % for these seeds: the attack is not exact."""
    victim, x, y, distances = linear(seed)
    found = carlini_wagner(victim, x, y, binary_search_steps=12)
    reached = norms(found - x)
    assert (victim(found)[0].argmax(axis=1) != y).all()
    assert (reached >= distances["l2"] * (1 - 1e-9)).all()
    np.testing.assert_allclose(reached, distances["l2"], rtol=0.02, atol=2e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", IN_A_BALL)
@given(st.integers(0, 10_000))
def test_attacks_succeed_exactly_in_balls_larger_than_the_distance(name, norm, seed):
    """For two classes the gradient has the optimal direction everywhere."""
    if name == "cw-linf" and norm == "l2":
        norm = "linf"
    victim, x, y, distances = linear(seed, classes=3 if name == "apgd on dlr" else 2)
    enough = 3.0 if name == "apgd on dlr" else 1.05  # the largest wrong class may change on the way
    for factor, wrong in ((0.999, False), (enough, True)):
        attacked = IN_A_BALL[name](victim, x, y, eps=distances[norm] * factor, norm=norm)
        np.testing.assert_array_equal(victim(attacked)[0].argmax(axis=1) != y, wrong)


@pytest.fixture(scope="module")
def clusters():
    """Three overlapping clusters in the box, and networks fitted to them, in float64."""
    random = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = np.clip(random.normal(0.5, 0.14, (240, 10)) + 0.25 * np.eye(3, 10)[y], 0, 1)
    return x, y, {
        kind.__name__: kind(2, epochs=8, dtype="float64", beta=30.0, random_state=0).fit(x, y)
        for kind in (IPWTA, EDWTA, PlusMinusEDWTA)
    }  # fmt: skip


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", ["IPWTA", "EDWTA", "PlusMinusEDWTA"])
def test_attacks_come_close_to_the_exact_radius_and_never_get_below_it(clusters, kind, norm):
    x, y, networks = clusters
    network = networks[kind]
    at = np.flatnonzero(network.predict(x) == y)[:40]
    x, y = x[at], y[at]
    exact, _ = exact_radius(network, x, y, norm=norm, lo=0.0, hi=1.0)
    victim = Victim(network)
    nearest = {"fab": lambda: fab(victim, x, y, norm=norm, steps=40, bisections=20)}
    if norm == "l2":
        nearest["cw"] = lambda: carlini_wagner(victim, x, y, steps=300, binary_search_steps=9)
    for attack in nearest.values():
        found = attack()
        ratio = norms(found - x, norm) / exact
        assert (victim(found)[0].argmax(axis=1) != y).all()
        assert ratio.min() >= 1 - 1e-6
        assert np.median(ratio) <= 1.02
    attacked = apgd_targeted(victim, x, y, eps=1.02 * exact, norm=norm)
    assert (victim(attacked)[0].argmax(axis=1) != y).mean() >= 0.8
    for attack in (pgd, apgd, apgd_targeted, square):
        options = {"queries": 200} if attack is square else {}
        attacked = attack(victim, x, y, eps=exact * (1 - 1e-6), norm=norm, **options)
        assert (victim(attacked)[0].argmax(axis=1) == y).all()
