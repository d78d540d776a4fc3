"""The exact radius: against independent solvers, against attacks, and in edge cases."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinyproto.attacks import Victim, fgsm, pgd
from tinyproto.losses import margin
from tinyproto.prototypes import IPWTA, PlusMinusEDWTA, exact_radius
from tinyproto.prototypes.certificate import rival_distance
from tinyproto.prototypes.certificate.convex import linear_program, nonnegative_quadratic_program
from tinyproto.prototypes.certificate.projection import Problem, halfspace_distance, solve_l2
from tinyproto.testing.prototypes import problems

BOXES = [None, (-2.0, 2.0)]


def clipped(problem, box):
    """The samples, clipped to the box if there is one, and its keyword arguments."""
    x = problem.x if box is None else np.clip(problem.x, *box)
    return x, ({} if box is None else {"lo": box[0], "hi": box[1]})


def predictions(network, x):
    A, b = network.linear()
    return network.classes_[(x @ A.T + b).argmax(axis=1) // network.prototypes_per_class]


def reference(network, x, norm, box):
    """The radius of one sample by SciPy's general solvers, for one rival after another."""
    optimize = pytest.importorskip("scipy.optimize")
    A, b = network.linear()
    owner = np.arange(len(b)) // network.prototypes_per_class
    score = A @ x + b
    own = np.flatnonzero(owner == owner[score.argmax()])
    bounds = [(None, None)] * len(x) if box is None else [(box[0] - v, box[1] - v) for v in x]
    best = np.inf
    for m in np.flatnonzero(owner != owner[score.argmax()]):
        G, h = A[m] - A[own], score[own] - score[m]
        d = len(x)
        rows = np.block([[-G, np.zeros((len(h), 1))], [np.eye(d), -np.ones((d, 1))],
                         [-np.eye(d), -np.ones((d, 1))]])  # fmt: skip
        linear = optimize.linprog(
            np.eye(d + 1)[-1], rows, np.concatenate([-h, np.zeros(2 * d)]),
            bounds=[*bounds, (0, None)],
        )  # fmt: skip
        if not linear.success:
            continue
        if norm == "linf":
            best = min(best, linear.fun)
            continue
        result = optimize.minimize(
            lambda delta: 0.5 * delta @ delta, linear.x[:d], jac=lambda delta: delta,
            bounds=bounds, method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
            constraints={"type": "ineq", "fun": lambda e, G=G, h=h: G @ e - h,
                         "jac": lambda e, G=G: G},
        )  # fmt: skip
        best = min(best, float(np.sqrt(2 * result.fun)))
    return best


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("norm", ["l2", "linf"])
@given(problem=problems(samples=(1, 3)))
def test_radius_agrees_with_general_solvers(problem, norm, box):
    x, bounds = clipped(problem, box)
    radius, delta = exact_radius(problem.network, x, norm=norm, **bounds)
    for i in range(len(x)):
        expected = reference(problem.network, x[i], norm, box)
        np.testing.assert_allclose(radius[i], expected, rtol=1e-4, atol=1e-6)
        if np.isfinite(radius[i]):
            length = np.linalg.norm(delta[i]) if norm == "l2" else np.abs(delta[i]).max()
            np.testing.assert_allclose(length, radius[i], rtol=1e-6, atol=1e-9)


@pytest.mark.filterwarnings("ignore:eps .* is more than half")
@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("norm", ["l2", "linf"])
@given(problem=problems(samples=(1, 6)))
def test_no_attack_below_the_radius_and_just_beyond_it_one_succeeds(problem, norm, box):
    network = problem.network
    x, bounds = clipped(problem, box)
    y = predictions(network, x)
    radius, _ = exact_radius(network, x, norm=norm, **bounds)
    assume(np.isfinite(radius).all())

    victim = Victim(network, **(bounds or {"lo": -100.0, "hi": 100.0}))
    label = np.searchsorted(network.classes_, y)
    for i in range(len(x)):
        eps = 0.999 * radius[i]
        for attack in (fgsm, pgd):
            attacked = attack(victim, x[i : i + 1], label[i : i + 1], eps=eps, norm=norm)
            assert predictions(network, attacked)[0] == y[i]

    beyond, delta = exact_radius(network, x, norm=norm, overshoot=1e-6, **bounds)
    reached = np.isfinite(beyond)  # a corner of the box may lie on the boundary
    assert (predictions(network, x + delta) != y)[reached].all()
    close = beyond[reached] <= radius[reached] + 1e-3 * (1 + radius[reached])
    assert not reached.any() or close.mean() > 0.5


