"""What attacks and evaluations accept: bounds, radii, norms, labels, positions, dtypes, counts."""

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyproto.attacks import (
    Victim,
    apgd,
    apgd_targeted,
    autoattack,
    carlini_wagner,
    carlini_wagner_linf,
    fab,
    fgsm,
    pgd,
    pgd_inner,
    square,
)
from tinyproto.attacks.autoattack import fab_in_ball
from tinyproto.attacks.hyperplane import projection_step
from tinyproto.attacks.region import Region, clip_to_box, linf_bounds, norms, project_l2
from tinyproto.evaluation import evaluate

W = np.random.default_rng(0).normal(size=(6, 4))
STEPS = {"steps": 4}
IN_BALL = {
    "pgd": partial(pgd, **STEPS),
    "fgsm": fgsm,
    "pgd_inner": partial(pgd_inner, step_size=0.05, **STEPS),
    "apgd": partial(apgd, **STEPS),
    "apgd-t": partial(apgd_targeted, **STEPS),
    "square": partial(square, queries=8),
    "fab in ball": partial(fab_in_ball, restarts=2, **STEPS),
    "autoattack": partial(autoattack, version=["apgd-ce"]),
}
NEAREST = {
    "fab": partial(fab, bisections=2, **STEPS),
    "cw": partial(carlini_wagner, binary_search_steps=2, initial_const=10.0, **STEPS),
}
EVALUATION = {"evaluate": partial(evaluate, attacks=["fgsm"], verbose=False)}
WITH_RADIUS = IN_BALL | EVALUATION
EVERY = WITH_RADIUS | NEAREST
each_in_ball = pytest.mark.parametrize("name", IN_BALL)
each_with_radius = pytest.mark.parametrize("name", WITH_RADIUS)
each = pytest.mark.parametrize("name", EVERY)
each_norm = pytest.mark.parametrize("norm", ["linf", "l2"])


def linear(x):
    return x @ W.astype(x.dtype), lambda dz: dz @ W.T.astype(dz.dtype)


def problem(count=5, dtype=np.float64, **box):
    victim = Victim(linear, **box)
    x = np.random.default_rng(1).random((count, 6)).astype(dtype)
    return victim, x, linear(x)[0].argmax(axis=1)


def attack(name, *arguments, **options):
    """Any of EVERY; the radius is left out where there is none."""
    if name in NEAREST:
        options.pop("eps", None)
    return EVERY[name](*arguments, **options)


def one_line(error):
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


# Bounds


FORMULAS = {
    "(x − mean)/std": lambda x, mean, std: (x - mean) / std,
    "x/std − mean/std": lambda x, mean, std: x / std - mean / std,
    "(x − mean)(1/std)": lambda x, mean, std: (x - mean) * (1 / std),
}
levels = st.integers(0, 255)
pairs = st.tuples(st.floats(0.01, 0.99), st.floats(0.05, 1))


def normalized(formula, pair, values, dtype):
    """Pixels that are normalized in a dtype, and bounds in float64."""
    pixels = np.array([0, 255, *values, 0, 255, 128, 7], dtype)[:12].reshape(2, 6) / dtype(255)
    x = FORMULAS[formula](pixels, *map(dtype, pair))
    assert x.dtype == dtype
    mean, std = pair
    return x, (0 - mean) / std, (1 - mean) / std


