"""The prototype head, its sphere, and the alignment and repulsion losses."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinyproto import networks, parameters
from tinyproto.attacks import Victim
from tinyproto.losses import cross_entropy, softmax
from tinyproto.prototypes import PrototypeHead, alignment, nearest_rival, repulsion, simplex
from tinyproto.prototypes.dpnp import squared_distances
from tinyproto.testing import check_gradients, derivative

CLOSE = 1e-7
STEP = 1e-3  # every value here is quadratic or smoother: a fourth-order difference is exact


@dataclass
class Problem:
    """Features h (N, d) with labels y (N,) and prototypes (classes, d), of random lengths."""

    h: np.ndarray
    y: np.ndarray
    prototypes: np.ndarray
    random: np.random.Generator


@st.composite
def problems(draw, classes=(2, 6)):
    """Labels are drawn freely: a class may be missing, another occur many times."""
    classes, features = draw(st.integers(*classes)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=8)))
    h = random.normal(size=(len(y), features))
    return Problem(h, y, random.normal(size=(classes, features)), random)


def unit(random, shape):
    direction = random.normal(size=shape)
    return direction / np.linalg.norm(direction)


def check(gradient, function, at, random):
    """A gradient along a random direction, and at each number by itself."""
    one_by_one = np.eye(at.size).reshape(-1, *at.shape)
    for direction in (unit(random, at.shape), *one_by_one):
        error = (gradient * direction).sum() - derivative(function, at, direction)
        assert abs(error) <= CLOSE * (np.linalg.norm(gradient) + CLOSE)


def rivals_stay(prototypes, directions):
    """Drop an example in which a nearest rival changes between the ends of a difference."""
    rivals = nearest_rival(prototypes)
    for direction in directions:
        for t in (-2, 2):
            assume((nearest_rival(prototypes + t * STEP * direction) == rivals).all())


# ---------------------------------------------------------------- the head


@given(problems())
def test_scores_are_inner_products_and_their_gradients(problem):
    classes, features = problem.prototypes.shape
    head = PrototypeHead(features, classes)
    head.params["prototypes"] = problem.prototypes
    z, backward = head(problem.h)
    dz = problem.random.normal(size=z.shape)
    np.testing.assert_allclose(z, problem.h @ problem.prototypes.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(backward(dz), dz @ problem.prototypes, rtol=1e-12, atol=1e-13)
    check_gradients(head, problem.h, directions=1)


@given(problems(), st.floats(0.1, 10), st.sampled_from([np.float32, np.float64]))
def test_projection_puts_prototypes_on_the_sphere(problem, radius, dtype):
    classes, features = problem.prototypes.shape
    head = PrototypeHead(features, classes, radius=radius)
    before = problem.prototypes.astype(dtype) * 10.0 ** problem.random.uniform(-3, 3)
    array = head.params["prototypes"] = before.copy()
    head.project()
    after = head.params["prototypes"]
    assert after is array  # in place
    assert after.dtype == dtype
    exact, kept = after.astype(np.float64), before.astype(np.float64)
    rounding = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(np.linalg.norm(exact, axis=1), radius, rtol=rounding)
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    np.testing.assert_allclose(exact / radius, kept / lengths, rtol=rounding, atol=rounding)
    head.project()  # on the sphere already: changes by rounding only
    np.testing.assert_allclose(after, exact, rtol=rounding)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_prototype_of_length_zero_is_left_alone(dtype):
    head = PrototypeHead(3, 2)
    head.params["prototypes"] = np.array([[0, 0, 0], [0, 2, 0]], dtype)
    head.project()
    np.testing.assert_array_equal(head.params["prototypes"], [[0, 0, 0], [0, 3, 0]])


@pytest.mark.parametrize("vertices", range(2, 13))
def test_simplex(vertices):
    corners = simplex(vertices)
    assert corners.shape == (vertices, vertices - 1)
    expected = np.full((vertices, vertices), -1 / (vertices - 1))
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(corners @ corners.T, expected, atol=1e-14)
    np.testing.assert_allclose(corners.sum(axis=0), 0, atol=1e-13)


def test_a_simplex_has_vertices():
    with pytest.raises(ValueError, match="vertices must be 1 or more, not 0"):
        simplex(0)


def cosines(prototypes):
    """Those of all pairs of two prototypes."""
    directions = prototypes.astype(np.float64)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return (directions @ directions.T)[~np.eye(len(directions), dtype=bool)]


@pytest.mark.parametrize(("features", "classes"), [(1, 2), (9, 10), (64, 10), (5, 3), (128, 100)])
def test_the_initial_prototypes_are_a_simplex_where_possible(features, classes):
    head = PrototypeHead(features, classes, radius=2.5)
    prototypes = head.params["prototypes"]
    assert (prototypes.shape, prototypes.dtype) == ((classes, features), np.float32)
    np.testing.assert_allclose(cosines(prototypes), -1 / (classes - 1), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(prototypes, axis=1), 2.5, rtol=1e-6)
    rotated = PrototypeHead(features, classes, radius=2.5, seed=1).params["prototypes"]
    if features > 1:
        assert np.abs(rotated - prototypes).max() > 0.01
    again = PrototypeHead(features, classes, radius=2.5).params["prototypes"]
    np.testing.assert_array_equal(again, prototypes)


@pytest.mark.parametrize(
    ("features", "classes", "init"), [(3, 5, "simplex"), (2, 10, "simplex"), (64, 10, "random")]
)
def test_otherwise_they_are_random_points_of_the_sphere(features, classes, init):
    """With init="random", or with fewer features than a simplex needs."""
    drawn = [
        PrototypeHead(features, classes, init=init, seed=seed).params["prototypes"]
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not (drawn[0] == drawn[2]).any()
    assert np.ptp(cosines(drawn[0])) > 0.1
    assert len(np.unique(drawn[0], axis=0)) == classes
    np.testing.assert_allclose(np.linalg.norm(drawn[0], axis=1), 3, rtol=1e-6)


@pytest.mark.parametrize(("classes", "radius"), [(10, 1.0), (10, 3.0), (3, 2.0)])
def test_the_radius_bounds_the_confidence(classes, radius):
    head = PrototypeHead(16, classes, radius=radius)
    z, _ = head(head.params["prototypes"])
    expected = 1 / (1 + (classes - 1) * np.exp(-(radius**2) * classes / (classes - 1)))
    np.testing.assert_allclose(np.diag(softmax(z)), expected, rtol=1e-4)


def test_the_head_is_a_victim():
    random = np.random.default_rng(0)
    head = PrototypeHead(6, 4)
    victim = Victim(head, lo=-5.0, hi=5.0)
    h = random.normal(size=(7, 6)).astype(np.float32)
    z, backward = victim(h)
    np.testing.assert_array_equal(z, head(h)[0])
    for times in (1, 2):
        dz = random.normal(size=z.shape).astype(np.float32)
        np.testing.assert_array_equal(backward(dz), head(h)[1](dz))
        assert (victim.forward_passes, victim.backward_passes) == (7, 7 * times)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"features": 0}, "PrototypeHead: features must be an integer of 1 or more, not 0"),
        ({"classes": 2.0}, "PrototypeHead: classes must be an integer of 1 or more, not 2.0"),
        ({"classes": 1}, "PrototypeHead: classes must be 2 or more, not 1"),
        ({"radius": 0}, "PrototypeHead: radius must be above 0, not 0"),
        ({"radius": 1e-40}, "PrototypeHead: radius must be above 0, not 1e-40"),
        ({"radius": float("nan")}, "PrototypeHead: radius must be above 0, not nan"),
        ({"init": "zero"}, "PrototypeHead: init must be 'simplex' or 'random', not 'zero'"),
        ({"seed": -1}, "seed must be in [0, 2**32), not -1"),
    ],
)
def test_a_wrong_option_is_named(options, says):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is what is tested)
        PrototypeHead(**{"features": 3, "classes": 2, **options})
    assert str(caught.value) == says


def test_a_wrong_shape_is_named():
    with pytest.raises(
        ValueError, match=r"PrototypeHead expects x of shape \(N, 3\), not \(2, 4\)"
    ):
        PrototypeHead(3, 2)(np.zeros((2, 4), np.float32))


@given(st.data())
def test_features_and_labels_that_cannot_be_right_are_refused(data):
    h, prototypes, y = np.ones((3, 4)), np.eye(5, 4), np.array([0, 4, 2])
    wrong, says = data.draw(
        st.sampled_from(
            [
                ((h.T, prototypes, y), "h must have the shape (N, 4)"),
                ((h[0], prototypes, y), "h must have the shape (N, 4)"),
                ((h, prototypes[0], y), "prototypes must have the shape (M, d)"),
                ((h, prototypes, y[:2]), "y must hold one label for each of 3 examples"),
                ((h, prototypes, y[:, None]), "y must hold one label for each of 3 examples"),
                ((h, prototypes, y + 1), "y must hold classes, 0 … 4, not 5"),
                ((h, prototypes, y - 1), "y must hold classes, 0 … 4, not -1"),
                ((h, prototypes, y * 0.5), "y must hold integers"),
            ]
        )
    )
    for function, arguments in ((alignment, wrong), (repulsion, wrong[1:])):
        if function is alignment or says.startswith(("y must hold c", "y must hold i", "prot")):
            with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is what is tested)
                function(*arguments)
            assert says in str(caught.value)


def test_one_prototype_has_no_rival():
    for function in (nearest_rival, lambda c: repulsion(c, np.array([0]))):
        with pytest.raises(ValueError, match="needs 2 prototypes or more, not 1"):
            function(np.ones((1, 3)))


def test_prototypes_of_another_shape_are_not_projected():
    head = PrototypeHead(3, 2)
    head.params["prototypes"] = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"params\['prototypes'\] of shape \(2, 3\), not \(3, 2\)"):
        head.project()


def test_a_network_saved_with_the_former_name_of_init_loads(tmp_path):
    settings = {"classes": 4, "feature_width": 8, "head": "prototypes"}
    network = networks.compact_cnn(**settings, init="random")
    text = json.dumps({"network": {"kind": "compact_cnn", **settings, "start": "random"}})
    metadata = {"metadata.json": np.frombuffer(text.encode(), np.uint8)}
    np.savez(tmp_path / "model.npz", **metadata, **parameters.flatten(network.params))
    loaded = networks.load(tmp_path / "model.npz")
    assert loaded.settings["init"] == "random"
    found = loaded.head.params["prototypes"]
    np.testing.assert_array_equal(found, network.head.params["prototypes"])


# ---------------------------------------------------------------- alignment and repulsion


@given(problems())
def test_alignment(problem):
    h, y, prototypes = problem.h, problem.y, problem.prototypes
    value, dh, d_prototypes = alignment(h, prototypes, y)
    expected = [((h[i] - prototypes[y[i]]) ** 2).sum() for i in range(len(y))]
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    check(dh, lambda h: alignment(h, prototypes, y)[0].sum(), h, problem.random)
    at = lambda prototypes: alignment(h, prototypes, y)[0].sum()  # noqa: E731
    check(d_prototypes, at, prototypes, problem.random)
    for i in range(len(y)):  # each example's own gradient, not another's
        alone = alignment(h[[i]], prototypes, y[[i]])
        np.testing.assert_array_equal(alone[1][0], dh[i])


@given(problems())
def test_nearest_rival_is_the_first_of_the_nearest_others(problem):
    prototypes = problem.prototypes.round(1)  # so that some are equally near
    distance = squared_distances(prototypes)
    for j, rival in enumerate(nearest_rival(prototypes)):
        others = [k for k in range(len(prototypes)) if k != j]
        assert rival == min(others, key=lambda k: (distance[j, k], k))
        for k in others:
            exact = ((prototypes[j] - prototypes[k]) ** 2).sum()
            assert distance[j, k] == pytest.approx(exact)


@given(problems(classes=(2, 6)))
def test_repulsion(problem):
    """An example pushes the prototype of its class and that prototype's rival."""
    y, prototypes = problem.y, problem.prototypes
    value, d_prototypes = repulsion(prototypes, y)
    rivals = nearest_rival(prototypes)
    expected = [-((prototypes[j] - prototypes[rivals[j]]) ** 2).sum() for j in y]
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    directions = np.eye(prototypes.size).reshape(-1, *prototypes.shape)
    rivals_stay(prototypes, (*directions, unit(problem.random, prototypes.shape)))
    at = lambda prototypes: repulsion(prototypes, y)[0].sum()  # noqa: E731
    check(d_prototypes, at, prototypes, problem.random)
    assert np.abs(d_prototypes.sum(axis=0)).max() < 1e-12 * len(y) * np.abs(prototypes).max()


