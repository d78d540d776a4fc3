"""How commands end: one line and an exit status for every error and interruption."""

import os
import signal
import subprocess
import sys

import pytest

from tests import ROOT
from tinyproto.backend.device import DeviceError
from tinyproto.evaluation.command import ERRORS, describe_error, run_command
from tinyproto.training import NotFinite, Stopped
from tinyproto.workers import WorkersFailed


def opened(path):
    try:
        with open(path):
            raise AssertionError
    except OSError as error:
        return error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\nlines"), "two lines"),
        (FileNotFoundError("no data in /nowhere"), "no data in /nowhere"),
        (opened("/nowhere/file.npz"), "/nowhere/file.npz: No such file or directory"),
        (OSError(17, "File exists", "out"), "out: File exists"),
        (OSError(21, "Is a directory", "temporary", None, "out"), "out: Is a directory"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (ImportError("needs SciPy"), "needs SciPy"),
        (MemoryError(), "MemoryError"),
        (DeviceError("no CUDA device"), "no CUDA device"),
        (NotFinite("the loss is not finite"), "the loss is not finite"),
        (WorkersFailed("a worker process ended"), "a worker process ended"),
    ],
)
def test_an_error_is_one_line(error, line):
    assert describe_error(error) == line
    assert isinstance(error, ERRORS)

    def fail():
        raise error

    with pytest.raises(SystemExit) as stop:
        run_command(fail)
    assert stop.value.code == f"error: {line}"  # printed on standard error, with status 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("eps must be 0 or more"), 2),
        (FileNotFoundError("no data in /nowhere"), 2),
        (OSError(28, "No space left on device"), 1),
        (ImportError("needs SciPy"), 1),
        (DeviceError("no CUDA device"), 1),
        (NotFinite("the loss is not finite"), 1),
    ],
)
def test_wrong_input_may_have_a_status_of_its_own(error, status, capsys):
    def fail():
        raise error

    with pytest.raises(SystemExit) as stop:
        run_command(fail, wrong_input=2)
    line = f"error: {describe_error(error)}"
    if status == 1:
        assert stop.value.code == line  # which Python prints, with status 1
    else:
        assert (stop.value.code, str(stop.value)) == (status, line)
        assert capsys.readouterr().err == f"{line}\n"


def test_an_error_of_the_program_keeps_its_traceback():
    def fail():
        raise TypeError("a mistake in the code")

    with pytest.raises(TypeError, match="a mistake"):
        run_command(fail)


@pytest.mark.parametrize("advice", ["", "continue with --resume"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_stopped_after_its_checkpoint_says_where(number, advice, capsys):
    stopped = Stopped("stopped after epoch 1, step 6")
    stopped.signal_number = number

    def fail():
        raise stopped

    with pytest.raises(SystemExit) as stop:
        run_command(fail, lambda: advice)
    assert stop.value.code == 128 + number
    line = "stopped after epoch 1, step 6" + (f"; {advice}" if advice else "")
    assert capsys.readouterr().err == line + "\n"


def test_sigterm_is_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    run_command(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before


WAIT = """
import time
from pathlib import Path
from tinyproto.evaluation.command import run_command
from tinyproto.state import atomic_write

def wait():
    with atomic_write(Path("result.json")) as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        while True:  # a signal may come just before a sleep, and does not end it then
            time.sleep(0.1)

run_command(wait)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_process_cleans_up(number, status, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (status, "stopped\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks").glob("bench_*.py")), ids=lambda p: p.name
)
def test_every_benchmark_ends_like_this(path):
    assert path.read_text().endswith('if __name__ == "__main__":\n    run_command(main)\n')