@given(problem=problems(classes=(2, 2), per_class=(1, 1)))
def test_one_step_reaches_the_radius_where_the_boundary_is_one_plane(problem):
    """Two classes of one neuron each: the gradient of the margin is normal to the plane."""
    network, x = problem.network, problem.x
    label = predictions(network, x)
    victim = Victim(network, lo=-1e6, hi=1e6)
    for norm in ("l2", "linf"):
        radius, _ = exact_radius(network, x, norm=norm)
        assume(((radius > 1e-6) & (radius < 1e3)).all())
        for i in range(len(x)):
            for factor, fooled in ((0.999, False), (1.001, True)):
                attacked = fgsm(victim, x[i : i + 1], label[i : i + 1], eps=factor * radius[i],
                                norm=norm, loss=margin)  # fmt: skip
                assert (predictions(network, attacked)[0] != label[i]) == fooled


@given(problem=problems(samples=(3, 6)))
def test_radius_is_zero_for_a_wrong_prediction_and_larger_in_a_box(problem):
    network, x = problem.network, np.clip(problem.x, -2, 2)
    predicted = predictions(network, x)
    free, _ = exact_radius(network, x, predicted)
    boxed, _ = exact_radius(network, x, predicted, lo=-2.0, hi=2.0)
    assert (boxed >= free - 1e-9 * (1 + free)).all()
    wrong = np.roll(network.classes_, 1)[np.searchsorted(network.classes_, predicted)]
    assert (exact_radius(network, x, wrong)[0] == 0).all()


@settings(max_examples=300)
@given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans())
def test_boxed_projection_proves_itself_optimal(features, rows, seed, corners):
    """A lower bound and a feasible δ of that length: both are optimal. With few unclipped
    coordinates and points on the bounds, the matrices of the Newton steps are singular."""
    random = np.random.default_rng(seed)
    G, h = random.normal(size=(rows, features)), 0.7 * random.normal(size=rows)
    h[0] = abs(h[0])
    x = random.random(features)
    if corners:
        x = np.where(random.random(features) < 0.5, random.integers(0, 2, features), x)
    _, delta, radius = solve_l2(Problem(G, h, -x, 1 - x))
    if np.isfinite(radius):
        assert (G @ delta >= h - 1e-7).all()
        assert ((delta >= -x) & (delta <= 1 - x)).all()
        np.testing.assert_allclose(np.linalg.norm(delta), radius, atol=1e-7)
    else:
        optimize = pytest.importorskip("scipy.optimize")
        bounds = np.stack([-x, 1 - x], axis=1)
        assert not optimize.linprog(np.zeros(features), -G, -h, bounds=bounds).success


