"""What makes the exact radius fast changes no radius: each shortcut against what it replaces."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prototypes.exact_reference import fractions
from tinyproto.prototypes import EDWTA, PlusMinusEDWTA, exact_radius
from tinyproto.prototypes.certificate import exact_bound, projection
from tinyproto.prototypes.certificate import search as search_module
from tinyproto.prototypes.certificate.dyadic import Dyadic
from tinyproto.prototypes.certificate.lower_bound import HalfSpace
from tinyproto.prototypes.certificate.minimax import first_basis, least_violation
from tinyproto.prototypes.certificate.projection import Problem, solve_linf
from tinyproto.prototypes.certificate.radius import prepare
from tinyproto.prototypes.certificate.rival_distance import Neighbourhood
from tinyproto.prototypes.certificate.rows import is_farther


def clusters(kind, per_class, d, seed, samples=8):
    """A network of prototypes drawn around four centres, and inputs in [0, 1]."""
    random = np.random.default_rng(seed)
    x = np.clip(random.normal(0.5, 0.3, (4 * per_class, d)), 0, 1)
    network = kind(per_class, epochs=0, init="kmeans", dtype="float64", random_state=seed)
    network.fit(x, np.arange(len(x)) % 4)
    return network, random.random((samples, d))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=12)
@given(
    st.sampled_from([EDWTA, PlusMinusEDWTA]), st.integers(0, 10_000), st.booleans(),
    st.sampled_from([(2, 3), (20, 6), (20, 40)]), st.sampled_from([(1, 1), (3, 1), (32, 8)]),
)  # fmt: skip
def test_no_nearer_rival_is_skipped(norm, kind, seed, boxed, size, few):
    """Against the distances to all rivals, each computed without a limit. With small blocks, and
    a first bound of one row, rivals in later blocks are the nearest."""
    network, x = clusters(kind, *size, seed)
    bounds = {"lo": 0.0, "hi": 1.0} if boxed else {"lo": None, "hi": None}
    search, x, _ = prepare(network, x, None, norm=norm, overshoot=0.0, **bounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "BLOCK", few[0])
        patch.setattr(search_module, "HIGHEST", few[1])
        radius, delta = search.radii(x)
    for i in range(len(x)):
        score, error = (part[0] for part in search.real.scores(x[i : i + 1]))
        rows = search.rows(int(search.owner[score.argmax()]))
        around = Neighbourhood(search.task, rows, x[i], score, error)
        found = [around.distance(m) for m in range(len(rows.rivals))]
        np.testing.assert_allclose(radius[i], min(f.lower for f in found), rtol=1e-9)
        length = np.linalg.norm(delta[i], ord=2 if norm == "l2" else np.inf)
        if np.isfinite(radius[i]):
            np.testing.assert_allclose(length, min(f.length for f in found), rtol=1e-6)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_nearest_rival_of_a_later_block_is_found(norm, monkeypatch):
    """In blocks of one rival, about one input of 20 has such a one."""
    for seed in range(8):
        network, x = clusters(EDWTA, 20, 6, seed, samples=12)
        expected, _ = exact_radius(network, x, norm=norm)
        with monkeypatch.context() as patch:
            patch.setattr(search_module, "BLOCK", 1)
            patch.setattr(search_module, "HIGHEST", 1)
            radius, _ = exact_radius(network, x, norm=norm)
        np.testing.assert_allclose(radius, expected, rtol=1e-9)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=200)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 8), st.sampled_from([0.0, 1e-14, 1e-3]),
    st.floats(0.01, 2.0),
)  # fmt: skip
def test_a_row_proves_only_what_is_farther_and_most_of_it(norm, seed, d, error, size):
    random = np.random.default_rng(seed)
    a, c = random.normal(size=(3, d)), size * random.random(3)
    low, high = -random.integers(0, 9, d) / 8, random.integers(0, 9, d) / 8
    box = Dyadic.of(low), Dyadic.of(high)
    rows = HalfSpace(a, np.full((3, d), error), c)
    for k in range(3):
        distance = min(
            exact_bound_at_best(a[k] + sign * error, c[k], box, norm, low, high)
            for sign in (0.0, *random.choice([-0.999, 0.999], (4, d)))
        )
        for factor in (0.5, 1 - 1e-6, 1.0, 1 + 1e-9, 1.5):
            if np.isfinite(distance) and distance > 0:
                limit = distance * factor
                farther = is_farther(rows, low, high, limit, norm)[k]
                assert not (farther and factor >= 1)
                assert farther or factor > 0.5 or error > 1e-14


def exact_bound_at_best(a, c, box, norm, low, high):
    """The distance to a·δ ≥ c in the box: in L2 the bound of the best multiple of the row."""
    if norm == "linf":
        return exact_bound.halfspace_lower_bound(Dyadic.of(a), Dyadic.of(c), box, norm)
    if Fraction(c) > (fractions(np.abs(a)) * fractions(np.where(a > 0, high, -low))).sum():
        return np.inf
    tau, upper = 0.0, 1.0
    while a @ np.clip(upper * a, low, high) < c and upper < 1e12:
        upper *= 2
    for _ in range(200):
        middle = (tau + upper) / 2
        tau, upper = (middle, upper) if a @ np.clip(middle * a, low, high) < c else (tau, middle)
    return float(np.linalg.norm(np.clip(upper * a, low, high)))


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 12))
def test_least_violation_is_that_of_a_linear_program_in_one_box_after_another(seed, rows, d):
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(seed)
    G, h = random.normal(size=(rows, d)), random.normal(size=rows)
    G[random.random((rows, d)) < 0.2] = 0
    basis = first_basis(G, int(random.integers(rows)))
    for size in (1.0, 0.3, 2.0, 0.0):
        low, high = -size * random.random(d), size * random.random(d)
        high[random.random(d) < 0.2] = 0
        found = least_violation(G, h, low, high, basis)
        expected = optimize.linprog(
            np.append(np.zeros(d), 1.0), np.hstack([-G, -np.ones((rows, 1))]), -h,
            bounds=[*zip(low, high, strict=True), (None, None)],
        )  # fmt: skip
        assert found is not None
        np.testing.assert_allclose(found.violation, expected.fun, atol=1e-9)
        assert ((found.delta >= low) & (found.delta <= high)).all()
        assert (G @ found.delta + found.violation >= h - 1e-9).all()
        assert (found.multipliers >= -1e-9).all()
        np.testing.assert_allclose(found.multipliers.sum(), 1.0)
        basis = found.basis


@settings(max_examples=100)
@given(
    st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 12), st.booleans(),
    st.sampled_from([np.inf, 0.5, 2.0]),
)  # fmt: skip
def test_newtons_steps_reach_the_linear_program(seed, rows, d, boxed, limit):
    pytest.importorskip("scipy")
    random = np.random.default_rng(seed)
    G, h = random.normal(size=(rows, d)), random.normal(size=rows)
    h[0] = 1.0
    low, high = (-random.random(d), random.random(d)) if boxed else (np.full(d, -np.inf),) * 2
    problem = Problem(G, h, low, np.abs(high))
    found = solve_linf(problem, limit)
    solution = projection.linear_program(*problem)
    expected = np.inf if solution is None else np.abs(solution[1]).max()
    if expected > limit:
        assert limit < found.distance <= expected * (1 + 1e-9)
        return
    np.testing.assert_allclose(found.distance, expected, rtol=1e-8)
    assert np.isinf(expected) or (G @ found.delta >= h - 1e-8).all()


def test_linf_radii_of_random_networks_need_no_large_linear_program(monkeypatch):
    def refused(*problem):
        raise AssertionError("the large linear program was solved")

    monkeypatch.setattr(projection, "linear_program", refused)
    for seed in range(3):
        network, x = clusters(EDWTA, 12, 30, seed)
        radius, _ = exact_radius(network, x, norm="linf", lo=0.0, hi=1.0)
        assert (radius > 0).all()
