"""FGSM and PGD: ball and box to the last bit, invariance, closed forms, invalid arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.attacks import Victim, fgsm, pgd
from tinyproto.attacks.region import linf_bounds, norms
from tinyproto.losses import cross_entropy, margin

NORMS = ["linf", "l2"]


class LinearModel:
    """z = x W + b on flattened x: the optimal perturbation is known."""

    def __init__(self, features, classes, seed=0, dtype=np.float32):
        random = np.random.default_rng(seed)
        self.W = random.normal(size=(features, classes)).astype(dtype)
        self.b = random.normal(size=classes).astype(dtype)

    def __call__(self, x):
        flat = x.reshape(len(x), int(np.prod(x.shape[1:])))
        # one product for each example: the bits of a flattened one may depend on the batch
        z = np.stack([row @ self.W + self.b for row in flat]) if len(x) else flat @ self.W
        return z, lambda dz: np.array([self.W @ row for row in dz]).reshape(x.shape)


def images(count, shape, seed, dtype=np.float32):
    """Images of which some elements are exactly lo or hi."""
    random = np.random.default_rng(seed)
    return np.clip(random.uniform(-0.2, 1.2, size=(count, *shape)), 0, 1).astype(dtype)


shapes = st.sampled_from([(1,), (7,), (4, 4), (3, 2, 3)])
dtypes = st.sampled_from([np.float32, np.float64])


@pytest.mark.filterwarnings("ignore:eps .* is more than")
@pytest.mark.parametrize("norm", NORMS)
@given(
    shape=shapes, dtype=dtypes, eps=st.floats(1e-4, 2.0), count=st.integers(1, 5),
    seed=st.integers(0, 1000), momentum=st.sampled_from([0.0, 0.75]), early=st.booleans(),
)  # fmt: skip
def test_points_lie_in_ball_and_box_to_the_last_bit(
    norm, shape, dtype, eps, count, seed, momentum, early
):
    x = images(count, shape, seed, dtype)
    victim = Victim(LinearModel(int(np.prod(shape)), 3, seed, dtype))
    y = victim(x)[0].argmax(axis=1)
    for attacked in (
        fgsm(victim, x, y, eps=eps, norm=norm),
        pgd(victim, x, y, eps=eps, steps=4, norm=norm, restarts=2, momentum=momentum,
            early_exit=early, seed=seed),
    ):  # fmt: skip
        assert attacked.dtype == dtype
        assert attacked.shape == x.shape
        assert attacked.min() >= 0
        assert attacked.max() <= 1
        delta = attacked.astype(np.float64) - x.astype(np.float64)
        length = np.abs(delta).max() if norm == "linf" else norms(delta).max()
        assert length <= eps


@given(shapes, dtypes, st.floats(0, 1), st.integers(0, 1000))
def test_linf_bounds_are_tight(shape, dtype, eps, seed):
    """The next number beyond either bound is outside the ball or the box."""
    x = images(2, shape, seed, dtype)
    low, high = linf_bounds(x, eps, 0.0, 1.0)
    exact = x.astype(np.float64)
    assert (low >= 0).all()
    assert (high <= 1).all()
    assert (exact - low <= eps).all()
    assert (high - exact <= eps).all()
    below = np.nextafter(low, -np.inf, dtype=dtype).astype(np.float64)
    above = np.nextafter(high, np.inf, dtype=dtype).astype(np.float64)
    rounding = 4e-16  # of the differences taken here, in float64
    assert ((below < 0) | (exact - below > eps - rounding) | (low == x)).all()
    assert ((above > 1) | (above - exact > eps - rounding) | (high == x)).all()


@pytest.mark.parametrize("norm", NORMS)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 5), early=st.booleans())
def test_batches_and_order_do_not_change_a_bit(norm, seed, cut, early):
    x = images(6, (5,), seed)
    model = LinearModel(5, 4, seed)
    y = model(x)[0].argmax(axis=1)
    options = {"eps": 0.2, "steps": 5, "norm": norm, "restarts": 2, "seed": seed}
    options["early_exit"] = early
    whole = pgd(Victim(model), x, y, **options)
    parts = [
        pgd(Victim(model), x[rows], y[rows], index=np.arange(6)[rows], **options)
        for rows in (slice(None, cut), slice(cut, None))
        if len(x[rows])
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    backwards = pgd(Victim(model), x[::-1].copy(), y[::-1], index=np.arange(6)[::-1], **options)
    np.testing.assert_array_equal(backwards[::-1], whole)


@given(st.integers(0, 1000))
def test_fgsm_is_optimal_for_two_linear_classes(seed):
    """The margin falls by ‖w_y − w_other‖₁ eps; the attack succeeds exactly beyond their ratio."""
    model = LinearModel(6, 2, seed, np.float64)
    x = np.random.default_rng(seed).normal(size=(5, 6))
    z, _ = model(x)
    y = z.argmax(axis=1)
    difference = model.W[:, 0] - model.W[:, 1]
    radius = np.abs(z[:, 0] - z[:, 1]) / np.abs(difference).sum()
    victim = Victim(model, lo=-1e3, hi=1e3)
    for i in range(5):
        for factor, succeeds in ((0.999, False), (1.001, True)):
            attacked = fgsm(victim, x[i : i + 1], y[i : i + 1], eps=factor * radius[i])
            assert (model(attacked)[0].argmax(axis=1) != y[i])[0] == succeeds


@pytest.mark.parametrize("norm", NORMS)
def test_misclassified_examples_and_eps_0_are_not_changed(norm):
    x = images(8, (5,), 0)
    model = LinearModel(5, 3)
    y = model(x)[0].argmax(axis=1)
    y[:4] = (y[:4] + 1) % 3
    attacked = pgd(Victim(model), x, y, eps=0.3, norm=norm)
    np.testing.assert_array_equal(attacked[:4], x[:4])
    np.testing.assert_array_equal(pgd(Victim(model), x, y, eps=0.0, norm=norm), x)


def test_passes_are_counted_and_early_exit_makes_fewer():
    x = images(20, (5,), 0)
    model = LinearModel(5, 3)
    y = model(x)[0].argmax(axis=1)
    counts = []
    for early in (False, True):
        victim = Victim(model)
        pgd(victim, x, y, eps=0.5, steps=10, early_exit=early)
        counts.append((victim.forward_passes, victim.backward_passes))
    assert counts[0] == (20 + 20 * 11, 20 * 10)
    assert counts[1][0] < counts[0][0]
    assert counts[1][1] < counts[0][1]


def test_more_restarts_never_leave_more_correct():
    x = images(50, (5,), 1)
    model = LinearModel(5, 4)
    y = model(x)[0].argmax(axis=1)
    robust = [
        (model(pgd(Victim(model), x, y, eps=0.05, steps=3, restarts=r))[0].argmax(axis=1) == y)
        for r in (1, 2, 4)
    ]
    assert (robust[0] >= robust[1]).all()
    assert (robust[1] >= robust[2]).all()


@given(st.integers(2, 5), st.integers(0, 1000), st.floats(0.1, 300))
def test_losses_against_finite_differences(classes, seed, size):
    random = np.random.default_rng(seed)
    z = size * random.normal(size=(3, classes))
    y = random.integers(0, classes, 3)
    direction = random.normal(size=z.shape)
    small = 1e-6 * max(size, 1)
    for loss in (cross_entropy, margin):
        _, dz = loss(z, y)
        above, below = (loss(z + s * small * direction, y)[0] for s in (1, -1))
        np.testing.assert_allclose(
            (dz * direction).sum(axis=1), (above - below) / (2 * small), rtol=1e-3, atol=1e-5
        )


def test_cross_entropy_has_a_gradient_at_a_confident_prediction():
    z = np.array([[60.0, 0.0, 0.0]], np.float32)
    value, dz = cross_entropy(z, np.array([0]))
    assert value[0] >= 0
    assert dz[0, 0] < 0 < dz[0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": "l1"}, "norm must be 'linf' or 'l2', not 'l1'"),
        ({"eps": -0.1}, "eps must be 0 or more, not -0.1"),
        ({"eps": float("nan")}, "eps must be 0 or more, not nan"),
        ({"steps": 0}, "steps must be 1 or more, not 0"),
        ({"y": np.array([0, 3])}, "y must hold classes, 0 … 2, not 3"),
        ({"x": np.full((2, 5), 1.5)}, r"x must lie in \[0.0, 1.0\], not \[1.5, 1.5\]"),
        ({"y": np.zeros(3, int)}, r"one label for each of 2 examples, shape \(2,\), not \(3,\)"),
    ],
)
def test_invalid_arguments_are_refused(change, message):
    arguments = {"x": np.full((2, 5), 0.5), "y": np.zeros(2, int), "eps": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        pgd(Victim(LinearModel(5, 3)), arguments.pop("x"), arguments.pop("y"), **arguments)


@pytest.mark.parametrize("norm", NORMS)
def test_an_empty_batch(norm):
    x = np.zeros((0, 2, 3), np.float32)
    assert pgd(Victim(LinearModel(6, 3)), x, np.zeros(0, int), eps=0.1, norm=norm).shape == x.shape


def test_cross_entropy_of_a_confident_prediction_is_not_rounded_to_0():
    value, _ = cross_entropy(np.array([[20.0, 0.0]], np.float32), np.array([0]))
    np.testing.assert_allclose(value, np.log1p(np.exp(-20.0)), rtol=1e-6)


def test_lo_must_be_below_hi():
    with pytest.raises(ValueError, match="lo must be below hi"):
        Victim(LinearModel(5, 3), lo=1.0, hi=0.0)
