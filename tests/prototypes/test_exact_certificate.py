"""The proof behind the exact radius: against rational arithmetic, for neurons that nearly coincide
and for weights and inputs of any scale."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.prototypes.exact_reference import exact_linear, fractions, reference_radius
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA, exact_radius
from tinyproto.testing.prototypes import KINDS

KNOWN = {"l2": 2, "linf": np.inf}


def network_of(kind, classes, per_class, d):
    """An unfitted network with room for its parameters."""
    x = np.arange(2.0 * classes * per_class * d).reshape(-1, d)
    y = np.arange(len(x)) % classes
    return kind(per_class, epochs=0, dtype="float64").fit(x, y)


def nearly_equal(random, rows, epsilon):
    """The rows, after one or two have been replaced by another one plus a difference of epsilon."""
    for _ in range(random.integers(1, 3)):
        i, j = random.integers(0, len(rows), 2)
        rows[i] = rows[j] + epsilon * random.normal(size=rows.shape[1])
    return rows


@st.composite
def near_duplicates(draw, norm, boxed):
    """A network with neurons that are equal up to 1e-3 … 1e-16, or exactly; weights and inputs each
    times a factor between 1e-9 and 1e9; and one input in the box (or None)."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes, per_class = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    d = draw(st.integers(1, 2 if norm == "linf" else 3))
    epsilon = draw(st.sampled_from([0.0, *(10.0**-n for n in range(3, 17))]))
    weight, size = (10.0 ** draw(st.integers(-9, 9)) for _ in range(2))
    network = network_of(draw(st.sampled_from(KINDS)), classes, per_class, d)
    shape = (classes * per_class, d)
    if isinstance(network, IPWTA):
        network.weights_ = weight * nearly_equal(random, random.normal(size=shape), epsilon)
        biases = nearly_equal(random, 0.3 * random.normal(size=(shape[0], 1)), epsilon)
        network.biases_ = weight * size * biases[:, 0]
    else:
        network._beta[0] = weight
        network.positive_prototypes_ = size * nearly_equal(
            random, random.normal(size=shape), epsilon
        )
    if isinstance(network, PlusMinusEDWTA):
        network.negative_prototypes_ = size * nearly_equal(
            random, random.normal(size=shape), epsilon
        )
    x = random.uniform(-1, 1, d)
    if draw(st.booleans()):  # some coordinates on the bounds
        x = np.where(random.random(d) < 0.5, np.sign(x), x)
    return network, size * x, ((-size, size) if boxed else None), size


def predicted_class(network, x):
    A, b = network.linear()
    return int((A @ x + b).argmax()) // network.prototypes_per_class


def other_wins(network, point, predicted, ties=True):
    """Whether another class has a score that is larger, or as large, in rational arithmetic."""
    A, b = exact_linear(network)
    score = A @ fractions(point) + b
    own = np.arange(len(b)) // network.prototypes_per_class == predicted
    best, rival = score[own].max(), score[~own].max()
    return rival >= best if ties else rival > best


