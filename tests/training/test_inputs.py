"""Images and labels that cannot be right are refused by training and evaluation, and nothing is
changed; those that can be are read as what they are."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.layers import Conv2D, Flatten, GlobalAveragePool, Linear, ReLU, Sequential
from tinyproto.networks import Network
from tinyproto.parameters import flatten, zeros
from tinyproto.prototypes.dpnp import PrototypeHead
from tinyproto.training import DEFENSES, Batch, PGDConfig, accuracy, fit, standard
from tinyproto.training.batch import load_batch

COUNT, CLASSES = 12, 3
X = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 5, 3), dtype=np.uint8)
Y = np.arange(COUNT) % CLASSES


def tiny(prototypes=False):
    head = PrototypeHead(4, CLASSES) if prototypes else Linear(4, CLASSES)
    return Network(Sequential(Conv2D(3, 4, 3, padding=1), ReLU(), GlobalAveragePool()), head)


def bits(network):
    return {path: leaf.tobytes() for path, leaf in flatten(network.params).items()}


def refused(message, x, y, tmp_path):
    """Every entry refuses these images and labels and leaves the weights and the folder alone."""
    network = tiny()
    before, options = bits(network), {"epochs": 1, "checkpoint": tmp_path / "c.npz"}
    for call in (
        lambda: fit(network, standard, x, y, **options),
        lambda: fit(network, standard, X, Y, validation=(x, y), **options),
        lambda: accuracy(network, x, y),
    ):
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    assert bits(network) == before
    assert not list(tmp_path.iterdir())


# Labels


@st.composite
def labels(draw):
    """Labels in some form, and whether they are right."""
    count = draw(st.sampled_from([COUNT] * 4 + [COUNT - 1, COUNT + 1, 1, 0]))
    y = np.resize(Y, count)
    form = draw(
        st.sampled_from(["row", "column", "one-hot", "above", "below", "float", "text", "bool"])
    )
    changed = {
        "row": y.astype(draw(st.sampled_from(["u1", "i1", ">i4", "u8", "i8"]))),
        "column": y[:, None], "one-hot": np.eye(CLASSES)[y], "above": y + 1, "below": y - 1,
        "float": y.astype(float), "text": y.astype(str), "bool": y > 0,
    }  # fmt: skip
    return changed[form], form == "row" and count == COUNT


@settings(max_examples=100)
@given(labels())
def test_labels_are_one_class_for_each_image_or_refused(tmp_path_factory, drawn):
    y, right = drawn
    if not right:
        refused("must hold", X, y, tmp_path_factory.mktemp("run"))
        return
    network, other = tiny(), tiny()
    assert accuracy(network, X, y) == accuracy(network, X, Y)
    rows = [fit(n, standard, X, t, epochs=1, verbose=False) for n, t in ((network, y), (other, Y))]
    assert rows[0][0]["loss"] == rows[1][0]["loss"]
    assert bits(network) == bits(other)


@settings(max_examples=200)
@given(st.sampled_from(list(DEFENSES)), labels())
def test_labels_of_a_batch_are_checked_before_a_gradient_is_added(name, drawn):
    (y, right), network = drawn, tiny(DEFENSES[name].prototypes)
    x, grads, index = X / np.float32(255), zeros(network.params), np.arange(COUNT)
    options = {"attack": PGDConfig(steps=1)} if DEFENSES[name].adversarial else {}
    defense = partial(DEFENSES[name], **options)
    if right:
        loss, z = defense(network, Batch(x, y, index), grads)
        assert (loss.shape, z.shape) == ((COUNT,), (COUNT, CLASSES))
        return
    with pytest.raises(ValueError, match="y must hold"):
        defense(network, Batch(x, y, index), grads)
    assert not any(np.any(leaf) for leaf in flatten(grads).values())


@pytest.mark.parametrize("name", list(DEFENSES))
def test_coefficients_and_attacks_are_checked_before_a_gradient_is_added(name):
    defense = DEFENSES[name]
    network = tiny(defense.prototypes)
    grads, index = zeros(network.params), np.arange(COUNT)
    batch = Batch(X / np.float32(255), Y, index)
    numbers = {n: v for n, v in defense.defaults().items() if type(v) is float}
    for coefficient in numbers:
        for value in (-1.0, np.nan, "1"):
            with pytest.raises((ValueError, TypeError), match=f"{coefficient} must be|'<='"):
                defense(network, batch, grads, **{coefficient: value})
    if defense.adversarial:
        with pytest.raises(ValueError, match=r"what the attack returns must have the shape \(12"):
            defense(network, batch, grads, attack=lambda network, batch, **options: batch.x[:3])
    with pytest.raises(ValueError, match="the batch holds no images"):
        defense(network, Batch(batch.x[:0], Y[:0], index[:0]), grads)
    assert not any(np.any(leaf) for leaf in flatten(grads).values())


def test_classes_are_counted_for_a_head_of_any_kind():
    """Weights of another layer may be (outputs, inputs): the scores of an image are counted."""
    network = Network(tiny().features, Sequential(Linear(4, 8), ReLU(), Linear(8, CLASSES)))
    batch = Batch(X / np.float32(255), Y, np.arange(COUNT))
    assert standard(network, batch, zeros(network.params))[1].shape == (COUNT, CLASSES)
    with pytest.raises(ValueError, match="y must hold classes, 0 … 2, not 3"):
        standard(network, Batch(batch.x, Y + 1, batch.index), {})


# Images


@st.composite
def images(draw):
    """Images of some dtype and range, and whether they are right."""
    dtype = np.dtype(draw(st.sampled_from(["u1", "i2", ">i4", "i8", "f2", "f4", ">f4", "f8", "g"])))
    scale = draw(st.sampled_from([1, 255]))
    x = (X / 255 * scale).astype(dtype)
    spoiled = draw(st.sampled_from([None, None, -1, 256, np.nan, np.inf]))
    integers = dtype.kind in "iu"
    if spoiled is not None and not (integers and (dtype == np.uint8 or not np.isfinite(spoiled))):
        x[3, 2, 1, 0] = spoiled
    else:
        spoiled = None
    return x, spoiled is None and (integers or scale == 1)


@settings(max_examples=100)
@given(images())
def test_images_are_whole_numbers_to_255_or_floats_to_1_or_refused(tmp_path_factory, drawn):
    x, right = drawn
    if not right:
        refused("must hold|holds NaN", x, Y, tmp_path_factory.mktemp("run"))
        return
    integers = x.dtype.kind in "iu"
    same = x.astype(np.uint8) if integers else x.astype(np.float32)
    network, other = tiny(), tiny()
    rows = [
        fit(n, standard, i, Y, epochs=1, verbose=False, validation=(i, Y))
        for n, i in ((network, x), (other, same))
    ]
    assert bits(network) == bits(other)
    assert [rows[0][0][k] == rows[1][0][k] for k in ("loss", "clean")] == [True, True]


@pytest.mark.parametrize("x", [X.transpose(0, 3, 1, 2), X[..., :1], X.reshape(COUNT, -1), X[0]])
def test_images_of_a_shape_that_the_network_refuses(x, tmp_path):
    refused(r"images (are|of shape) \(N, H, W, C\)", x, Y, tmp_path)


def test_images_of_another_size_than_the_weights():
    network = Network(Flatten(), Linear(6 * 5 * 3, CLASSES))
    with pytest.raises(ValueError, match=r"x has images of shape \(6, 6, 3\), which the network"):
        accuracy(network, np.zeros((2, 6, 6, 3)), Y[:2])
    with pytest.raises(ValueError, match="x holds no images"):
        fit(network, standard, X[:0], Y[:0], epochs=1)
    assert accuracy(network, X[:0], Y[:0]) == 0


def test_a_batch_may_be_larger_than_the_data():
    assert len(fit(tiny(), standard, X, Y, epochs=2, batch_size=1000, verbose=False)) == 2


def test_the_shape_of_what_an_attack_returns_is_checked():
    with pytest.raises(ValueError, match="what the attack returns must have the shape"):
        accuracy(tiny(), X, Y, lambda victim, x, y, index: x[:1])


@pytest.mark.parametrize("size", [0, 2.5, -1])
def test_the_batch_size_of_an_evaluation(size):
    with pytest.raises(ValueError, match="batch_size must be .*1 or more"):
        accuracy(tiny(), X, Y, batch_size=size)


# Batches


@given(st.lists(st.integers(-2, COUNT + 1), max_size=5), st.sampled_from(["i8", "u4", "f8"]))
def test_positions_are_those_of_images(index, dtype):
    index = np.array(index).astype(dtype) if min(index, default=0) >= 0 else np.array(index)
    right = index.dtype.kind in "iu" or not len(index)
    if right and all(0 <= i < COUNT for i in index):
        batch = load_batch(tiny(), X, Y, index.astype(int))
        np.testing.assert_array_equal(batch.y, Y[index.astype(int)])
        return
    with pytest.raises(ValueError, match="index must"):
        load_batch(tiny(), X, Y, index)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X}, r"x must hold floating-point numbers in \[0, 1\], not uint8"),
        ({"x": [[0.5]]}, r"x must hold floating-point numbers in \[0, 1\], not list"),
        ({"y": Y[:, None]}, r"y must hold one label for each of 12 examples, .* use y.ravel\(\)"),
        ({"y": Y - 1}, "y must hold classes, 0 or more, not -1"),
        ({"y": Y / 2}, "y must hold integers, .* not float64"),
        ({"index": np.arange(3)}, r"index must hold one position for each of 12 examples"),
        ({"index": np.arange(COUNT)[:, None]}, r"shape \(12,\), not \(12, 1\)"),
        ({"index": np.arange(COUNT) - 1}, "index must hold integers of 0 or more, not -1"),
    ],
)
def test_a_batch_checks_its_parts(change, message):
    with pytest.raises(ValueError, match=message):
        Batch(**{"x": X / 255, "y": Y, "index": np.arange(COUNT), **change})


def test_load_batch_checks_what_it_is_given():
    index = np.arange(3)
    for x, y, message in (
        (X, Y[:-1], r"y must have the shape \(12,\), not \(11,\)"),
        (X.astype(int), Y, r"images must hold uint8 or floats in \[0, 1\], not int64"),
    ):
        with pytest.raises(ValueError, match=message):
            load_batch(tiny(), x, y, index)
    with pytest.raises(ValueError, match="what augment returns must have the shape"):
        load_batch(tiny(), X, Y, index, augment=lambda images, **named: images[:1])
    for model in (Flatten(), lambda x: x):
        with pytest.raises(ValueError, match="the network has no parameters"):
            load_batch(model, X, Y, index)


@given(
    st.sampled_from(["eps", "steps", "step_size"]),
    st.sampled_from([-1, -0.5, 0, 2.5, np.nan, True, "1", None, [0.1]]),
)
def test_numbers_of_an_attack_that_cannot_be_right(name, value):
    if value == 2.5 and name != "steps":
        assert getattr(PGDConfig(**{name: value}), name) == value
        return
    if name == "eps" and value == 0 and value is not False:
        PGDConfig(eps=value)
        return
    with pytest.raises(ValueError, match=f"{name} must be "):
        PGDConfig(**{name: value})


def test_a_norm_is_stored_in_one_form():
    assert PGDConfig(norm="L2") == PGDConfig(norm="l_2") == PGDConfig(norm="l2")
    with pytest.raises(ValueError, match="norm must be"):
        PGDConfig(norm="l3")
