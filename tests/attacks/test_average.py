"""A randomized victim, averaged over passes."""

import numpy as np
import pytest

from tinyproto.attacks import FlatGradientWarning, Victim, average, hop_skip_jump, pgd, scaled
from tinyproto.attacks.targeted import towards
from tinyproto.evaluation import evaluate
from tinyproto.testing.victims import constant, hidden, problem


def test_scores_and_gradients_are_means():
    models = [hidden(seed) for seed in range(3)]
    calls = []

    def one_after_the_other(x):
        calls.append(len(x))
        return models[(len(calls) - 1) % 3](x)

    victim, x = Victim(one_after_the_other), np.random.default_rng(0).random((4, 6))
    z, backward = average(victim, 3)(x)
    dz = np.random.default_rng(1).normal(size=z.shape)
    np.testing.assert_allclose(z, np.mean([m(x)[0] for m in models], axis=0), rtol=1e-12)
    gradients = [m(x)[1](dz) for m in models]
    np.testing.assert_allclose(backward(dz), np.mean(gradients, axis=0), rtol=1e-12)
    assert (victim.forward_passes, victim.backward_passes) == (12, 12)


def test_every_victim_of_a_victim_counts_the_passes_of_the_model():
    clean, x, y = problem(5)
    for wrap in (lambda v: v, lambda v: scaled(v, np.ones(6)), lambda v: towards(v, 1)):
        victim = Victim(clean.model)
        mean = wrap(average(average(victim, 2), 3))
        z, backward = mean(x)
        backward(z)
        assert mean.forward_passes == victim.forward_passes == 6 * len(x)
        assert mean.backward_passes == victim.backward_passes == 6 * len(x)
    reports = [
        evaluate(v, x, y, ["fgsm"], eps=0.1, verbose=False).results["fgsm"]
        for v in (clean, average(clean, 4))
    ]
    assert reports[1].forward_passes == 4 * reports[0].forward_passes
    assert reports[1].backward_passes == 4 * reports[0].backward_passes > 0


def test_flat_gradients_are_counted_as_often_as_passes():
    flat = average(Victim(constant()), 2)
    z, backward = flat(np.full((8, 6), 0.5))
    with pytest.warns(FlatGradientWarning, match="exactly 0 in 16 of 16"):
        backward(np.ones_like(z))
    assert flat.flat_gradients == flat.backward_passes == 16


def test_it_helps_attacks_that_do_not_average_themselves():
    clean, x, y = problem(5, count=60)
    noise = np.random.default_rng(0)

    def noisy(points):
        z, backward = clean.model(points)
        return z, lambda dz: backward(dz) + 6 * noise.normal(size=points.shape)

    right = {}
    for samples in (1, 30):
        victim = average(Victim(noisy), samples)
        attacked = pgd(victim, x, y, eps=0.08, steps=20)
        right[samples] = (clean.model(attacked)[0].argmax(axis=1) == y).sum()
    assert right[30] < right[1]


def test_the_box_and_kept_features_stay_and_victims_of_scores_work():
    keep = np.arange(6) < 2
    victim = average(Victim(lambda x: hidden(5)(x)[0], hi=2.0, keep=keep), 2)
    x = np.random.default_rng(3).random((3, 6))
    y = victim(x)[0].argmax(axis=1)
    found = hop_skip_jump(victim, x, y, steps=1, probes=10)
    assert (found[:, :2] == x[:, :2]).all()
    assert (found != x).any()


def test_a_count_of_samples():
    with pytest.raises(ValueError, match="samples must be 1 or more, not 0"):
        average(Victim(hidden(0)), 0)