@each_norm
@pytest.mark.parametrize("name", [*IN_BALL, *NEAREST])
@pytest.mark.filterwarnings("ignore:eps .* is more than")
@settings(max_examples=25)
@given(
    st.sampled_from(sorted(FORMULAS)), pairs, st.lists(levels, min_size=8, max_size=8),
    st.sampled_from([np.float32, np.float64]), st.floats(1e-8, 1),
)  # fmt: skip
def test_pixels_that_miss_the_bounds_by_rounding_are_attacked_and_go_no_farther(
    name, norm, formula, pair, values, dtype, eps
):
    x, lo, hi = normalized(formula, pair, values, dtype)
    x = x.astype(np.float64) if eps < 0.01 else x  # float32's rounding in float64 is accepted too
    victim = Victim(linear, lo=lo, hi=hi)
    y = linear(x)[0].argmax(axis=1)
    options = {} if name == "cw" else {"norm": norm}
    found = attack(name, victim, x, y, eps=eps, **options)
    assert found.dtype == x.dtype
    exact = x.astype(np.float64)
    assert (found >= np.minimum(exact, lo)).all()
    assert (found <= np.maximum(exact, hi)).all()
    if name in IN_BALL:
        assert (norms(found.astype(np.float64) - exact, norm) <= eps).all()


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(FORMULAS)), pairs, st.lists(levels, min_size=8, max_size=8),
    st.floats(0, 1), st.integers(0, 999),
)  # fmt: skip
def test_the_region_of_such_pixels_holds_them(formula, pair, values, eps, seed):
    x, lo, hi = normalized(formula, pair, values, np.float32)
    low, high = linf_bounds(x, eps, lo, hi)
    assert (low <= x).all()
    assert (x <= high).all()
    np.testing.assert_array_equal(clip_to_box(x, x, lo, hi), x)
    np.testing.assert_array_equal(project_l2(x, x, eps, lo, hi), x)
    far = x + np.random.default_rng(seed).normal(size=x.shape)
    for moved in (far, far.astype(np.float32)):
        assert (norms(project_l2(x, moved, eps, lo, hi).astype(float) - x) <= eps).all()
    step = projection_step(x, np.ones_like(x), np.array([1e3, -1e3]), norm="linf", lo=lo, hi=hi)
    assert np.isfinite(step).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each
def test_what_misses_the_bounds_by_more_is_refused(name, dtype):
    lo, hi = (0 - 0.4914) / 0.2471, (1 - 0.4914) / 0.2471
    victim, x, y = problem(dtype=dtype, lo=lo, hi=hi)
    for wrong in (hi * (1 + 2e-6), lo * (1 + 2e-6)):
        x[2, 3] = wrong
        with pytest.raises(ValueError, match=r"x must lie in \[-1.98.*\], not \[.*\] \(float") as e:
            attack(name, victim, x, y, eps=0.1)
        one_line(e)


