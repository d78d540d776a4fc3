"""Accuracy against the radius: from the distances that attacks found, or attack by attack."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.attacks import Victim
from tinyproto.evaluation import evaluate
from tinyproto.evaluation.robustness_curve import (
    accuracy_at,
    nearest_distances,
    plot_robustness_curves,
)

DISTANCES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 1.0, np.inf]), min_size=1, max_size=30)


@given(DISTANCES, st.sampled_from([0.0, 0.1, 0.2, 0.3, 2.0]))
def test_accuracy_is_the_fraction_that_is_farther(distances, eps):
    expected = sum(distance > eps for distance in distances) / len(distances)
    assert accuracy_at(np.array(distances), eps) == pytest.approx(expected)


def linear():
    """A classifier of two classes whose nearest adversarial point is known: |w·x| / ‖w‖₁ in L∞."""
    w = np.array([1.0, -2.0, 0.5])
    W = np.stack([w, -w], axis=1)
    x = np.random.default_rng(0).uniform(0.3, 0.7, (40, 3))
    y = (x @ w < 0).astype(int)
    return Victim(lambda x: (x @ W, lambda dz: dz @ W.T)), x, y, np.abs(x @ w) / np.abs(w).sum()


def test_distances_of_a_linear_classifier():
    victim, x, y, exact = linear()
    y[3] = 1 - y[3]  # misclassified unattacked
    exact[3] = 0.0
    report = evaluate(victim, x, y, ["fab"], eps=0.05, verbose=False)
    np.testing.assert_allclose(nearest_distances(report), exact, rtol=1e-2, atol=1e-6)


def test_it_agrees_with_an_attack_at_each_radius():
    victim, x, y, _ = linear()
    curve = nearest_distances(evaluate(victim, x, y, ["fab"], eps=0.05, verbose=False))
    for eps in (0.02, 0.05, 0.1):
        report = evaluate(victim, x, y, ["pgd-20"], eps=eps, verbose=False)
        assert accuracy_at(curve, eps) == pytest.approx(report.robust.mean(), abs=0.03)


def test_the_nearest_of_several_attacks_counts():
    victim, x, y, _ = linear()
    attacks = {
        "far": lambda victim, x, y, **_: 1 - x,
        "near": lambda victim, x, y, **_: x + (0.5 - x) * 1.01,
    }
    report = evaluate(victim, x, y, attacks, eps=0.5, verbose=False)
    both = [result.distance for result in report.results.values()]
    np.testing.assert_array_equal(nearest_distances(report), np.minimum(*both))


@pytest.mark.parametrize("distances", [[], [-0.1, 0.2], [np.nan]])
def test_impossible_distances(distances):
    with pytest.raises(ValueError, match="must be 0 or more"):
        accuracy_at(np.array(distances), 0.1)


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    curves = {"one": np.array([0.0, 0.1, np.inf]), "other": np.array([0.2, 0.3, 0.1])}
    plot_robustness_curves(curves, tmp_path / "curve.svg", norm="l2", marked=0.15, title="A title")
    text = (tmp_path / "curve.svg").read_text()
    assert "<!-- one: 33.3 % at 0.15 -->" in text
    assert "<!-- other: 66.7 % at 0.15 -->" in text
    assert "<!-- A title -->" in text
    assert "<!-- 0.30 -->" in text  # the axis ends a little beyond the largest distance
    assert "<!-- 0.35 -->" not in text
    plot_robustness_curves({"none found": np.full(3, np.inf)}, tmp_path / "all.png")
    with pytest.raises(ValueError, match="one curve or more"):
        plot_robustness_curves({}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
