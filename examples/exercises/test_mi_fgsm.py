"""The grader of exercise 4."""

from types import ModuleType
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.attacks import Victim, fgsm
from tinyproto.testing.victims import constant, problems


@given(drawn=problems(), eps=st.floats(0.01, 0.5), steps=st.integers(1, 5))
def test_points_stay_in_the_ball_and_the_box(
    answer: ModuleType, drawn: Any, eps: float, steps: int
) -> None:
    victim, x, y = drawn
    kept = x.copy()
    attacked = answer.mi_fgsm(victim, x, y, eps=eps, steps=steps)
    assert attacked.shape == x.shape
    assert np.abs(attacked - x).max() <= eps + 1e-12
    assert attacked.min() >= 0 and attacked.max() <= 1  # noqa: PT018
    np.testing.assert_array_equal(x, kept)


@given(drawn=problems(count=3))
def test_one_step_is_fgsm(answer: ModuleType, drawn: Any) -> None:
    victim, x, y = drawn
    attacked = answer.mi_fgsm(victim, x, y, eps=0.1, steps=1)
    np.testing.assert_allclose(attacked, fgsm(victim, x, y, eps=0.1), atol=1e-12)


def scripted(gradients: list[list[float]]) -> Victim:
    """A victim whose gradients are these, call by call, whatever x is."""
    given = [np.array(g, float) for g in gradients]

    def model(x: np.ndarray) -> Any:
        gradient = given.pop(0)
        return np.zeros((len(x), 2)), lambda dz: np.tile(gradient, (len(x), 1))

    return Victim(model)


def test_gradients_have_length_1_when_they_are_added(answer: ModuleType) -> None:
    x, y = np.full((1, 2), 0.5), np.array([0])
    # (0.8, 0.2), then (0.8 − 0.5, 0.2 + 0.5), then (0.3 − 0.9, 0.7 + 0.1)
    victim = scripted([[4, 1], [-40, 40], [-9, 1]])
    attacked = answer.mi_fgsm(victim, x, y, eps=0.3, steps=3)
    np.testing.assert_allclose(attacked, [[0.6, 0.8]], atol=1e-12)


def test_the_decay_weighs_the_past(answer: ModuleType) -> None:
    x, y = np.full((1, 2), 0.5), np.array([0])
    victim = scripted([[4, 1], [-40, 40]])  # (0.8, 0.2), then (0.4 − 0.5, 0.1 + 0.5)
    attacked = answer.mi_fgsm(victim, x, y, eps=0.2, steps=2, decay=0.5)
    np.testing.assert_allclose(attacked, [[0.5, 0.7]], atol=1e-12)


@given(drawn=problems())
def test_an_example_does_not_depend_on_the_others(answer: ModuleType, drawn: Any) -> None:
    victim, x, y = drawn
    together = answer.mi_fgsm(victim, x, y, eps=0.3, steps=4)
    np.testing.assert_allclose(
        together[2:3], answer.mi_fgsm(victim, x[2:3], y[2:3], eps=0.3, steps=4), atol=1e-9
    )


def test_a_gradient_of_0_moves_nothing(answer: ModuleType) -> None:
    x = np.full((2, 3), 0.5)
    with np.errstate(all="raise"):
        attacked = answer.mi_fgsm(Victim(constant()), x, np.zeros(2, int), eps=0.1)
    np.testing.assert_array_equal(attacked, x)