def test_bounds_are_numbers():
    for lo, message in (
        (np.ones(3), "lo must be below hi for each feature"),
        (np.array(["0"]), "lo must hold numbers, not <U1"),
        ("0", "lo must be a number or an array, not '0'"),
        (None, "lo must be a number or an array, not None"),
        (np.array([0.0, np.nan]), "lo must be below hi for each feature"),
        (1.0, "lo must be below hi"),
        (np.nan, "lo must be below hi"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            Victim(linear, lo=lo)
        one_line(error)
    assert Victim(linear, lo=np.float32(0.5), hi=np.array(2)).lo == 0.5


def test_without_bounds_a_radius_has_to_be_finite():
    victim, x, y = problem(lo=-np.inf, hi=np.inf)
    for name in ("pgd", "apgd", "square", "fab"):
        assert (attack(name, victim, x * 9, y, eps=0.3) != x * 9).any()
    for name in ("pgd", "apgd", "square"):
        with pytest.raises(ValueError, match="eps must be finite where lo or hi is not"):
            attack(name, victim, x, y, eps=np.inf)
    for name in ("cw", "evaluate", "fab in ball"):
        with pytest.raises(ValueError, match="finite bounds, not lo=-inf, hi=inf"):
            attack(name, victim, x, y, eps=0.3)
    half = Victim(linear, lo=0.0, hi=np.inf)
    with pytest.raises(ValueError, match="x must lie in"):
        pgd(half, x - 5, y, eps=0.1)


# Radii


@each_norm
@each_with_radius
@pytest.mark.filterwarnings("ignore:eps .* is more than")
def test_an_infinite_radius_is_the_box(name, norm):
    victim, x, y = problem()
    size = 1.0 if norm == "linf" else 6**0.5
    expected = attack(name, victim, x, y, eps=size, norm=norm)
    for eps in (np.inf, 1e300, 10, np.float32(np.inf)):
        found = attack(name, victim, x, y, eps=eps, norm=norm)
        if name == "evaluate":
            assert found.settings["eps"] == size
            assert (found.robust == expected.robust).all()
        elif name == "fab in ball":  # without a radius FAB goes on to look for the nearest
            assert (linear(found)[0].argmax(axis=1) != y).all()
        else:
            np.testing.assert_array_equal(found, expected)


@each_norm
@each_in_ball
@settings(max_examples=20)
@given(
    st.lists(st.sampled_from([0, 0.01, 0.3, 1, 1e9, 1e200, 1e308, np.inf]), min_size=5, max_size=5)
)
@pytest.mark.filterwarnings("ignore:eps .* is more than")
def test_a_radius_for_each_example_may_be_infinite(name, norm, eps):
    victim, x, y = problem()
    with np.errstate(all="raise", under="ignore"):
        found = attack(name, victim, x, y, eps=np.array(eps), norm=norm)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (norms(found - x, norm) <= eps).all()


@pytest.mark.filterwarnings("ignore:eps .* is more than")
def test_fab_without_a_radius_goes_on_and_with_a_large_one_stops():
    victim, x, y = problem()
    counts = []
    for eps in (np.inf, 0.99):
        victim.forward_passes = 0
        fab(victim, x, y, eps=eps, steps=10, targets=3)
        counts.append(victim.forward_passes)
    assert counts[0] > counts[1]


@pytest.mark.parametrize(
    ("eps", "message"),
    [
        (-0.1, "eps must be 0 or more, not -0.1"),
        (np.nan, "eps must be 0 or more, not nan"),
        (np.array([0.1, 0.1, np.nan, 0.1, 0.1]), "eps must be|eps must be 0 or more, not nan"),
        ("8/255", "eps must be a number, or one for each of 5 examples, not '8/255'"),
        (None, "eps must be a number, or one for each of 5 examples, not None"),
        (True, "eps must be a number, or one for each of 5 examples, not True"),
        ([0.1] * 5, "eps must be a number, or one for each of 5 examples, not "),
        ([0.1] * 5000, "eps must be a number, or one for each of 5 examples, not "),
        (np.full(4, 0.1), r"eps must be|one for each of 5 examples, not float64 \(4,\)"),
        (np.full((5, 1), 0.1), r"eps must be|one for each of 5 examples, not float64 \(5, 1\)"),
        (np.array("8"), "eps must be"),
        (1j, "eps must be a number"),
    ],
)
@each_with_radius
def test_other_radii_are_refused(name, eps, message):
    victim, x, y = problem()
    if name == "pgd_inner":
        with pytest.raises(ValueError, match=message.replace("eps", "step_size")) as error:
            pgd_inner(victim, x, y, eps=0.1, steps=1, step_size=eps)
        one_line(error)
    with pytest.raises(ValueError, match=message) as error:
        attack(name, victim, x, y, eps=eps)
    one_line(error)
    assert victim.forward_passes == 0


@pytest.mark.parametrize(
    ("norm", "box", "eps", "question"),
    [
        (
            "linf",
            (0, 1),
            8,
            "eps 8 is more than the size of the box, 1 in linf; did you mean 8/255",
        ),
        ("linf", (0, 1), 0.6, "eps 0.6 is more than half the size of the box, 1 in linf"),
        ("linf", (0, 1), 0.5, None),
        ("linf", (0, 1), np.inf, None),
        ("linf", (0, 255), 8, None),
        ("linf", (0, 255), 200, "eps 200 is more than half the size of the box, 255 in linf$"),
        ("linf", (-2, 2), 8, r"did you mean 0.1255\?"),
        ("l2", (0, 1), 1.2, None),
        ("l2", (0, 1), 128, "the size of the box, 2.449 in l2; did you mean 128/255"),
    ],
)
@each_with_radius
def test_more_than_half_of_the_box_is_questioned_once(name, norm, box, eps, question):
    lo, hi = box
    victim, x, y = problem(lo=lo, hi=hi)
    x = x * hi
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(2):
            attack(name, victim, x, y, eps=eps, norm=norm)
    seen = [w for w in seen if "eps" in str(w.message)]
    assert len(seen) == (question is not None)
    if question:
        assert seen[0].filename == __file__
        with pytest.warns(UserWarning, match=question):
            attack(name, Victim(linear, lo=lo, hi=hi), x, y, eps=eps, norm=norm)


def test_the_attack_without_a_bound_of_the_masking_suite_is_not_questioned():
    victim, x, y = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(victim, x, y, "masking", eps=0.1, verbose=False)


# Norms


WRITTEN = {
    "linf": ["Linf", "LINF", "l_inf", "inf", "Inf", np.inf, float("inf"), np.float32(np.inf)],
    "l2": ["L2", "l_2", "2", 2, 2.0, np.int64(2), np.float64(2)],
}


@each_norm
@each
def test_norms_in_any_usual_way(name, norm):
    victim, x, y = problem()
    if name == "cw":
        return
    expected = attack(name, victim, x, y, eps=0.1, norm=norm)
    for written in WRITTEN[norm]:
        found = attack(name, victim, x, y, eps=0.1, norm=written)
        if name == "evaluate":
            assert found.settings == expected.settings
        else:
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("norm", ["l3", "", "l", None, True, 3, -np.inf, np.nan, "L0", b"l2", [2]])
@each
def test_other_norms_are_refused(name, norm):
    victim, x, y = problem()
    if name == "cw":
        return
    with pytest.raises(ValueError, match="norm must be 'linf' or 'l2'") as error:
        attack(name, victim, x, y, eps=0.1, norm=norm)
    one_line(error)
    for function in (
        lambda: Region(x, 0.1, norm, victim),
        lambda: norms(x, norm),
        lambda: projection_step(x, x, x[:, 0], norm=norm),
    ):
        with pytest.raises(ValueError, match="norm must be 'linf' or 'l2'"):
            function()


def test_the_norm_l1_in_any_usual_way():
    victim, x, y = problem()
    expected = fab(victim, x, y, norm="l1", steps=5)
    for written in ("L1", "1", 1, 1.0):
        np.testing.assert_array_equal(fab(victim, x, y, norm=written, steps=5), expected)


# Labels, positions, images


@each
@settings(max_examples=20)
@given(
    st.tuples(
        st.sampled_from(["i1", "u1", "i8", ">i4", "f8", "f4", "?", "U1"]),
        st.one_of(
            st.just((5,)), st.just((5,)), hnp.array_shapes(min_dims=0, max_dims=2, max_side=5)
        ),
        st.lists(st.integers(0, 4), min_size=25, max_size=25),
        st.sampled_from([0, 0, 0, -1]),
    )
)
def test_labels_are_one_class_for_each_example(name, drawn):
    dtype, shape, values, shift = drawn
    assume(shift == 0 or np.dtype(dtype).kind != "u")
    y = np.array(values[: int(np.prod(shape))]).reshape(shape)
    y = np.asarray((y + shift).astype(dtype))
    victim, x, _ = problem()
    right = shape == (5,) and y.dtype.kind in "iu" and (y >= 0).all() and (y < 4).all()
    if right:
        attack(name, victim, x, y, eps=0.1)
        return
    with pytest.raises(ValueError, match="y must hold") as error:
        attack(name, victim, x, y, eps=0.1)
    one_line(error)
    assert victim.forward_passes in (0, 5)  # what is no class is seen in the scores


@pytest.mark.parametrize("y", [[0] * 5, (0, 1, 2, 3, 0), None, 3, "labels"])
@each
def test_labels_that_are_no_array_are_refused(name, y):
    victim, x, _ = problem()
    with pytest.raises(ValueError, match="y must be an array, not"):
        attack(name, victim, x, y, eps=0.1)


INDEXED = [name for name in EVERY if name not in ("fgsm", "cw")]


@pytest.mark.parametrize("name", INDEXED)
@settings(max_examples=20)
@given(
    st.sampled_from(["i1", "u4", "i8", "f8", "?"]),
    st.one_of(st.just((5,)), hnp.array_shapes(min_dims=0, max_dims=2, max_side=5)),
    st.sampled_from([0, 0, -1]),
)
def test_positions_are_one_for_each_example(name, dtype, shape, least):
    assume(least == 0 or np.dtype(dtype).kind in "if")
    index = np.asarray((np.arange(int(np.prod(shape))).reshape(shape) + least).astype(dtype))
    victim, x, y = problem()
    if shape == (5,) and dtype[0] in "iu" and least == 0:
        attack(name, victim, x, y, eps=0.1, index=index)
        return
    with pytest.raises(ValueError, match="index must hold") as error:
        attack(name, victim, x, y, eps=0.1, index=index)
    one_line(error)
    assert victim.forward_passes == 0


def images_of(dtype):
    x = np.random.default_rng(2).random((5, 6))
    kind = np.dtype(dtype).kind
    return (x * (255 if kind == "u" else 100)).astype(dtype) if kind in "iu" else x.astype(dtype)


@pytest.mark.parametrize("dtype", ["f2", "g", "i1", "u1", "i8", ">i4", "?", "c16", "U3", "O"])
@each
def test_x_of_another_dtype_is_refused_and_the_message_says_what_to_write(name, dtype):
    victim, _, y = problem()
    x = images_of(dtype)
    message = r"x must hold (float32 or float64|floating-point numbers), not .* of shape \(5, 6\); "
    with pytest.raises(ValueError, match=message) as error:
        attack(name, victim, x, y, eps=0.1)
    one_line(error)
    advice = " / 255" if np.dtype(dtype).kind in "iu" else ""
    assert str(error.value).endswith(f"use x.astype(np.float32){advice}")
    assert victim.forward_passes == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each
def test_big_endian_images_are_those_of_this_machine(name, dtype):
    victim, x, y = problem(dtype=dtype)
    expected = attack(name, victim, x, y, eps=0.1)
    swapped = x.astype(x.dtype.newbyteorder())
    found = attack(name, victim, swapped, y.astype(">i8"), eps=0.1)
    if name == "evaluate":
        assert (found.robust == expected.robust).all()
        assert found.settings == expected.settings
        return
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.full((5, 6), 200.0),
            r"not \[200.0, 200.0\] \(float64 of shape .*\); divide by 255$",
        ),
        (np.full((5, 6), 1.5), r"x must lie in \[0.0, 1.0\], not \[1.5, 1.5\] \(float64 of shape"),
        (np.full((5, 6), -0.5), r"x must lie in \[0.0, 1.0\], not \[-0.5, -0.5\]"),
        (np.full((5, 6), np.inf), r"x must lie in \[0.0, 1.0\], not \[inf, inf\]"),
        (np.full((5, 6), np.nan, np.float32), r"x holds NaN \(float32 of shape \(5, 6\)\)"),
        (np.zeros((5, 0)), r"x must hold examples \(N, …\), not float64 of shape \(5, 0\)"),
        (np.array(0.5), r"x must hold examples \(N, …\), not float64 of shape \(\)"),
        ([[0.5] * 6] * 5, r"x must be an array, not list; use np.asarray\(x\)"),
        (0.5, "x must be an array, not float"),
    ],
)
@each
def test_other_images_are_refused(name, x, message):
    victim, _, y = problem()
    with pytest.raises(ValueError, match=message) as error:
        attack(name, victim, x, y, eps=0.1)
    one_line(error)


