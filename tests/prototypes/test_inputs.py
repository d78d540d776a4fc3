"""What the networks are given: whatever cannot be right is refused, and changes nothing."""

import copy
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.prototypes import (
    Detector,
    PlusMinusEDWTA,
    load,
    preset_augmentation,
    preset_network,
    save,
)
from tinyproto.state import load_arrays, save_arrays
from tinyproto.testing.prototypes import KINDS

NUMBERS = ["f2", "f4", "f8", "g", ">f4", ">f8", "i1", ">i2", "u8", "O"]


def blobs(dtype="f8", classes=3):
    y = np.arange(45) % classes
    x = np.random.default_rng(0).integers(0, 9, (45, 4)) + 9 * np.eye(classes, 4, dtype=int)[y]
    return x.astype(dtype), y


def fitted(kind, y=None, **options):
    x, label = blobs()
    return kind(2, epochs=2, init="kmeans", **options).fit(x, label if y is None else y[label])


FITTED = {kind: fitted(kind) for kind in KINDS}


def state(network):
    """Bits of the arrays, and everything else."""
    return {n: v.tobytes() if isinstance(v, np.ndarray) else v for n, v in vars(network).items()}


class Frame:
    """As much of a data frame as the estimator protocol looks at."""

    def __init__(self, values, columns):
        self.values, self.columns = values, columns

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


# Labels


@st.composite
def labels(draw):
    """Labels of 45 samples in some form, and whether they are right."""
    _, y = blobs()
    count = draw(st.sampled_from([45] * 4 + [44, 46, 1, 0]))
    form = draw(st.sampled_from(["row", "column", "one-hot", "matrix", "shifted", "text", "half"]))
    y = np.resize(y, count).astype(draw(st.sampled_from(["i1", "u4", "i8", ">i4", "f4", "O"])))
    changed = {
        "row": y, "column": y[:, None], "one-hot": np.eye(3)[y.astype(int)],
        "matrix": np.stack([y, y]), "shifted": y + 1, "text": y.astype(int).astype(str),
        "half": y.astype(float) + 0.5,
    }  # fmt: skip
    return changed[form], form, count == 45 and form in ("row", "column")


@settings(max_examples=200)
@given(st.sampled_from(KINDS), labels())
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_labels_are_one_for_each_sample_or_refused_and_nothing_changes(kind, drawn):
    (x, expected), (y, form, right) = blobs(), drawn
    network = copy.deepcopy(FITTED[kind])
    if right:
        assert network.score(x, y) == np.mean(network.predict(x) == expected)
        again = fitted(kind).fit(x, y)
        assert (again.linear()[0] == network.linear()[0]).all()
        network.partial_fit(x, y)
        return
    before = state(network)
    refused = [network.partial_fit, Detector(network, "margin").fit]
    if form != "shifted":  # a class that was not learned is only never right
        refused.append(network.score)
    if len(y) != 45 or form not in ("shifted", "text"):
        refused.append(network.fit)
    for call in refused:
        with pytest.raises(ValueError, match="y") as error:
            call(x, y)
        assert "\n" not in str(error.value)
        assert state(network) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_labels_is_accepted_with_the_warning_of_scikit_learn(kind):
    x, y = blobs()
    network = fitted(kind)
    for call in (network.fit, network.score, network.partial_fit):
        with pytest.warns(UserWarning, match="A column-vector y was passed") as caught:
            call(x, y[:, None])
        assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize("dtype", ["O", "U5", "S5", "?"])
def test_labels_of_every_type(dtype):
    x, y = blobs(classes=2)
    names = (y.astype(bool) if dtype == "?" else np.array(["a", "b"])[y]).astype(dtype)
    network = PlusMinusEDWTA(2, epochs=2, init="kmeans").fit(x, names)
    assert network.score(x, names) > 0.9
    assert set(network.predict(x)) == set(names)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, "a", 1], r"Mix of label input types \(string and number\): y holds 0 beside 'a'"),
        ([0, None, 1], "y must hold integers or strings, not object"),
        ([0, float("nan"), 1], "Input y contains NaN"),
        ([1j, 0, 1], "y must hold integers or strings, not complex128"),
    ],
)
def test_labels_that_are_none_are_named(values, message):
    x, _ = blobs()
    with pytest.raises(ValueError, match=message):
        PlusMinusEDWTA(1, epochs=1).fit(x, np.array(values * 15, dtype=object))


