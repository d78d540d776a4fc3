"""The geometry of latent spaces against closed forms, and against what must not change it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.evaluation.geometry import (
    angles,
    class_means,
    compactness,
    plane,
    simplex_angle,
)
from tinyproto.prototypes.dpnp import PrototypeHead, simplex, squared_distances

rng = np.random.default_rng(0)


def distances(points):
    return np.sqrt(squared_distances(points))


def least(points):
    return distances(points)[np.triu_indices(len(points), 1)].min()


def embedded(points, width, seed=0):
    """Points, moved and turned at random into a space of so many coordinates."""
    drawn = np.random.default_rng(seed)
    basis = np.linalg.qr(drawn.normal(size=(width, points.shape[1])))[0]
    return points @ basis.T + drawn.normal(size=width)


def spread(classes, width, scale):
    """Prototypes whose principal axes are plain to see: no simplex."""
    return rng.normal(size=(classes, width)) * scale


@given(st.integers(3, 12), st.integers(2, 20), st.integers(0, 99))
def test_points_of_a_plane_keep_their_distances(classes, width, seed):
    drawn = np.random.default_rng(seed)
    flat = drawn.normal(size=(classes + 30, 2)) * (3, 1)
    space = embedded(flat, width, seed)
    features, prototypes, share = plane(space[classes:], space[:classes])
    np.testing.assert_allclose(
        distances(np.concatenate([prototypes, features])), distances(flat), atol=1e-9
    )
    assert share == pytest.approx(1)
    features, prototypes, share = plane(space)
    np.testing.assert_allclose(distances(features), distances(flat), atol=1e-9)
    assert prototypes.shape == (0, 2)
    assert share == pytest.approx(1)


@given(st.integers(1, 12), st.integers(2, 20), st.integers(0, 99))
def test_a_projection_lets_no_distance_grow(classes, width, seed):
    drawn = np.random.default_rng(seed)
    features, prototypes = drawn.normal(size=(20, width)), drawn.normal(size=(classes, width))
    flat, stars, share = plane(features, prototypes)
    before = distances(np.concatenate([features, prototypes]))
    assert (distances(np.concatenate([flat, stars])) <= before + 1e-9).all()
    assert 0 <= share <= 1 + 1e-12
    variance = flat.var(axis=0).sum() / features.var(axis=0).sum()
    assert share == pytest.approx(variance)


def test_without_prototypes_the_axes_are_those_of_most_variance():
    scale = np.array([1, 5, 1, 3, 0.5])
    features = rng.normal(size=(4000, 5)) * scale
    flat, _, share = plane(features)
    assert share == pytest.approx(34 / (scale**2).sum(), abs=0.02)
    spread = np.linalg.eigvalsh(np.cov(features.T))[::-1]
    np.testing.assert_allclose(flat.var(axis=0, ddof=1), spread[:2])
    np.testing.assert_allclose(abs(np.corrcoef(flat[:, 0], features[:, 1])[0, 1]), 1, atol=0.01)


@given(st.integers(3, 30), st.integers(0, 40))
def test_a_simplex_becomes_a_regular_polygon(classes, more):
    """Nothing singles out a plane of its span; this one keeps every two classes apart."""
    head = PrototypeHead(classes - 1 + more, classes, radius=2.0)
    prototypes = head.params["prototypes"].astype(np.float64)
    if prototypes.shape[1] < 2:
        return
    _, stars, _ = plane(rng.normal(size=(9, prototypes.shape[1])), prototypes)
    radius = 2 * np.sqrt(2 / (classes - 1))  # two of M − 1 directions, of equal share
    turn = 2 * np.pi * np.arange(classes) / classes
    corners = radius * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    np.testing.assert_allclose(stars, corners, atol=1e-5)


def test_the_plane_takes_prototypes_apart_as_well_as_their_principal_axes_do():
    for classes, width in [(4, 3), (6, 5), (10, 64), (10, 4), (20, 64)]:
        for scale in (1, np.linspace(0.2, 3, width)):
            prototypes = spread(classes, width, scale)
            centred = prototypes - prototypes.mean(axis=0)
            principal = centred @ np.linalg.svd(centred)[2][:2].T
            assert least(plane(prototypes, prototypes)[1]) >= (1 - 1e-6) * least(principal)


def test_where_classes_are_compact_the_plane_shows_them_apart():
    """What it is for. Principal axes of a simplex that training has bent a little do worse."""
    classes, wins = 10, 0
    for seed in range(5):
        drawn = np.random.default_rng(seed)
        prototypes = PrototypeHead(64, classes, seed=seed).params["prototypes"].astype(np.float64)
        prototypes += 0.03 * drawn.normal(size=prototypes.shape)
        labels = drawn.integers(0, classes, 400)
        features = prototypes[labels] + 0.2 * drawn.normal(size=(400, 64))

        def found(flat, stars, labels=labels):
            return (((flat[:, None] - stars) ** 2).sum(axis=2).argmin(axis=1) == labels).mean()

        flat, stars, _ = plane(features, prototypes)
        axes = np.linalg.svd(prototypes - prototypes.mean(axis=0))[2][:2]
        assert found(flat, stars) > 0.95
        wins += found(flat, stars) > found(features @ axes.T, prototypes @ axes.T)
    assert wins == 5


@pytest.mark.parametrize("classes", [0, 1, 2])
def test_few_prototypes_are_drawn_on_the_features_axes(classes):
    features, prototypes = rng.normal(size=(50, 6)), rng.normal(size=(classes, 6))
    if not classes:
        prototypes = None
    flat, stars, share = plane(features, prototypes)
    alone, _, alone_share = plane(features)
    np.testing.assert_array_equal(flat, alone)
    assert share == alone_share
    assert stars.shape == (classes, 2)


def test_prototypes_on_a_line_span_no_plane():
    features = rng.normal(size=(50, 6))
    line = np.arange(5)[:, None] * rng.normal(size=6)
    np.testing.assert_array_equal(plane(features, line)[0], plane(features)[0])


def test_signs_do_not_depend_on_the_order_of_examples_or_the_dtype():
    features = (rng.normal(size=(60, 8)) * np.arange(1, 9)).astype(np.float32)
    order = rng.permutation(60)
    np.testing.assert_allclose(plane(features)[0][order], plane(features[order])[0], atol=1e-9)
    exact = features.astype(np.float64)
    np.testing.assert_array_equal(plane(features)[0], plane(exact)[0])
    axes = np.linalg.lstsq(exact - exact.mean(axis=0), plane(exact)[0], rcond=None)[0].T
    assert (axes[[0, 1], np.abs(axes).argmax(axis=1)] > 0).all()


def test_features_that_are_all_the_same_lose_nothing():
    flat, _, share = plane(np.ones((4, 3)))
    np.testing.assert_array_equal(flat, np.zeros((4, 2)))
    assert share == 1


@given(st.integers(2, 40))
def test_the_angles_of_a_simplex(classes):
    between = angles(7 * simplex(classes))
    off = ~np.eye(classes, dtype=bool)
    np.testing.assert_allclose(between[off], simplex_angle(classes), atol=1e-9)
    np.testing.assert_array_equal(np.diag(between), 0)
    assert np.cos(np.radians(simplex_angle(classes))) == pytest.approx(-1 / (classes - 1))


@given(st.floats(1e-9, 180 - 1e-9), st.floats(1e-3, 1e3))
def test_angles_are_exact_near_their_ends_and_know_no_length(degrees, length):
    turn = np.radians(degrees)
    vectors = np.array([[1, 0, 0], [length * np.cos(turn), length * np.sin(turn), 0]])
    between = angles(vectors)
    assert between[0, 1] == pytest.approx(degrees, rel=1e-9)
    np.testing.assert_array_equal(between, between.T)


def test_the_known_angles():
    vectors = np.array([[2.0, 0], [0, 1], [-3, 0], [1, 1]])
    wanted = [[0, 90, 180, 45], [90, 0, 90, 45], [180, 90, 0, 135], [45, 45, 135, 0]]
    np.testing.assert_allclose(angles(vectors), wanted, atol=1e-12)


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
def test_a_simplex_is_as_separate_as_its_edge(classes, seed):
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


def test_no_other_centre_is_nearer_in_squares_than_the_mean():
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
        (lambda: plane(np.zeros(3)), r"features must be \(rows ≥ 2, d\), not of shape \(3,\)"),
        (lambda: plane(np.zeros((1, 3))), r"features must be \(rows ≥ 2, d\)"),
        (lambda: plane(np.zeros((5, 1))), r"two coordinates or more, not the shape \(5, 1\)"),
        (lambda: plane(H, np.zeros((5, 2))), r"prototypes must be \(M, 3\) as the features"),
        (lambda: plane(H, np.zeros((0, 3))), r"prototypes must be \(rows ≥ 1, d\)"),
        (lambda: plane(NOT_FINITE), "features must be finite; row 1 is not"),
        (lambda: angles(np.zeros(3)), r"vectors must be \(rows ≥ 1, d\)"),
        (lambda: angles([[1, 2], [0, 0]]), "vector 1 has length 0"),
        (lambda: simplex_angle(1), "two vertices or more, not 1"),
        (lambda: compactness(H, Y, H[:1]), r"centres must be \(rows ≥ 2, d\)"),
        (lambda: compactness(H, Y, np.zeros((2, 2))), r"centres must be \(M, 3\)"),
        (lambda: compactness(H[:0], Y[:0], H), r"features must be \(rows ≥ 1, d\)"),
        (lambda: compactness(H, Y + 1, H[:2]), r"labels must be in 0\.\.1, not 1\.\.2"),
        (lambda: compactness(H, Y[:3], H), r"labels must be integers \(4,\), not int64 \(3,\)"),
        (lambda: compactness(H, Y * 1.0, H), r"labels must be integers \(4,\), not float64"),
        (lambda: class_means(H, Y, 3), "class 2 of 3 has no features"),
        (lambda: class_means(H, Y - 1, 2), r"labels must be in 0\.\.1, not -1\.\.0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