def at_most(radius, reference, norm):
    """radius < reference, exactly; both may be 0."""
    value = Fraction(radius) ** 2 if norm == "l2" else Fraction(radius)
    return value < reference or value == reference == 0


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=60)
@given(data=st.data())
def test_radius_is_below_the_rational_one_and_close_to_it(norm, boxed, data):
    """Close: at least the radius of the problem in which every plane is moved by 1e-10 of the size
    of the inputs; equal to 1e-9 unless that changes the radius by more."""
    network, x, box, size = data.draw(near_duplicates(norm, boxed))
    predicted = predicted_class(network, x)
    options = {} if box is None else {"lo": box[0], "hi": box[1]}
    (radius,), (delta,) = exact_radius(network, x[None], norm=norm, **options)
    reference = reference_radius(network, x, predicted, norm, box)
    loosened = reference_radius(network, x, predicted, norm, box, moved=1e-10 * size)
    if reference is None:
        assert np.isinf(radius) or loosened is not None
        return
    assert at_most(radius, reference, norm)
    lowest = float(loosened) ** 0.5 if norm == "l2" else float(loosened)
    assert radius >= (1 - 1e-9) * min(lowest, float(reference) ** (0.5 if norm == "l2" else 1))
    if radius > 0:
        assert other_wins(network, x + delta, predicted)
        assert box is None or ((x + delta >= box[0]) & (x + delta <= box[1])).all()
        length = np.linalg.norm(delta, ord=KNOWN[norm])
        assert length >= radius
        expected = float(reference) ** (0.5 if norm == "l2" else 1)
        assert length <= expected * (1 + 1e-6) + 1e-9 * size


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=30)
@given(data=st.data(), margin=st.sampled_from([-0.1, -1e-3, 1e-3, 0.1]))
def test_overshoot_is_a_difference_of_the_scores(norm, data, margin):
    """Below 0 it is a margin for the rounding of the network's own scores."""
    network, x, _, size = data.draw(near_duplicates(norm, False))
    weight = network.beta_ if not isinstance(network, IPWTA) else np.abs(network.weights_).max()
    overshoot = margin * weight * size * (1 if isinstance(network, IPWTA) else size)
    (radius,), _ = exact_radius(network, x[None], norm=norm, overshoot=overshoot)
    predicted = predicted_class(network, x)
    reference = reference_radius(network, x, predicted, norm, overshoot=overshoot)
    if reference is None:
        return
    assert at_most(radius, reference, norm)
    assume(float(reference) > 1e-6 * size**2)
    assert radius >= (1 - 1e-7) * float(reference) ** (0.5 if norm == "l2" else 1)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=25)
@given(
    st.sampled_from(KINDS),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-3, 1e-6, 1e-8, 1e-10, 1e-12]),
    st.booleans(),
)
def test_no_point_within_the_radius_has_another_answer(norm, kind, seed, epsilon, boxed):
    """A search in 20 dimensions: towards the plane of every pair of neurons, and of pairs of own
    neurons for each rival, at the length of the radius; judged in rational arithmetic."""
    random = np.random.default_rng(seed)
    network, box = network_of(kind, 3, 4, 20), (-1.0, 1.0) if boxed else (-1e9, 1e9)
    for name in ("weights_", "positive_prototypes_", "negative_prototypes_"):
        if hasattr(network, name):
            setattr(network, name, nearly_equal(random, random.normal(size=(12, 20)), epsilon))
    x = random.uniform(-1, 1, 20)
    predicted = predicted_class(network, x)
    options = {"lo": box[0], "hi": box[1]} if boxed else {}
    (radius,), (delta,) = exact_radius(network, x[None], norm=norm, **options)
    assume(0 < radius < np.inf)
    assert other_wins(network, x + delta, predicted)
    A, b = network.linear()
    own = np.arange(12) // 4 == predicted
    directions = [delta]
    for m in np.flatnonzero(~own):
        for few in (1, 2, 4):
            rows = random.choice(np.flatnonzero(own), few, replace=False)
            G, h = A[m] - A[rows], (A[rows] - A[m]) @ x + b[rows] - b[m]
            directions.append(np.linalg.lstsq(G, h)[0])
            directions.append(np.abs(directions[-1]).max() * np.sign(directions[-1]))
    for direction in directions:
        step = direction * (radius / np.linalg.norm(direction, ord=KNOWN[norm]))
        point = np.clip(x + (1 - 2**-50) * step, *box)
        step = fractions(point) - fractions(x)
        length = (step * step).sum() if norm == "l2" else abs(step).max()
        if length <= Fraction(radius) ** (2 if norm == "l2" else 1):
            assert not other_wins(network, point, predicted)


