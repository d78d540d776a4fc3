"""Commands as processes of their own, some at a time; they all end when this one is stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tinyproto.training import Stopped
from tinyproto.training.checkpoint import catch_stop_signals

POLL = 0.1  # seconds from one look at the processes to the next
STOPPED = (130, 143)  # exit statuses after Ctrl-C and SIGTERM
THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
RARE_LINES = {"TQDM_MININTERVAL": "60"}  # seconds from one to the next in a log


def run_all(
    commands: Mapping[str, list[str]],
    logs: Mapping[str, Path],
    jobs: int,
    describe: Callable[[str], str],
) -> list[str]:
    """Run commands, `jobs` at a time, and return the names of those that failed.

    Where there are several at a time, each writes its output to its log and gets its share of the
    cores. A line says how each ended, describe(name) where all went well. SIGTERM or Ctrl-C is
    passed on to those that run, once; Stopped is raised when they have ended.
    """
    waiting, running, status = list(commands), dict[str, subprocess.Popen[bytes]](), {}
    with catch_stop_signals() as stop_requested, _ending(running):
        while running or (waiting and not stop_requested()):
            while waiting and len(running) < jobs and not stop_requested():
                name = waiting.pop(0)
                running[name] = _start(commands[name], logs[name] if jobs > 1 else None, jobs)
            if stop_requested():
                _stop(running)
            time.sleep(POLL)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                code = status[name] = running.pop(name).returncode
                where = f"; see {logs[name]}" if jobs > 1 else ""
                failed = "stopped" if code in STOPPED else f"failed with exit status {code}{where}"
                print(f"{name}: {failed if code else describe(name)}", flush=True)
        if number := stop_requested():
            finished = sum(code == 0 for code in status.values())
            stop = Stopped(f"stopped: {finished} of {len(commands)} rows are finished")
            stop.signal_number = signal.Signals(number)
            raise stop
    return [name for name, code in status.items() if code]


@contextmanager
def _ending(running: Mapping[str, subprocess.Popen[bytes]]) -> Iterator[None]:
    """However the block ends, so do the processes."""
    try:
        yield
    finally:
        _stop(running)


def _start(command: list[str], log: Path | None, jobs: int) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own, so that Ctrl-C reaches it through this process."""
    environment = dict(os.environ)
    if jobs > 1:
        share = max(1, _cores() // jobs)
        environment = {**dict.fromkeys(THREADS, str(share)), **RARE_LINES, **environment}
    if log is None:
        return subprocess.Popen(command, env=environment, process_group=0)
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        return subprocess.Popen(
            command, env=environment, process_group=0, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _stop(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Ask the processes to stop and wait for them; a second signal asks again."""
    for _ in range(2):
        for process in running.values():
            if process.poll() is None:
                process.terminate()
        try:
            for process in running.values():
                process.wait()
        except KeyboardInterrupt:
            continue
        return
