"""A saved evaluation that is extended equals one that was run at once."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.test_robustness import assert_equal
from tinyproto import attacks
from tinyproto.attacks import Victim, pgd, square
from tinyproto.evaluation import evaluate
from tinyproto.testing.victims import problem

ATTACKS = {
    "fgsm": attacks.ATTACKS["fgsm"],
    "pgd": partial(pgd, steps=4),
    "square": partial(square, queries=20),
    "pgd-9": partial(pgd, steps=9),
}
NAMES = list(ATTACKS)


def run(victim, x, y, names, count, path, **options):
    chosen = {name: ATTACKS[name] for name in names}
    given = {"eps": 0.06, "verbose": False, "state_path": path} | options
    return evaluate(victim, x[:count], y[:count], chosen, **given)


@settings(max_examples=20)
@given(
    stages=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), min_size=2, max_size=4).map(
        lambda stages: list(zip(*map(sorted, zip(*stages, strict=True)), strict=True))
    ),
    sequential=st.booleans(),
    batch_size=st.integers(1, 50),
)
def test_extended_in_stages_it_is_the_evaluation_run_at_once(
    stages, sequential, batch_size, tmp_path_factory
):
    """Of growing numbers of examples and attacks, the first of NAMES."""
    path = tmp_path_factory.mktemp("state") / "state.npz"
    victim, x, y = problem(5, count=40)
    options = {"sequential": sequential, "batch_size": batch_size}
    for count, ran in stages:
        report = run(victim, x, y, NAMES[:ran], count, path, **options)
    expected = run(victim, x, y, NAMES[:ran], count, None, sequential=sequential)
    assert_equal(report, expected)
    assert report.settings == expected.settings
    for name, result in expected.results.items():
        assert report.results[name].forward_passes == result.forward_passes
    np.testing.assert_array_equal(report.fingerprint, expected.fingerprint)
    again = Victim(victim.model)
    assert_equal(run(again, x, y, NAMES[:ran], count, path, **options), expected)
    assert again.forward_passes == 0


def test_only_what_is_new_is_attacked(tmp_path):
    path = tmp_path / "state.npz"
    victim, x, y = problem(5, count=40)
    run(victim, x, y, NAMES, 30, path)
    more = Victim(victim.model)
    report = run(more, x, y, NAMES, 40, path)
    new = Victim(victim.model)
    index = np.arange(30, 40)
    only_new = evaluate(new, x[30:40], y[30:40], ATTACKS, eps=0.06, index=index, verbose=False)
    assert more.forward_passes == new.forward_passes > 0
    for name, result in only_new.results.items():
        np.testing.assert_array_equal(report.results[name].robust[30:], result.robust)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"names": NAMES[:1]}, "its attacks are fgsm, pgd, not fgsm; ask for the first, too"),
        ({"names": ["square"]}, "its attacks are fgsm, pgd, not square; ask for the first, too"),
        ({"count": 29}, "it has 30 examples, more than 29"),
        ({"shift": 1, "count": 31}, "its examples, labels or index differ"),
        ({"eps": 0.05, "count": 31}, "its eps is 0.06, not 0.05"),
        ({"names": ["pgd", "fgsm", "square"], "sequential": True}, "its sequential is False"),
    ],
)
def test_what_cannot_be_extended_is_refused_and_unchanged(tmp_path, changed, message):
    path = tmp_path / "state.npz"
    victim, x, y = problem(5, count=40)
    run(victim, x, y, NAMES[:2], 30, path)
    before = path.read_bytes()
    arguments = {"names": NAMES[:3], "count": 40} | changed
    shift = arguments.pop("shift", 0)
    with pytest.raises(ValueError, match=message) as error:
        run(victim, x[shift:], y[shift:], path=path, **arguments)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def test_in_a_sequential_evaluation_new_attacks_come_last(tmp_path):
    path = tmp_path / "state.npz"
    victim, x, y = problem(5, count=40)
    run(victim, x, y, NAMES[1:2], 30, path, sequential=True)
    with pytest.raises(ValueError, match="its attacks are pgd, not fgsm, pgd"):
        run(victim, x, y, NAMES[:2], 30, path, sequential=True)
    report = run(victim, x, y, NAMES[1:], 30, path, sequential=True)
    assert list(report.results) == NAMES[1:]
    with pytest.raises(ValueError, match="its attacks are pgd, square, pgd-9, not pgd-9, square,"):
        run(victim, x, y, NAMES[:0:-1], 30, path, sequential=True)