@pytest.mark.parametrize("box", [None, (0.0, 1.0)])
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("kind", KINDS)
def test_powers_of_two_change_no_bit_and_other_factors_nothing_of_note(kind, norm, box):
    random = np.random.default_rng(3)
    network = network_of(kind, 3, 3, 12)
    names = [n for n in ("weights_", "positive_prototypes_", "negative_prototypes_")
             if hasattr(network, n)]  # fmt: skip
    start = {name: random.random((9, 12)) for name in names}
    x = random.random((4, 12))

    def radius(weight, size):
        bounds = {} if box is None else {"lo": box[0] * size, "hi": box[1] * size}
        for name in names:
            setattr(network, name, start[name] * (weight if name == "weights_" else size))
        if kind is IPWTA:
            network.biases_ = 0.1 * np.arange(9.0) * weight * size
        else:
            network._beta = np.array([weight])
        return exact_radius(network, x * size, norm=norm, **bounds)[0] / size

    expected = radius(1.0, 1.0)
    assert (expected > 0).all()
    for weight, size in ((2.0**-40, 1.0), (2.0**60, 2.0**-30), (1.0, 2.0**35), (2.0**-300, 1.0)):
        np.testing.assert_array_equal(radius(weight, size), expected)
    for weight, size in ((1e-9, 1.0), (1e9, 1.0), (1.0, 1e-9), (1.0, 1e9), (1e-9, 1e9), (1e150, 1)):
        np.testing.assert_allclose(radius(weight, size), expected, rtol=1e-9)
    np.testing.assert_allclose(radius(1e-300, 1.0), expected, rtol=1e-9)
    np.testing.assert_allclose(radius(1.0, 1e-145), expected, rtol=1e-9)
    np.testing.assert_allclose(radius(1.0, 1e145), expected, rtol=1e-9)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 5), st.integers(0, 4))
def test_scores_that_cancel_do_not_enlarge_the_radius(norm, seed, d, offset, shift):
    """One neuron for each of two classes, whose weights share a large part, and inputs far from 0:
    the radius is h / ‖G‖, and the rounding of the scores is much larger than that of the rest."""
    random = np.random.default_rng(seed)
    network = network_of(IPWTA, 2, 1, d)
    network.weights_ = 10.0**offset + random.normal(size=(2, d))
    network.biases_ = random.normal(size=2) - network.weights_ @ np.full(d, 10.0**shift)
    x = random.normal(size=d) + 10.0**shift
    (radius,), _ = exact_radius(network, x[None], norm=norm)
    reference = reference_halfspace(network, x, predicted_class(network, x), norm)
    assert at_most(radius, reference, norm)
    expected = float(reference) ** (0.5 if norm == "l2" else 1)
    np.testing.assert_allclose(radius, expected, rtol=1e-8)


def reference_halfspace(network, x, predicted, norm):
    """The distance to the only plane, squared for L2."""
    A, b = exact_linear(network)
    G = A[1 - predicted] - A[predicted]
    h = max(-(G @ fractions(x) + b[1 - predicted] - b[predicted]), Fraction(0))
    return h**2 / (G * G).sum() if norm == "l2" else h / abs(G).sum()


