"""Explaining a deep network: neighbours against a naive search, fidelity against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.feature_networks import trained_network
from tinyproto.attacks import Victim, pgd
from tinyproto.evaluation import deep_explanation_picture
from tinyproto.evaluation.deep_explanation import (
    collect_features,
    explain_network,
    nearest_and_farthest,
)
from tinyproto.evaluation.deep_explanation_picture import plot_nearest_and_farthest
from tinyproto.testing.networks import random_network


@given(
    seed=st.integers(0, 2**20), images=st.integers(1, 30), prototypes=st.integers(1, 5),
    repeated=st.booleans(), data=st.data(),
)  # fmt: skip
def test_neighbours_are_those_of_a_naive_search(seed, images, prototypes, repeated, data):
    random = np.random.default_rng(seed)
    h, w = random.normal(size=(images, 4)), random.normal(size=(prototypes, 4))
    if repeated:
        h = h.round(0)  # equal distances
    count = data.draw(st.integers(1, images))
    found = nearest_and_farthest(h, w, count)
    for p in range(prototypes):
        distance = [float(np.sqrt(((row - w[p]) ** 2).sum())) for row in h]
        near = sorted(range(images), key=lambda n: (round(distance[n], 12), n))[:count]
        far = sorted(range(images), key=lambda n: (-round(distance[n], 12), n))[:count]
        by_distance = [distance[n] for n in near], [distance[n] for n in far]
        np.testing.assert_allclose(found.nearest_distance[p], by_distance[0], rtol=1e-12)
        np.testing.assert_allclose(found.farthest_distance[p], by_distance[1], rtol=1e-12)
        np.testing.assert_allclose([distance[n] for n in found.nearest[p]], by_distance[0])
        np.testing.assert_allclose([distance[n] for n in found.farthest[p]], by_distance[1])
        if not repeated:
            assert found.nearest[p].tolist() == near
            assert found.farthest[p].tolist() == far


def test_of_equal_distances_the_first_image_comes_first():
    found = nearest_and_farthest(np.array([[1.0], [-1.0], [1.0]]), np.zeros((1, 1)), 2)
    assert found.nearest.tolist() == found.farthest.tolist() == [[0, 1]]


@pytest.fixture(scope="module")
def network(digits):
    return trained_network(*digits[:2])


def test_the_figures_are_what_they_are_called(digits, network):
    x, _, x_test, y_test = digits
    x, x_test, y_test = x[:2000], x_test[:400], y_test[:400]
    attacked = pgd(Victim(network), x_test[:100], y_test[:100], eps=0.1)
    found = explain_network(network, x, x_test, y_test, attacked=attacked, count=5)
    h, answers = collect_features(network, x)
    test_h, test_answers = collect_features(network, x_test)
    np.testing.assert_array_equal(h, network.features(x)[0])
    np.testing.assert_array_equal(test_answers, network(x_test)[0].argmax(axis=1))
    np.testing.assert_array_equal(found.answers, answers)
    given_answers = found.network.predict(test_h)
    assert found.fidelity == (given_answers == test_answers).mean()
    assert found.accuracy == (given_answers == y_test).mean()
    assert found.deep_accuracy == (test_answers == y_test).mean()
    attacked_h, attacked_answers = collect_features(network, attacked)
    assert found.fidelity_attacked == (found.network.predict(attacked_h) == attacked_answers).mean()
    for name in ("positive", "negative"):
        w = getattr(found.network, f"{name}_prototypes_")
        expected = nearest_and_farthest(h, w, 5)
        for field, array in getattr(found, name)._asdict().items():
            np.testing.assert_array_equal(array, getattr(expected, field))
    assert found.fidelity > 0.9  # ten classes; chance is about 0.1
    own = answers[found.positive.nearest] == found.network.prototype_labels_[:, None]
    assert own.mean() > 0.9


def test_the_fit_does_not_depend_on_the_scale_of_the_features(digits, network):
    x, _, x_test, y_test = digits
    x, x_test, y_test = x[:600], x_test[:200], y_test[:200]
    last = network.features.layers[-1]
    plain = explain_network(network, x, x_test, y_test)
    before = {name: leaf.copy() for name, leaf in last.params.items()}
    try:
        for leaf in last.params.values():
            leaf *= 8  # exact in binary floating point
        large = explain_network(network, x, x_test, y_test)
    finally:
        for name, leaf in before.items():
            last.params[name][...] = leaf
    np.testing.assert_allclose(
        large.network.positive_prototypes_, 8 * plain.network.positive_prototypes_, rtol=1e-3,
        atol=1e-3 * float(np.abs(large.network.positive_prototypes_).max()),
    )  # fmt: skip
    assert large.network.beta_ == pytest.approx(plain.network.beta_ / 64, rel=1e-3)


def test_wrong_arguments_get_one_line():
    network, x = random_network(0), np.random.default_rng(0).random((60, 3, 2))
    y = network(x)[0].argmax(axis=1)
    for arguments, message in (
        ((network, x, x, y[:-1]), "y_test must hold one label for each of 60"),
        ((network, x[:0], x, y), "count must be"),
        ((network, x, x[:0], y[:0]), "at least one image"),
        ((network, 0 * x, x, y), "at least 2 classes are needed"),
    ):
        with pytest.raises(ValueError, match=message):
            explain_network(*arguments)
    h = network.features(x)[0]
    for arguments, message in (
        ((h, h[:2, :4], 3), r"prototypes must be \(P, 5\)"),
        ((h, h[:2], 61), "count must be"),
        ((h * np.nan, h[:2], 3), "features must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            nearest_and_farthest(*arguments)


def test_the_picture_shows_the_nearest_and_the_farthest(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, 4, 4, 3)).astype(np.uint8)
    found = nearest_and_farthest(random.normal(size=(12, 3)), np.zeros((2, 3)), 6)
    kept = []
    monkeypatch.setattr(
        deep_explanation_picture, "save_figure", lambda figure, path: kept.append(figure)
    )
    names = [f"image {n}" for n in range(12)]
    plot_nearest_and_farthest(
        found, images, tmp_path / "p.png", row_names=["a", "b"], image_names=names, count=4
    )
    plot_nearest_and_farthest(found, images[..., 0], tmp_path / "p.png", row_names=["a", "b"])
    drawn = [axis for axis in kept[0].axes if axis.images]
    expected = np.concatenate([found.nearest[:, :4], found.farthest[:, :4]], axis=1).ravel()
    assert len(drawn) == 16
    for axis, index in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), images[index])
        assert axis.get_xlabel() == names[index]
    assert [drawn[0].get_ylabel(), drawn[8].get_ylabel()] == ["a", "b"]
    grey = [axis for axis in kept[1].axes if axis.images]
    assert len(grey) == 24
    assert grey[0].images[0].get_clim() == (0, 255)
    for options, message in (
        ({"row_names": ["a"]}, "row_names must name 2 prototypes, not 1"),
        ({"row_names": ["a", "b"], "image_names": ["c"]}, "image_names must name 12 images"),
    ):
        with pytest.raises(ValueError, match=message):
            plot_nearest_and_farthest(found, images, tmp_path / "p.png", **options)
    for wrong, message in (
        (images[0, 0], "images must be"),
        (images[:3], "images must hold image"),
    ):
        with pytest.raises(ValueError, match=message):
            plot_nearest_and_farthest(found, wrong, tmp_path / "p.png", row_names=["a", "b"])


def test_the_picture_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    random = np.random.default_rng(1)
    found = nearest_and_farthest(random.normal(size=(9, 3)), np.eye(3), 2)
    path = tmp_path / "nearest.svg"
    plot_nearest_and_farthest(found, random.random((9, 4, 4)), path, row_names=["a", "b", "c"])
    assert path.stat().st_size > 1000