@each
def test_no_examples(name):
    victim, x, y = problem()
    for labels in (y[:0], np.zeros(0)):
        found = attack(name, victim, x[:0], labels, eps=0.1)
        assert name == "evaluate" or found.shape == (0, 6)


# Counts and other numbers


COUNTS = [
    ("pgd", "steps"), ("pgd", "restarts"), ("pgd_inner", "steps"), ("apgd", "steps"),
    ("apgd", "restarts"), ("apgd", "eot_iter"), ("apgd-t", "steps"), ("apgd-t", "restarts"),
    ("apgd-t", "targets"), ("apgd-t", "eot_iter"), ("square", "queries"), ("fab", "steps"),
    ("fab", "restarts"), ("cw", "steps"), ("cw", "binary_search_steps"), ("evaluate", "batch_size"),
]  # fmt: skip
FROM_0 = [("fab", "targets"), ("fab", "bisections"), ("pgd_inner", "epoch")]
SEEDED = [(name, "seed") for name in INDEXED]


@pytest.mark.parametrize(("name", "count"), COUNTS + FROM_0 + SEEDED)
@pytest.mark.parametrize("value", [-1, 0, 2.5, 2.0, True, "3", None, np.nan, 1 << 40])
def test_counts_are_whole_numbers(name, count, value):
    victim, x, y = problem()
    if value == 1 << 40 and (name, count) in COUNTS + FROM_0[:2]:
        return  # large, but right
    if value is not True and value == 0 and (name, count) in FROM_0 + SEEDED:
        attack(name, victim, x, y, eps=0.1, **{count: 0})
        return
    with pytest.raises(ValueError, match=f"{count} must be ") as error:
        attack(name, victim, x, y, eps=0.1, **{count: value})
    one_line(error)
    assert victim.forward_passes == 0