def inner_product(weights, biases, per_class=1):
    network = network_of(IPWTA, len(biases) // per_class, per_class, np.shape(weights)[1])
    network.weights_, network.biases_ = np.array(weights), np.array(biases)
    return network


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("scale", [1e-310, 1e-150, 1e-9, 1.0, 1e9, 1e150])
def test_equal_neurons(norm, scale):
    """A rival that equals an own neuron never wins with a lower bias, at any distance, and does not
    matter as a row with a higher one."""
    x = np.array([[1.0, 0.0]])

    def radius(weights, biases, per_class=1):
        network = inner_product(scale * np.array(weights), scale * np.array(biases), per_class)
        return exact_radius(network, x, norm=norm)[0][0]

    assert radius([[1.0, 2.0], [1.0, 2.0]], [1.0, 0.5]) == np.inf
    assert radius([[1.0, 2.0], [1.0, 2.0]], [1.0, 1.0]) == 0.0
    # Two equal own neurons, and a rival at x₀ ≤ 0; then an own neuron equal to it but lower.
    equal = radius([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [0.0, 0.0, 0.0, -1.0], 2)
    lower = radius([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [0.0, -1.0, 0.0, -1.0], 2)
    higher = radius([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [0.0, 0.1, 0.0, -1.0], 2)
    np.testing.assert_allclose([equal, lower], 1.0, rtol=1e-9)
    assert higher == np.inf


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_differences_below_the_smallest_normal_number_count(norm):
    tiny = 5e-324
    network = inner_product([[0.0, tiny], [tiny, 0.0]], [0.0, 0.0])
    radius, _ = exact_radius(network, np.array([[1.0, 3.0]]), norm=norm)
    np.testing.assert_allclose(radius, [2**0.5 if norm == "l2" else 1.0], rtol=1e-9)
    one_bit = inner_product([[1.0, 1.0], [1.0 + 2**-52, 1.0]], [0.0, -(2**-52)])
    radius, _ = exact_radius(one_bit, np.array([[-4.0, 0.0]]), norm=norm)
    np.testing.assert_allclose(radius, [5.0], rtol=1e-9)
    assert radius[0] < 5


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("box", [{}, {"lo": -3.0, "hi": 3.0}])
@given(st.floats(0.5, 2.0), st.sampled_from([1, 2, 3, 40, 1000]), st.floats(-0.9, 0.1))
def test_a_row_that_float64_cannot_see_counts(norm, box, centre, bits, x):
    """Own prototypes at ±`centre`, a rival some units in the last place beyond the second. It is
    nearer than the first from about 0 on, but nearer than the second only beyond that one."""
    network = network_of(EDWTA, 2, 2, 1)
    rival = centre + bits * np.spacing(centre)
    network.positive_prototypes_ = np.array([[-centre], [centre], [rival], [9.0]])
    (radius,), (delta,) = exact_radius(network, np.array([[x]]), norm=norm, **box)
    np.testing.assert_allclose([radius, delta[0]], centre - x, rtol=1e-9)
    assert Fraction(radius) < (Fraction(centre) + Fraction(rival)) / 2 - Fraction(x)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=100)
@given(st.floats(-6, 0.69), st.floats(0.675, 0.69))
def test_x_plus_delta_rounded_stays_in_the_box(norm, x, beyond):
    """The first coordinate has to go to its bound, and the second a little."""
    lo, hi = -1000.3, 0.7
    network = inner_product([[0.0, 0.0], [10.0, 1.0]], [0.0, -10 * hi - beyond])
    (radius,), (delta,) = exact_radius(network, np.array([[x, 0.0]]), norm=norm, lo=lo, hi=hi)
    reached = np.array([x, 0.0]) + delta
    assert reached.max() <= hi
    assert radius > 0
    if norm == "l2":
        np.testing.assert_allclose(reached, [hi, beyond], atol=1e-9)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans())
def test_an_empty_polyhedron_is_proved_empty(norm, seed, d, boxed):
    """Own neurons on all sides of a rival that is below them everywhere."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(d, d))
    multipliers = 2.0 ** random.integers(-3, 4, size=d)
    directions = np.concatenate([directions, -(multipliers @ directions)[None]])
    directions -= (np.append(multipliers, 1.0) @ directions) / d  # rounding may leave a remainder
    network = inner_product(
        np.concatenate([directions, np.zeros((d + 1, d))]),
        np.concatenate([random.random(d + 1) - 0.5, np.full(d + 1, -1e3)]),
        d + 1,
    )
    x = random.uniform(-0.5, 0.5, (1, d))
    reference = reference_radius(network, x[0], 0, "l2")  # None is None for every norm
    (radius,), _ = exact_radius(network, x, norm=norm)
    assert np.isinf(radius) if reference is None else radius < 1e300
    if boxed:
        assert np.isinf(exact_radius(network, x, norm=norm, lo=-1.0, hi=1.0)[0]).all()


def test_float32_parameters_are_taken_as_they_are():
    random = np.random.default_rng(0)
    network = EDWTA(2, epochs=0, dtype="float32", init_scale=1.0).fit(
        random.normal(size=(9, 3)), np.arange(9) % 3
    )
    network.positive_prototypes_[1] = network.positive_prototypes_[2] + np.float32(1e-6)
    x = random.normal(size=(5, 3))
    for norm in ("l2", "linf"):
        radius, _ = exact_radius(network, x, norm=norm)
        for i in range(5):
            reference = reference_radius(network, x[i], predicted_class(network, x[i]), norm)
            assert at_most(radius[i], reference, norm)
            expected = float(reference) ** (0.5 if norm == "l2" else 1)
            np.testing.assert_allclose(radius[i], expected, rtol=1e-9)


@pytest.mark.parametrize("many", [12, 40])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_rows_are_added_until_none_is_violated(norm, many):
    """Many neurons of a class: the same radius as from all rows at once."""
    random = np.random.default_rng(many)
    network = network_of(EDWTA, 2, many, 6)
    network.positive_prototypes_ = random.random((2 * many, 6))
    x = random.random((6, 6))
    from tinyproto.prototypes.certificate import rival_distance

    for box in ({}, {"lo": 0.0, "hi": 1.0}):
        few, delta = exact_radius(network, x, norm=norm, **box)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rival_distance, "ROWS", 1000)
            np.testing.assert_allclose(
                exact_radius(network, x, norm=norm, **box)[0], few, rtol=1e-9
            )
        for i in range(len(x)):
            assert other_wins(network, x[i] + delta[i], predicted_class(network, x[i]))
            assert few[i] <= np.linalg.norm(delta[i], ord=KNOWN[norm]) <= few[i] * (1 + 1e-6)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_margin_covers_the_rounding_of_a_float32_network(kind, norm):
    """Inside the radius with overshoot −2e the network answers the same in float32, at the points
    of float32 along δ; for x + δ within [0, 1] and e as in the notes of `exact_radius`."""
    random = np.random.default_rng(5)
    d, y = 64, np.arange(60) % 3
    x = np.float32(random.random((60, d)) + 0.05 * np.eye(3, d)[y])
    x = np.clip(x, 0, 1)
    network = kind(2, epochs=3, init="kmeans", learning_rate=1e-3).fit(x, y)
    if kind is IPWTA:
        size = np.abs(network.weights_).sum(axis=1) + np.abs(network.biases_)
    elif kind is EDWTA:
        far = np.maximum(np.abs(network.positive_prototypes_), 1 + network.positive_prototypes_)
        size = 0.5 * network.beta_ * (far**2).sum(axis=1)
    else:
        plus, minus = network.positive_prototypes_, network.negative_prototypes_
        terms = np.abs(plus - minus) * (2 + np.abs(plus) + np.abs(minus))
        size = 0.5 * network.beta_ * terms.sum(axis=1)
    e = 2 * (d + 6) * 2.0**-24 * float(size.max())
    label = network.predict(x)
    radius, _ = exact_radius(network, x, norm=norm, lo=0.0, hi=1.0, overshoot=-2 * e)
    plain, delta = exact_radius(network, x, norm=norm, lo=0.0, hi=1.0)
    assert (radius <= plain).all()
    assert (radius > 0).any()
    for i in np.flatnonzero(radius > 0):
        ratio = radius[i] / np.linalg.norm(delta[i], ord=KNOWN[norm])
        points = np.float32(x[i] + np.linspace(0, 1, 50)[:, None] * ratio * delta[i])
        inside = np.linalg.norm(np.float64(points) - x[i], ord=KNOWN[norm], axis=1) <= radius[i]
        assert inside.any()
        assert (network.predict(points)[inside] == label[i]).all()
