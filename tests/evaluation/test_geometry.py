"""Geometry of latent spaces: closed forms, and invariance to order, scale and dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.evaluation.geometry import (
    class_means,
    compactness,
    discriminant_plane,
    pairwise_angles,
    prototype_angles,
    prototype_distances,
    prototype_plane,
    simplex_angle,
)
from tinyproto.prototypes.dpnp import simplex

rng = np.random.default_rng(0)


@given(st.integers(2, 3), st.integers(2, 20), st.integers(0, 999), st.floats(1e-3, 1e3))
def test_in_the_plane_the_classes_are_decided_as_in_the_space(classes, width, seed, scale):
    """Score differences are those of the projected features, prototypes and origin."""
    drawn = np.random.default_rng(seed)
    h, c = drawn.normal(size=(30, width)), scale * drawn.normal(size=(classes, width))
    b = drawn.normal(size=classes)
    origin, axes = prototype_plane(h, c)
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
    flat = (h - origin) @ axes.T
    in_space = h @ c.T + b
    in_plane = (flat @ axes + origin) @ c.T + b
    tolerance = 1e-9 * np.abs(in_space).max()
    np.testing.assert_allclose(
        in_plane - in_plane[:, :1], in_space - in_space[:, :1], atol=tolerance
    )


@given(st.integers(2, 20), st.integers(0, 999))
def test_the_plane_keeps_the_distances_of_the_prototypes(width, seed):
    drawn = np.random.default_rng(seed)
    c = drawn.normal(size=(3, width))
    origin, axes = prototype_plane(drawn.normal(size=(9, width)), c)
    flat = (c - origin) @ axes.T
    for one, other in ((0, 1), (0, 2), (1, 2)):
        expected = np.linalg.norm(c[one] - c[other])
        assert np.linalg.norm(flat[one] - flat[other]) == pytest.approx(expected)
    assert flat[0] == pytest.approx([0, np.linalg.norm(c[0] - origin)], abs=1e-9)
    assert flat[1, 0] >= 0


@pytest.mark.parametrize("prototypes", [[[0, 1, 0], [0, -1, 0]], [[0, 1, 0], [0, 3, 0], [0, 5, 0]]])
def test_an_open_axis_is_the_one_in_which_the_features_vary_most(prototypes):
    features = rng.normal(size=(200, 3)) * (1, 9, 3)
    _, axes = prototype_plane(features, np.array(prototypes))
    assert abs(axes[1, 1]) == pytest.approx(1)
    assert abs(axes[0, 2]) > 0.99


@pytest.mark.parametrize("count", [2, 3])
def test_equal_prototypes_and_equal_features_still_give_a_plane(count):
    for features in (np.ones((4, 3)), np.zeros((1, 2)), rng.normal(size=(3, 2))):
        prototypes = np.ones((count, features.shape[1]))
        origin, axes = prototype_plane(features, prototypes)
        assert np.isfinite(origin).all()
        np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-9)


@given(st.integers(2, 9), st.integers(2, 12), st.integers(0, 999))
def test_angles_to_the_own_and_to_the_nearest_other_prototype(classes, width, seed):
    drawn = np.random.default_rng(seed)
    h, c = drawn.normal(size=(20, width)), drawn.normal(size=(classes, width))
    y = drawn.integers(0, classes, 20)
    own, rival = prototype_angles(h, y, c)
    for k in range(20):
        between = pairwise_angles(np.concatenate([h[k : k + 1], c]))[0, 1:]
        assert own[k] == pytest.approx(between[y[k]], abs=1e-5)
        assert rival[k] == pytest.approx(np.delete(between, y[k]).min(), abs=1e-5)
    unit = c / np.linalg.norm(c, axis=1, keepdims=True)
    np.testing.assert_array_equal(own < rival, (h @ unit.T).argmax(axis=1) == y)


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


@given(st.integers(2, 9), st.integers(1, 12), st.integers(0, 999))
def test_distances_to_the_own_and_to_the_nearest_other_prototype(classes, width, seed):
    drawn = np.random.default_rng(seed)
    h, c = drawn.normal(size=(20, width)), drawn.normal(size=(classes, width))
    y = drawn.integers(0, classes, 20)
    own, rival = prototype_distances(h, y, c)
    for n in range(20):
        between = [np.sqrt(((h[n] - prototype) ** 2).sum()) for prototype in c]
        assert own[n] == pytest.approx(between.pop(y[n]))
        assert rival[n] == pytest.approx(min(between))
    c /= np.linalg.norm(c, axis=1, keepdims=True)
    own, rival = prototype_distances(h, y, c)
    apart = abs(own - rival) > 1e-9
    np.testing.assert_array_equal((own < rival)[apart], ((h @ c.T).argmax(axis=1) == y)[apart])


def classed(classes, width, count, seed):
    """Features of every class, around random means with a common random covariance."""
    drawn = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), drawn.integers(0, classes, count)])
    noise = drawn.normal(size=(len(y), width)) @ drawn.normal(size=(width, width))
    return 3 * drawn.normal(size=(classes, width))[y] + noise, y


@given(st.integers(3, 6), st.integers(2, 8), st.integers(0, 999))
def test_the_discriminant_plane_is_that_of_scikit_learn(classes, width, seed):
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    h, y = classed(classes, width, 100, seed)
    origin, axes = discriminant_plane(h, y, classes)
    ours = (h - origin) @ axes.T
    fitted = discriminant.LinearDiscriminantAnalysis(solver="eigen").fit(h, y)
    theirs = fitted.transform(h)[:, :2]
    theirs -= theirs.mean(axis=0)
    theirs *= np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@given(st.integers(2, 6), st.integers(2, 8), st.integers(0, 999))
def test_no_other_direction_discriminates_better(classes, width, seed):
    """The quotient of variances at the first axis, against random and nearby directions; the second
    is the best of those that are not correlated with the first."""
    h, y = classed(classes, width, 60, seed)
    origin, axes = discriminant_plane(h, y, classes)
    means = np.stack([h[y == c].mean(axis=0) for c in range(classes)])

    def quotient(v):
        within = ((h - means[y]) @ v) ** 2
        return (((means[y] - h.mean(axis=0)) @ v) ** 2).sum() / within.sum()

    drawn = np.random.default_rng(seed)
    for k, axis in enumerate(axes):
        for scale in (1e-2, 1.0, 100.0):
            v = axis / np.linalg.norm(axis) + scale * drawn.normal(size=width)
            if k == 1:  # out of what correlates with the first axis
                within = (h - means[y]).T @ (h - means[y]) / len(h)
                v -= axes[0] * (axes[0] @ within @ v) / (axes[0] @ within @ axes[0])
            assert quotient(v) <= quotient(axis) * (1 + 1e-6) + 1e-6
    assert ((means[0] - origin) @ axes.T >= -1e-9).all()


def test_the_discriminant_plane_of_classes_that_are_points_and_of_few_features():
    y = np.arange(9) % 3
    origin, axes = discriminant_plane(5 * np.eye(4)[y], y, 3)
    assert np.isfinite(axes).all()
    h = rng.normal(size=(4, 20))  # Σ_W is singular
    origin, axes = discriminant_plane(h, np.array([0, 1, 2, 0]), 3)
    assert np.isfinite((h - origin) @ axes.T).all()


H, Y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
NOT_FINITE = np.array([[1.0, 2, 3], [1, np.nan, 3]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prototype_plane(H, H[:1]), r"prototypes must be \(rows ≥ 2, d\)"),
        (lambda: prototype_plane(H, H), r"\(2 or 3, d\) must have one d of 2 or more, not"),
        (lambda: prototype_plane(H, np.zeros((3, 2))), r"not \(4, 3\) and \(3, 2\)"),
        (lambda: prototype_plane(H[:, :1], H[:3, :1]), r"not \(4, 1\) and \(3, 1\)"),
        (lambda: prototype_plane(NOT_FINITE, H[:3]), "features must be finite; row 1 is not"),
        (lambda: prototype_angles(H + 1, Y, H[:2]), "prototype 0 has length 0"),
        (lambda: prototype_angles(H, Y, H[:2] + 1), "feature 0 has length 0"),
        (lambda: prototype_angles(H + 1, Y, H[:1] + 1), r"prototypes must be \(rows ≥ 2, d\)"),
        (lambda: prototype_angles(H, Y, np.ones((2, 2))), r"prototypes must be \(M, 3\)"),
        (lambda: prototype_angles(H + 1, Y + 1, H[:2] + 1), "labels must "),
        (lambda: prototype_distances(H, Y, np.zeros((2, 2))), r"prototypes must be \(M, 3\)"),
        (lambda: prototype_distances(H, Y + 1, H[:2]), "labels must hold classes"),
        (lambda: discriminant_plane(H, Y, 2), "the features are all equal"),
        (lambda: discriminant_plane(H[:, :1], Y, 2), "2 or more dimensions, not 1"),
        (lambda: discriminant_plane(H, Y, 3), "class 2 of 3 has no features"),
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
