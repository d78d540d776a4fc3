"""A copy of the package and its tests, in which one file at a time may be changed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]
COMPILED = ("kernels/", "cpu/")
"""The folders of kernels: after a change there, all of them are compiled again."""

PLUGIN = """
import json
import os
import sys
from pathlib import Path

from hypothesis import Phase, settings

FOUND = Path(__file__).parent / "failure.json"


def pytest_configure(config):
    import tinyproto

    if Path(tinyproto.__file__).parent != Path(__file__).parent / "tinyproto":
        print(tinyproto.__file__, file=sys.stderr, flush=True)
        os._exit(99)
    phases = [Phase.explicit, Phase.generate]  # without shrinking: one failure is enough
    settings.register_profile("sandbox", settings.get_profile("tinyproto"), phases=phases)
    settings.load_profile("sandbox")


def write(report):
    if report.failed and not FOUND.exists():
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message if crash else str(report.longrepr)
        FOUND.write_text(json.dumps([report.nodeid, message]))


def pytest_runtest_logreport(report):
    write(report)


def pytest_collectreport(report):
    write(report)
"""


class Failure(NamedTuple):
    """The first test that fails, as pytest names it, and what it says."""

    test: str
    message: str


class Sandbox:
    """A copy of the package and its tests in an empty or new folder.

    The folder is used again for the next change: Numba's cache depends on the paths and times of
    the files, so that unchanged files are not compiled again.
    """

    def __init__(self, folder: Path, origin: Path = CHECKOUT):
        if not (origin / "tests" / "conftest.py").is_file():
            raise FileNotFoundError(
                f"{origin} has no tests: this command needs a checkout of the repository, with the "
                "package installed from it by pip install -e '.[test]'"
            )
        self.folder = folder.resolve()
        for name in ("tinyproto", "tests"):
            copied = shutil.ignore_patterns("__pycache__")
            shutil.copytree(origin / name, folder / name, ignore=copied)
        shutil.copy2(origin / "setup.cfg", folder)
        (folder / "sandbox_plugin.py").write_text(PLUGIN)

    @contextmanager
    def changed(self, file: str, text: str) -> Iterator[None]:
        """In the block, a file of the package's copy has another text; then its own again, with the
        time at which that was written."""
        path = self.folder / "tinyproto" / file
        before, stat = path.read_text(), path.stat()
        path.write_text(text)
        try:
            yield
        finally:
            path.write_text(before)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def test_changed(self, files: Sequence[str], tests: Sequence[str], limit: float) -> Failure:
        """`run_tests` after a change of these files of the copy, ("", "") where all pass. What is
        compiled from a changed kernel is not kept."""
        if not any(file.startswith(COMPILED) for file in files):
            return self.run_tests(tests, limit)
        with tempfile.TemporaryDirectory() as cache:
            return self.run_tests(tests, limit, cache)

    def run_tests(self, tests: Sequence[str], limit: float, cache: str = "") -> Failure:
        """The first test that fails; "crash" or "time limit" instead of its name; ("", "") if all
        pass. `tests` are arguments of pytest, `limit` is in seconds."""
        found = self.folder / "failure.json"
        found.unlink(missing_ok=True)
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
        )
        environment = {
            **os.environ, **threads, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": cache or str(self.folder / "cache"),
        }  # fmt: skip
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short"]
        with subprocess.Popen(
            [*command, "-p", "no:cacheprovider", "-p", "sandbox_plugin", *tests],
            cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                for _ in range(int(limit)):  # seconds; a pause of the whole machine counts as one
                    with suppress(subprocess.TimeoutExpired):
                        output, _ = process.communicate(timeout=1)
                        break
                else:
                    return Failure("time limit", f"the tests took more than {int(limit)} seconds")
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # its session contains nothing else
        if process.returncode == 99:
            raise RuntimeError(f"the tests imported {output.strip()} instead of the copy")
        if process.returncode == 0:
            return Failure("", "")
        if found.exists():
            return Failure(*json.loads(found.read_text()))
        if process.returncode in (4, 5):  # of pytest: wrong arguments, nothing collected
            raise ValueError(f"pytest {' '.join(tests)}: {output.strip().splitlines()[-1]}")
        return Failure(f"crash, status {process.returncode}", output.strip()[-300:])
