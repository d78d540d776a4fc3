"""`check_gradients` accepts what is right, and says what is wrong with layers broken on purpose."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto import losses, parameters
from tinyproto.layers import Layer, Linear, MaxPool2D, ReLU, Sequential
from tinyproto.testing import GradientError, check_gradients, spaced
from tinyproto.testing.layers import cases
from tinyproto.testing.victims import hidden


class Centred(Layer):
    """y = scale · tanh(x − μ) + shift, with the mean μ of the batch in train mode, 0 in eval mode.

    With t = tanh(x − μ), g = dy scale (1 − t²):  dx = g − mean(g) in train mode, g in eval mode.
    """

    def __init__(self, features):
        self.params = {"scale": np.ones(features), "shift": np.zeros(features)}

    def __call__(self, x, train=False):
        t = np.tanh(x - x.mean(axis=0) if train else x)

        def backward(dy, grads=None):
            for name, value in (("scale", (dy * t).sum(axis=0)), ("shift", dy.sum(axis=0))):
                if grads and name in grads:
                    grads[name] += value
            g = dy * self.params["scale"] * (1 - t**2)
            return g - g.mean(axis=0) if train else g

        return self.params["scale"] * t + self.params["shift"], backward


class Broken(Centred):
    """The same with another backward pass: wrong(layer, right backward, x, train) ↦ backward."""

    def __init__(self, features, wrong):
        super().__init__(features)
        self.wrong = wrong

    def __call__(self, x, train=False):
        y, backward = super().__call__(x, train)
        return y, self.wrong(self, backward, x, train)


def change_dx(change):
    """A backward pass whose dx is another: change(dx, dy, train)."""
    return lambda layer, right, x, train: lambda dy, grads=None: change(right(dy, grads), dy, train)


def change_grads(change):
    """A backward pass that adds other gradients: change(slot of grads, gradient, name)."""

    def wrong(layer, right, x, train):
        def backward(dy, grads=None):
            found = parameters.zeros(layer.params)
            dx = right(dy, found)
            for name in grads or {}:
                grads[name] = change(grads[name], found[name], name)
            return dx

        return backward

    return wrong


def add_in_place(slot, value):
    slot += value
    return slot


def one_entry(dx, dy, train):
    dx = dx.copy()
    dx.flat[dx.size // 2] += 0.01
    return dx


def only_once(layer, right, x, train):
    memory = [right]
    return lambda dy, grads=None: memory.pop()(dy, grads) if memory else 0 * dy


def memory_on_the_layer(layer, right, x, train):
    layer.last = right
    return lambda dy, grads=None: layer.last(dy, grads)


def changes_x(layer, right, x, train):
    def backward(dy, grads=None):
        x[...] *= 2
        return right(dy, grads)

    return backward


def changes_dy(layer, right, x, train):
    def backward(dy, grads=None):
        dx = right(dy, grads)
        dy *= 2
        return dx

    return backward


def same_memory(layer, right, x, train):
    """dx is written into one array at each call."""
    dx = np.empty_like(x)

    def backward(dy, grads=None):
        dx[...] = right(dy, grads)
        return dx

    return backward


def moves_a_parameter(layer, right, x, train):
    def backward(dy, grads=None):
        if grads:
            layer.params["shift"] += 1
        return right(dy, grads)

    return backward


def needs_all_slots(layer, right, x, train):
    def backward(dy, grads=None):
        if grads:
            grads["scale"], grads["shift"]
        return right(dy, grads)

    return backward


BROKEN = {
    "sign": (change_dx(lambda dx, dy, train: -dx), "at x is wrong .* the wrong sign"),
    "factor": (change_dx(lambda dx, dy, train: 2 * dx), "x is wrong .* 2 times what they should"),
    "zero": (change_dx(lambda dx, dy, train: 0 * dx), "at x is wrong"),
    "NaN": (change_dx(lambda dx, dy, train: dx * np.nan), "at x is wrong"),
    "no mean": (lambda layer, right, x, train: Centred.__call__(layer, x)[1], r"train mode\)"),
    "sum for mean": (
        change_dx(lambda dx, dy, train: dx - dy.sum(axis=0) if train else dx), r"train mode\)"
    ),
    "train in eval": (
        lambda layer, right, x, train: Centred.__call__(layer, x, True)[1], r"eval mode\)"
    ),
    "one entry": (change_dx(one_entry), r"at x is wrong \(eval mode\): 1 of \d+ entries"),
    "one parameter": (
        change_grads(lambda slot, g, name: add_in_place(slot, -g if name == "scale" else g)),
        r"at params\['scale'\] is wrong",
    ),
    "divided by the batch": (
        change_grads(lambda slot, g, name: add_in_place(slot, g / 3)),
        r"params\['(scale|shift)'\] is wrong",
    ),
    "replaces": (change_grads(lambda slot, g, name: g), "must be added into its slot"),
    "overwrites": (
        change_grads(lambda slot, g, name: np.copyto(slot, g) or slot),
        "must be added into its slot",
    ),
    "doubles": (change_grads(lambda slot, g, name: add_in_place(slot, slot + g)), "must be added"),
    "nothing added": (change_grads(lambda slot, g, name: slot), r"params\['scale'\] is wrong"),
    "only once": (only_once, "a second backward pass with the same dy"),
    "memory on the layer": (memory_on_the_layer, "after another call of the layer"),
    "changes x": (changes_x, "changes its input in place"),
    "changes dy": (changes_dy, "changes dy in place"),
    "same memory": (same_memory, "changes the dx that the first returned"),
    "moves a parameter": (moves_a_parameter, r"changes params\['shift'\] in place"),
    "needs all slots": (needs_all_slots, "without the slot '(scale|shift)' must leave it out"),
    "shape": (change_dx(lambda dx, dy, train: dx[:1]), r"at x has the shape \(1, \d\), not"),
}  # fmt: skip


@st.composite
def centred(draw, wrong=None):
    """A shape of three rows or more, in which a mean is no single row."""
    features = draw(st.integers(2, 5))
    make = (lambda: Centred(features)) if wrong is None else (lambda: Broken(features, wrong))
    return draw(cases(lambda draw: (make(), (draw(st.integers(3, 6)), features))))


@given(centred())
def test_the_right_layer_passes(case):
    found = check_gradients(case.layer, case.x, directions=2)
    assert (found.checked, found.skipped) == (12, 0)  # two modes, three arrays
    assert found.largest_error < 1e-8
    assert check_gradients(case.layer, case.x, train=True, directions=2).checked == 6


@pytest.mark.parametrize("name", BROKEN)
@given(data=st.data())
def test_a_broken_layer_is_refused(name, data):
    wrong, message = BROKEN[name]
    case = data.draw(centred(wrong))
    with pytest.raises(GradientError, match=message) as found:
        check_gradients(case.layer, case.x)
    assert "\n" not in str(found.value)


@given(centred(BROKEN["one entry"][0]))
def test_a_broken_layer_inside_others_is_refused(case):
    features = case.x.shape[1]
    layer = Sequential(Linear(features, features), case.layer, Linear(features, 2))
    with pytest.raises(GradientError, match="is wrong"):
        check_gradients(layer, case.x)


def test_one_wrong_entry_of_ten_thousand():
    x = spaced(np.random.default_rng(0), (100, 100))
    with pytest.raises(GradientError, match="along random directions, though not at the 200"):
        check_gradients(Broken(100, change_dx(one_entry)), x, train=False, directions=1)


class OneBuffer(Layer):
    """The y of each call is written into one array."""

    def __call__(self, x, train=False):
        self.y = getattr(self, "y", np.empty_like(x))
        self.y[...] = x**2
        return self.y, lambda dy, grads=None: 2 * x * dy


class KeepsX(Layer):
    def __call__(self, x, train=False):
        self.x = x
        return x**2, lambda dy, grads=None: 2 * self.x * dy


def test_one_buffer_for_the_y_of_all_calls_is_refused():
    with pytest.raises(GradientError, match="a call changes the y that an earlier one returned"):
        check_gradients(OneBuffer(), np.array([[1.0, 2.0]]))


@pytest.mark.parametrize("x", [np.array([[1.5]]), np.full((2, 2), 1.5)])
def test_memory_on_the_layer_is_seen_where_all_numbers_are_one(x):
    with pytest.raises(GradientError, match="after another call of the layer"):
        check_gradients(KeepsX(), x)


class Fused(Linear):
    """A fused pass with a fault: of the output, the input's gradient or the weight's."""

    def __init__(self, fault):
        super().__init__(3, 2)
        self.fault = fault

    def forward_relu(self, x, train=False):
        y, backward = Layer.forward_relu(self, x, train)

        def wrong(dy, grads=None):
            dx = backward(dy, grads)
            if self.fault == "weight" and grads:
                grads["weight"] += 1
            return 2 * dx if self.fault == "dx" else dx

        return (self(x, train)[0] if self.fault == "y" else y), wrong


@pytest.mark.parametrize("fault", ["y", "dx", "weight", None])
@given(data=st.data())
def test_a_fused_pass_is_compared_with_the_layer_and_a_relu(fault, data):
    case = data.draw(cases(lambda draw: (Fused(fault), (4, 3))))
    case.x[0] = -case.x[1]  # so that some output is below 0
    if fault is None:
        assert check_gradients(case.layer, case.x).skipped == 0
        return
    with pytest.raises(GradientError, match=f"forward_relu gives another {fault} than the layer"):
        check_gradients(case.layer, case.x)


class Masked(Layer):
    """The scores −1e9 at the end, as a mask has them, and a gradient that is wrong."""

    def __call__(self, x, train=False):
        mask = np.full_like(x, -1e9)
        return np.concatenate([x, mask], axis=1), lambda dy, grads=None: 1.001 * dy[:, : x.shape[1]]


def test_a_large_output_that_does_not_move_hides_no_error():
    with pytest.raises(GradientError, match="all are 1.001 times what they should be"):
        check_gradients(Masked(), np.array([[1.0, 2.0, 3.0]]))


def test_a_factor_is_named_only_where_all_entries_are_wrong():
    def small_entry(x):
        return x * [1, 1, 0.01], lambda dy: dy * [1, 1, 0.02]

    with pytest.raises(GradientError, match=r"1 of 3 entries[^;]*$"):
        check_gradients(small_entry, np.array([[1.0, 2.0, 3.0]]))


# ---------------------------------------------------------------- losses and models


def mean_of_the_batch(z, y):
    value, dz = losses.cross_entropy(z, y)
    return value.mean(), dz / len(z)


def of_another_row(z, y):
    value, dz = losses.cross_entropy(z, y)
    return value[::-1], dz


def wrong_second(z, w):
    value, dz, _ = losses.kl_divergence(z, w)
    return value, dz, dz


DZ = np.empty((2, 3))


def one_buffer(z, y):
    value, DZ[...] = losses.cross_entropy(z, y)
    return value, DZ


Z = np.array([[1.0, -0.5, 0.2], [0.3, 0.8, -1.0]])
W, Y = Z[::-1] * 0.7, np.array([2, 0])


def test_losses():
    assert check_gradients(losses.cross_entropy, Z, Y).checked == 8
    assert check_gradients(losses.kl_divergence, Z, W).checked == 16  # two arguments
    assert check_gradients(lambda z: losses.cross_entropy(z, Y), Z.astype(np.float32)).skipped == 0


@pytest.mark.parametrize(
    ("loss", "second", "message"),
    [
        (mean_of_the_batch, Y, "one value for each of 2 examples.*nobody divides by the batch"),
        (lambda z, y: (losses.margin(z, y)[0], losses.margin(z, y)[1] / 2), Y, "0.5 times what"),
        (of_another_row, Y, "at x is wrong"),
        (one_buffer, Y, "a call changes the gradient that an earlier one returned"),
        (wrong_second, W, "at argument 2 is wrong"),
    ],
)
def test_a_broken_loss_is_refused(loss, second, message):
    with pytest.raises(GradientError, match=message):
        check_gradients(loss, Z, second)


def test_a_model_without_parameters():
    model, x = hidden(0), np.random.default_rng(0).random((3, 6))
    assert check_gradients(model, x).checked == 8
    with pytest.raises(GradientError, match="at x is wrong: 18 of 18"):
        check_gradients(lambda x: (model(x)[0], lambda dz: model(x)[1](dz) * 1.5), x)


# ---------------------------------------------------------------- kinks


def test_a_kink_at_x_is_an_error_that_says_so():
    tie = np.array([1.0, 1.0, -2.0, 0.5]).reshape(1, 2, 2, 1)
    for layer, x in ((ReLU(), np.array([[0.0, 1.0]])), (MaxPool2D(), tie)):
        with pytest.raises(GradientError, match="cannot be checked.*all of 8 random directions"):
            check_gradients(layer, x)


@given(st.floats(3e-6, 1e-3), st.sampled_from([-1, 1]), st.integers(0, 100))
def test_near_a_kink_the_steps_are_shorter(distance, side, seed):
    x = np.array([[side * distance, 1.0, -1.0]])
    assert check_gradients(ReLU(), x, seed=seed).skipped == 0


@given(st.floats(3e-5, 1.9e-4))
def test_kinks_at_equal_distances_to_either_side(distance):
    """Where the slopes to the left and to the right are wrong, and equal."""

    def clipped(x):
        return np.clip(x, -distance, distance), lambda dy: dy * (np.abs(x) < distance)

    assert check_gradients(clipped, np.array([[0.0]])).skipped == 0


def test_a_wrong_gradient_near_a_kink_is_not_taken_for_one():
    def leaky(x):
        return np.maximum(x, 0), lambda dy: dy * (x > -1e-5)

    assert check_gradients(leaky, np.array([[1.0, -1.0]])).skipped == 0
    with pytest.raises(GradientError, match="1 of 2 entries, by the most at \\[0, 0\\]"):
        check_gradients(leaky, np.array([[-5e-6, 1.0]]))


def test_directions_across_a_kink_are_skipped_and_counted():
    """A kink so near that only directions almost along it stay on one side."""
    found = check_gradients(ReLU(), np.array([[1.2e-6, 1.0]]), directions=50, train=False)
    assert 0 < found.skipped < 50
    assert found.checked == 50 - found.skipped


# ---------------------------------------------------------------- around it

NOISE = np.random.default_rng(0)


def test_the_layer_is_left_as_it_was():
    layer = Sequential(Linear(3, 2), ReLU())
    before = dict(parameters.leaves(layer.params))
    values = {path: leaf.copy() for path, leaf in before.items()}
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    layer.params["0"]["weight"][...] = values["0/weight"][...] = 0.5
    check_gradients(layer, x)
    with pytest.raises(GradientError):
        check_gradients(Sequential(Linear(3, 2), Broken(2, changes_dy)), x)
    for path, leaf in parameters.leaves(layer.params):
        assert leaf is before[path]
        np.testing.assert_array_equal(leaf, values[path])
    np.testing.assert_array_equal(x, [[1, 2, 3]])


@pytest.mark.parametrize(
    ("function", "x", "options", "error", "message"),
    [
        (ReLU(), [[1.0]], {}, ValueError, "x must be an array of numbers"),
        (ReLU(), np.array([[np.nan]]), {}, ValueError, "x must hold finite numbers"),
        (ReLU(), np.ones((1, 0)), {}, ValueError, "x must be an array of numbers"),
        (ReLU(), np.ones((1, 1)), {"directions": 0}, ValueError, "directions must be 1 or more"),
        (ReLU(), np.ones((1, 1)), {"step": 0}, ValueError, "step above 0, not 8 and 0"),
        (lambda x: x, np.ones((1, 1)), {}, TypeError, r"a layer returns \(y, backward\)"),
        (lambda x: (np.float32(1) * x.astype("f"), len), np.ones((1, 1)), {}, TypeError, "float32"),
        (lambda x: (x / 0, len), np.ones((1, 1)), {}, GradientError, "infinite or NaN"),
        (lambda x: (x * NOISE.random(), len), np.ones((1, 1)), {}, GradientError, "two calls"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_cannot_be_checked_is_refused_in_one_line(function, x, options, error, message):
    with pytest.raises(error, match=message) as found:
        check_gradients(function, x, **options)
    assert not re.search("\n", str(found.value))
