"""Confusion matrices, and which class becomes which under attack."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.evaluation.confusion import (
    changed_classes,
    confusion_matrix,
    plot_confusion,
)


@st.composite
def answers(draw):
    classes, count = draw(st.integers(1, 5)), draw(st.integers(0, 30))
    seed = np.random.default_rng(draw(st.integers(0, 999)))
    return classes, *(seed.integers(0, classes, count) for _ in range(3))


@given(answers())
def test_matrix_counts_each_pair(drawn):
    classes, y, predicted, _ = drawn
    expected = np.zeros((classes, classes), int)
    for row, column in zip(y, predicted, strict=True):
        expected[row, column] += 1
    for kind in (np.asarray, np.ndarray.tolist):
        matrix = confusion_matrix(kind(y), kind(predicted), classes)
        np.testing.assert_array_equal(matrix, expected)


@given(answers())
def test_changed_classes_are_those_that_an_attack_changed(drawn):
    classes, y, clean, attacked = drawn
    names = [f"class {c}" for c in range(classes)]
    rows = changed_classes(y, clean, attacked, names)
    assert rows == changed_classes(y.tolist(), clean.tolist(), attacked.tolist(), names)
    changed = (clean == y) & (attacked != y)
    assert sum(row["images"] for row in rows) == changed.sum()
    assert [row["images"] for row in rows] == sorted((r["images"] for r in rows), reverse=True)
    for row in rows:
        one, other = names.index(row["class"]), names.index(row["becomes"])
        right = (y == one) & (clean == one)
        assert row["images"] == (right & (attacked == other)).sum() > 0
        assert row["% of the class"] == pytest.approx(100 * row["images"] / right.sum())


def test_wrong_answers():
    with pytest.raises(ValueError, match="predicted"):
        confusion_matrix(np.array([0, 1]), np.array([0, 2]), 2)
    with pytest.raises(ValueError, match="predicted"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(ValueError, match="attacked must hold one label for each of 2 examples"):
        changed_classes([0, 1], [0, 1], [0], ["a", "b"])


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    matrix = np.array([[3, 1], [0, 0]])
    both = {"clean": matrix, "attacked": matrix.tolist()}
    plot_confusion(both, tmp_path / "a.svg", class_names=["x", "y"], title="A title")
    text = (tmp_path / "a.svg").read_text()
    assert "<!-- 75 -->" in text
    assert "<!-- attacked -->" in text
    assert "<!-- A title -->" in text
    with pytest.raises(ValueError, match="must be \\(3, 3\\)"):
        plot_confusion({"clean": matrix}, tmp_path / "b.png", class_names=["x", "y", "z"])
    with pytest.raises(ValueError, match="one matrix or more"):
        plot_confusion({}, tmp_path / "b.png", class_names=["x"])
    assert not (tmp_path / "b.png").exists()
