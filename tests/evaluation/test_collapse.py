"""Neural collapse and separation: their definitions by loops, closed forms, invariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.evaluation.geometry import (
    neural_collapse,
    separation,
    silhouette,
    simplex_distance,
)
from tinyproto.prototypes.dpnp import simplex


@st.composite
def clusters(draw):
    """Features, labels of every class, and prototypes."""
    classes, width = draw(st.integers(2, 5)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = np.concatenate([np.arange(classes), random.integers(0, classes, draw(st.integers(0, 30)))])
    centres = random.normal(size=(classes, width))
    h = centres[y] + draw(st.sampled_from([0.1, 1.0])) * random.normal(size=(len(y), width))
    return h, y, random.normal(size=(classes, width))


def collapsed(classes, scale, seed):
    """A rotated simplex in a larger space, away from the origin; its features and prototypes."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.normal(size=(classes + 2, classes + 2)))[0][: classes - 1]
    corners = simplex(classes) @ rotation
    y = np.repeat(np.arange(classes), 4)
    return scale * corners[y] + random.normal(size=classes + 2), y, 7 * corners


def test_neural_collapse_does_not_depend_on_where_the_features_are():
    """Also if their mean is large beside their spread, as of ReLU features."""
    random = np.random.default_rng(0)
    y = np.arange(300) % 10
    means = random.normal(size=(10, 64))
    h = means[y] + 0.3 * random.normal(size=(300, 64))
    expected = neural_collapse(h, y, means)
    for shift in (1.0, 10.0, 100.0):
        found = neural_collapse(h + shift, y, means)
        for name in ("NC1 within / between", "NC2 lengths", "NC2 angles", "NC3 prototypes"):
            assert found[name] == pytest.approx(expected[name], rel=1e-6)


@given(st.integers(2, 8), st.floats(1e-3, 1e3), st.integers(0, 999))
def test_all_measures_are_0_where_a_network_has_collapsed(classes, scale, seed):
    h, y, w = collapsed(classes, scale, seed)
    # The decision of the prototypes is the nearest mean's where the bias takes the offset away.
    bias = -w @ (h.mean(axis=0))
    for name, value in neural_collapse(h, y, w, bias).items():
        assert value == pytest.approx(0, abs=1e-7), name
    assert simplex_distance(w) == pytest.approx(0, abs=1e-9)
    assert separation(h, y, classes)["silhouette"] == pytest.approx(1, abs=1e-3)


@given(clusters())
def test_the_definitions(problem):
    h, y, w = problem
    classes = len(w)
    means = np.array([h[y == c].mean(axis=0) for c in range(classes)])
    centred = means - means.mean(axis=0)
    found = neural_collapse(h, y, w)
    within = sum(np.outer(x - means[c], x - means[c]) for x, c in zip(h, y, strict=True)) / len(h)
    between = sum(np.outer(m, m) for m in centred) / classes
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-10, hermitian=True)) / classes
    assert found["NC1 within / between"] == pytest.approx(expected, rel=1e-6)
    lengths = [np.linalg.norm(m) for m in centred]
    assert found["NC2 lengths"] == pytest.approx(np.std(lengths) / np.mean(lengths), abs=1e-9)
    angles = [
        abs(centred[c] @ centred[k] / (lengths[c] * lengths[k]) + 1 / (classes - 1))
        for c in range(classes)
        for k in range(c)
    ]
    assert found["NC2 angles"] == pytest.approx(np.mean(angles), abs=1e-9)
    gap = w / np.sqrt((w**2).sum()) - centred / np.sqrt((centred**2).sum())
    assert found["NC3 prototypes"] == pytest.approx(np.sqrt((gap**2).sum()))
    differ = [
        int(np.argmax(w @ x)) != int(np.argmin([np.linalg.norm(x - m) for m in means])) for x in h
    ]
    assert found["NC4 decisions"] == pytest.approx(np.mean(differ))


@given(clusters())
def test_fisher_and_silhouette_by_loops(problem):
    h, y, w = problem
    classes = len(w)
    between = within = 0.0
    for c in range(classes):
        mean = h[y == c].mean(axis=0)
        between += (y == c).sum() * ((mean - h.mean(axis=0)) ** 2).sum()
        within += ((h[y == c] - mean) ** 2).sum()
    found = separation(h, y, classes)
    if within > 0:
        assert found["Fisher ratio"] == pytest.approx(between / within)
    else:
        assert found["Fisher ratio"] == np.inf
    values = []
    for i in range(len(h)):
        distance = np.linalg.norm(h - h[i], axis=1)
        own = np.flatnonzero((y == y[i]) & (np.arange(len(h)) != i))
        others = [distance[y == c].mean() for c in range(classes) if c != y[i]]
        a, b = distance[own].mean() if len(own) else 0.0, min(others)
        values.append((b - a) / max(a, b) if len(own) else 0.0)
    np.testing.assert_allclose(silhouette(h, y, classes), values, atol=1e-6)


def test_a_silhouette_over_several_parts():
    random = np.random.default_rng(0)
    y = np.arange(2100) % 3
    h = random.normal(size=(2100, 2)) + 3 * y[:, None]
    order = random.permutation(2100)
    np.testing.assert_allclose(silhouette(h, y, 3)[order], silhouette(h[order], y[order], 3))


@given(clusters(), st.floats(0.01, 100))
def test_no_measure_depends_on_the_scale(problem, scale):
    h, y, w = problem
    for measure in (lambda x: neural_collapse(x, y, w), lambda x: separation(x, y, len(w))):
        for name, value in measure(h).items():
            assert measure(scale * h)[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_orthogonal_prototypes_are_as_far_from_a_simplex_as_they_must_be(classes):
    """⟨I, S⟩ / (‖I‖ ‖S‖) = tr S / (√C ‖S‖), with S = (C I − 11ᵀ) / (C − 1): √((C − 1) / C)."""
    cosine = np.sqrt((classes - 1) / classes)
    assert simplex_distance(np.eye(classes)) == pytest.approx(np.sqrt(2 - 2 * cosine))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h, y, w: neural_collapse(h, y, w[:, :1]), "prototypes must be"),
        (lambda h, y, w: neural_collapse(h, 0 * y, w), "class 1 of 3 has no features"),
        (lambda h, y, w: neural_collapse(0 * h, y, w), "class mean 0 has length 0"),
        (lambda h, y, w: silhouette(h, 0 * y, 3), "class 1 of 3 has no features"),
        (lambda h, y, w: separation(h, y, 1), "classes must be 2 or more"),
        (lambda h, y, w: simplex_distance(0 * w), "prototype 0 has length 0"),
        (lambda h, y, w: neural_collapse(h * np.nan, y, w), "features"),
    ],
)
def test_what_is_refused(call, message):
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match=message):
        call(random.normal(size=(6, 2)), np.arange(6) % 3, random.normal(size=(3, 2)))
