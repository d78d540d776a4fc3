"""Break a formula in a copy of the package, and see which test catches it."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..optional import require_package
from .covering_tests import TESTS
from .places import PLACES, Place
from .sandbox import CHECKOUT, Failure, Sandbox

LIMIT = 1800.0  # seconds
MESSAGE_LINES = 4


def list_places() -> None:
    """Print all places: name, what is broken, formula, file and line."""
    width = max(map(len, PLACES))
    for name, place in PLACES.items():
        print(f"{name:{width}}  {place.what}")
        print(f"{'':{width}}  {place.formula}    tinyproto/{place.file}:{place.number()}")
    print("\npython -m tinyproto.tour break NAME breaks one, in a copy of the package.")


def break_places(names: Sequence[str]) -> bool:
    """Break these places one by one, and print what catches each; whether each is caught by a test
    named for it."""
    unknown = [name for name in names if name not in PLACES]
    if unknown:
        raise ValueError(f"no place is called {unknown[0]!r}; there are {', '.join(PLACES)}")
    fine = True
    with temporary_sandbox() as sandbox:
        for name in names:
            place = PLACES[name]
            _describe(name, place)
            started = time.perf_counter()
            failure = break_one(sandbox, place)
            _tell(failure, place.tests, time.perf_counter() - started)
            fine = fine and failure.test.partition("[")[0] in {
                test.partition("[")[0] for test in place.tests
            }
    return fine


def break_one(sandbox: Sandbox, place: Place) -> Failure:
    """What the tests of a place say of its wrong line."""
    text = (sandbox.folder / "tinyproto" / place.file).read_text()
    with sandbox.changed(place.file, place.broken(text)):
        return sandbox.test_changed([place.file], place.tests, LIMIT)


def try_mine(file: Path, tests: Sequence[str]) -> bool:
    """Apply a unified diff to a copy of the package and run the tests that cover the files it
    changes, or `tests`; whether they pass."""
    with temporary_sandbox() as sandbox:
        changed = apply_diff(sandbox, file)
        chosen = tests or covering_tests(changed)
        print(f"changed     {', '.join(f'tinyproto/{name}' for name in changed)}")
        started = time.perf_counter()
        failure = sandbox.test_changed(changed, chosen, LIMIT)
        _tell(failure, chosen, time.perf_counter() - started)
    return not failure.test


def apply_diff(sandbox: Sandbox, file: Path) -> list[str]:
    """Apply a unified diff, as `git diff` writes it, to the copy; returns the files of the package
    that it changes, without "tinyproto/". ValueError for one that does not fit, or that changes
    anything else."""
    text = file.read_text()
    named = re.findall(r"^(?:---|\+\+\+) (?:[a-z]/)?([^\t\n]+)", text, re.MULTILINE)
    named += re.findall(r"^(?:rename|copy) (?:from|to) ([^\n]+)", text, re.MULTILINE)
    names = sorted({name.strip() for name in named} - {"/dev/null"})
    if not names:
        raise ValueError(f"{file} is no unified diff: write one with git diff > mine.diff")
    for name in names:
        inside = (sandbox.folder / name).resolve().is_relative_to(sandbox.folder / "tinyproto")
        if not inside:
            raise ValueError(f"{file} changes {name}: only files of tinyproto/ may be changed")
    if shutil.which("git") is None:
        raise FileNotFoundError("git is not installed: it applies the diff")
    strip = "-p1" if re.search(r"^(?:---|\+\+\+) [a-z]/", text, re.MULTILINE) else "-p0"
    out = subprocess.run(
        ["git", "apply", strip, str(file.resolve())],
        cwd=sandbox.folder, capture_output=True, text=True,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(sandbox.folder.parent)},
    )  # fmt: skip
    if out.returncode:
        reason = out.stderr.strip().splitlines()
        raise ValueError(
            f"{file} does not fit this version: {reason[0] if reason else 'git apply'}"
        )
    return [name.removeprefix("tinyproto/") for name in names]


def covering_tests(files: Sequence[str]) -> list[str]:
    """The arguments of pytest that run the tests of these files."""
    unknown = [file for file in files if file not in TESTS]
    if unknown:
        raise ValueError(
            f"no tests are listed for tinyproto/{unknown[0]}: name them, as --tests tests/..."
        )
    if len(files) == 1:
        return TESTS[files[0]]
    found = dict.fromkeys(test for file in files for test in _paths(TESTS[file]))
    return list(found)


def _paths(arguments: Sequence[str]) -> list[str]:
    """The files among arguments of pytest: options of one file do not hold for another."""
    return [argument for argument in arguments if argument.startswith("tests/")]


@contextmanager
def temporary_sandbox() -> Iterator[Sandbox]:
    """A copy in a temporary folder, which goes when the block ends."""
    for package in ("pytest", "hypothesis"):
        require_package(package, "python -m tinyproto.tour break")
    with tempfile.TemporaryDirectory(prefix="tinyproto-break-") as folder:
        yield Sandbox(Path(folder), CHECKOUT)


def _describe(name: str, place: Place) -> None:
    print(f"\n{name}: {place.what}")
    print(f"place       tinyproto/{place.file}:{place.number()}")
    print(f"formula     {place.formula}")
    print(f"line        {place.line}")
    print(f"changed to  {place.wrong}", flush=True)


def _tell(failure: Failure, tests: Sequence[str], seconds: float) -> None:
    print(f"tests       {' '.join(tests)}  ({seconds:.0f} s)")
    if not failure.test:
        print("result      all of them pass: nothing catches it", flush=True)
        return
    print(f"caught by   {failure.test}")
    said = failure.message.partition("Failing test case")[0]  # what Hypothesis adds is long
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for line in lines[:MESSAGE_LINES]:
        print(f"            {line}", flush=True)
