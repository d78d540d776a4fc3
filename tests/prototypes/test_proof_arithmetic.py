"""The arithmetic of the proofs: exact numbers, bounds minus rounding errors, refusals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.prototypes.exact_reference import exact_linear, fractions
from tinyproto.prototypes import IPWTA, exact_radius
from tinyproto.prototypes.certificate import exact_bound
from tinyproto.prototypes.certificate.dyadic import Dyadic, root_down, round_down
from tinyproto.prototypes.certificate.lower_bound import HalfSpace, halfspace_lower_bound
from tinyproto.prototypes.certificate.real_network import RealNetwork
from tinyproto.prototypes.certificate.rival_distance import Rows
from tinyproto.testing.prototypes import problems

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ARRAYS = st.lists(FLOATS, min_size=1, max_size=5)


def exactly(dyadic):
    return [dyadic[i].fraction() for i in range(len(dyadic.n))]


@settings(max_examples=200)
@given(ARRAYS, FLOATS, FLOATS)
def test_dyadic_numbers_are_exact(array, factor, shift):
    numbers, rational = Dyadic.of(array), fractions(array)
    assert exactly(numbers) == list(rational)
    changed = numbers * Dyadic.of(factor) - Dyadic.of(shift)
    assert exactly(changed) == list(rational * Fraction(factor) - Fraction(shift))
    assert (numbers @ numbers).fraction() == (rational * rational).sum()
    assert numbers.sum().fraction() == rational.sum()
    assert exactly(-numbers.times_power(-7)) == list(-rational / 128)


@settings(max_examples=300)
@given(
    st.integers(1, 2**200), st.integers(1, 2**200), st.integers(-1000, 1000), st.booleans()
)  # fmt: skip
def test_rounding_is_downwards_and_close(numerator, denominator, exponent, square):
    value = Fraction(numerator, denominator) * Fraction(2) ** exponent
    assume(Fraction(2) ** -900 < value < Fraction(2) ** 900)
    if square:
        assert Fraction(root_down(value * value)) < value
        assert root_down(value * value) >= float(value) * (1 - 2**-50)
        assert Fraction(root_down(value)) ** 2 < value
    else:
        assert Fraction(round_down(value)) < value
        assert round_down(value) >= float(value) * (1 - 2**-51)


def test_what_overflows_is_rounded_to_the_largest_float():
    assert round_down(Fraction(2) ** 2000) == np.finfo(np.float64).max


@settings(max_examples=300)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from(["l2", "linf"]), st.booleans(),
    st.sampled_from([0.0, 1e-14, 1e-6, 0.3]), st.integers(-3, 3),
)  # fmt: skip
def test_the_float_bound_is_below_the_exact_one_whatever_the_errors_are(
    seed, d, norm, has_box, error, magnitude
):
    random = np.random.default_rng(seed)
    a, c = random.normal(size=d), float(10.0**magnitude * random.random())
    a[random.random(d) < 0.2] *= 1e-7
    low, high = -random.integers(0, 9, d) / 8, random.integers(0, 9, d) / 8
    if not has_box:
        low, high = np.full(d, -np.inf), np.full(d, np.inf)
    errors = np.full(d, error)
    bound = halfspace_lower_bound(HalfSpace(a, errors, c), low, high, norm, has_box)
    box = (Dyadic.of(low), Dyadic.of(high)) if has_box else None
    farthest = np.linalg.norm(np.maximum(-low, high), ord=2 if norm == "l2" else np.inf)

    def exact(row):
        return exact_bound.halfspace_lower_bound(Dyadic.of(row), Dyadic.of(c), box, norm)

    for sign in (0.0, *random.choice([-0.999, 0.999], (8, d))):
        best = exact(a + sign * errors)
        assert bound <= np.nextafter(np.nextafter(best, np.inf), np.inf)
    if error <= 1e-14:  # and no worse than it has to be
        best = exact(a)
        if norm == "l2" and has_box:
            # D subtracts nearly equal numbers where most coordinates are on their bounds.
            # What is empty shows only once λ is large enough.
            assert np.isinf(best) or bound**2 >= best**2 - 1e-12 * c
        else:
            assert bound >= best * (1 - 1e-6) or bound > farthest


def test_what_is_not_a_number_proves_nothing():
    for a, c in ((np.nan, 1.0), (np.inf, 1.0), (1.0, np.nan), (1.0, np.inf), (1.0, -1.0)):
        for norm in ("l2", "linf"):
            for has_box in (False, True):
                row = HalfSpace(np.array([a, 1.0]), np.zeros(2), c)
                side = np.full(2, 1e3 if has_box else np.inf)
                assert halfspace_lower_bound(row, -side, side, norm, has_box) == 0


@settings(max_examples=100)
@given(problem=problems(samples=(1, 2)), power=st.integers(-300, 300), shift=st.floats(-1e6, 1e6))
def test_errors_of_the_scores_are_bounded(problem, power, shift):
    """Also where the terms of a score cancel. `polyhedron` gives the exact differences."""
    network = problem.network
    if isinstance(network, IPWTA):
        network.weights_ *= 2.0**power
        network.biases_ = network.weights_ @ np.full(network.n_features_in_, -shift)
    x = problem.x + shift
    real = RealNetwork(network)
    score, error = real.scores(x)
    A, b = exact_linear(network)
    unit = Fraction(2) ** real.exponent
    for i in range(len(x)):
        exact = A @ fractions(x[i]) + b
        for k in range(len(b)):
            assert abs(Fraction(score[i, k]) - exact[k] * unit) <= Fraction(error[i, k])
        own = np.arange(1, len(b))
        G, h = real.polyhedron(0, own, x[i], 0.25)
        assert exactly(h) == list(exact[1:] - exact[0] + Fraction(1, 4))
        assert exactly(G[0]) == list(A[0] - A[1])


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 5))
def test_null_vector_is_that_of_the_first_dependent_row(seed, rows, d):
    random = np.random.default_rng(seed)
    G = random.integers(-2, 3, size=(rows, d)).astype(object)
    null = exact_bound.null_vector(G)
    ranks = [np.linalg.matrix_rank(G[:k].astype(float)) for k in range(1, rows + 1)]
    dependent = [k for k, rank in enumerate(ranks) if rank < k + 1]
    if not dependent:
        assert null is None
        return
    assert null[dependent[0]] == 1
    assert not any(null[dependent[0] + 1 :])
    assert not any(np.array(null, dtype=object) @ G)


def test_a_polyhedron_is_empty_only_if_the_right_hand_sides_contradict():
    G = Dyadic.of([[1.0, 0.0], [0.1, 0.0], [-3.0, 0.0]])
    for right, empty in (([0.0, 0.5, -1.0], True), ([0.0, 0.0, -1.0], False), ([1.0, 0.1, 0.0], 1)):
        assert exact_bound.proves_empty(G, Dyadic.of(right), np.array([0, 1, 2])) == bool(empty)
    assert not exact_bound.proves_empty(G, Dyadic.of([1.0, 1.0, 1.0]), np.array([0, 1]))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"x": np.array([[0.0, NAN]])}, {}, "x must hold 2 finite features .* NaN or infinity"),
        ({"x": np.zeros((1, 3))}, {}, r"x must hold 2 finite features .* not shape \(1, 3\)"),
        ({"x": np.zeros((1, 2))}, {"lo": NAN, "hi": 1.0}, r"x must lie in \[nan, 1.0\]"),
        ({"x": np.zeros((1, 2))}, {"overshoot": NAN}, "overshoot must be a finite number, not nan"),
        ({"x": np.zeros((1, 2))}, {"y": [0, 1]}, "one label for each of the 1 samples"),
        ({"x": np.full((1, 2), 1e308), "weights_": 1e10}, {}, "the scores of x overflow float64"),
        ({"x": np.zeros((1, 2)), "weights_": INF}, {}, "an exact radius needs finite parameters"),
        ({"x": np.zeros((1, 2)), "biases_": NAN}, {}, "an exact radius needs finite parameters"),
    ],
)
def test_what_has_no_radius_is_refused_in_one_line(change, options, message):
    network = IPWTA(1, epochs=0, dtype="float64").fit(np.eye(2), [0, 1])
    x = change.pop("x")
    for name, value in change.items():
        getattr(network, name)[0] = value
    with pytest.raises(ValueError, match=message):
        exact_radius(network, x, **options)


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.sampled_from(["l2", "linf"]))
def test_norms_of_rows_are_rounded_upwards(seed, d, norm):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(4, d)) * 10.0 ** random.integers(-8, 9, (4, 1))
    weights[random.integers(0, 4)] = 0
    network = IPWTA(prototypes_per_class=2, epochs=0, dtype="float64")
    network.fit(random.random((4, d)), [0, 0, 1, 1])
    network.weights_[...] = weights
    own, rivals = np.array([0, 1]), np.array([2, 3])
    real = RealNetwork(network)
    norms = Rows(real, own, rivals, norm).norms
    for i, m in enumerate(rivals):
        for j, k in enumerate(own):
            row = fractions(weights[m]) - fractions(weights[k])
            exact = (row**2).sum() if norm == "l2" else abs(row).sum() ** 2
            assert Fraction(norms[i, j]) ** 2 >= exact * Fraction(4) ** real.exponent
