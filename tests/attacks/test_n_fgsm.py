"""N-FGSM: its one step, its noise, and the box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.attacks import Victim, fgsm, n_fgsm
from tinyproto.attacks.region import Region

W = np.random.default_rng(0).normal(size=(6, 4))


def victim(**box):
    return Victim(lambda x: (x @ W, lambda dz: dz @ W.T), **box)


def images(count, seed=1):
    x = np.random.default_rng(seed).random((count, 6))
    return x, (x @ W).argmax(axis=1)


@given(
    seed=st.integers(0, 99),
    eps=st.floats(1e-3, 0.2),
    noise=st.floats(0, 3),
    epoch=st.integers(0, 9),
)  # fmt: skip
def test_it_is_one_signed_step_from_a_noisy_start(seed, eps, noise, epoch):
    x, y = images(7, seed)
    found = n_fgsm(victim(), x, y, eps=eps, noise=noise, seed=seed, epoch=epoch)
    start = Region(x, noise * eps, "linf", victim()).random_point(
        np.arange(7), stream="n-fgsm", seed=seed, epoch=epoch
    )
    z = start @ W
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    gradient = (p - np.eye(4)[y]) @ W.T
    np.testing.assert_allclose(found, np.clip(start + eps * np.sign(gradient), 0, 1), atol=1e-12)
    assert np.abs(start - x).max() <= noise * eps + 1e-12


def test_the_noise_fills_its_interval_and_leaves_the_ball():
    x, y = np.full((400, 6), 0.5), np.zeros(400, dtype=int)
    moved = n_fgsm(victim(), x, y, eps=0.05, noise=2.0) - x
    assert 0.149 < np.abs(moved).max() <= 0.15
    assert (np.abs(moved) > 0.05).mean() > 0.4


def test_without_noise_it_is_fgsm():
    x, y = images(9)
    expected = fgsm(victim(), x, y, eps=0.07)
    np.testing.assert_allclose(n_fgsm(victim(), x, y, eps=0.07, noise=0.0), expected, atol=1e-12)


def test_an_example_depends_on_its_index_and_the_epoch_only():
    x, y = images(8)
    whole = n_fgsm(victim(), x, y, eps=0.05, seed=3)
    part = np.array([5, 2])
    again = n_fgsm(victim(), x[part], y[part], eps=0.05, seed=3, index=part)
    np.testing.assert_array_equal(again, whole[part])
    assert (n_fgsm(victim(), x, y, eps=0.05, seed=3, epoch=1) != whole).any()


def test_one_pass_of_each_kind():
    attacked = victim()
    n_fgsm(attacked, *images(5), eps=0.05)
    assert (attacked.forward_passes, attacked.backward_passes) == (5, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": -0.1}, "eps"),
        ({"eps": 0.1, "noise": -1.0}, "noise must be"),
        ({"eps": 0.1, "epoch": -1}, "epoch must be"),
        ({"eps": 0.1, "loss": "nonsense"}, "loss"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        n_fgsm(victim(), *images(3), **options)
