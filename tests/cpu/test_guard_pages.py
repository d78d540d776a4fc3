"""Native code reads and writes nothing beyond its arrays: see `tests.guard_pages`."""

import signal
import subprocess
import sys

import pytest

from tests import ROOT
from tests.guard_pages import BROKEN

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")


def guarded(*options):
    command = [sys.executable, "-m", "tests.guard_pages", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def passed(found, cases):
    last = found.stdout.splitlines()[-1] if found.stdout else ""
    assert found.returncode == 0, f"exit code {found.returncode} in: {last}\n{found.stderr}"
    assert last.startswith(f"{cases} cases")


def test_every_kernel_and_some_layers():
    passed(guarded("--cases", "40"), 40)


@pytest.mark.slow
def test_many_layers():
    passed(guarded("--cases", "600", "--seed", "1"), 600)


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_seen(name):
    """A loop that goes one number too far, and a parameter of a shape that nobody checked."""
    assert guarded("--broken", name).returncode in (-signal.SIGSEGV, -signal.SIGBUS)
