"""The exercises: the solutions pass their graders, stubs are skipped, wrong answers fail."""

import re
import subprocess
import sys

import pytest

from tests import ROOT

EXERCISES, SOLUTIONS = ROOT / "examples" / "exercises", ROOT / "docs" / "exercises" / "solutions"
NAMES = sorted(path.stem.removeprefix("test_") for path in EXERCISES.glob("test_*.py"))


def grade(*arguments, files=(EXERCISES,)):
    """What pytest says, and each test's outcome by the exercise: (exercise, outcome)."""
    command = [sys.executable, "-m", "pytest", "-v", "--tb=no", "-p", "no:cacheprovider"]
    out = subprocess.run(
        [*command, *map(str, arguments), *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    outcomes = re.findall(r"test_(\w+)\.py::\S+ (PASSED|SKIPPED|FAILED|ERROR)", out.stdout)
    return out.stdout + out.stderr, outcomes


def test_the_solutions_pass():
    said, outcomes = grade("--answers", SOLUTIONS)
    assert {name for name, _ in outcomes} == set(NAMES), said
    assert {outcome for _, outcome in outcomes} == {"PASSED"}, said


@pytest.mark.slow
def test_a_stub_is_skipped_and_says_why():
    said, outcomes = grade("-rs", files=[EXERCISES / "test_hinge_loss.py"])
    assert {outcome for _, outcome in outcomes} == {"SKIPPED"}, said
    assert "not attempted yet: hinge_loss, in hinge_loss.py" in said


def test_every_exercise_has_a_stub_a_solution_and_a_section():
    page = (ROOT / "docs" / "exercises.md").read_text()
    assert len(NAMES) == 5
    for name in NAMES:
        stub = (EXERCISES / f"{name}.py").read_text()
        assert f"in {name}.py" in re.search(r"raise NotImplementedError\((.*)\)", stub)[1]
        assert (SOLUTIONS / f"{name}.py").is_file()
        assert f"```{{literalinclude}} exercises/solutions/{name}.py\n" in page
        assert f"`examples/exercises/{name}.py`" in page


WRONG = {
    "average_pool": [(" / k**2", ""), ("dx[:, : H // k * k, : W // k * k] =", "dx[:] =")],
    "layer_norm": [(" - x_hat * along", ""), ('grads["shift"] +=', 'grads["shift"][...] =')],
    "hinge_loss": [("np.maximum(0, 1 + ", "(1 + "), ("dz[rows, r], ", "_, ")],
    "mi_fgsm": [("decay * momentum + ", ""), ("axis=features", "axis=None")],
    "certificate": [("(2 * between)", "between"), ("np.maximum(distance.min(axis=1), 0)",
                                                   "np.abs(distance.min(axis=1))")],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_a_wrong_answer_fails(which, tmp_path):
    assert set(WRONG) == set(NAMES)
    for name, changes in WRONG.items():
        text = (SOLUTIONS / f"{name}.py").read_text()
        right, wrong = changes[which]
        assert text.count(right) == 1, right
        (tmp_path / f"{name}.py").write_text(text.replace(right, wrong))
    said, outcomes = grade("--answers", tmp_path)
    assert {name for name, outcome in outcomes if outcome == "FAILED"} == set(NAMES), said
    assert "ERROR" not in {outcome for _, outcome in outcomes}, said