@given(problems(), st.floats(0, 2), st.floats(0, 2))
def test_the_gradient_of_the_whole_clean_loss(problem, alignment_weight, repulsion_weight):
    """∂/∂h and ∂/∂c_j of Σ_i CE(z_i, y_i) + λ₊ ‖h_i − c_y‖² − λ₋ ‖c_y − c_n(y)‖², where the
    prototypes are the weights as well."""
    y, prototypes = problem.y, problem.prototypes

    def loss(h, prototypes):
        head = PrototypeHead(*prototypes.T.shape)
        head.params["prototypes"] = prototypes
        z, backward = head(h)
        value, dz = cross_entropy(z, y)
        grads = parameters.zeros(head.params)
        dh = backward(dz, grads)
        near, toward, back = alignment(h, prototypes, y)
        apart, push = repulsion(prototypes, y)
        total = value + alignment_weight * near + repulsion_weight * apart
        d_prototypes = grads["prototypes"] + alignment_weight * back + repulsion_weight * push
        return total.sum(), dh + alignment_weight * toward, d_prototypes

    _, dh, d_prototypes = loss(problem.h, prototypes)
    p = softmax(problem.h @ prototypes.T)
    error = p - np.eye(len(prototypes))[y]
    by_hand = error @ prototypes + 2 * alignment_weight * (problem.h - prototypes[y])
    np.testing.assert_allclose(dh, by_hand, rtol=1e-9, atol=1e-12)
    direction = unit(problem.random, prototypes.shape)
    rivals_stay(prototypes, [direction])
    found = derivative(lambda c: loss(problem.h, c)[0], prototypes, direction)
    # Scores are products: e^z has large high derivatives where h is long.
    assert abs((d_prototypes * direction).sum() - found) <= CLOSE * (
        np.linalg.norm(d_prototypes) + 1e-3
    )


