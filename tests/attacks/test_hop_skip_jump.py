"""HopSkipJump: the nearest points, from labels alone."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.attacks import ATTACKS, Victim, from_labels, hop_skip_jump
from tinyproto.attacks.hop_skip_jump import _Search
from tinyproto.attacks.region import norms
from tinyproto.testing.victims import constant, flattened, hidden, problem

attack = partial(hop_skip_jump, steps=5, probes=30)
each_norm = pytest.mark.parametrize("norm", ["linf", "l2"])


def answers(model):
    return from_labels(lambda x: model(x)[0].argmax(axis=1), classes=5)


@each_norm
def test_the_distance_of_a_linear_victim_is_approached_and_never_undercut(norm):
    random = np.random.default_rng(0)
    w = random.normal(size=12)
    victim = Victim(from_labels(lambda x: ((x - 0.5) @ w > 0).astype(int), 2))
    x = 0.5 + 0.1 * random.normal(size=(8, 12))
    y = victim(x)[0].argmax(axis=1)
    exact = np.abs((x - 0.5) @ w) / norms(w[None], "l2" if norm == "l2" else "l1")
    found = hop_skip_jump(victim, x, y, norm=norm, steps=12)
    ratio = norms(found - x, norm) / exact
    assert (victim(found)[0].argmax(axis=1) != y).all()
    assert ratio.min() >= 1 - 1e-9
    assert np.median(ratio) < 1.1


@each_norm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=4)
@given(st.integers(0, 10_000))
def test_points_are_misclassified_and_in_the_box(norm, dtype, seed):
    victim, x, y = problem(seed, dtype=dtype)
    found = attack(victim, x, y, norm=norm, steps=2)
    assert found.dtype == dtype
    assert found.min() >= 0
    assert found.max() <= 1
    moved = (found != x).any(axis=1)
    assert (victim(found)[0].argmax(axis=1) != y)[moved].all()
    assert victim.backward_passes == 0


@each_norm
def test_more_steps_never_go_farther(norm):
    victim, x, y = problem(5)
    distances = [norms(attack(victim, x, y, norm=norm, steps=s) - x, norm) for s in (1, 3, 8)]
    assert (np.diff(distances, axis=0) <= 0).all()
    assert distances[2].sum() < 0.8 * distances[0].sum()


@each_norm
def test_an_example_has_the_same_bits_in_any_batch_and_from_labels_as_from_scores(norm):
    victim, x, y = problem(3)
    index = np.arange(8) + 100
    together = attack(victim, x, y, norm=norm, seed=4, index=index)
    assert (together != x).any(axis=1).all()
    for part in ([5], [7, 0, 2]):
        alone = attack(victim, x[part], y[part], norm=norm, seed=4, index=index[part])
        np.testing.assert_array_equal(alone, together[part])
    other = attack(Victim(answers(victim.model)), x, y, norm=norm, seed=4, index=index)
    np.testing.assert_array_equal(other, together)
    assert (attack(victim, x, y, norm=norm, seed=5, index=index) != together).any(axis=1).all()


def test_images_and_bounds_of_channels():
    x = np.random.default_rng(2).random((4, 3, 3, 2)).astype(np.float32) * np.float32([1, 3])
    keep = np.zeros((3, 3, 2), bool)
    keep[0] = True
    victim = Victim(flattened(hidden(2, 18, dtype=np.float32)), hi=np.array([1.0, 3.0]), keep=keep)
    y = victim(x)[0].argmax(axis=1)
    found = attack(victim, x, y)
    assert (found != x).any()
    assert (found[:, 0] == x[:, 0]).all()
    assert found[..., 0].max() <= 1 < found[..., 1].max() <= 3


@each_norm
def test_the_estimated_direction_is_that_of_the_gradient(norm):
    """At the boundary of a half-space the expected probe that crosses it points along w."""
    random = np.random.default_rng(1)
    w = random.normal(size=6)
    victim = Victim(from_labels(lambda x: ((x - 0.5) @ w > 0).astype(int), 2))
    x = np.full((1, 6), 0.5) - 0.1 * w / np.linalg.norm(w)
    search = _Search(victim, x, np.array([0]), norm, 0, np.arange(1))
    point = np.full((1, 6), 0.5) + 1e-9 * w
    v = search.direction(point, np.array([0.05]), 4000, 1)[0]
    if norm == "l2":
        assert v @ w / np.linalg.norm(w) > 0.99
    else:
        clear = np.abs(w) > 0.2 * np.abs(w).max()
        np.testing.assert_array_equal(v[clear], np.sign(w)[clear])


def test_starting_points_are_used_where_they_are_misclassified():
    victim, x, y = problem(5)
    start = np.roll(x, 1, axis=0)
    useful = victim(start)[0].argmax(axis=1) != y
    found = attack(victim, x, y, start=start, starts=1, steps=1)
    assert useful.any()
    assert (found != x).any(axis=1)[useful].all()


def test_what_cannot_be_attacked_is_not_changed():
    victim, x, y = problem(1)
    np.testing.assert_array_equal(attack(victim, x, (y + 1) % 5), x)
    np.testing.assert_array_equal(attack(Victim(constant()), x, 0 * y, starts=3), x)
    assert attack(victim, x[:0], y[:0]).shape == (0, 6)


def test_queries_are_counted():
    """One to begin with, a start, 10 halvings each time, 30 probes, and the halved steps."""
    victim = Victim(from_labels(lambda x: (x[:, 0] > 0.5).astype(int), 2))
    x = np.full((1, 2), 0.25)
    hop_skip_jump(victim, x, np.array([0]), steps=1, probes=30, start=x + np.array([0.5, 0.0]))
    assert 1 + 1 + 10 + 30 + 10 < victim.forward_passes <= 1 + 1 + 10 + 30 + 10 + 60


def test_it_has_a_name_for_evaluations():
    victim, x, y = problem(5, count=2)
    found = ATTACKS["hop-skip-jump"](victim, x, y, eps=0.1, norm="l2", seed=0, index=np.arange(2))
    assert (victim(found)[0].argmax(axis=1) != y).all()


def test_what_is_refused():
    victim, x, y = problem(1)
    with pytest.raises(ValueError, match="HopSkipJump needs finite bounds, not lo=0.0, hi=inf"):
        attack(Victim(victim.model, hi=np.inf), x, y)
    with pytest.raises(ValueError, match="norm must be 'linf' or 'l2', not 'l1'"):
        attack(victim, x, y, norm="l1")
    with pytest.raises(ValueError, match="probes must be 1 or more, not 0"):
        attack(victim, x, y, probes=0)
    with pytest.raises(ValueError, match=r"start must have the shape \(8, 6\), not \(7, 6\)"):
        attack(victim, x, y, start=x[1:])
    for start, message in (
        ((255 * x).astype(np.uint8), r"start must hold floating-point numbers, not uint8 .* / 255"),
        (255 * x, r"start must lie in \[0.0, 1.0\], not .*; divide by 255$"),
        (np.where(x > 0, np.nan, x), "start holds NaN"),
        (x.tolist(), r"start must be an array, not list; use np.asarray\(start\)"),
    ):
        with pytest.raises(ValueError, match=message):
            attack(victim, x, y, start=start)
    with pytest.raises(ValueError, match="classes must be 2 or more, not 1"):
        from_labels(lambda x: x[:, 0], 1)
    wrong = Victim(from_labels(lambda x: np.full(len(x), 7), 5))
    with pytest.raises(ValueError, match="what predict returns must hold classes, 0 … 4, not 7"):
        attack(wrong, x, y)
