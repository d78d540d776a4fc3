"""The grader of exercise 5."""

from types import ModuleType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.attacks import Victim, pgd
from tinyproto.prototypes import EDWTA, exact_radius
from tinyproto.testing.prototypes import Problem, problems

one_a_class = problems(kinds=(EDWTA,), per_class=(1, 1), features=(2, 6))


def arguments(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return problem.network.positive_prototypes_, problem.x, problem.label


@given(data=st.data())
def test_it_is_the_exact_radius(answer: ModuleType, data: st.DataObject) -> None:
    problem = data.draw(one_a_class)
    found = answer.certified_radius(*arguments(problem))
    expected, _ = exact_radius(problem.network, problem.x, problem.label)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_by_hand(answer: ModuleType) -> None:
    prototypes = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
    x = np.array([[0.0, 0.0], [0.5, 1.0], [1.5, 0.0]])
    found = answer.certified_radius(prototypes, x, np.array([0, 0, 0]))
    np.testing.assert_allclose(found, [1.0, 0.5, 0.0])


@given(data=st.data())
def test_no_attack_gets_below_it(answer: ModuleType, data: st.DataObject) -> None:
    problem = data.draw(one_a_class)
    prototypes, x, y = arguments(problem)
    radius = answer.certified_radius(prototypes, x, y)
    robust = radius > 1e-6
    x, y, radius = x[robust], y[robust], radius[robust]
    if len(x) == 0:
        return
    victim = Victim(problem.network, lo=-100.0, hi=100.0)
    for factor, fooled in ((0.999, False), (1.5, True)):
        attacked = pgd(victim, x, y, eps=factor * radius, norm="l2", steps=20)
        wrong = victim(attacked)[0].argmax(axis=1) != y
        if not fooled:
            assert not wrong.any()
        elif len(prototypes) == 2:  # the gradient points at the only rival
            assert wrong.all()
