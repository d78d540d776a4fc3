"""The certified radius of detection: against brute force, a general solver and attacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prototypes.detector_cases import detectors, make_detector
from tinyproto.attacks import attack_detector, evades
from tinyproto.attacks.region import norms
from tinyproto.prototypes import (
    EDWTA,
    IPWTA,
    Detector,
    PlusMinusEDWTA,
    certified_detection_radius,
    exact_radius,
)
from tinyproto.prototypes.detection.dual import AcceptedSet, l2_lower_bound, linf_lower_bound

BOX = {"lo": 0.0, "hi": 1.0}
SIDE = 201  # points of the grid


@pytest.fixture(scope="module")
def grid():
    axis = np.linspace(0, 1, SIDE)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def nearest_failure(detector, grid, x, label, norm):
    """The distance from x to the nearest point of the grid that evades; ∞ if none does."""
    failing = grid[evades(detector, grid, np.full(len(grid), label))]
    return norms(failing - x, norm).min() if len(failing) else np.inf


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("score", ["distance", "margin"])
@settings(max_examples=15)
@given(data=st.data())
def test_no_point_of_a_grid_inside_the_radius_is_wrong_and_accepted(grid, score, norm, data):
    detector, x, y = data.draw(detectors((score,), features=(2, 2)))
    x, y = x[:12], y[:12]
    radius = certified_detection_radius(detector, x, y, norm=norm, **BOX)
    for i in range(len(x)):
        assert radius[i] <= nearest_failure(detector, grid, x[i], y[i], norm) + 1e-9


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("score", ["distance", "margin"])
def test_the_radius_is_nearly_the_distance_to_the_nearest_failure(grid, score, norm):
    gaps, gains = [], []
    for seed in range(6):
        detector, x, y = make_detector(PlusMinusEDWTA, score, seed, features=2)
        radius = certified_detection_radius(detector, x[:10], y[:10], norm=norm, **BOX)
        without, _ = exact_radius(detector.network_, x[:10], y[:10], norm=norm, **BOX)
        assert (radius >= without - 1e-9).all()
        for i in range(10):
            found = nearest_failure(detector, grid, x[i], y[i], norm)
            gaps.append(0.0 if found == radius[i] else found - radius[i])
            gains.append(radius[i] > without[i] + 0.01)
    assert np.mean(np.array(gaps) <= 2 / SIDE) >= 0.9
    assert np.mean(gains) > 0.2


def test_wrong_inputs_have_a_radius_where_they_are_refused():
    seen = 0
    for seed in range(8):
        for score in ("distance", "margin"):
            detector, x, y = make_detector(EDWTA, score, seed, features=2)
            wrong = detector.network_.predict(x) != y
            accepted = detector.accepts(x)
            radius = certified_detection_radius(detector, x, y, **BOX)
            assert (radius[wrong & accepted] == 0).all()
            assert (radius[wrong & ~accepted] > 0).all()
            seen += int((wrong & ~accepted).sum())
    assert seen > 5


def accepted_set(seed, rows, features, box):
    """One with a point in its interior, in the units of `AcceptedSet`."""
    random = np.random.default_rng(seed)
    inside = random.uniform(-0.9, 0.9, size=features)
    G = random.normal(size=(rows, features))
    G /= np.linalg.norm(G, axis=1, keepdims=True)
    h = G @ inside - random.uniform(0.01, 0.3, size=rows)
    away = random.normal(size=features)
    R = random.uniform(0.3, 1.0)
    v = inside + 0.9 * R * away / np.linalg.norm(away)
    side = np.full(features, 1.0 if box else np.inf)
    return AcceptedSet(G, h, np.abs(h) + 1, v, R, -side, side)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@given(st.integers(0, 2**20), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_the_bound_of_a_convex_set_is_the_distance(norm, seed, rows, features, box):
    """By SciPy's general solver: a point of the set is never nearer than the bound, and the best
    one is at the bound."""
    optimize = pytest.importorskip("scipy.optimize")
    accepted = accepted_set(seed, rows, features, box)
    G, h, _, v, R, low, high = accepted
    constraints = [
        {"type": "ineq", "fun": lambda e: G @ e[:features] - h},
        {"type": "ineq", "fun": lambda e: R * R - ((e[:features] - v) ** 2).sum()},
    ]
    start = np.append(v, 2.0)
    bounds = [*zip(low, high, strict=True), (0, None)]
    if norm == "linf":
        constraints.append({"type": "ineq", "fun": lambda e: e[-1] - e[:-1]})
        constraints.append({"type": "ineq", "fun": lambda e: e[-1] + e[:-1]})
    result = optimize.minimize(
        (lambda e: 0.5 * e[:-1] @ e[:-1]) if norm == "l2" else (lambda e: e[-1]),
        start, bounds=bounds, constraints=constraints, method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    length = np.sqrt(2 * result.fun) if norm == "l2" else result.fun
    bound = l2_lower_bound(accepted) if norm == "l2" else linf_lower_bound(accepted, 0.0, np.inf)
    feasible = min(c["fun"](result.x).min() for c in constraints) > -1e-7
    assert feasible
    assert bound <= length + 1e-6
    assert bound >= length - (1e-4 if norm == "l2" else 2e-3) * (1 + length)


def test_an_empty_set_is_infinitely_far():
    """A half-space and a ball that do not meet, and a ball outside the box."""
    row, one = np.array([[1.0, 0.0]]), np.ones(2)
    apart = AcceptedSet(row, np.array([0.9]), one[:1], np.array([-0.5, 0.0]), 0.3, -one, one)
    outside = AcceptedSet(row, np.array([0.0]), one[:1], np.array([3.0, 0.0]), 0.5, -one, one)
    for accepted in (apart, outside):
        assert l2_lower_bound(accepted) == np.inf
        assert linf_lower_bound(accepted, 0.0, np.inf) == np.inf


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("score", ["distance", "margin"])
def test_no_attack_succeeds_inside_the_radius_of_digits_and_most_do_just_outside(
    digits, score, norm
):
    x, y, x_test, y_test = digits
    detector = Detector(PlusMinusEDWTA(3, epochs=8).fit(x, y), score).fit(x, y)
    images, labels = x_test[:100], y_test[:100]
    radius = certified_detection_radius(detector, images, labels, norm=norm, **BOX)
    assert np.isfinite(radius).all()
    failing = radius == 0
    inside = attack_detector(detector, images, labels, eps=0.999 * radius, norm=norm, steps=20)
    assert not evades(detector, inside, labels)[~failing].any()
    beyond = attack_detector(detector, images, labels, eps=1.1 * radius, norm=norm)
    assert evades(detector, beyond, labels)[~failing].mean() > 0.8


def test_what_is_asked_wrongly_gets_one_line():
    detector, x, y = make_detector(PlusMinusEDWTA, "profile", 0)
    with pytest.raises(ValueError, match="known for the scores margin and distance only, not for"):
        certified_detection_radius(detector, x, y)
    with pytest.raises(ValueError, match="not calibrated yet"):
        certified_detection_radius(Detector(detector.network, "margin"), x, y)
    detector, x, y = make_detector(IPWTA, "margin", 0)
    with pytest.raises(ValueError, match="the box needs both lo and hi"):
        certified_detection_radius(detector, x, y, lo=0.0)
    with pytest.raises(ValueError, match="is not one of the classes"):
        certified_detection_radius(detector, x, y + 1)
    assert certified_detection_radius(detector, x[:3], y[:3], norm="linf").shape == (3,)
