"""Evaluations at several radii: the table by the names of attacks, and radii that are refused."""

import warnings
from functools import partial

import numpy as np
import pytest

from tinyproto.attacks import Victim, minimum_norm, per_feature, pgd
from tinyproto.evaluation import RadiusReports, evaluate, evaluate_radii, transfer
from tinyproto.evaluation.several_radii import state_files
from tinyproto.testing.victims import problem

ATTACKS = {"full": partial(pgd, steps=5), "noop": lambda victim, x, y, **_: x}
RADII = [0.05, 0.1]


def test_a_state_with_the_attacks_in_another_order_gives_the_table_that_is_asked_for(tmp_path):
    victim, x, y = problem(5, count=40)
    path = tmp_path / "state.npz"
    first = {"noop": ATTACKS["noop"]}
    evaluate(victim, x, y, first, eps=0.1, state_path=state_files(path, RADII)[0.1], verbose=False)
    found = evaluate_radii(victim, x, y, ATTACKS, eps=RADII, state_path=path, verbose=False)
    expected = evaluate_radii(victim, x, y, ATTACKS, eps=RADII, verbose=False)
    assert [list(report.results) for report in found.reports] == [list(ATTACKS)] * 2
    assert found.accuracies() == expected.accuracies()
    assert found.text() == expected.text()
    swapped = evaluate(victim, x, y, dict(reversed(ATTACKS.items())), eps=0.1, verbose=False)
    mixed = RadiusReports([expected.reports[0], swapped])
    assert mixed.accuracies() == expected.accuracies()


def test_one_radius_may_be_a_number():
    victim, x, y = problem(5, count=8)
    for eps in (0.1, np.float32(0.1), np.array(0.1)):
        found = evaluate_radii(victim, x, y, ["fgsm"], eps=eps, verbose=False)
        expected = evaluate_radii(victim, x, y, ["fgsm"], eps=[float(eps)], verbose=False)
        assert found.accuracy() == expected.accuracy()


@pytest.mark.filterwarnings("ignore:eps .* is more than")
def test_radii_that_cannot_be_told_apart_or_are_none_are_refused_before_the_first():
    victim, x, y = problem(5, count=8)
    victim = Victim(victim.model)
    for eps, message in (
        ([0.1, 2.0, np.inf], "eps has 2, inf, each of which is the whole box, 1: only one"),
        ([1.0, 3.0], "eps has 1, 3, each of which is the whole box, 1: only one"),
        ([0.1, -1.0], "eps must be 0 or more, not -1"),
        ([0.1, "0.2"], "eps must be a number, .* not '0.2'"),
        ("0.1", "eps must be a number, .* not '0.1'"),
        ([], "eps must have one radius or more, not none"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            evaluate_radii(victim, x, y, ["fgsm"], eps=eps, verbose=False)
        assert "\n" not in str(error.value)
    assert victim.forward_passes == 0
    found = evaluate_radii(victim, x, y, ["fgsm"], eps=[0.1, np.inf], verbose=False)
    assert list(found.accuracy()) == [0.1, 1.0]


def ask(victim, x, y):
    """The number of times that a radius of 8 for pixels in [0, 1] is questioned."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        pgd(victim, x, y, eps=8, steps=1)
    return sum("did you mean 8/255" in str(warning.message) for warning in seen)


@pytest.mark.parametrize(
    "before",
    [
        lambda v, x, y: evaluate(v, x, y, ["fgsm"], eps=0.1, verbose=False),
        lambda v, x, y: evaluate_radii(v, x, y, ["fgsm"], eps=[0.05, 0.1], verbose=False),
        lambda v, x, y: transfer({"v": v}, {"v": v}, "fgsm", x, y, eps=0.1),
        lambda v, x, y: minimum_norm(partial(pgd, steps=1), v, x, y, halvings=2),
        lambda v, x, y: per_feature(pgd, v, x, y, eps=np.full(x.shape[1:], 0.1), steps=1),
    ],
    ids=["evaluate", "evaluate_radii", "transfer", "minimum_norm", "per_feature"],
)
def test_a_radius_is_questioned_although_another_one_was_not(before):
    victim, x, y = problem(5, count=8)
    before(victim, x, y)
    assert [ask(victim, x, y), ask(victim, x, y)] == [1, 0]


def test_the_second_of_several_radii_is_questioned_and_once():
    victim, x, y = problem(5, count=8)
    victim = Victim(victim.model)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        evaluate_radii(victim, x, y, ["fgsm", "pgd-20"], eps=[0.1, 8], verbose=False)
    assert [str(warning.message)[:25] for warning in seen] == ["eps 8 is more than the si"]