def test_strings_and_numbers_are_never_compared():
    """NumPy would find 1 in ["0", "1"], and no string equal to any number."""
    (x, y), names = blobs(), np.array(["0", "1", "2"])
    for network, other in ((fitted(PlusMinusEDWTA), names[y]), (fitted(PlusMinusEDWTA, names), y)):
        for call in (network.score, network.partial_fit):
            with pytest.raises(ValueError, match=r"y holds .*, but the classes are"):
                call(x, other)
    with pytest.raises(ValueError, match="y holds numbers, but the classes are strings"):
        PlusMinusEDWTA().partial_fit(x, y, classes=names)


def test_scores_can_be_weighted():
    x, y = blobs()
    network = fitted(PlusMinusEDWTA)
    weight = np.where(network.predict(x) == y, 1, 3)
    weight[0] = 0
    expected = np.average(network.predict(x) == y, weights=weight)
    assert network.score(x, y, sample_weight=weight) == pytest.approx(expected, rel=1e-15)
    for wrong in (weight[:, None], weight[:-1], -weight, 0 * weight, weight * np.nan, "a"):
        with pytest.raises(ValueError, match="sample_weight must"):
            network.score(x, y, sample_weight=wrong)


# Samples


@settings(max_examples=100)
@given(st.sampled_from(KINDS), st.sampled_from(NUMBERS), st.sampled_from(["C", "F", "strided"]))
def test_samples_of_every_dtype_and_layout_give_the_same_bits(kind, dtype, layout):
    x, y = blobs(dtype)
    samples = np.asfortranarray(x) if layout == "F" else x
    if layout == "strided":
        samples = np.repeat(x, 2, axis=0)[::2]
    samples.flags.writeable = False
    network = FITTED[kind]
    again = kind(2, epochs=2, init="kmeans").fit(samples, y)
    assert (again.linear()[0] == network.linear()[0]).all()
    assert (again.decision_function(samples) == network.decision_function(blobs()[0])).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.astype(str), "X must hold numbers, not <U"),
        (lambda x: x.astype("M8[D]"), r"X must hold numbers, not datetime64\[D\]"),
        (lambda x: np.ma.masked_less(x, 3), "X has masked values"),
        (lambda x: np.where(x == x.max(), 1e300, x), r"too large for float32 \(1e\+300\): sample"),
        (lambda x: np.where(x == x.max(), np.longdouble("1e4000"), x), "contains infinity"),
        (lambda x: x[None], "Expected 2D array"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_samples_that_cannot_be_right_change_nothing(kind, change, message):
    x, y = blobs()
    network = copy.deepcopy(FITTED[kind])
    before = state(network)
    for call in (network.fit, network.partial_fit, network.score):
        with pytest.raises(ValueError, match=message):
            call(change(x.astype("g") if "infinity" in message else x), y)
        assert state(network) == before


def test_scores_that_overflow_are_refused():
    far = np.full((1, 4), 1e25)
    for call in ("predict", "predict_proba", "decision_function", "neuron_scores"):
        with pytest.raises(ValueError, match="the scores overflow float32: X is too large"):
            getattr(FITTED[KINDS[1]], call)(far)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_training_that_diverges_says_so_and_leaves_the_network_as_it_was(kind, batch_size):
    x, y = blobs()
    network = fitted(kind, batch_size=batch_size)
    before = {**state(network), "learning_rate": 1e38}
    network.set_params(learning_rate=1e38)
    for call in (network.fit, network.partial_fit):
        with pytest.raises(ValueError, match="training diverged in epoch .* scale X"):
            call(1e10 * x, np.sort(y))  # so that there are errors to learn from
        assert state(network) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_set_params_changes_after_fit_does_not_change_the_fitted_prototypes(kind):
    """More neurons than there are would be read beyond the arrays."""
    (x, y), network, other = blobs(), fitted(kind), fitted(kind)
    network.set_params(prototypes_per_class=50, dtype="float64")
    assert (network.partial_fit(x, y).linear()[0] == other.partial_fit(x, y).linear()[0]).all()
    assert (network.decision_function(x) == other.decision_function(x)).all()
    assert network.decision_function(x).dtype == np.float32
    network.set_params(learning_rate=-1.0)
    with pytest.raises(ValueError, match="learning_rate must be"):
        network.partial_fit(x, y)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_that_come_back_from_the_caller_have_their_shapes_checked(kind):
    x, y = blobs()
    with pytest.raises(ValueError, match=r"what augment returns must have the shape \(45, 4\)"):
        kind(1, epochs=1).fit(x, y, augment=lambda x, epoch: x[:5])
    z, backward = FITTED[kind](x)
    with pytest.raises(ValueError, match=r"dz must have the shape \(45, 3\), not \(3, 45\)"):
        backward(z.T)


@given(
    st.sampled_from(KINDS),
    st.sampled_from(["weights_", "biases_", "positive_prototypes_", "negative_prototypes_"]),
    st.sampled_from(["fewer rows", "fewer columns", "another dtype", "transposed", "the same"]),
)
def test_prototypes_that_were_replaced_must_have_the_shape_of_the_fitted_ones(kind, name, change):
    """Or the kernels would read beyond them."""
    (x, y), network = blobs(), copy.deepcopy(FITTED[kind])
    array = vars(network).get(name)
    if array is None:
        return
    if change == "the same" or (array.ndim == 1 and change in ("fewer columns", "transposed")):
        setattr(network, name, array.copy())
        assert (network.predict(x) == FITTED[kind].predict(x)).all()
        return
    changed = {
        "fewer rows": array[:-1].copy(), "fewer columns": array[..., :-1].copy(),
        "another dtype": array.astype(np.float64), "transposed": array.T.copy(),
    }  # fmt: skip
    setattr(network, name, changed[change])
    for call in (network.score, network.partial_fit, Detector(network, "margin").fit):
        with pytest.raises(ValueError, match=f"{name} must be float32"):
            call(x, y)
    with pytest.raises(ValueError, match=f"{name} must be float32"):
        network(x)


# Names of columns


@given(st.sampled_from(KINDS), st.permutations(list("abcd")), st.sampled_from([4, 3]))
def test_columns_are_those_of_fit_in_their_order(kind, names, count):
    x, y = blobs()
    network = kind(2, epochs=1).fit(Frame(x, list("abcd")), y)
    assert network.feature_names_in_.tolist() == list("abcd")
    before = state(network)
    frame = Frame(x[:, :count], names[:count])
    for call in (network.score, network.partial_fit, Detector(network, "margin").fit):
        if names == list("abcd") and count == 4:
            network.score(frame, y)
        else:
            with pytest.raises(ValueError, match="The feature names should match those that were"):
                call(frame, y)
        assert state(network) == before


@pytest.mark.parametrize("kind", KINDS)
def test_names_on_one_side_only_are_warned_about_and_fit_forgets_them(kind):
    x, y = blobs()
    network = kind(1, epochs=1).fit(Frame(x, list("abcd")), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but"):
        network.predict(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.fit(x, y)
        assert not hasattr(network, "feature_names_in_")
        network.predict(Frame(x, [0, 1, 2, 3]))
    with pytest.warns(UserWarning, match="X has feature names, but .* fitted without"):
        network.predict(Frame(x, list("abcd")))
    with pytest.raises(TypeError, match="all input features have string names"):
        network.fit(Frame(x, ["a", 1, 2, 3]), y)


def test_a_saved_network_remembers_its_columns_and_what_it_was_fitted_with(tmp_path):
    (x, y), path = blobs(), tmp_path / "network.npz"
    network = PlusMinusEDWTA(2, epochs=1).fit(Frame(x, list("abcd")), y)
    network.set_params(prototypes_per_class=5, dtype="float64")
    save(network, path)
    again = load(path)
    assert (again.prototypes_per_class, again.dtype) == (2, "float32")
    assert again.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="The feature names should match"):
        again.predict(Frame(x, list("dcba")))
    arrays, metadata = load_arrays(path)
    for wrong in (list("abc"), "abcd", [1, 2, 3, 4], {}):
        save_arrays(arrays, path, {**metadata, "feature_names": wrong})
        with pytest.raises(ValueError, match="feature_names must be one text for each feature"):
            load(path)


# Few samples


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")  # of the other classes
@pytest.mark.parametrize("kind", KINDS)
def test_equal_samples_are_said_and_give_finite_prototypes(kind):
    x, y = np.repeat(np.eye(3), 10, axis=0), np.repeat(np.arange(3), 10)
    with pytest.warns(UserWarning, match=r"distinct clusters \(1\) .* n_clusters \(4\).*class 2"):
        network = kind(4, epochs=3, init="kmeans").fit(x, y)
    assert network.score(x, y) == 1
    for init in ("random", "class-mean"):
        constant = kind(4, epochs=3, init=init).fit(np.ones_like(x), y)
        assert np.isfinite(constant.linear()[0]).all()


@pytest.mark.parametrize("init", ["random", "class-mean"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_of_each_class_is_enough(kind, init):
    network = kind(3, epochs=50, init=init, learning_rate=0.1).fit(np.eye(3), ["a", "b", "c"])
    assert network.predict(np.eye(3)).tolist() == ["a", "b", "c"]


def test_an_unknown_preset_is_named():
    for make in (
        lambda: preset_network(PlusMinusEDWTA, "robst"),
        lambda: preset_augmentation("robst", (28, 28), epochs=1),
    ):
        with pytest.raises(ValueError, match="preset must be one of authors, .*, not 'robst'"):
            make()
