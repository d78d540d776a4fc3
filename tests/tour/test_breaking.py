"""`python -m tinyproto.tour break`: a formula is broken in a copy, and the test that catches it is
shown."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests import ROOT
from tinyproto.tour import breaking
from tinyproto.tour.__main__ import main
from tinyproto.tour.places import PLACES
from tinyproto.tour.sandbox import Failure, Sandbox

KL = PLACES["kl"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A checkout of a few files, whose tests take no time."""
    folder = tmp_path_factory.mktemp("checkout")
    files = {
        "setup.cfg": "[tool:pytest]\ntestpaths = tests\n",
        "tinyproto/__init__.py": "",
        "tinyproto/optimizers.py": "def square(x):\n    return x * x\n",
        "tinyproto/kernels/__init__.py": "",
        "tests/__init__.py": "",
        "tests/conftest.py": "from hypothesis import settings\n"
        "settings.register_profile('tinyproto', deadline=None)\n",
        "tests/test_optimizers.py": "from tinyproto.optimizers import square\n\n"
        "def test_other():\n    pass\n\n"
        "def test_square():\n    assert square(3) == 9, 'not the square'\n",
        "tests/test_slow.py": "import time\n\ndef test_slow():\n    time.sleep(60)\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def sandbox(small, tmp_path_factory):
    return Sandbox(tmp_path_factory.mktemp("copy"), small)


def contents(folder):
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_the_failing_test_and_its_message(sandbox, small):
    before = contents(small)
    path = sandbox.folder / "tinyproto" / "optimizers.py"
    text, written = path.read_text(), path.stat().st_mtime_ns
    with sandbox.changed("optimizers.py", text.replace("x * x", "x + x")):
        failure = sandbox.run_tests(["tests/test_optimizers.py"], 100)
    assert failure.test == "tests/test_optimizers.py::test_square"
    assert failure.message.startswith("AssertionError: not the square")
    assert (path.read_text(), path.stat().st_mtime_ns) == (text, written)
    assert contents(small) == before


def test_all_pass_or_too_long_or_no_such_test(sandbox):
    assert sandbox.test_changed(["kernels/x.py"], ["tests/test_optimizers.py"], 100) == ("", "")
    assert sandbox.run_tests(["tests/test_slow.py"], 1).test == "time limit"
    with pytest.raises(ValueError, match="tests/test_none.py"):
        sandbox.run_tests(["tests/test_none.py"], 100)


@pytest.mark.slow
def test_a_syntax_error_is_a_failure(sandbox):
    with sandbox.changed("optimizers.py", "def square(x:\n"):
        failure = sandbox.run_tests(["tests/test_optimizers.py"], 100)
    assert failure.test == "tests/test_optimizers.py"
    assert "SyntaxError" in failure.message


def test_without_a_checkout_it_says_what_is_needed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(breaking, "CHECKOUT", tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["break", "kl"])
    assert str(left.value).startswith(
        f"error: {tmp_path} has no tests: this command needs a checkout"
    )
    assert "\n" not in str(left.value)


def test_without_pytest_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as left:
        main(["break", "kl"])
    assert left.value.code == (
        "error: python -m tinyproto.tour break needs pytest; install it with: pip install pytest"
    )


DIFF = """--- a/tinyproto/optimizers.py
+++ b/tinyproto/optimizers.py
@@ -1,2 +1,2 @@
 def square(x):
-    return x * x
+    return x {} x
"""


RENAME = """diff --git a/tests/test_slow.py b/tests/gone.py
similarity index 100%
rename from tests/test_slow.py
rename to tests/gone.py
"""
NEW = """--- /dev/null
+++ b/tinyproto/new.py
@@ -0,0 +1 @@
+x = 1
"""


@pytest.mark.parametrize(("sign", "status"), [("+", 1), ("* 1 *", None)])
def test_a_change_of_my_own(small, tmp_path, monkeypatch, capsys, sign, status):
    monkeypatch.setattr(breaking, "CHECKOUT", small)
    before = contents(small)
    (tmp_path / "mine.diff").write_text(DIFF.format(sign))
    command = ["break", "--mine", str(tmp_path / "mine.diff")]
    if status:
        with pytest.raises(SystemExit) as left:
            main(command)
        assert left.value.code == status
    else:
        main(command)
    said = capsys.readouterr().out
    assert "changed     tinyproto/optimizers.py" in said
    assert ("caught by   tests/test_optimizers.py::test_square" in said) == bool(status)
    assert ("all of them pass" in said) != bool(status)
    assert contents(small) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "is no unified diff: write one with git diff > mine.diff"),
        (DIFF.replace("tinyproto/", "tests/"), "only files of tinyproto/ may be changed"),
        (DIFF.replace("tinyproto/", "tinyproto/../"), "only files of tinyproto/ may be changed"),
        (DIFF.replace("tinyproto/", "/etc/"), "only files of tinyproto/ may be changed"),
        (DIFF.replace("x * x", "x / x"), "does not fit this version: error: patch failed"),
        (DIFF.replace("optimizers", "new"), "does not fit this version"),
        (DIFF + RENAME, "changes tests/gone.py: only files of tinyproto/ may be changed"),
        (NEW, "no tests are listed for tinyproto/new.py"),
    ],
)
def test_a_diff_that_cannot_be_tried_gets_one_line(small, tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(breaking, "CHECKOUT", small)
    (tmp_path / "mine.diff").write_text(text)
    with pytest.raises(SystemExit) as left:
        main(["break", "--mine", str(tmp_path / "mine.diff")])
    assert message in str(left.value)
    assert str(left.value).count("\n") == 0


@pytest.mark.parametrize("prefixes", [("a/", "b/"), ("i/", "w/"), ("", "")])
def test_the_files_that_a_diff_changes(small, tmp_path, prefixes):
    """Git's diff.mnemonicPrefix and diff.noprefix, too."""
    sandbox = Sandbox(tmp_path / "copy", small)
    changed = DIFF.format("+").replace("--- a/", f"--- {prefixes[0]}")
    added = NEW.replace("+++ b/", f"+++ {prefixes[1]}")
    file = tmp_path / "mine.diff"
    for text, name in ((changed.replace("+++ b/", f"+++ {prefixes[1]}"), "optimizers.py"),
                       (added, "new.py")):  # fmt: skip
        file.write_text(text)
        assert breaking.apply_diff(sandbox, file) == [name]
    assert "x + x" in (sandbox.folder / "tinyproto/optimizers.py").read_text()
    assert (sandbox.folder / "tinyproto/new.py").read_text() == "x = 1\n"
    assert not (sandbox.folder / "b").exists()


def test_tests_of_several_files():
    assert breaking.covering_tests(["optimizers.py"]) == ["tests/test_optimizers.py"]
    both = breaking.covering_tests(["optimizers.py", "kernels/pooling.py"])
    assert both[:2] == ["tests/test_optimizers.py", "tests/kernels/test_pooling.py"]
    assert all(argument.startswith("tests/") for argument in both)
    with pytest.raises(ValueError, match="no tests are listed for tinyproto/progress.py"):
        breaking.covering_tests(["progress.py"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["break", "nowhere"], "no place is called 'nowhere'; there are batch-norm, "),
        (["break", "kl", "--mine", "x"], "--mine takes no names of places"),
        (["break", "--tests", "x"], "--tests goes with --mine"),
        (["break", "--mine", "/nowhere.diff"], "/nowhere.diff: No such file"),
    ],
)
def test_wrong_options_get_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert message in f"{left.value}{capsys.readouterr().err}"


