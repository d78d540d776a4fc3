"""Shares of the decision of a winner-take-all network, against the scores themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.evaluation.explanation import explain, score_shares
from tinyproto.evaluation.explanation_picture import plot_explanations
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA
from tinyproto.testing.prototypes import problems


@given(problems(), st.integers(0, 2**32 - 1))
def test_the_shares_sum_to_the_score(problem, seed):
    scores = problem.network.neuron_scores(problem.x)
    neuron = np.random.default_rng(seed).integers(0, scores.shape[1], len(problem.x))
    shares, bias = score_shares(problem.network, problem.x, neuron)
    expected = scores[np.arange(len(neuron)), neuron]
    np.testing.assert_allclose(shares.sum(axis=1) + bias, expected, rtol=1e-9, atol=1e-9)


@given(problems())
def test_a_share_depends_on_its_feature_alone(problem):
    x = problem.x
    neuron = np.zeros(len(x), dtype=int)
    before, _ = score_shares(problem.network, x, neuron)
    changed = x.copy()
    changed[:, 0] += 0.7
    after, _ = score_shares(problem.network, changed, neuron)
    np.testing.assert_array_equal(after[:, 1:], before[:, 1:])
    assert (after[:, 0] != before[:, 0]).any()


@given(problems())
def test_the_decision(problem):
    network, x = problem.network, problem.x
    found, scores = explain(network, x), network.neuron_scores(x)
    owner = network.prototype_labels_
    np.testing.assert_array_equal(found.predicted, network.predict(x))
    np.testing.assert_array_equal(owner[found.winner], found.predicted)
    np.testing.assert_array_equal(owner[found.rival], found.rival_class)
    for row, winner, rival, margin in zip(
        scores, found.winner, found.rival, found.margin, strict=True
    ):
        assert row[winner] == row.max()
        assert row[rival] == row[owner != owner[winner]].max()
        np.testing.assert_allclose(margin, row[winner] - row[rival], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.shares.sum(axis=1) + found.bias, found.margin, atol=1e-12)
    if not hasattr(network, "biases_"):
        assert (found.bias == 0).all()


@pytest.mark.parametrize(
    ("x", "neuron", "message"),
    [
        (np.zeros((2, 3)), np.zeros(2, int), "X must have the shape"),
        (np.zeros((2, 1)), np.zeros(3, int), "neuron must have the shape"),
        (np.zeros((2, 1)), np.array([0, -1]), "neuron must hold integers 0 … 1"),
        (np.zeros((2, 1)), np.array([0, 2]), "neuron must hold integers 0 … 1"),
        (np.zeros((2, 1)), np.array([0.0, 1.0]), "neuron must hold integers 0 … 1"),
    ],
)
def test_wrong_shapes(x, neuron, message):
    network = EDWTA(1, epochs=0, init="kmeans").fit(np.array([[0.0], [1.0]]), np.array([4, 5]))
    with pytest.raises(ValueError, match=message):
        score_shares(network, x, neuron)


@pytest.mark.parametrize("kind", [IPWTA, EDWTA, PlusMinusEDWTA])
def test_the_picture(kind, digits, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need Matplotlib")
    x, y, *_ = digits
    network = kind(2, epochs=1).fit(x[:500], y[:500])
    images = x[:2].reshape(-1, 28, 28)
    sizes = []
    for attacked in (None, images):
        plot_explanations(network, images, tmp_path / "picture.png", attacked=attacked)
        from PIL import Image

        sizes.append(Image.open(tmp_path / "picture.png").size)
    assert sizes[1][1] > 1.5 * sizes[0][1]  # twice the rows
    assert sizes[1][0] > sizes[0][0]  # and what the attack changed
    with pytest.raises(ValueError, match="class_names must name 10 classes, not 2"):
        plot_explanations(network, images, tmp_path / "p.png", class_names=["a", "b"])
    with pytest.raises(ValueError, match="attacked must have the shape"):
        plot_explanations(network, images, tmp_path / "p.png", attacked=images[:1])
    assert not (tmp_path / "p.png").exists()