def test_a_class_weighs_as_often_as_it_occurs():
    """Class 0 occurs three times, class 1 never; it is pushed as the rival of the others only."""
    prototypes = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    y = np.array([0, 0, 2, 0])
    value, push = repulsion(prototypes, y)
    np.testing.assert_array_equal(nearest_rival(prototypes), [1, 0, 0])
    np.testing.assert_array_equal(value, [-1, -1, -9, -1])
    # −2 Σ_{y = j} v_j + 2 Σ_{n(y) = j} v_y with v = (−1, 0), (1, 0), (0, 3)
    expected = [[3 * 2.0, 1 * 6.0], [3 * -2.0, 0.0], [0.0, 1 * -6.0]]
    np.testing.assert_array_equal(push, expected)
    twice = repulsion(prototypes, np.concatenate([y, y]))[1]
    np.testing.assert_array_equal(twice, 2 * push)
    apart = sum(repulsion(prototypes, y[[i]])[1] for i in range(len(y)))
    np.testing.assert_array_equal(apart, push)


def descended(head, y, steps=300, rate=0.1, decay=0.975):
    """Projected gradient descent on the repulsion alone; its rate decays, as the loss has kinks."""
    prototypes = head.params["prototypes"] = head.params["prototypes"].astype(np.float64)
    for step in range(steps):
        prototypes -= rate * decay**step * repulsion(prototypes, y)[1]
        head.project()
    return prototypes


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("extra", [0, 1, 4])
@pytest.mark.parametrize("classes", [3, 4, 5, 6])
def test_the_optimum_of_the_repulsion_is_the_regular_simplex(classes, extra, seed):
    """For equally frequent classes, from random starts, in d = M − 1 + extra dimensions.

    Not always, though, on the circle (M = 3, d = 2): about one start in nine ends elsewhere. Two
    prototypes that start close together can move together, away from the third.
    """
    head = PrototypeHead(classes - 1 + extra, classes, init="random", seed=seed)
    assert np.ptp(cosines(head.params["prototypes"])) > 0.1
    prototypes = descended(head, np.arange(classes))
    np.testing.assert_allclose(cosines(prototypes), -1 / (classes - 1), atol=1e-3)
    value, _ = repulsion(prototypes, np.arange(classes))
    np.testing.assert_allclose(value, -2 * head.radius**2 * classes / (classes - 1), rtol=1e-3)


@given(st.integers(2, 6), st.integers(0, 2), st.integers(0, 2**32 - 1))
def test_nothing_on_the_sphere_is_better_than_the_simplex(classes, extra, seed):
    random = np.random.default_rng(seed)
    head = PrototypeHead(classes - 1 + extra, classes)
    y = np.arange(classes)
    best = repulsion(head.params["prototypes"].astype(np.float64), y)[0].sum()
    for size in (0.01, 0.3, 10):
        other = PrototypeHead(classes - 1 + extra, classes)
        start = head.params["prototypes"].astype(np.float64)
        other.params["prototypes"] = start + size * random.normal(size=start.shape)
        other.project()
        assert repulsion(other.params["prototypes"], y)[0].sum() >= best - 1e-4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_terms_keep_the_dtype(dtype):
    random = np.random.default_rng(0)
    h, prototypes = random.normal(size=(5, 3)).astype(dtype), random.normal(size=(4, 3))
    y = np.array([0, 3, 3, 1, 0])
    for array in (
        *alignment(h, prototypes.astype(dtype), y),
        *repulsion(prototypes.astype(dtype), y),
    ):
        assert array.dtype == dtype
