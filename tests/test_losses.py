"""Every loss against its definition, and every gradient against finite differences of it."""

import sys
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.loss_definitions import LOSSES, defined
from tinyproto import losses
from tinyproto.losses.margins import MIN_DENOMINATOR
from tinyproto.testing import derivative
from tinyproto.testing.losses import Case, any_scores, labels, scores

CLOSE = 1e-7  # of an example's largest partial derivative, or of its gradient's length
SCORE_LOSSES = [name for name in LOSSES if name != "squared_error"]

each_loss = pytest.mark.parametrize("name", LOSSES)
each_score_loss = pytest.mark.parametrize("name", SCORE_LOSSES)


def gradients(name, case):
    """(argument, its gradient, the definition as a function of it) for each argument."""
    _, *found = LOSSES[name](case, case.z, case.w)
    functions = [
        (case.z, lambda z: defined(name, case, z, case.w)),
        (case.w, lambda w: defined(name, case, case.z, w)),
    ]
    return [(at, g, function) for (at, function), g in zip(functions, found, strict=False)]


@each_loss
@given(scores())
def test_the_value_is_the_definition(name, case):
    value = LOSSES[name](case, case.z, case.w)[0]
    np.testing.assert_allclose(value, defined(name, case, case.z, case.w), rtol=1e-12, atol=1e-14)


@each_loss
@given(scores())
def test_each_partial_derivative(name, case):
    for at, gradient, function in gradients(name, case):
        assert gradient.shape == at.shape
        largest = np.abs(gradient).max(axis=1)
        for column in np.eye(at.shape[1]):
            partial = derivative(function, at, np.broadcast_to(column, at.shape))
            error = np.abs(partial - (gradient * column).sum(axis=1))
            assert (error <= CLOSE * largest).all(), (error / largest).max()


@each_loss
@given(scores(), st.integers(0, 2**32 - 1))
def test_the_derivative_along_random_directions(name, case, seed):
    random = np.random.default_rng(seed)
    for at, gradient, function in gradients(name, case):
        direction = random.normal(size=at.shape)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        error = np.abs(derivative(function, at, direction) - (gradient * direction).sum(axis=1))
        assert (error <= CLOSE * np.linalg.norm(gradient, axis=1)).all()


def test_every_argument_with_a_gradient_is_covered():
    case = Case(np.eye(4), np.ones((4, 4)), np.arange(4), (np.arange(4) + 1) % 4)
    counts = {name: len(gradients(name, case)) for name in LOSSES}
    assert {name for name, count in counts.items() if count == 2} == {
        "kl_divergence", "weighted_kl", "squared_error",
    }  # fmt: skip


@each_score_loss
@given(any_scores(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), dtypes=[np.float64]))
def test_at_a_tie_the_earlier_column_wins(name, case):
    ranked = -np.sort(-case.z, axis=1)
    assume((ranked[:, 0] > ranked[:, 2]).all())  # else the denominator is the smallest: see below
    earlier = 1e-9 * np.arange(case.z.shape[1])
    found = LOSSES[name](case, case.z, case.w)
    untied = LOSSES[name](case, case.z - earlier, case.w)
    for at_tie, beside in zip(found, untied, strict=True):
        np.testing.assert_allclose(at_tie, beside, rtol=0, atol=1e-6)


