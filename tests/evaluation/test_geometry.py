"""Geometry of latent spaces: closed forms, and invariance to order, scale and dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.evaluation.geometry import (
    class_means,
    compactness,
    pairwise_angles,
    project_to_plane,
    simplex_angle,
)
from tinyproto.prototypes.dpnp import PrototypeHead, simplex, squared_distances

rng = np.random.default_rng(0)


def distances(points):
    return np.sqrt(squared_distances(points))


def smallest_distance(points):
    return distances(points)[np.triu_indices(len(points), 1)].min()


def embedded(points, width, seed=0):
    """Points after a random rotation and translation in a space of `width` dimensions."""
    drawn = np.random.default_rng(seed)
    basis = np.linalg.qr(drawn.normal(size=(width, points.shape[1])))[0]
    return points @ basis.T + drawn.normal(size=width)


def random_prototypes(classes, width, scale):
    """Prototypes with distinct principal axes, unlike those of a simplex."""
    return rng.normal(size=(classes, width)) * scale


@given(st.integers(3, 12), st.integers(2, 20), st.integers(0, 99))
def test_points_in_a_plane_keep_their_distances(classes, width, seed):
    drawn = np.random.default_rng(seed)
    flat = drawn.normal(size=(classes + 30, 2)) * (3, 1)
    space = embedded(flat, width, seed)
    features, prototypes, ratio = project_to_plane(space[classes:], space[:classes])
    np.testing.assert_allclose(
        distances(np.concatenate([prototypes, features])), distances(flat), atol=1e-9
    )
    assert ratio == pytest.approx(1)
    features, prototypes, ratio = project_to_plane(space)
    np.testing.assert_allclose(distances(features), distances(flat), atol=1e-9)
    assert prototypes.shape == (0, 2)
    assert ratio == pytest.approx(1)


@given(st.integers(1, 12), st.integers(2, 20), st.integers(0, 99))
def test_a_projection_increases_no_distance(classes, width, seed):
    drawn = np.random.default_rng(seed)
    features, prototypes = drawn.normal(size=(20, width)), drawn.normal(size=(classes, width))
    flat, stars, ratio = project_to_plane(features, prototypes)
    before = distances(np.concatenate([features, prototypes]))
    assert (distances(np.concatenate([flat, stars])) <= before + 1e-9).all()
    assert 0 <= ratio <= 1 + 1e-12
    variance = flat.var(axis=0).sum() / features.var(axis=0).sum()
    assert ratio == pytest.approx(variance)


def test_without_prototypes_the_axes_are_the_principal_axes():
    scale = np.array([1, 5, 1, 3, 0.5])
    features = rng.normal(size=(4000, 5)) * scale
    flat, _, ratio = project_to_plane(features)
    assert ratio == pytest.approx(34 / (scale**2).sum(), abs=0.02)
    variances = np.linalg.eigvalsh(np.cov(features.T))[::-1]
    np.testing.assert_allclose(flat.var(axis=0, ddof=1), variances[:2])
    np.testing.assert_allclose(abs(np.corrcoef(flat[:, 0], features[:, 1])[0, 1]), 1, atol=0.01)


@given(st.integers(3, 30), st.integers(0, 40))
def test_a_simplex_becomes_a_regular_polygon(classes, more):
    """Its span has no preferred plane; in this one, no two classes coincide."""
    head = PrototypeHead(classes - 1 + more, classes, radius=2.0)
    prototypes = head.params["prototypes"].astype(np.float64)
    if prototypes.shape[1] < 2:
        return
    _, stars, _ = project_to_plane(rng.normal(size=(9, prototypes.shape[1])), prototypes)
    radius = 2 * np.sqrt(2 / (classes - 1))  # two of M − 1 directions of equal variance
    turn = 2 * np.pi * np.arange(classes) / classes
    corners = radius * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    np.testing.assert_allclose(stars, corners, atol=1e-5)


def test_prototypes_are_at_least_as_separate_as_along_their_principal_axes():
    for classes, width in [(4, 3), (6, 5), (10, 64), (10, 4), (20, 64)]:
        for scale in (1, np.linspace(0.2, 3, width)):
            prototypes = random_prototypes(classes, width, scale)
            centred = prototypes - prototypes.mean(axis=0)
            principal = centred @ np.linalg.svd(centred)[2][:2].T
            assert smallest_distance(project_to_plane(prototypes, prototypes)[1]) >= (
                1 - 1e-6
            ) * smallest_distance(principal)


def test_compact_classes_are_separate_in_the_plane():
    """Principal axes of a slightly perturbed simplex, as after training, separate them less."""
    classes, wins = 10, 0
    for seed in range(5):
        drawn = np.random.default_rng(seed)
        prototypes = PrototypeHead(64, classes, seed=seed).params["prototypes"].astype(np.float64)
        prototypes += 0.03 * drawn.normal(size=prototypes.shape)
        labels = drawn.integers(0, classes, 400)
        features = prototypes[labels] + 0.2 * drawn.normal(size=(400, 64))

        def accuracy(flat, stars, labels=labels):
            return (((flat[:, None] - stars) ** 2).sum(axis=2).argmin(axis=1) == labels).mean()

        flat, stars, _ = project_to_plane(features, prototypes)
        axes = np.linalg.svd(prototypes - prototypes.mean(axis=0))[2][:2]
        assert accuracy(flat, stars) > 0.95
        wins += accuracy(flat, stars) > accuracy(features @ axes.T, prototypes @ axes.T)
    assert wins == 5


@pytest.mark.parametrize("classes", [0, 1, 2])
def test_fewer_than_three_prototypes_use_the_axes_of_the_features(classes):
    features, prototypes = rng.normal(size=(50, 6)), rng.normal(size=(classes, 6))
    if not classes:
        prototypes = None
    flat, stars, ratio = project_to_plane(features, prototypes)
    without, _, ratio_without = project_to_plane(features)
    np.testing.assert_array_equal(flat, without)
    assert ratio == ratio_without
    assert stars.shape == (classes, 2)


def test_prototypes_on_a_line_use_the_axes_of_the_features():
    features = rng.normal(size=(50, 6))
    line = np.arange(5)[:, None] * rng.normal(size=6)
    np.testing.assert_array_equal(
        project_to_plane(features, line)[0], project_to_plane(features)[0]
    )


def test_signs_do_not_depend_on_the_order_of_examples_or_the_dtype():
    features = (rng.normal(size=(60, 8)) * np.arange(1, 9)).astype(np.float32)
    order = rng.permutation(60)
    np.testing.assert_allclose(
        project_to_plane(features)[0][order], project_to_plane(features[order])[0], atol=1e-9
    )
    exact = features.astype(np.float64)
    np.testing.assert_array_equal(project_to_plane(features)[0], project_to_plane(exact)[0])
    axes = np.linalg.lstsq(exact - exact.mean(axis=0), project_to_plane(exact)[0], rcond=None)[0].T
    assert (axes[[0, 1], np.abs(axes).argmax(axis=1)] > 0).all()


def test_equal_features_have_an_explained_variance_of_1():
    flat, _, ratio = project_to_plane(np.ones((4, 3)))
    np.testing.assert_array_equal(flat, np.zeros((4, 2)))
    assert ratio == 1


@given(st.integers(2, 40))
def test_the_angles_of_a_simplex(classes):
    between = pairwise_angles(7 * simplex(classes))
    off = ~np.eye(classes, dtype=bool)
    np.testing.assert_allclose(between[off], simplex_angle(classes), atol=1e-9)
    np.testing.assert_array_equal(np.diag(between), 0)
    assert np.cos(np.radians(simplex_angle(classes))) == pytest.approx(-1 / (classes - 1))


@given(st.floats(1e-9, 180 - 1e-9), st.floats(1e-3, 1e3))
def test_angles_are_accurate_near_0_and_180_and_independent_of_length(degrees, length):
    turn = np.radians(degrees)
    vectors = np.array([[1, 0, 0], [length * np.cos(turn), length * np.sin(turn), 0]])
    between = pairwise_angles(vectors)
    assert between[0, 1] == pytest.approx(degrees, rel=1e-9)
    np.testing.assert_array_equal(between, between.T)


def test_known_angles():
    vectors = np.array([[2.0, 0], [0, 1], [-3, 0], [1, 1]])
    wanted = [[0, 90, 180, 45], [90, 0, 90, 45], [180, 90, 0, 135], [45, 45, 135, 0]]
    np.testing.assert_allclose(pairwise_angles(vectors), wanted, atol=1e-12)


def test_compactness_and_separation_of_known_points():
    centres = np.array([[0.0, 0], [3, 4], [0, 8]])  # 5, 8 and 5 apart
    features = np.array([[0.0, 1], [0, -3], [3, 4], [0, 8]])
    found = compactness(features, np.array([0, 0, 1, 2]), centres)
    assert found == {
        "compactness": 1.0,
        "mean_separation": pytest.approx(6.0),
        "least_separation": 5.0,
    }


@given(st.integers(2, 12), st.integers(0, 99))
def test_the_separation_of_a_simplex_is_its_edge(classes, seed):
    drawn = np.random.default_rng(seed)
    centres = 3 * simplex(classes)
    labels = drawn.integers(0, classes, 25)
    step = drawn.normal(size=(25, classes - 1))
    step *= 0.5 / np.linalg.norm(step, axis=1, keepdims=True)
    found = compactness(centres[labels] + step, labels, centres)
    edge = 3 * np.sqrt(2 * classes / (classes - 1))  # ‖c_j − c_k‖² = 2a²(1 − cos)
    assert found["compactness"] == pytest.approx(0.5)
    assert found["mean_separation"] == pytest.approx(edge)
    assert found["least_separation"] == pytest.approx(edge)


def test_class_means():
    features = np.array([[1, 2], [3, 4], [10, 0]], dtype=np.float32)
    means = class_means(features, np.array([1, 1, 0], dtype=np.uint8), 2)
    np.testing.assert_array_equal(means, [[10, 0], [2, 3]])
    assert means.dtype == np.float64


def test_the_mean_minimizes_the_squared_distances():
    features, labels = rng.normal(size=(40, 3)), np.arange(40) % 4
    means = class_means(features, labels, 4)
    best = ((features - means[labels]) ** 2).sum()
    for _ in range(10):
        moved = means + 0.1 * rng.normal(size=means.shape)
        assert ((features - moved[labels]) ** 2).sum() > best


H, Y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
NOT_FINITE = np.array([[1.0, 2, 3], [1, np.nan, 3]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: project_to_plane(np.zeros(3)),
            r"features must be \(rows ≥ 2, d\), not of shape \(3,\)",
        ),
        (lambda: project_to_plane(np.zeros((1, 3))), r"features must be \(rows ≥ 2, d\)"),
        (
            lambda: project_to_plane(np.zeros((5, 1))),
            r"two coordinates or more, not the shape \(5, 1\)",
        ),
        (
            lambda: project_to_plane(H, np.zeros((5, 2))),
            r"prototypes must be \(M, 3\) as the features",
        ),
        (lambda: project_to_plane(H, np.zeros((0, 3))), r"prototypes must be \(rows ≥ 1, d\)"),
        (lambda: project_to_plane(NOT_FINITE), "features must be finite; row 1 is not"),
        (lambda: pairwise_angles(np.zeros(3)), r"vectors must be \(rows ≥ 1, d\)"),
        (lambda: pairwise_angles([[1, 2], [0, 0]]), "vector 1 has length 0"),
        (lambda: simplex_angle(1), "vertices must be 2 or more, not 1"),
        (lambda: compactness(H, Y, H[:1]), r"centres must be \(rows ≥ 2, d\)"),
        (lambda: compactness(H, Y, np.zeros((2, 2))), r"centres must be \(M, 3\)"),
        (lambda: compactness(H[:0], Y[:0], H), r"features must be \(rows ≥ 1, d\)"),
        (lambda: compactness(H, Y + 1, H[:2]), "labels must hold classes, 0 … 1, not 2"),
        (lambda: compactness(H, Y[:3], H), r"shape \(4,\), not \(3,\)"),
        (lambda: compactness(H, Y * 1.0, H), "labels must hold integers, .* not float64"),
        (lambda: class_means(H, Y, 3), "class 2 of 3 has no features"),
        (lambda: class_means(H, Y - 1, 2), "labels must hold classes, 0 … 1, not -1"),
    ],
)
def test_invalid_input_gives_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
