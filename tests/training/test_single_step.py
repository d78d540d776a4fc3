"""Training with a single step: for every defence, and the line that says when it collapses."""

import logging

import numpy as np
import pytest

from tinyproto.attacks import Victim, n_fgsm
from tinyproto.networks import compact_cnn, fold
from tinyproto.parameters import flatten, zeros
from tinyproto.training import DEFENSES, Batch, NFGSMConfig
from tinyproto.training.single_step import warn_of_collapse


def batch_of(count=6, epoch=2):
    random = np.random.default_rng(0)
    x = random.random((count, 8, 8, 3)).astype(np.float32)
    return Batch(x, random.integers(0, 10, count), np.arange(count), epoch, 5)


@pytest.mark.parametrize("name", [name for name, found in DEFENSES.items() if found.adversarial])
def test_every_defence_learns_from_its_images(name):
    """As if the images had been attacked before."""
    defense, batch = DEFENSES[name], batch_of()
    head = {"head": "prototypes"} if defense.prototypes else {}
    gradients = []
    seen = []

    def recorded(network, batch, **options):
        attacked = NFGSMConfig(0.03)(network, batch, **options)
        seen.append(attacked)
        return attacked

    for attack in (recorded, lambda *arguments, **options: seen[0]):
        network = compact_cnn(10, feature_width=16, **head)
        grads = zeros(network.params)
        defense(network, batch, grads, attack=attack)
        gradients.append(flatten(grads))
    assert all(np.isfinite(grad).all() for grad in gradients[0].values())
    for path, grad in gradients[0].items():
        np.testing.assert_array_equal(grad, gradients[1][path])
    assert np.abs(seen[0] - batch.x).max() > 0.03


def test_it_passes_on_the_batch():
    network, batch = compact_cnn(10, feature_width=16), batch_of()
    expected = n_fgsm(Victim(fold(network)), batch.x, batch.y, eps=0.05, noise=1.5, seed=5, epoch=2)
    np.testing.assert_array_equal(NFGSMConfig(0.05, noise=1.5)(network, batch), expected)


@pytest.mark.parametrize("wrong", [{"eps": -1.0}, {"noise": -0.5}, {"noise": float("nan")}])
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NFGSMConfig(**wrong)


@pytest.mark.parametrize(
    ("robust", "warned"),
    [
        ([0.2, 0.3, 0.02], True),
        ([0.2, 0.3, 0.02, 0.01], False),  # it was said an epoch before
        ([0.2, 0.3, 0.2], False),
        ([0.04, 0.01], False),  # chance
        ([0.3], False),
        ([], False),
    ],
)
def test_a_collapse_is_told_once(robust, warned, caplog):
    history = [{"epoch": n + 1, "clean": 0.5, "robust": value} for n, value in enumerate(robust)]
    with caplog.at_level(logging.WARNING, logger="tinyproto"):
        warn_of_collapse(history)
    assert bool(caplog.messages) == warned
    if warned:
        (line,) = caplog.messages
        assert "from 30.0 % after epoch 2 to 2.0 % after epoch 3: catastrophic overfitting" in line


def test_without_validation_nothing_is_said(caplog):
    warn_of_collapse([{"epoch": 1, "loss": 1.0}])
    assert not caplog.messages