def test_at_a_tie_by_hand():
    z, y = np.array([[3.0, 1.0, 2.0, 2.0, 2.0]]), np.array([0])
    # π = 0, 2, 3, 4, 1 and r = 2: v = −1/1, dz = 1_2 − 1_0 + (1_0 − 1_3)
    np.testing.assert_array_equal(losses.dlr(z, y)[1], [[0, 0, 1, -1, 0]])
    # v = −2/1 towards 1, D = z_0 − ½ z_3 − ½ z_4
    np.testing.assert_array_equal(
        losses.targeted_dlr(z, y, np.array([1]))[1], [[-1 + 2, 1, 0, -1, -1]]
    )
    np.testing.assert_array_equal(losses.margin(z, y)[1], [[-1, 0, 1, 0, 0]])
    # y ties with the class before it, and with the one after it
    tied = np.array([[2.0, 2.0, 0.0], [2.0, 2.0, 0.0]])
    value, dz = losses.dlr(tied, np.array([1, 0]))
    np.testing.assert_array_equal(value, [0, 0])
    np.testing.assert_array_equal(dz, [[0.5, -0.5, 0], [-0.5, 0.5, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [-1e4, 0.0, 1e4])
def test_dlr_of_constant_scores(dtype, level):
    z = np.full((2, 5), level, dtype=dtype)
    y, target = np.array([0, 3]), np.array([4, 0])
    scale = dtype(1) / dtype(MIN_DENOMINATOR)
    value, dz = losses.dlr(z, y)
    np.testing.assert_array_equal(value, [0, 0])
    np.testing.assert_array_equal(dz, scale * np.array([[-1, 1, 0, 0, 0], [1, 0, 0, -1, 0]]))
    value, dz = losses.targeted_dlr(z, y, target)
    np.testing.assert_array_equal(value, [0, 0])
    np.testing.assert_array_equal(dz, scale * np.array([[-1, 0, 0, 0, 1], [1, 0, 0, -1, 0]]))
    # the three largest tie and y is below them: the smallest denominator is a constant
    z = np.array([[1, 1, 1, 0]], dtype=dtype)
    value, dz = losses.dlr(z, np.array([3]))
    np.testing.assert_array_equal(value, [scale])
    np.testing.assert_array_equal(dz, scale * np.array([[1, 0, 0, -1]]))


LARGE = st.one_of(st.sampled_from([-1e4, -1.0, 0.0, 1.0, 1e4]), st.floats(-1e4, 1e4, width=32))


@each_loss
@given(any_scores(LARGE))
def test_large_scores_are_finite_without_a_warning(name, case):
    with warnings.catch_warnings(), np.errstate(over="raise", divide="raise", invalid="raise"):
        warnings.simplefilter("error")
        found = LOSSES[name](case, case.z, case.w)
    shapes = [(len(case.z),), case.z.shape, case.z.shape]
    for array, shape in zip(found, shapes, strict=False):
        assert array.dtype == case.z.dtype
        assert array.shape == shape
        assert np.isfinite(array).all()


@each_score_loss
@given(scores())
def test_a_shift_of_all_scores_changes_nothing(name, case):
    for _, gradient, _ in gradients(name, case):
        error = np.abs(gradient.sum(axis=1))
        assert (error <= 1e-14 * np.abs(gradient).sum(axis=1) + 1e-16).all()
    found = LOSSES[name](case, case.z, case.w)
    shifted = LOSSES[name](case, case.z + 5, case.w - 3)
    for array, moved in zip(found, shifted, strict=True):
        np.testing.assert_allclose(moved, array, rtol=1e-12, atol=1e-14)


@given(scores(), st.floats(-6, 6))
def test_dlr_does_not_depend_on_the_scale(case, exponent):
    scale = 10**exponent
    for name in ("dlr", "targeted_dlr"):
        value, dz = LOSSES[name](case, case.z, case.w)
        scaled, dscaled = LOSSES[name](case, scale * case.z, case.w)
        np.testing.assert_allclose(scaled, value, rtol=1e-12)
        np.testing.assert_allclose(scale * dscaled, dz, rtol=1e-11, atol=1e-13)


@given(any_scores(st.floats(-50, 50)))
def test_dlr_and_margin_are_above_0_where_the_prediction_is_wrong(case):
    rows = np.arange(len(case.z))
    wrong = case.z[rows, case.y] < case.z.max(axis=1)
    for name in ("dlr", "margin"):
        value = LOSSES[name](case, case.z, case.w)[0]
        np.testing.assert_array_equal(value > 0, wrong)
    assert (losses.dlr(case.z, case.y)[0] >= -1).all()


@given(any_scores(st.floats(-50, 50)))
def test_kl_is_never_below_0_and_0_for_equal_scores(case):
    value = losses.kl_divergence(case.z, case.w)[0]
    assert (value >= 0).all()
    difference = np.abs(losses.softmax(case.z) - losses.softmax(case.w)).sum(axis=1)
    assert (value >= 0.5 * difference**2 * (1 - 1e-4) - 1e-6).all()  # Pinsker
    for array in losses.kl_divergence(case.z, case.z):
        np.testing.assert_array_equal(array, np.zeros_like(array))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_never_takes_kl_below_0(dtype):
    random = np.random.default_rng(0)
    z = random.normal(size=(200, 10)).astype(dtype)
    w = (z * (1 + np.finfo(dtype).eps * random.integers(-2, 3, z.shape))).astype(dtype)
    p, ratio = losses.softmax(z), losses.log_softmax(z) - losses.log_softmax(w)
    assert ((p * ratio).sum(axis=1) < 0).any()  # as the sum alone would be
    assert (losses.kl_divergence(z, w)[0] >= 0).all()


@given(scores())
def test_kl_is_0_only_where_the_scores_differ_by_a_shift(case):
    assert (losses.kl_divergence(case.z, case.z + 2)[0] <= 1e-14).all()
    difference = np.abs(losses.softmax(case.z) - losses.softmax(case.w)).sum(axis=1)
    value = losses.kl_divergence(case.z, case.w)[0]
    assert (value >= 0.5 * difference**2).all()
    order = (case.z.argsort(axis=1) != case.w.argsort(axis=1)).any(axis=1)
    assert (value[order] > 1e-3).all()


@given(any_scores(st.floats(-50, 50)))
def test_softmax_and_its_logarithm(case):
    p, log_p = losses.softmax(case.z), losses.log_softmax(case.z)
    assert p.dtype == log_p.dtype == case.z.dtype
    naive = np.array([z - np.log(np.exp(z).sum()) for z in case.z.astype(np.float64)])
    close = (
        {"rtol": 3e-6, "atol": 3e-6} if p.dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    )
    np.testing.assert_allclose(log_p, naive, **close)
    np.testing.assert_allclose(p, np.exp(naive), **close)


def test_smoothing():
    random = np.random.default_rng(0)
    z, y = random.normal(size=(6, 5)), random.integers(0, 5, 6)
    for plain, zero in zip(
        losses.cross_entropy(z, y), losses.cross_entropy(z, y, 0.0), strict=True
    ):
        assert plain.tobytes() == zero.tobytes()
    target = np.full((6, 5), 0.3 / 5)
    target[np.arange(6), y] += 0.7
    _, dz = losses.cross_entropy(np.log(target), y, 0.3)  # the scores of the smallest loss
    np.testing.assert_allclose(dz, 0, atol=1e-15)
    value, dz = losses.cross_entropy(z, y, 1.0)
    np.testing.assert_allclose(value, -losses.log_softmax(z).mean(axis=1), rtol=1e-13)
    np.testing.assert_allclose(dz, losses.softmax(z) - 1 / 5, atol=1e-15)


def test_a_confident_prediction_keeps_its_digits_in_float32():
    random = np.random.default_rng(0)
    z = random.normal(size=(50, 10)).astype(np.float32)
    y = random.integers(0, 10, 50)
    z[np.arange(50), y] += 25  # 1 − p_y is about 1e-10, below float32's rounding of 1
    w = z + 0.1 * random.normal(size=z.shape).astype(np.float32)
    case = Case(z, w, y, (y + 1) % 10)
    exact = Case(z.astype(np.float64), w.astype(np.float64), case.y, case.target)
    for name in ("cross_entropy", "boosted_cross_entropy", "kl_divergence", "weighted_kl"):
        found = LOSSES[name](case, case.z, case.w)
        for array, true in zip(found, LOSSES[name](exact, exact.z, exact.w), strict=True):
            error = np.abs(array - true).reshape(50, -1).max(axis=1)
            size = np.abs(true).reshape(50, -1).max(axis=1)
            assert (error <= 1e-3 * size).all()
            assert (size > 0).all()


def test_boosted_cross_entropy_of_a_confident_and_wrong_prediction():
    z, y = np.array([[0.0, 800.0, -1.0]]), np.array([0])
    value, dz = losses.boosted_cross_entropy(z, y)
    np.testing.assert_allclose(value, [1600 - np.log(1 + np.exp(-1))], rtol=1e-15)
    s = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(dz, [[-1 - s, 2, s - 1]], rtol=1e-14)


def test_squared_error_of_any_shape():
    random = np.random.default_rng(0)
    for shape in ((4,), (4, 3), (4, 2, 3), (0, 3), (4, 0)):
        h, g = random.normal(size=(2, *shape))
        value, dh, dg = losses.squared_error(h, g)
        assert value.shape == shape[:1]
        np.testing.assert_allclose(value, [((a - b) ** 2).sum() for a, b in zip(h, g, strict=True)])
        np.testing.assert_array_equal(dh, 2 * (h - g))
        np.testing.assert_array_equal(dg, -dh)


def example(dtype, count=37, classes=10, scale=5):
    random = np.random.default_rng(1)
    z, w = (scale * random.normal(size=(2, count, classes))).astype(dtype)
    return Case(z, w, *labels(random, count, classes))


@each_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_example_does_not_depend_on_its_batch(name, dtype):
    case = example(dtype)
    before = [array.copy() for array in (case.z, case.w)]
    whole = LOSSES[name](case, case.z, case.w)
    for found, kept in zip((case.z, case.w), before, strict=True):
        assert found.tobytes() == kept.tobytes()  # a loss does not change its arguments
    order = np.random.default_rng(2).permutation(len(case.z))
    for key in [order, slice(0, 0), *(slice(i, i + 1) for i in range(len(case.z)))]:
        part = case.rows(key)
        for array, alone in zip(whole, LOSSES[name](part, part.z, part.w), strict=True):
            assert array.dtype == alone.dtype == dtype
            assert array[key].tobytes() == alone.tobytes()


@each_loss
def test_the_gpu_branch(name, monkeypatch):
    pytest.importorskip("cupy")
    from tests.cuda import standin

    monkeypatch.setitem(sys.modules, "cupy", standin.module)
    case = example(np.float32)
    device = Case(*(standin.module.asarray(a) for a in (case.z, case.w, case.y, case.target)))
    on_device = LOSSES[name](device, device.z, device.w)
    for array, there in zip(LOSSES[name](case, case.z, case.w), on_device, strict=True):
        assert isinstance(there, standin.ndarray)
        assert there.get().dtype == np.float32
        assert array.tobytes() == there.get().tobytes()


def test_invalid_arguments_are_refused():
    z, y = np.zeros((2, 3)), np.array([0, 1])
    with pytest.raises(ValueError, match="dlr needs scores of at least 3 classes, not 2"):
        losses.dlr(z[:, :2], y)
    with pytest.raises(ValueError, match="targeted_dlr needs scores of at least 4 classes, not 3"):
        losses.targeted_dlr(z, y, y)
    with pytest.raises(ValueError, match="boosted_cross_entropy needs scores of at least 2 cl"):
        losses.boosted_cross_entropy(z[:, :1], y)
    for smoothing in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"smoothing must be in .0, 1., not {smoothing}"):
            losses.cross_entropy(z, y, smoothing)
    with pytest.raises(ValueError, match=r"one shape, not \(2, 3\) and \(2, 2\)"):
        losses.squared_error(z, z[:, :2])


# ---------------------------------------------------------------- what is refused at the door

WITH_LABELS = {
    "cross_entropy": lambda z, y: losses.cross_entropy(z, y),
    "smoothed": lambda z, y: losses.cross_entropy(z, y, 0.1),
    "boosted_cross_entropy": losses.boosted_cross_entropy,
    "margin": losses.margin,
    "dlr": losses.dlr,
    "weighted_kl": lambda z, y: losses.weighted_kl(z, z, y),
    "difference": lambda z, y: losses.difference(z, y, 0 * np.arange(len(z))),
    "difference to": lambda z, y: losses.difference(z, 0 * np.arange(len(z)), y),
    "targeted_dlr": lambda z, y: losses.targeted_dlr(z, y, 0 * np.arange(len(z))),
    "targeted_dlr to": lambda z, y: losses.targeted_dlr(z, 0 * np.arange(len(z)), y),
}
with_labels = pytest.mark.parametrize("name", WITH_LABELS)


@with_labels
@given(st.data())
def test_labels_that_cannot_be_right_are_refused(name, data):
    case = data.draw(scores())
    count, classes = case.z.shape
    y = case.y
    wrong, says = data.draw(
        st.sampled_from(
            [
                (y[:, None], f"must hold one label for each of {count} examples"),
                (y[None], "must hold one label"),
                (np.eye(classes)[y], "must hold one label"),
                (y[:-1], "must hold one label"),
                (np.append(y, 0), "must hold one label"),
                (y[0], "must hold one label"),
                (y.astype(np.float32), "must hold integers"),
                (y == 0, "must hold integers"),
                (np.where(y == y[0], classes, y), f"not {classes}"),
                (np.where(y == y[0], -1, y), "not -1"),
                (np.where(y == y[0], -classes, y), f"not -{classes}"),
            ]
        )
    )
    with pytest.raises(ValueError, match="^(y|target) ") as caught:
        WITH_LABELS[name](case.z, wrong)
    assert says in str(caught.value)


@with_labels
@given(scores(), st.sampled_from(["int8", "uint8", "int32", "uint64", ">i4"]))
def test_labels_may_be_integers_of_any_size(name, case, dtype):
    for one, other in zip(
        WITH_LABELS[name](case.z, case.y),
        WITH_LABELS[name](case.z, case.y.astype(dtype)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other, strict=True)


@each_score_loss
@given(scores(), st.data())
def test_scores_that_cannot_be_right_are_refused(name, case, data):
    shapes = [(), case.z.shape[:1], case.z.shape[1:], (*case.z.shape, 1), (1, *case.z.shape)]
    wrong, says = data.draw(
        st.sampled_from(
            [
                *((np.zeros(shape), "z must have the shape (N, C), not") for shape in shapes),
                (case.z.tolist(), "z must have the shape (N, C), not of type list"),
                (case.z.astype(int), "z must hold floating-point numbers, not int64"),
                (case.z[:, :0], "needs scores of at least"),
            ]
        )
    )
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is what is tested)
        LOSSES[name](case, wrong, wrong)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_refuses_what_is_no_row_of_scores(name):
    with pytest.raises(ValueError, match=rf"{name}: z must have the shape \(N, C\), not \(3,\)"):
        getattr(losses, name)(np.zeros(3))


@pytest.mark.parametrize("name", ["kl_divergence", "weighted_kl", "squared_error"])
@given(scores(), st.data())
def test_two_shapes_never_broadcast(name, case, data):
    count, classes = case.w.shape
    others = [(1, classes), (count, 1), (count + 1, classes), (count, classes + 1), (classes,)]
    shape = data.draw(st.sampled_from([s for s in others if s != case.w.shape]))
    with pytest.raises(ValueError, match="shape"):
        LOSSES[name](case, case.z, np.zeros(shape))


def test_a_target_that_is_the_label_has_no_difference():
    z, y = np.array([[3.0, 1.0, 2.0]]), np.array([1])
    value, dz = losses.difference(z, y, y)
    assert value == 0
    assert not dz.any()


@pytest.mark.parametrize("name", ["dlr", "targeted_dlr"])
@given(any_scores(st.floats(-60000, 60000, width=16), dtypes=[np.float16]))
def test_the_ratio_of_float16_is_that_of_float32(name, case):
    """Finite always, also where float16's own arithmetic divides by a 0 that 1e-12 becomes."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        half = LOSSES[name](case, case.z, None)
        single = LOSSES[name](case, case.z.astype(np.float32), None)
    for one, other in zip(half, single, strict=True):
        assert one.dtype == np.float16
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, np.clip(other, -65504, 65504).astype(np.float16))


def test_constant_scores_of_float16():
    z, y = np.full((1, 4), 2, np.float16), np.array([0])
    for value, dz in (losses.dlr(z, y), losses.targeted_dlr(z, y, y + 1)):
        assert value == 0
        assert dz.tolist() == [[-65504, 65504, 0, 0]]
