"""The nearest points of attacks inside a ball, by bisection over the radius."""

from functools import partial

import numpy as np
import pytest

from tinyproto.attacks import Victim, apgd, fgsm, minimum_norm, pgd, square
from tinyproto.attacks.region import norms
from tinyproto.prototypes import PlusMinusEDWTA
from tinyproto.prototypes.certificate import exact_radius
from tinyproto.testing.victims import constant, problem

ATTACKS = {
    "pgd": pgd,
    "apgd": partial(apgd, steps=20),
    "square": partial(square, queries=100),
    "fgsm": lambda *a, seed, index, **k: fgsm(*a, **k),
}
each = pytest.mark.parametrize("name", ATTACKS)
each_norm = pytest.mark.parametrize("norm", ["linf", "l2"])


@each_norm
@each
def test_points_are_misclassified_and_no_farther_than_at_any_radius_of_the_bisection(name, norm):
    victim, x, y = problem(5, count=12)
    radii = []

    def watched(*a, eps, **k):
        found = ATTACKS[name](*a, eps=eps, **k)
        wrong = Victim(victim.model)(found)[0].argmax(axis=1) != y
        radii.append(np.where(wrong, norms(found - x, norm), np.inf))
        return found

    found = minimum_norm(watched, victim, x, y, norm=norm, halvings=9)
    distance = norms(found - x, norm)
    moved = (found != x).any(axis=1)
    assert moved.any()
    assert (victim(found)[0].argmax(axis=1) != y)[moved].all()
    np.testing.assert_array_equal(np.where(moved, distance, np.inf), np.min(radii, axis=0))
    assert found.min() >= 0
    assert found.max() <= 1


@each_norm
@each
def test_the_interval_is_halved_at_the_radius_whatever_the_distance_of_the_point(name, norm):
    victim, x, y = problem(5, count=12)
    low, high = np.zeros(12), np.full(12, 1.0)
    shorter = []

    def watched(*a, eps, **k):
        np.testing.assert_array_equal(eps, (low + high) / 2)
        found = ATTACKS[name](*a, eps=eps, **k)
        wrong = Victim(victim.model)(found)[0].argmax(axis=1) != y
        np.copyto(low, eps, where=~wrong)
        np.copyto(high, eps, where=wrong)
        shorter.append(wrong & (norms(found - x, norm) < 0.9 * eps))
        return found

    minimum_norm(watched, victim, x, y, norm=norm, farthest=1.0, halvings=9)
    if norm == "l2":  # in L∞ one element goes all the way
        assert np.any(shorter)


@each_norm
def test_the_distance_is_never_below_the_exact_one_and_close_to_it(norm):
    x = np.random.default_rng(0).random((60, 4))
    label = (x[:, 0] > x[:, 1]).astype(int)
    network = PlusMinusEDWTA(2, epochs=20, dtype="float64", random_state=0).fit(x, label)
    x, y = x[:12], network.predict(x[:12])
    exact = exact_radius(network, x, y, norm=norm, lo=0.0, hi=1.0)[0]
    found = minimum_norm(partial(pgd, steps=40), Victim(network), x, y, norm=norm, halvings=20)
    ratio = norms(found - x, norm) / exact
    assert ratio.min() > 1 - 1e-9
    assert np.median(ratio) < 1.02


@each
def test_an_example_does_not_depend_on_its_batch(name):
    victim, x, y = problem(3, count=6)
    index = np.arange(6) + 20
    attack = partial(minimum_norm, ATTACKS[name], victim, norm="l2", halvings=6, seed=2)
    together = attack(x, y, index=index)
    for part in ([4], [1, 3]):
        np.testing.assert_array_equal(attack(x[part], y[part], index=index[part]), together[part])


def test_an_attack_that_draws_no_random_numbers_gets_no_seed():
    victim, x, y = problem(3, count=6)
    found = minimum_norm(fgsm, victim, x, y, seed=2)
    np.testing.assert_array_equal(found, minimum_norm(ATTACKS["fgsm"], victim, x, y, seed=2))
    assert (found != x).any()


def test_no_point_is_looked_for_beyond_the_farthest():
    victim, x, y = problem(5, count=12)
    far = norms(minimum_norm(pgd, victim, x, y) - x, "linf")
    limit = np.full(12, np.median(far))
    found = minimum_norm(pgd, victim, x, y, farthest=limit)
    assert (norms(found - x, "linf") <= limit).all()
    assert 0 < (found != x).any(axis=1).sum() < 12


def test_what_is_misclassified_or_cannot_be_attacked_is_not_changed():
    victim, x, y = problem(1)
    np.testing.assert_array_equal(minimum_norm(pgd, victim, x, (y + 1) % 5), x)
    flat = Victim(constant())
    with pytest.warns(UserWarning, match="gradient was exactly 0"):
        np.testing.assert_array_equal(minimum_norm(pgd, flat, x, 0 * y), x)
    assert minimum_norm(pgd, victim, x[:0], y[:0]).shape == (0, 6)


def test_what_is_refused():
    victim, x, y = problem(1)
    with pytest.raises(ValueError, match="halvings must be 1 or more, not 0"):
        minimum_norm(pgd, victim, x, y, halvings=0)
    with pytest.raises(ValueError, match=r"takes no eps, .* upper bound is farthest=0.01$"):
        minimum_norm(pgd, victim, x, y, eps=0.01)
    for twice in ({"eps": 0.1}, {"norm": "l2"}, {"seed": 3}, {"index": np.arange(8)}):
        (name,) = twice
        with pytest.raises(
            ValueError, match=rf"must be one without {name}, not partial\(…, {name}="
        ):
            minimum_norm(partial(pgd, **twice), victim, x, y)
    with pytest.raises(ValueError, match="farthest must be 0 or more, not -1"):
        minimum_norm(pgd, victim, x, y, farthest=-1)
    with pytest.raises(ValueError, match="farthest must be finite where lo or hi is not"):
        minimum_norm(pgd, Victim(victim.model, hi=np.inf), x, y)
    with pytest.raises(ValueError, match="norm must be 'linf' or 'l2', not 'l1'"):
        minimum_norm(pgd, victim, x, y, norm="l1")
