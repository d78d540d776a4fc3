"""Attacks towards given classes, by way of a victim of two scores."""

from functools import partial

import numpy as np
import pytest

from tinyproto.attacks import (
    Victim,
    apgd,
    apgd_targeted,
    autoattack,
    carlini_wagner,
    fab,
    fgsm,
    hop_skip_jump,
    minimum_norm,
    pgd,
    square,
    targeted,
)
from tinyproto.attacks.autoattack import fab_in_ball
from tinyproto.attacks.region import norms
from tinyproto.attacks.targeted import towards
from tinyproto.testing.victims import problem

IN_BALL = {
    "pgd": pgd,
    "pgd on margin": partial(pgd, loss="margin"),
    "apgd": partial(apgd, steps=30),
    "apgd on dlr": partial(apgd, steps=30, loss="dlr"),
    "apgd-t": partial(apgd_targeted, steps=30),
    "square": partial(square, queries=400),
    "fab in ball": fab_in_ball,
    "autoattack": partial(autoattack, version=["apgd-ce", "square"]),
}
NEAREST = {
    "fab": fab,
    "fab-t": partial(fab, targets=9, bisections=5),
    "pgd, minimum norm": partial(minimum_norm, pgd, halvings=6),
    "cw": partial(
        carlini_wagner, steps=80, binary_search_steps=3, learning_rate=0.05, initial_const=1.0
    ),
}


def targets_of(victim, y, classes=5):
    return (y + 1 + np.arange(len(y)) % (classes - 1)) % classes


@pytest.mark.parametrize("name", IN_BALL)
def test_examples_are_classified_as_their_targets(name):
    victim, x, y = problem(5, count=24)
    target = targets_of(victim, y)
    found = targeted(IN_BALL[name], victim, x, target, eps=0.5)
    reached = victim(found)[0].argmax(axis=1)
    assert norms(found - x, "linf").max() <= 0.5
    # Not merely misclassified: what is not classified as the target is not called a success.
    assert (reached == target).mean() > 0.6
    away = victim(IN_BALL[name](victim, x, y, eps=0.5))[0].argmax(axis=1)
    assert (away == target).mean() < (reached == target).mean()


@pytest.mark.parametrize("name", NEAREST)
def test_points_that_are_found_are_classified_as_their_targets(name):
    victim, x, y = problem(5, count=12)
    target = targets_of(victim, y)
    found = targeted(NEAREST[name], victim, x, target)
    moved = (found != x).any(axis=1)
    assert moved.mean() > 0.5
    np.testing.assert_array_equal(victim(found)[0].argmax(axis=1)[moved], target[moved])


def test_the_distance_to_a_class_of_a_linear_victim():
    """Without a box, the nearest point of the half-space z_t > z_j of one other class j."""
    W = np.random.default_rng(2).normal(size=(6, 2))
    victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T), lo=-np.inf, hi=np.inf)
    x = np.random.default_rng(3).normal(size=(9, 6))
    target = 1 - victim(x)[0].argmax(axis=1)
    difference = (W[:, 1] - W[:, 0]) * np.where(target == 1, 1, -1)[:, None]
    for norm, dual in (("l2", "l2"), ("linf", "l1")):
        exact = -(difference * x).sum(axis=1) / norms(difference, dual)
        found = targeted(partial(fab, bisections=40), victim, x, target, norm=norm)
        np.testing.assert_allclose(norms(found - x, norm), exact, rtol=1e-6)


def test_the_gradient_is_that_of_the_two_scores():
    victim, x, _ = problem(4)
    two = towards(victim, 2)
    dz, step = np.random.default_rng(0).normal(size=(8, 2)), 1e-6
    dx = two(x)[1](dz)
    direction = np.random.default_rng(1).normal(size=x.shape)
    forward, backward = (two(x + s * direction)[0] for s in (step, -step))
    slope = ((forward - backward) / (2 * step) * dz).sum(axis=1)
    np.testing.assert_allclose((dx * direction).sum(axis=1), slope, rtol=1e-5, atol=1e-7)


def test_an_example_does_not_depend_on_its_batch_and_arrays_are_of_examples():
    victim, x, y = problem(3, count=9)
    target, index = targets_of(victim, y), np.arange(9) + 40
    eps = np.linspace(0.05, 0.3, 9)
    together = targeted(pgd, victim, x, target, eps=eps, index=index, seed=3)
    assert (together != x).any(axis=1).all()
    for part in ([7], [2, 0, 5]):
        alone = targeted(
            pgd, victim, x[part], target[part], eps=eps[part], index=index[part], seed=3
        )
        np.testing.assert_array_equal(alone, together[part])


def test_an_attack_has_positions_only_where_it_takes_them():
    victim, x, y = problem(3, count=9)
    target = targets_of(victim, y)
    found = targeted(fgsm, victim, x, target, eps=0.1)
    for t in range(5):
        of = target == t
        alone = fgsm(towards(victim, t), x[of], 0 * y[of], eps=0.1)
        np.testing.assert_array_equal(found[of], alone)
    assert (found != x).any(axis=1).all()
    with pytest.raises(TypeError, match="unexpected keyword argument 'index'"):
        targeted(fgsm, victim, x, target, eps=0.1, index=np.arange(9))


def test_starting_points_are_those_of_the_examples():
    victim, x, _ = problem(3, count=9)
    start = np.random.default_rng(4).random(x.shape)
    target, index = victim(start)[0].argmax(axis=1), np.arange(9)
    other = victim(x)[0].argmax(axis=1) != target
    assert len(set(target[other].tolist())) > 1
    jump = partial(targeted, partial(hop_skip_jump, steps=1, probes=5, starts=1), victim)
    found = jump(x, target, start=start, index=index)
    np.testing.assert_array_equal(victim(found)[0].argmax(axis=1), target)
    for i in range(9):
        one = slice(i, i + 1)
        alone = jump(x[one], target[one], start=start[one], index=index[one])
        np.testing.assert_array_equal(alone, found[one])


def test_what_is_the_target_already_stays_and_what_is_wrong_is_refused():
    victim, x, y = problem(3)
    np.testing.assert_array_equal(targeted(pgd, victim, x, y, eps=0.1), x)
    assert targeted(pgd, victim, x[:0], y[:0], eps=0.1).shape == (0, 6)
    with pytest.raises(ValueError, match="target must hold classes, 0 … 4, not 5"):
        targeted(pgd, victim, x, y * 0 + 5, eps=0.1)
    with pytest.raises(ValueError, match="target must hold classes, 0 or more, not -1"):
        targeted(pgd, victim, x, y * 0 - 1, eps=0.1)
    with pytest.raises(ValueError, match="target must hold one label for each of 8 examples"):
        targeted(pgd, victim, x, y[:3], eps=0.1)


def test_passes_count_for_the_victim():
    victim, x, y = problem(3)
    victim.forward_passes = 0
    targeted(partial(pgd, steps=5), victim, x, targets_of(victim, y), eps=1e-9)
    assert (victim.forward_passes, victim.backward_passes) == (8 * 7, 8 * 5)
