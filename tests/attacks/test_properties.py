"""Properties that every attack must have, and some of single ones, on small victims.

A new attack gets a line in IN_BALL, or in NEAREST if it has no radius.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto.attacks import (
    FlatGradientWarning,
    Victim,
    apgd,
    apgd_targeted,
    autoattack,
    carlini_wagner,
    fab,
    pgd,
    square,
)
from tinyproto.attacks.autoattack import VERSIONS, attacks_to_run, fab_in_ball
from tinyproto.attacks.region import Region, norms
from tinyproto.losses import cross_entropy, dlr
from tinyproto.testing.victims import constant, flattened, hidden, problem

IN_BALL = {
    "pgd": pgd,
    "apgd": apgd,
    "apgd on dlr": lambda *a, **k: apgd(*a, loss="dlr", **k),
    "apgd, restarts": lambda *a, **k: apgd(*a, restarts=3, **k),
    "apgd-t": lambda *a, **k: apgd_targeted(*a, targets=4, **k),
    "square": lambda *a, steps=100, **k: square(*a, queries=steps, **k),
    "fab in ball": lambda *a, **k: fab_in_ball(*a, restarts=2, **k),
}
NEAREST = {
    "fab": fab,
    "fab, restarts": lambda *a, **k: fab(*a, restarts=3, **k),
    "fab-t": lambda *a, **k: fab(*a, targets=4, **k),
    "cw": lambda *a, norm="l2", seed=0, index=None, **k: carlini_wagner(
        *a, binary_search_steps=4, **k
    ),
}
EVERY = IN_BALL | NEAREST
each_in_ball = pytest.mark.parametrize("name", IN_BALL)
each_attack = pytest.mark.parametrize("name", EVERY)
each_norm = pytest.mark.parametrize("norm", ["linf", "l2"])


@each_norm
@each_in_ball
@pytest.mark.filterwarnings("ignore::tinyproto.attacks.FlatGradientWarning")  # ReLUs that are off
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=8)
@given(st.integers(0, 10_000), st.floats(0, 0.5))
def test_points_lie_in_ball_and_box_to_the_last_bit(name, norm, dtype, seed, eps):
    victim, x, y = problem(seed, dtype=dtype)
    attacked = IN_BALL[name](victim, x, y, eps=eps, norm=norm, steps=12)
    assert attacked.dtype == dtype
    assert attacked.shape == x.shape
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert (norms(attacked.astype(np.float64) - x, norm) <= eps).all()


@each_norm
@each_attack
@pytest.mark.parametrize("box", [(-0.1, 0.1), (-2.1179, 2.64), (0.0, 255.0)])
def test_no_point_leaves_a_box_whose_bounds_are_not_float32_numbers(name, norm, box):
    lo, hi = box
    model = hidden(5, dtype=np.float32)

    def rescaled(x):  # the victim of [0, 1] on images of another box
        z, backward = model((x - np.float32(lo)) / np.float32(hi - lo))
        return z, lambda dz: backward(dz) / np.float32(hi - lo)

    x = np.random.default_rng(0).uniform(lo, hi, (30, 6)).astype(np.float32)
    x[::2, :3] = x[::2, :3].clip(lo * 0.9, hi * 0.9)
    x[1::2, 3:] = np.nextafter(np.float32(hi), np.float32(lo))
    victim = Victim(rescaled, lo=lo, hi=hi)
    y = victim(x)[0].argmax(axis=1)
    options = {"eps": 0.3 * (hi - lo)} if name in IN_BALL else {}
    found = EVERY[name](victim, x, y, norm=norm, steps=20, **options)
    assert (found != x).any()
    assert (found.astype(np.float64) >= lo).all()
    assert (found.astype(np.float64) <= hi).all()


@each_norm
@pytest.mark.parametrize("shape", [(9, 9, 2), (5, 8, 1), (1, 40, 1), (2, 2, 3)])
@settings(max_examples=8)
@given(st.integers(0, 10_000), st.floats(0.01, 0.5))
def test_square_on_images_of_any_shape(norm, shape, seed, eps):
    model = flattened(hidden(seed, int(np.prod(shape)), dtype=np.float32))
    x = np.random.default_rng(seed).random((4, *shape)).astype(np.float32)
    victim = Victim(model)
    y = victim(x)[0].argmax(axis=1)
    attacked = square(victim, x, y, eps=eps, norm=norm, queries=60)
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert (norms(attacked.astype(np.float64) - x, norm) <= eps).all()


@each_norm
@each_attack
def test_an_example_has_the_same_bits_in_any_batch_and_order(name, norm):
    attack = EVERY[name]
    options = {"norm": norm, "seed": 4, "steps": 30}
    if name in IN_BALL:
        options["eps"] = 0.05
    victim, x, y = problem(3, count=9)
    index = np.arange(100, 109)
    together = attack(victim, x, y, index=index, **options)
    assert (together != x).any()
    for part in ([0], [3, 1], [8, 7, 6, 5, 4]):
        alone = attack(victim, x[part], y[part], index=index[part], **options)
        np.testing.assert_array_equal(alone, together[part])


@each_norm
@each_attack
def test_images_have_the_same_bits_in_any_batch(name, norm):
    model = flattened(hidden(2, 27, dtype=np.float32))
    x = np.random.default_rng(2).random((7, 3, 3, 3)).astype(np.float32)
    victim = Victim(model)
    y, index = victim(x)[0].argmax(axis=1), np.arange(7)
    options = {"norm": norm, "seed": 1, "steps": 20}
    if name in IN_BALL:
        options["eps"] = 0.05
    attack = EVERY[name]
    together = attack(victim, x, y, index=index, **options)
    for part in ([2], [6, 0, 3]):
        alone = attack(victim, x[part], y[part], index=index[part], **options)
        np.testing.assert_array_equal(alone, together[part])


@pytest.mark.parametrize("name", ["pgd", "apgd", "apgd-t", "square"])
def test_other_seeds_and_indices_give_other_random_numbers(name):
    victim, x, y = problem(3, count=9)
    options = {"eps": 0.001, "steps": 1, "norm": "l2"}  # too small to succeed: the start is visible
    first = IN_BALL[name](victim, x, y, **options)
    for changed in ({"seed": 1}, {"index": np.arange(9) + 9}):
        other = IN_BALL[name](victim, x, y, **options, **changed)
        assert (other != first).any(axis=1).all()


SLOW_AUTOATTACK = pytest.param("autoattack", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", ["pgd", "apgd", "apgd-t", "square", SLOW_AUTOATTACK])
def test_the_seed_is_0_by_default(name):
    victim, x, y = problem(3, count=9)
    attack = IN_BALL.get(name, autoattack)
    expected = attack(victim, x, y, eps=0.05, norm="l2", seed=0)
    np.testing.assert_array_equal(attack(victim, x, y, eps=0.05, norm="l2"), expected)
    assert (attack(victim, x, y, eps=0.05, norm="l2", seed=1) != expected).any()


def test_starts_are_uniform_in_the_l2_ball():
    x = np.full((3000, 3), 0.5)
    region = Region(x, np.linspace(0.01, 0.4, 3000), "l2", Victim(constant()))
    start = region.random_point(np.arange(3000), seed=0)
    volume = (norms(start - x) / region.eps) ** 3  # a fraction of the ball's
    np.testing.assert_allclose(np.quantile(volume, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)


def test_momentum_does_not_depend_on_the_scale_of_the_gradient():
    victim, x, y = problem(3, count=9)
    model = victim.model
    scaled = Victim(lambda x: (model(x)[0], lambda dz: 1e-6 * model(x)[1](dz)))
    options = {"eps": 0.05, "momentum": 0.9, "steps": 10, "norm": "l2", "early_exit": False}
    expected = pgd(victim, x, y, **options)
    np.testing.assert_allclose(pgd(scaled, x, y, **options), expected, atol=1e-9)


@each_norm
@each_in_ball
def test_a_larger_ball_leaves_fewer_correct(name, norm):
    victim, x, y = problem(5, count=60)
    correct = []
    for eps in (0.0, 0.02, 0.1, 0.4):
        attacked = IN_BALL[name](victim, x, y, eps=eps, norm=norm, steps=40)
        correct.append((victim(attacked)[0].argmax(axis=1) == y).sum())
    assert correct[0] == 60
    assert correct == sorted(correct, reverse=True)
    assert correct[-1] < 30


@each_in_ball
def test_a_radius_for_each_example(name):
    victim, x, y = problem(5, count=6)
    eps = np.array([0.0, 0.02, 0.1, 0.02, 0.4, 0.1])
    options = {"steps": 15, "norm": "l2"}
    together = IN_BALL[name](victim, x, y, eps=eps, **options)
    for i, radius in enumerate(eps):
        row = slice(i, i + 1)
        alone = IN_BALL[name](victim, x[row], y[row], eps=radius, index=[i], **options)
        np.testing.assert_array_equal(alone, together[row])


@pytest.mark.parametrize("loss", [cross_entropy, dlr])
@each_norm
@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_apgd_returns_the_point_of_the_largest_loss(norm, loss, seed):
    """In a ball too small to succeed in, so that nothing stops early."""
    victim, x, y = problem(seed)
    largest, model = np.full(len(x), -np.inf), victim.model

    def watched(points):
        z, backward = model(points)
        if watching:
            np.maximum(largest, loss(z, y)[0], out=largest)
        return z, backward

    victim.model, watching = watched, False
    near = loss(model(x)[0], y)[0] > -0.02  # so near the boundary that a tiny ball might suffice
    x, y, largest = x[~near], y[~near], largest[~near]
    watching = True
    attacked = apgd(victim, x, y, eps=1e-4, norm=norm, loss=loss, steps=25)
    watching = False
    reached = loss(model(attacked)[0], y)[0]
    correct = model(attacked)[0].argmax(axis=1) == y
    np.testing.assert_array_equal(reached[correct], largest[correct])


def test_more_queries_never_make_square_weaker():
    """With the same seed the queries of a short run are the first ones of a long run."""
    victim, x, y = problem(6, count=40)
    margins = []
    for queries in (1, 5, 20, 80, 320):
        z = victim(square(victim, x, y, eps=0.05, queries=queries))[0]
        rows = np.arange(len(x))
        others = z.copy()
        others[rows, y] = -np.inf
        margins.append(np.maximum(z[rows, y] - others.max(axis=1), 0))
    assert (np.diff(margins, axis=0) <= 1e-12).all()
    assert margins[-1].sum() < margins[0].sum()


def test_more_steps_and_restarts_of_fab_never_go_farther():
    victim, x, y = problem(7, count=40)
    distances = []
    for steps, restarts in ((5, 1), (20, 1), (60, 1), (60, 3)):
        found = fab(victim, x, y, norm="l2", steps=steps, restarts=restarts)
        distance = norms(found - x, "l2")
        distances.append(np.where(distance > 0, distance, np.inf))
    assert np.isfinite(distances[-1]).all()
    assert (np.diff(np.minimum(distances, 1e9), axis=0) <= 0).all()


@each_attack
def test_misclassified_examples_are_not_changed(name):
    victim, x, y = problem(1)
    options = {"eps": 0.1} if name in IN_BALL else {}
    attacked = EVERY[name](victim, x, (y + 1) % 5, steps=5, **options)
    np.testing.assert_array_equal(attacked, x)


@each_attack
def test_an_empty_batch(name):
    victim, x, y = problem(1)
    options = {"eps": 0.1} if name in IN_BALL else {}
    found = EVERY[name](victim, x[:0], y[:0], **options)
    assert found.shape == (0, 6)


@pytest.mark.parametrize("name", [*IN_BALL, "autoattack"])
def test_an_eps_of_0_changes_nothing(name):
    victim, x, y = problem(1)
    attack = IN_BALL.get(name, autoattack)
    np.testing.assert_array_equal(attack(victim, x, y, eps=0.0), x)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("classes", [2, 3, 4, 12])
def test_autoattack_with_any_number_of_classes(version, classes):
    """In a ball that contains the box every example can become another class."""
    victim, x, y = problem(9, classes=classes)
    attacked = autoattack(victim, x, y, eps=1.0, version=version)
    assert (victim(attacked)[0].argmax(axis=1) != y).all()
    unchanged = autoattack(victim, x, y, eps=1e-7, version=version)
    np.testing.assert_array_equal(unchanged, x)


@pytest.mark.parametrize("attack", VERSIONS["plus"])
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_every_attack_of_autoattack_works_for_few_classes(attack, classes):
    victim, x, y = problem(9, classes=classes)
    attacked = autoattack(victim, x, y, eps=0.5, version=[attack])
    assert (victim(attacked)[0].argmax(axis=1) != y).mean() >= 0.5


def test_a_victim_of_one_class_is_refused():
    victim = Victim(lambda x: (x[:, :1], lambda dz: np.zeros_like(x)))
    with pytest.raises(ValueError, match="the scores must have two classes or more, not 1"):
        fab(victim, np.full((2, 3), 0.5), np.zeros(2, int))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_labels_of_any_integers(dtype):
    victim, x, y = problem(3, classes=100)
    for attack in (apgd_targeted, fab):
        options = {"eps": 0.1} if attack is apgd_targeted else {}
        found = attack(victim, x, y.astype(dtype), steps=5, **options)
        np.testing.assert_array_equal(found, attack(victim, x, y, steps=5, **options))


def test_a_gradient_too_small_to_be_squared_still_has_a_direction():
    victim, x, y = problem(3)
    model = victim.model
    victim.model = lambda x: (model(x)[0], lambda dz: 1e-200 * model(x)[1](dz))
    expected = pgd(Victim(model), x, y, eps=0.1, norm="l2")
    np.testing.assert_allclose(pgd(victim, x, y, eps=0.1, norm="l2"), expected, atol=1e-9)


@pytest.mark.slow
def test_autoattack_passes_on_the_remaining_examples_and_keeps_the_first_success():
    victim, x, y = problem(5, count=40)
    eps = 0.04
    remaining, expected = np.arange(40), x.copy()
    for attack in attacks_to_run("standard").values():
        options = {"eps": eps, "norm": "l2", "seed": 2, "index": remaining}
        attacked = attack(victim, x[remaining], y[remaining], **options)
        wrong = victim(attacked)[0].argmax(axis=1) != y[remaining]
        expected[remaining[wrong]] = attacked[wrong]
        remaining = remaining[~wrong]
    assert 0 < len(remaining) < 40
    np.testing.assert_array_equal(autoattack(victim, x, y, eps=eps, norm="l2", seed=2), expected)


def test_a_version_of_autoattack_with_chosen_attacks():
    assert list(attacks_to_run(["square", "apgd-dlr"])) == ["square", "apgd-dlr"]
    with pytest.raises(ValueError, match="unknown attack 'cw'; AutoAttack has apgd-ce, "):
        attacks_to_run(["cw"])
    with pytest.raises(ValueError, match="version must be one of standard, plus, rand, not 'best'"):
        attacks_to_run("best")


def test_averaging_over_passes_helps_against_a_randomized_victim():
    model = hidden(5)
    noise = np.random.default_rng(0)

    def noisy(x):
        z, backward = model(x)
        return z, lambda dz: backward(dz) + 6 * noise.normal(size=x.shape)

    _, x, y = problem(5, count=60)
    correct = {}
    for eot_iter in (1, 30):
        victim = Victim(noisy)
        attacked = apgd(victim, x, y, eps=0.08, steps=20, eot_iter=eot_iter)
        correct[eot_iter] = (model(attacked)[0].argmax(axis=1) == y).sum()
    assert correct[30] < correct[1]


@each_attack
@pytest.mark.filterwarnings("ignore::tinyproto.attacks.FlatGradientWarning")
def test_constant_scores_do_no_harm(name):
    """No gradient and no margin: class 0 is predicted everywhere."""
    x, options = np.full((3, 5), 0.5), {"eps": 0.1} if name in IN_BALL else {}
    found = EVERY[name](Victim(constant()), x, np.zeros(3, int), steps=5, **options)
    assert np.isfinite(found).all()
    assert (norms(found - x, "linf") <= 0.1).all()


def test_a_flat_gradient_warns_once():
    victim = Victim(constant())
    x, y = np.full((9, 5), 0.5), np.zeros(9, int)
    with pytest.warns(FlatGradientWarning, match="exactly 0 in 18 of 18 backward passes") as seen:
        apgd(victim, x, y, eps=0.1, steps=10)
    assert len(seen) == 1
    assert victim.flat_gradients == victim.backward_passes


@pytest.mark.filterwarnings("ignore:the scores look like probabilities")
@pytest.mark.parametrize(
    ("scores", "dz", "flat"),
    [
        ([100.0, 0.0, 0.0], 0.0, 2),  # where cross-entropy in float32 has no gradient
        ([100.0, 99.0, 0.0], 0.0, 0),
        ([-100.0, -101.0, -300.0], 0.0, 0),
        ([1.0, 0.0, 0.0], 0.0, 0),
        ([1.0, 0.0, 0.0], 1.0, 2),
    ],
)
def test_what_counts_as_a_flat_gradient(scores, dz, flat):
    victim = Victim(lambda x: (np.array([scores] * len(x)), lambda dz: np.zeros_like(x)))
    _, backward = victim(np.zeros((2, 4)))
    backward(np.full((2, 3), dz))
    assert victim.flat_gradients == flat


@pytest.mark.filterwarnings("error")
def test_a_loss_that_is_flat_itself_gives_no_warning():
    """DLR where the label has the third-largest score: misclassified points that move on, without
    early exit."""
    victim, x, y = problem(5, count=60)
    apgd(victim, x, y, eps=0.4, loss="dlr", steps=30, early_exit=False)
    assert victim.flat_gradients == 0


@each_attack
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(name, bad):
    x, options = np.full((3, 5), 0.5), {"eps": 0.1} if name in IN_BALL else {}
    with pytest.raises(ValueError, match="the victim's scores must be finite"):
        EVERY[name](Victim(constant(bad)), x, np.zeros(3, int), **options)


def test_gradients_that_are_not_finite_are_refused():
    model = hidden(0)
    victim = Victim(lambda x: (model(x)[0], lambda dz: np.full_like(x, np.nan)))
    _, x, y = problem(0)
    with pytest.raises(ValueError, match="the victim's gradients must be finite"):
        apgd(victim, x, y, eps=0.1)


@each_attack
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.full((2, 6), 1.5)}, r"x must lie in \[0.0, 1.0\], not \[1.5, 1.5\]"),
        ({"x": np.full((2, 6), np.nan)}, r"x holds NaN \(float64 of shape \(2, 6\)\)"),
        ({"x": np.ones((2, 6), np.uint8)}, "x must hold floating-point numbers, not uint8"),
        ({"y": np.array([0, 5])}, "y must hold classes, 0 … 4, not 5"),
        ({"y": np.array([-1, 0])}, "y must hold classes, 0 or more, not -1"),
        ({"y": np.zeros(2)}, "y must hold integers, the classes from 0, not float64"),
        ({"y": np.zeros(3, int)}, r"one label for each of 2 examples, shape \(2,\), not \(3,\)"),
        ({"steps": 0}, "must be 1 or more, not 0"),
    ],
)
def test_invalid_examples_and_labels_are_refused(name, changed, message):
    victim, x, y = problem(1)
    given = {"x": x[:2], "y": y[:2]} | ({"eps": 0.1} if name in IN_BALL else {}) | changed
    with pytest.raises(ValueError, match=message) as error:
        EVERY[name](victim, given.pop("x"), given.pop("y"), **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda x: x, "the victim returns scores without a function for gradients, which this"),
        (lambda x: (x, None), "the victim returns scores without a function for gradients"),
        (lambda x: (x, x, x), r"or scores alone, not \(numpy.ndarray, numpy.ndarray, numpy.nd"),
        (lambda x: (x, x), "the victim must return a pair: scores, and a function for gradients"),
        (lambda x: (x[:, 0], None.__eq__), r"scores must be an array \(2, C\), not \(2,\)"),
        (lambda x: (x[:1], None.__eq__), r"scores must be an array \(2, C\), not \(1, 6\)"),
        (lambda x: (x.tolist(), None.__eq__), r"scores must be an array \(2, C\), not list"),
        (lambda x: ((9 * x).astype(int), None.__eq__), "scores must be floating-point numbers"),
        (lambda x: (x, lambda dz: dz[:, :1]), r"gradients must be an array \(2, 6\), not \(2, 1\)"),
        (lambda x: (x, lambda dz: None), r"gradients must be an array \(2, 6\), not NoneType"),
    ],
)
def test_invalid_outputs_of_a_victim_are_refused(model, message):
    _, x, _ = problem(1)
    with pytest.raises(ValueError, match=message):
        apgd(Victim(model), x[:2], x[:2].argmax(axis=1), eps=0.1)


def test_a_model_that_is_not_a_victim_and_invalid_radii_are_refused():
    victim, x, y = problem(1)
    with pytest.raises(ValueError, match=r"must be a Victim: write Victim\(model\)"):
        pgd(victim.model, x, y, eps=0.1)
    with pytest.raises(ValueError, match=r"eps must be a number, or one for each of 8 examples"):
        pgd(victim, x, y, eps=np.ones(3))
    with pytest.raises(ValueError, match=r"one for each of 8 examples, not '8/255'"):
        pgd(victim, x, y, eps="8/255")


def test_square_takes_grey_images_and_refuses_channels_first():
    model = hidden(3, 36)
    x = np.random.default_rng(3).random((10, 6, 6))
    grey, coloured = Victim(flattened(model)), Victim(flattened(model))
    y = grey(x)[0].argmax(axis=1)
    found = square(grey, x, y, eps=0.05, queries=30)
    same = square(coloured, x[..., None], y, eps=0.05, queries=30)
    np.testing.assert_array_equal(found, same[..., 0])
    with pytest.raises(ValueError, match=r"\(10, 3, 2, 6\) has its channels first"):
        square(coloured, x.reshape(10, 3, 2, 6), y, eps=0.05)


def test_unknown_norms_and_losses_and_negative_radii_are_refused():
    victim, x, y = problem(1)
    with pytest.raises(ValueError, match="norm must be 'linf' or 'l2', not 'l1'"):
        pgd(victim, x, y, eps=0.1, norm="l1")
    for attack in (apgd, square, autoattack, pgd):
        with pytest.raises(ValueError, match="eps must be 0 or more, not -1"):
            attack(victim, x, y, eps=-1)
    with pytest.raises(ValueError, match="norm must be 'linf' or 'l2' or 'l1', not 'l0'"):
        fab(victim, x, y, norm="l0")
    with pytest.raises(ValueError, match="targets must be 0 or more, not -1"):
        fab(victim, x, y, targets=-1)
    with pytest.raises(ValueError, match="targets must be 1 or more, not 0"):
        apgd_targeted(victim, x, y, eps=0.1, targets=0)
    with pytest.raises(
        ValueError, match="loss must be one of ce, dlr, margin or a function, not 'cw'"
    ):
        apgd(victim, x, y, eps=0.1, loss="cw")


def test_passes_are_counted():
    victim, x, y = problem(7, count=5)
    for attack, forward, backward in (
        (lambda: apgd(victim, x, y, eps=1e-6, steps=10), 5 * 12, 5 * 11),
        (lambda: apgd(victim, x, y, eps=1e-6, steps=10, eot_iter=3), 5 * 34, 5 * 33),
        (lambda: apgd_targeted(victim, x, y, eps=1e-6, steps=10), 5 * 45, 5 * 44),
        (lambda: square(victim, x, y, eps=1e-6, queries=10), 5 * 11, 0),
        (lambda: fab(victim, x, y, steps=10), 5 * 21, 5 * 40),
        (lambda: fab(victim, x, y, steps=10, targets=2), 5 * 41, 5 * 20),
        (lambda: carlini_wagner(victim, x, y, steps=10, binary_search_steps=2), 5 * 21, 5 * 20),
    ):
        victim.forward_passes = victim.backward_passes = 0
        attack()
        assert (victim.forward_passes, victim.backward_passes) == (forward, backward)