def test_the_list_has_formulas_and_lines(capsys):
    main(["break"])
    said = capsys.readouterr().out
    for name, place in PLACES.items():
        assert name in said
        assert f"{place.formula}    tinyproto/{place.file}:{place.number()}" in said


def test_a_place_that_another_test_catches_or_none_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(breaking, "temporary_sandbox", lambda: pytest.MonkeyPatch.context())
    for test, fine in ((KL.tests[0], True), ("tests/test_x.py::test_y", False), ("", False)):
        monkeypatch.setattr(breaking, "break_one", lambda *_, test=test: Failure(test, "why"))
        assert breaking.break_places(["kl"]) == fine
    assert "nothing catches it" in capsys.readouterr().out


@pytest.mark.slow
def test_the_named_test_catches_a_broken_formula():
    command = [sys.executable, "-m", "tinyproto.tour", "break", "kl"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stdout + out.stderr
    assert f"caught by   {KL.tests[0]}" in out.stdout
    for text in (KL.formula, KL.line, KL.wrong):
        assert text in out.stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_no_copy_and_no_process(number, tmp_path):
    before = contents(ROOT / "tinyproto")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tinyproto.tour", "break", "winograd"], cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    while b"changed to" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert list(tmp_path.iterdir()) == []
    after = contents(ROOT / "tinyproto")
    assert {path: found[0] for path, found in before.items()} == {
        path: found[0] for path, found in after.items() if path in before
    }