@pytest.mark.parametrize(("name", "count"), COUNTS + FROM_0 + SEEDED)
def test_counts_of_numpy_are_those_of_python(name, count):
    victim, x, y = problem()
    expected = attack(name, victim, x, y, eps=0.1, **{count: 2})
    for kind in (np.int64, np.uint8):
        found = attack(name, victim, x, y, eps=0.1, **{count: kind(2)})
        if name == "evaluate":
            assert found.settings == expected.settings
            assert found.json()
        else:
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "number"),
    [("pgd", "momentum"), ("pgd", "step_size"), ("pgd_inner", "initial_noise"),
     ("square", "p_init"), ("cw", "learning_rate"), ("cw", "initial_const"), ("cw", "confidence")],
)  # fmt: skip
@pytest.mark.parametrize("value", [-1, -0.1, np.nan, "0.1", True, 1j])
def test_other_numbers_are_0_or_more(name, number, value):
    victim, x, y = problem()
    with pytest.raises(ValueError, match=f"{number} must be ") as error:
        attack(name, victim, x, y, eps=0.1, **{number: value})
    one_line(error)


def test_cw_linf_passes_on_what_it_gets():
    victim, x, y = problem()
    for changed, message in (({"steps": 1.5}, "steps must be"), ({"eps": -1}, "eps must be")):
        with pytest.raises(ValueError, match=message):
            carlini_wagner_linf(victim, x, y, **({"eps": 0.1} | changed))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (None, "loss must be one of ce, dlr, margin or a function, not None"),
        (lambda z, y: (z, z), r"the value of the loss must have the shape \(5,\), not \(5, 4\)"),
        (
            lambda z, y: (z[:, :1], z),
            r"value of the loss must have the shape \(5,\), not \(5, 1",
        ),
        (lambda z, y: (z[:, 0], z.T), r"dz, .* must have the shape \(5, 4\), not \(4, 5\)"),
        (
            lambda z, y: (z[:, 0], None),
            r"dz, .* must have the shape \(5, 4\), not of type NoneT",
        ),
    ],
)
@pytest.mark.parametrize("name", ["pgd", "fgsm", "pgd_inner", "apgd"])
def test_a_loss_returns_one_value_for_each_example_and_a_gradient_like_the_scores(
    name, loss, message
):
    victim, x, y = problem()
    with pytest.raises(ValueError, match=message):
        attack(name, victim, x, y, eps=0.1, loss=loss)


@pytest.mark.parametrize("version", [None, 3, [], "best", ["cw"], [pgd]])
def test_versions_of_autoattack_are_names(version):
    victim, x, y = problem()
    with pytest.raises(ValueError, match="version must be one of|unknown attack"):
        autoattack(victim, x, y, eps=0.1, version=version)
