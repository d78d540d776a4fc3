"""The mutation testing benchmark: what it changes, how it draws mutants, and what it reports."""

import ast
import json
import sys

import mutate
import pytest

from tests import ROOT
from tinyproto.tour.sandbox import Failure

DIVERGENCES = "losses/divergences.py"


@pytest.fixture(scope="module")
def everything():
    texts = {file: (ROOT / "tinyproto" / file).read_text() for file in mutate.TESTS}
    return {file: mutate.all_mutants(file, text) for file, text in texts.items()}


def names(mutants):
    return [mutant.name for mutant in mutants]


def test_the_draw_depends_on_the_seed_only(everything):
    drawn = mutate.draw(everything, seed=0, count=80)
    assert names(drawn) == names(mutate.draw(everything, seed=0, count=80))
    other = set(names(mutate.draw(everything, seed=1, count=80)))
    assert len(other & set(names(drawn))) < 30
    backwards = {file: mutants[::-1] for file, mutants in everything.items()}
    assert set(names(mutate.draw(backwards, seed=0, count=80))) == set(names(drawn))


def test_every_file_and_every_rule_is_drawn(everything):
    drawn = mutate.draw(everything, seed=0, count=100)
    assert len(drawn) == len({(m.file, m.line, m.after) for m in drawn}) == 100
    assert {mutant.file for mutant in drawn} == set(mutate.TESTS)
    rules = [mutant.rule for mutant in drawn]
    assert min(rules.count(rule) for rule in mutate.RULES) >= 5
    assert 16 <= sum(mutant.file.startswith(mutate.COMPILED) for mutant in drawn) <= 32
    few = mutate.draw({DIVERGENCES: everything[DIVERGENCES][:3]}, seed=0, count=100)
    assert len(few) == 3


def test_a_mutant_parses_and_differs_in_one_line(everything):
    for mutant in mutate.draw(everything, seed=0, count=120):
        text = (ROOT / "tinyproto" / mutant.file).read_text()
        broken = mutant.source(text)
        pairs = zip(text.split("\n"), broken.split("\n"), strict=True)
        assert [(i, b) for i, (a, b) in enumerate(pairs, 1) if a != b] == [
            (mutant.line, mutant.after)
        ]
        assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(text)), mutant.change


SOURCE = '''"""Sums - and products."""
from x import y
Rule = Callable[[int, str], int]
def f(x: "1 + 2", y: float = 0.5, *, axis: bool = True) -> "3 - 4":
    """5 - 6"""
    if x > 0:
        raise ValueError(f"{x - 7}")
    _require(0 < y, "y", y)
    z: "8 + 9" = (x - y) * w.T
    z += max(z, 2)
    if axis and not x:
        return g(-z, y.shape[0], axis=1).reshape(-1)
    return z[i, :] if z else x**2
def unused(x=1, *, y=2): ...
def refuses(x=1):
    """2 - 3"""
    for y in x[4]:
        if y + 5:
            z = 6
            raise ValueError(z)
'''
CHANGES = {
    "sign": {"z: \"8 + 9\" = (x [- -> +] y) * w.T", "z [+ -> -]= max(z, 2)",
             "return g([- -> ]z, y.shape[0], axis=1).reshape(-1)",
             "return g(-z, y.shape[0], axis=1).reshape([- -> ]1)"},
    "term": {'z: "8 + 9" = ([x - y -> x]) * w.T', 'z: "8 + 9" = ([x - y -> -y]) * w.T',
             "[z += max(z, 2) -> pass]"},
    "factor": {'z: "8 + 9" = [(x - y) * w.T -> (x - y)]', 'z: "8 + 9" = [(x - y) * w.T -> w.T]',
               "return z[i, :] if z else [x**2 -> x]"},
    "axis": {'z: "8 + 9" = (x - y) * w[.T -> ]',
             "return g(-z, y.shape[[0 -> 1]], axis=1).reshape(-1)",
             "return g(-z, y.shape[0], axis=[1 -> 0]).reshape(-1)",
             "return z[[i, : -> :, i]] if z else x**2"},
    "mask": {"if axis [and -> or] not x:", "if axis and [not x -> x]:",
             "return z[i, :] if [z -> not z] else x**2"},
    "constant": {'def f(x: "1 + 2", y: float = [0.5 -> 1.0], *, axis: bool = True) -> "3 - 4":',
                 'def f(x: "1 + 2", y: float = 0.5, *, axis: bool = [True -> False]) -> "3 - 4":',
                 "z += max(z, [2 -> 1])", "return z[i, :] if z else x**[2 -> 1]",
                 "return g(-z, y.shape[0], axis=[1 -> 2]).reshape(-1)"},
    "arguments": {"return g([-z, y.shape[0] -> y.shape[0], -z], axis=1).reshape(-1)"},
}  # fmt: skip


def test_the_changes_of_each_rule():
    found = mutate.all_mutants("x.py", SOURCE)
    assert {rule: {m.change for m in found if m.rule == rule} for rule in mutate.RULES} == CHANGES
    assert {mutant.function for mutant in found} == {"f"}


def mutant_with(everything, file, change):
    (mutant,) = (m for m in everything[file] if m.change == change)
    return mutant


@pytest.mark.slow
def test_a_mutant_is_caught_and_the_copy_is_restored(everything, tmp_path):
    sandbox = mutate.Sandbox(tmp_path / "copy")
    tests = ["tests/test_losses.py", "-k", "squared_error_of_any_shape"]
    path = sandbox.folder / "tinyproto" / DIVERGENCES
    before, written = path.read_text(), path.stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mutate.TESTS, DIVERGENCES, tests)
        wrong = mutant_with(everything, DIVERGENCES, "dh = [2 -> 1] * difference")
        assert sandbox.test_mutant(wrong, 600) == "test_losses.py::test_squared_error_of_any_shape"
        elsewhere = mutant_with(
            everything, DIVERGENCES, "dw = q [- -> +] p"
        )  # these tests do not cover it
        assert sandbox.test_mutant(elsewhere, 600) == ""
        assert sandbox.test_mutant(wrong, 0) == "time limit"
    assert (path.read_text(), path.stat().st_mtime_ns) == (before, written)
    assert before == (ROOT / "tinyproto" / DIVERGENCES).read_text()


@pytest.mark.parametrize(("explained", "status"), [(False, 1), (True, 0)])
def test_a_survivor_without_an_explanation_is_a_failure(
    everything, explained, status, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(mutate, "TESTS", {DIVERGENCES: ["tests/test_losses.py"]})
    monkeypatch.setattr(mutate.Sandbox, "run_tests", lambda *_: Failure("", ""))
    reasons = dict.fromkeys(names(everything[DIVERGENCES]), "why") if explained else {}
    monkeypatch.setattr(mutate, "EQUIVALENT", reasons)
    monkeypatch.setattr(sys, "argv", ["mutate.py", "--count", "3", "--json", f"{tmp_path}/m.json"])
    with pytest.raises(SystemExit) as left:
        mutate.main()
    assert left.value.code == status
    fates = [row["fate"] for row in json.loads((tmp_path / "m.json").read_text())["rows"]]
    assert fates == [["survived", "equivalent"][explained]] * 3
    assert "3 of" in capsys.readouterr().out


def test_every_explained_mutant_exists(everything):
    existing = {name for mutants in everything.values() for name in names(mutants)}
    assert set(mutate.EQUIVALENT) <= existing
