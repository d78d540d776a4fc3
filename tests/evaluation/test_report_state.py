"""The state file of an evaluation: what it says is checked before it is believed."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ROOT
from tinyproto.attacks import ATTACKS, Victim, apgd, minimum_norm, pgd
from tinyproto.evaluation import evaluate
from tinyproto.evaluation.attack_description import describe_attack
from tinyproto.state import load_arrays, save_arrays

W = np.random.default_rng(0).normal(size=(6, 3))
X = np.random.default_rng(1).random((10, 6))
Y = (X @ W).argmax(axis=1)
Y[:2] = (Y[:2] + 1) % 3  # two examples that are misclassified


def run(path):
    victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    attacks = {"weak": partial(pgd, steps=1), "strong": partial(pgd, steps=3)}
    return evaluate(victim, X, Y, attacks, eps=0.1, state_path=path, verbose=False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "state.npz"
    run(path)
    return path


def rewritten(saved, tmp_path, change):
    arrays, metadata = load_arrays(saved)
    change(arrays, metadata)
    save_arrays(arrays, tmp_path / "changed.npz", metadata)
    return tmp_path / "changed.npz"


def put(name, array):
    return lambda arrays, metadata: arrays.update({name: np.asarray(array)})


def element(name, place, value):
    return lambda arrays, metadata: arrays[name].__setitem__(place, value)


def cost(**fields):
    return lambda arrays, metadata: metadata["costs"]["weak"].update(fields)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a, m: a.pop("correct"), "misses entries: correct"),
        (lambda a, m: a.pop("weak/robust"), "misses entries: weak/robust"),
        (lambda a, m: a.pop("fingerprint"), "misses entries: fingerprint"),
        (put("new", [1]), "has unknown entries: new"),
        (put("weak/attacked", [True] * 9), r"booleans of shape \(10,\), not bool of shape .9,"),
        (put("correct", [True]), "correct must hold booleans"),
        (put("weak/robust", [1.0] * 10), "must hold booleans of shape .*, not float64"),
        (put("weak/distance", [1] * 10), "must hold floating-point numbers .*, not int64"),
        (put("fingerprint", [["a"]]), "fingerprint holds no scores"),
        (put("fingerprint", np.zeros((10, 3))), "the victim's scores differ"),
        (put("fingerprint", np.full((10, 3), np.nan)), "the victim's scores differ"),
        (element("weak/distance", 3, np.nan), "what it says of weak and example 3 cannot be"),
        (element("weak/distance", 3, -1.0), "what it says of weak and example 3 cannot be"),
        (element("weak/robust", 0, True), "what it says of weak and example 0 cannot be"),
        (element("weak/attacked", 1, True), "what it says of weak and example 1 cannot be"),
        (element("weak/distance", 1, 0.5), "what it says of weak and example 1 cannot be"),
        (cost(seconds=-1), "seconds of weak must be 0 or more, not -1"),
        (cost(seconds=float("nan")), "seconds of weak must be 0 or more, not nan"),
        (cost(seconds="1"), "seconds of weak must be 0 or more, not '1'"),
        (cost(forward_passes=1.5), "forward_passes of weak must be 0 or more, not 1.5"),
        (cost(forward_passes=True), "forward_passes of weak must be 0 or more, not True"),
        (cost(new=1), "the costs of weak must be seconds, forward_passes"),
        (lambda a, m: m["costs"]["weak"].pop("seconds"), "the costs of weak must be"),
        (lambda a, m: m["costs"].update(other={}), "expected the costs of its attacks"),
        (lambda a, m: m.update(costs=[]), "expected the costs of its attacks"),
        (lambda a, m: m.pop("costs"), "expected the costs of its attacks"),
        (lambda a, m: m.update(warnings="none"), "expected a list of warnings"),
        (lambda a, m: m.update(warnings=[1]), "expected a list of warnings"),
        (lambda a, m: m.update(settings=[1]), "is not the state of an evaluation"),
        (lambda a, m: m.pop("settings"), "is not the state of an evaluation"),
        (lambda a, m: m["settings"].update(attacks=["weak"]), "lists no attacks"),
        (lambda a, m: m["settings"].update(attacks=None), "lists no attacks"),
        (lambda a, m: m["settings"].update(examples="10"), "its examples is 10, not 10"),
    ],
)
def test_a_state_that_cannot_be(saved, tmp_path, change, match):
    path = rewritten(saved, tmp_path, change)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=match) as raised:
        run(path)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


def test_a_box_with_features_that_are_kept_is_strict_json(tmp_path):
    """Their bounds are null; earlier versions wrote Infinity."""
    keep = np.arange(6) == 0
    path, options = tmp_path / "state.npz", {"eps": 0.1, "verbose": False}
    victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T), keep=keep)
    report = evaluate(victim, X, Y, ["fgsm"], state_path=path, **options)
    assert report.settings["box"] == [[None, *[0.0] * 5], [None, *[1.0] * 5]]
    assert "Infinity" not in report.json()

    def earlier(arrays, metadata):
        metadata["settings"]["box"] = [victim.lo.tolist(), victim.hi.tolist()]

    old = rewritten(path, tmp_path, earlier)
    passes = victim.forward_passes
    again = evaluate(victim, X, Y, ["fgsm"], state_path=old, **options)
    np.testing.assert_array_equal(again.robust, report.robust)
    assert victim.forward_passes == passes


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(data=st.data())
def test_any_other_metadata_is_refused_or_changes_no_figure(saved, tmp_path_factory, data):
    def change(arrays, metadata):
        place = data.draw(st.sampled_from([(), ("settings",), ("costs",), ("costs", "weak")]))
        for name in place:
            metadata = metadata[name]
        metadata[data.draw(st.sampled_from(sorted(metadata)) | st.text(max_size=3))] = new

    new = data.draw(json)
    path = rewritten(saved, tmp_path_factory.mktemp("changed"), change)
    try:
        found = run(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    expected = run(saved)
    np.testing.assert_array_equal(found.robust, expected.robust)
    assert [row["accuracy %"] for row in found.rows()] == [
        row["accuracy %"] for row in expected.rows()
    ]


def test_an_attack_that_is_an_object_is_recognized_in_another_process():
    """Its repr has an address in memory; its description has none."""
    program = "from tests.evaluation.test_report_state import described; print(described())"
    found = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert " at 0x" not in found[0]
    assert describe_attack(ATTACK) != describe_attack(partial(Attack(3), loss=print))


def described():
    return describe_attack(ATTACK)


class Attack:
    def __init__(self, steps):
        self.steps = steps

    def __call__(self, victim, x, y, **options):
        return x


ATTACK = partial(Attack(2), loss=len, start=Attack(1))


def with_steps(steps):
    def attack(victim, x, y, **options):
        return pgd(victim, x, y, steps=steps, **options)

    return attack


def with_keyword(value):
    return partial(pgd, start=value)


class Unreadable:
    __array__ = dtype = shape = None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (partial(minimum_norm, pgd, halvings=6), partial(minimum_norm, apgd, halvings=6)),
        (with_steps(1), with_steps(99)),
        (lambda victim, x, y, **_: x, lambda victim, x, y, **_: x + 0),
        (Attack(1).__call__, Attack(2).__call__),
        (with_keyword(np.zeros((40, 40))), with_keyword(np.pad(np.ones((2, 2)), 19))),
        (with_keyword([np.array([0.1])]), with_keyword([np.array([0.1 + 1e-12])])),
        (with_keyword({"a": np.zeros(2000)}), with_keyword({"a": np.arange(2000.0)})),
    ],
    ids=["positional", "closure", "code", "method", "array", "list", "dict"],
)
def test_other_attacks_have_another_description(one, other):
    assert describe_attack(one) != describe_attack(other)


def test_descriptions_in_older_files_are_those_of_now():
    for attack, text in (
        (pgd, "pgd"),
        (ATTACKS["fab-t"], "_fab[('targets', 9)]"),
        (partial(partial(pgd, steps=3), restarts=2, loss="dlr"),
         "pgd[('loss', 'dlr'), ('restarts', 2), ('steps', 3)]"),
        (partial(pgd, steps=(1, [2.5, None])), "pgd[('steps', (1, [2.5, None]))]"),
        (with_keyword(Unreadable()), "pgd[('start', <Unreadable not described>)]"),
    ):  # fmt: skip
        assert describe_attack(attack) == text
