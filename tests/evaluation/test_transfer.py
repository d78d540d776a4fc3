"""Examples that are attacked on one victim and judged by another."""

from functools import partial

import numpy as np
import pytest

from tinyproto.attacks import Victim, fab, pgd
from tinyproto.evaluation import evaluate, transfer
from tinyproto.testing.victims import hidden, problem

longer = partial(pgd, early_exit=False, steps=10)


def victims():
    """Three, the second much like the first, and examples that all of them may judge."""
    victim, x, y = problem(5, count=40)
    other = hidden(6)

    def like(points):
        z, backward = victim.model(points)
        more, back = other(points)
        return z + 0.1 * more, lambda dz: backward(dz) + 0.1 * back(dz)

    return {"one": Victim(victim.model), "like": Victim(like), "other": Victim(other)}, x, y


def test_each_entry_is_what_one_victim_says_of_another_s_examples():
    named, x, y = victims()
    report = transfer(named, named, longer, x, y, eps=0.1, batch_size=16, seed=3)
    for i, source in enumerate(named.values()):
        attacked = longer(source, x, y, eps=0.1, seed=3)
        for j, target in enumerate(named.values()):
            right = (target(attacked)[0].argmax(axis=1) == y).mean()
            assert report.accuracy[i, j] == right
    clean = [(v(x)[0].argmax(axis=1) == y).mean() for v in named.values()]
    np.testing.assert_array_equal(report.clean, clean)
    assert report.accuracy[0, 0] < report.accuracy[2, 0]  # made elsewhere, they are weaker


def test_the_diagonal_is_that_of_evaluate_and_passes_are_of_the_attack_alone():
    named, x, y = victims()
    report = transfer({"one": named["one"]}, named, "pgd-20", x, y, eps=0.05)
    expected = evaluate(Victim(named["one"].model), x, y, "pgd-20", eps=0.05, verbose=False)
    assert report.accuracy[0, 0] == expected.robust.mean()
    assert named["one"].forward_passes == expected.results["pgd-20"].forward_passes
    assert named["other"].forward_passes == 0


def test_points_beyond_eps_count_as_clean_ones():
    named, x, y = victims()

    def far(victim, x, y, *, eps, norm, seed, index):
        return fab(victim, x, y, norm=norm)

    report = transfer(named, named, far, x, y, eps=0.0)
    np.testing.assert_array_equal(report.accuracy, np.tile(report.clean, (3, 1)))


def test_the_table():
    named, x, y = victims()
    report = transfer({"one": named["one"]}, named, "fgsm", x, y, eps=0.1, norm="l2")
    lines = report.text().splitlines()
    assert "fgsm made on" in lines[0]
    assert lines[1] == "L2, eps 0.1, 40 examples"
    assert [line.split()[0] for line in lines[2:]] == ["made", "none", "one"]
    assert report.rows()[0] == {"made on": "none", "one": 100.0} | {
        name: 100 * report.clean[j] for j, name in enumerate(named) if j
    }


def test_what_is_refused():
    named, x, y = victims()
    with pytest.raises(ValueError, match="must have one victim or more, by name"):
        transfer({}, named, "fgsm", x, y, eps=0.1)
    with pytest.raises(ValueError, match="attack must be one attack, not 'autoattack'"):
        transfer(named, named, "autoattack", x, y, eps=0.1)
    with pytest.raises(ValueError, match="attack 'nothing' is unknown"):
        transfer(named, named, "nothing", x, y, eps=0.1)
    for other in ({"hi": 2.0}, {"lo": -1.0}, {"hi": np.array([1, 1, 1, 1, 1, 1.5])}):
        wider = {"one": named["one"], "wide": Victim(named["one"].model, **other)}
        with pytest.raises(ValueError, match="one box: that of 'wide' is not that of 'one'"):
            transfer(named, wider, "fgsm", x, y, eps=0.01)
    few = Victim(lambda x: (named["one"].model(x)[0][:, :2], None))
    with pytest.raises(ValueError, match="y must hold classes, 0 … 1, not"):
        transfer(named, {"few": few}, "fgsm", x, y, eps=0.01)
    kept = Victim(named["one"].model, keep=np.arange(6) == 0)
    assert transfer({"kept": kept}, named, "fgsm", x, y, eps=0.01).targets == tuple(named)
    with pytest.raises(ValueError, match="x must lie in"):
        transfer(named, {"small": Victim(named["one"].model, hi=0.1)}, "fgsm", x, y, eps=0.01)