def test_equal_and_contradictory_neurons_cannot_be_reached_without_a_box():
    equal = IPWTA(1, epochs=0, dtype="float64").fit(np.eye(2), [0, 1])
    equal.weights_[:], equal.biases_[:] = 1.0, [1.0, 0.0]
    contradictory = IPWTA(2, epochs=0, dtype="float64").fit(np.eye(2), [0, 1])
    contradictory.weights_[:] = [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    contradictory.biases_[:] = [0.0, 0.0, -1.0, -1.0]
    for network in (equal, contradictory):
        for norm in ("l2", "linf"):
            assert np.isinf(exact_radius(network, np.array([[0.3, 0.2]]), norm=norm)[0]).all()


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_nonnegative_quadratic_program_meets_its_optimality_conditions(n, seed):
    random = np.random.default_rng(seed)
    root = random.normal(size=(n, n + 2))
    Q, h = root @ root.T, random.normal(size=n)
    solution = nonnegative_quadratic_program(Q, h)
    gradient = Q @ solution - h
    assert (solution >= 0).all()
    assert (gradient >= -1e-8).all()
    assert abs(gradient @ solution) <= 1e-7


def test_a_quadratic_program_without_a_minimum_gives_large_multipliers():
    solution = nonnegative_quadratic_program(np.zeros((3, 3)), np.array([2.0, -1.0, 0.0]))
    assert solution[0] > 1e9
    assert (solution[1:] == 0).all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_rows_that_bind_are_added_until_none_is_missing(norm, monkeypatch):
    """It starts from two rows, and needs no exact arithmetic to find the others."""
    random = np.random.default_rng(0)
    network = IPWTA(30, epochs=0, dtype="float64").fit(random.normal(size=(60, 10)), [0, 1] * 30)
    weights = random.normal(size=(60, 10))
    network.weights_[:] = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    network.biases_[:] = 0.0
    x = random.normal(size=(20, 10))
    expected, _ = exact_radius(network, x, norm=norm)

    def refused(*arguments):
        raise AssertionError("a row was missing")

    monkeypatch.setattr(rival_distance, "ROWS", 2)
    monkeypatch.setattr(rival_distance.Neighbourhood, "_exact_distance", refused)
    np.testing.assert_allclose(exact_radius(network, x, norm=norm)[0], expected, rtol=1e-9)


@given(st.integers(1, 8), st.integers(0, 2**32 - 1), st.booleans())
def test_halfspace_distance_is_the_least(d, seed, boxed):
    random = np.random.default_rng(seed)
    g = random.normal(size=d)
    low, high = (-random.random(d), random.random(d)) if boxed else (-np.full(d, np.inf),) * 2
    high = np.abs(high)
    h = float(random.uniform(0.01, 1.5))
    radius, delta = halfspace_distance(g, h, low, high)
    largest = np.maximum(g * np.clip(np.sign(g) * 1e9, low, high), 0).sum()
    assert np.isinf(radius) == (largest < h)
    if np.isfinite(radius):
        np.testing.assert_allclose(g @ delta, h, rtol=1e-9)
        assert np.abs(delta).max() <= radius * (1 + 1e-12)
        smaller = np.clip(np.sign(g) * radius * (1 - 1e-6), low, high)
        assert g @ smaller < h


def test_an_unreachable_class_is_at_distance_infinity():
    """The second class wins where x₀ > 3, outside the box [0, 1]."""
    network = PlusMinusEDWTA(1, epochs=0, dtype="float64").fit(np.eye(2), [0, 1])
    network.positive_prototypes_ = np.array([[0.0, 0.0], [1.0, 0.0]])
    network.negative_prototypes_ = np.array([[-5.0, 0.0], [0.0, 0.0]])
    x = np.array([[0.5, 0.5]])
    for norm in ("l2", "linf"):
        assert np.isinf(exact_radius(network, x, norm=norm, lo=0.0, hi=1.0)[0]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l1"}, "norm must be 'linf' or 'l2', not 'l1'"),
        ({"lo": 0.0}, "the box needs both lo and hi"),
        ({"y": ["0", "1"]}, "y holds strings, but the classes are numbers"),
        ({"lo": 0.0, "hi": 0.5}, r"x must lie in \[0.0, 0.5\]"),
    ],
)
def test_bad_options_get_one_line(options, message):
    network = PlusMinusEDWTA(1, epochs=1).fit(np.eye(2), [0, 1])
    with pytest.raises(ValueError, match=message):
        exact_radius(network, np.eye(2), **options)


def test_the_linf_radius_names_scipy_where_it_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="needs SciPy; install it with: pip install scipy"):
        linear_program(np.eye(2), np.ones(2), -np.ones(2), np.ones(2))


def test_no_inputs_have_no_radii():
    network = PlusMinusEDWTA(1, epochs=1).fit(np.eye(2), [0, 1])
    radius, move = exact_radius(network, np.zeros((0, 2)))
    assert (radius.shape, move.shape) == ((0,), (0, 2))
