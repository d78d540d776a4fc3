"""PGD for training, and attacks on a convolutional network: ball, box, batches, steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.attacks import Victim, fgsm, pgd, pgd_inner
from tinyproto.attacks.region import norms
from tinyproto.layers import BatchNorm, Conv2D, Flatten, Linear, MaxPool2D, ReLU, Sequential
from tinyproto.layers import initialize as initialized
from tinyproto.losses import cross_entropy
from tinyproto.parameters import convert

NORMS = ["linf", "l2"]


def victim_for(height, width, channels, seed=0, dtype=np.float32):
    """A small convolutional network of three classes for images of a shape."""
    network = initialized(
        Sequential(
            Conv2D(channels, 4, 3, padding=1), BatchNorm(4), ReLU(), MaxPool2D(), Flatten(),
            Linear((height // 2) * (width // 2) * 4, 3),
        ),
        seed,
    )  # fmt: skip
    convert(network.params, dtype=dtype)
    return Victim(network)


def images(count, shape, seed, dtype=np.float32):
    random = np.random.default_rng(seed)
    x = np.clip(random.uniform(-0.2, 1.2, size=(count, *shape)), 0, 1).astype(dtype)
    return x, random.integers(0, 3, count)


shapes = st.tuples(st.integers(2, 6), st.integers(2, 6), st.integers(1, 4))


@pytest.mark.filterwarnings("ignore:eps .* is more than")
@pytest.mark.parametrize("norm", NORMS)
@given(
    shape=shapes, count=st.integers(1, 4), eps=st.floats(1e-3, 1.5), seed=st.integers(0, 99),
    dtype=st.sampled_from([np.float32, np.float64]), steps=st.integers(1, 3),
    initial_noise=st.sampled_from([None, 0.001, 2.0]),
)  # fmt: skip
@settings(max_examples=25)
def test_ball_and_box_for_all_shapes(norm, shape, count, eps, seed, dtype, initial_noise, steps):
    x, y = images(count, shape, seed, dtype)
    victim = victim_for(*shape, seed, dtype)
    options = {"eps": eps, "steps": steps, "norm": norm}
    for attacked in (
        pgd_inner(victim, x, y, step_size=eps, initial_noise=initial_noise, **options),
        pgd(victim, x, y, seed=seed, **options),
        fgsm(victim, x, y, eps=eps, norm=norm),
    ):
        assert attacked.dtype == dtype
        assert attacked.shape == x.shape
        assert attacked.min() >= 0
        assert attacked.max() <= 1
        delta = attacked.astype(np.float64) - x.astype(np.float64)
        assert (np.abs(delta).max() if norm == "linf" else norms(delta).max()) <= eps


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("initial_noise", [None, 0.01])
def test_batches_do_not_change_a_bit(norm, initial_noise):
    x, y = images(9, (6, 5, 3), 1)
    victim, index = victim_for(6, 5, 3), np.arange(9)
    options = {"eps": 0.1, "norm": norm, "seed": 3}
    inner = {**options, "steps": 3, "step_size": 0.04, "initial_noise": initial_noise, "epoch": 2}
    for attack, arguments in ((pgd_inner, inner), (pgd, {**options, "steps": 3, "restarts": 2})):
        whole = attack(victim, x, y, **arguments)
        for rows in ([0], [8, 2, 5], [4, 3]):
            part = attack(victim, x[rows], y[rows], index=index[rows], **arguments)
            np.testing.assert_array_equal(part, whole[rows])


def test_every_example_takes_all_its_steps_with_one_pass_each():
    x, y = images(7, (4, 4, 2), 0)
    victim = victim_for(4, 4, 2)
    wrong = victim(x)[0].argmax(axis=1) != y
    assert wrong.any()
    victim.forward_passes = victim.backward_passes = 0
    attacked = pgd_inner(victim, x, y, eps=0.1, steps=4, step_size=0.05)
    assert (victim.forward_passes, victim.backward_passes) == (28, 28)
    assert (np.abs(attacked - x).reshape(7, -1).max(axis=1) > 0).all()
    before, after = (cross_entropy(victim(i)[0], y)[0] for i in (x, attacked))
    assert (after > before).all()


@pytest.mark.filterwarnings("ignore::tinyproto.attacks.FlatGradientWarning")  # on purpose
def test_the_start_is_uniform_in_the_ball_and_depends_on_seed_epoch_and_index():
    x = np.full((200, 3, 3, 2), 0.5)
    victim = Victim(lambda x: (x.reshape(len(x), -1)[:, :3] * 0, lambda dz: np.zeros_like(x)))
    y, options = np.zeros(200, int), {"eps": 0.2, "steps": 1, "step_size": 0.1}
    start = pgd_inner(victim, x, y, **options) - x  # no gradient: the start is returned
    assert abs(start.mean()) < 0.01
    np.testing.assert_allclose(np.quantile(start, [0.1, 0.5, 0.9]), [-0.16, 0, 0.16], atol=0.01)
    for changed in ({"seed": 1}, {"epoch": 1}, {"index": np.arange(200) + 1}):
        assert (pgd_inner(victim, x, y, **options, **changed) - x != start).mean() > 0.99
    noise = pgd_inner(victim, x, y, initial_noise=0.01, **options) - x
    assert noise.std() == pytest.approx(0.01, rel=0.05)


def test_the_given_loss_is_the_one_that_is_raised():
    x, y = images(5, (4, 4, 2), 0)
    victim = victim_for(4, 4, 2)

    def towards_zero(z, y):
        dz = np.zeros_like(z)
        dz[:, 0] = 1
        return z[:, 0], dz

    attacked = pgd_inner(victim, x, y, eps=0.1, steps=5, step_size=0.05, loss=towards_zero)
    assert (victim(attacked)[0][:, 0] > victim(x)[0][:, 0]).all()


def test_invalid_arguments_are_refused():
    x, y = images(2, (4, 4, 2), 0)
    victim = victim_for(4, 4, 2)
    with pytest.raises(ValueError, match="steps must be 1 or more, not 0"):
        pgd_inner(victim, x, y, eps=0.1, steps=0, step_size=0.1)
    with pytest.raises(ValueError, match="norm must be 'linf' or 'l2', not 'l7'"):
        pgd_inner(victim, x, y, eps=0.1, steps=1, step_size=0.1, norm="l7")
