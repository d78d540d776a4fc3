"""What all tests share: Hypothesis without deadlines (kernels compile), full data, a table."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests import ONE_THREAD
from tests.data_files import make_arrays, write  # noqa: F401

settings.register_profile("tinyproto", deadline=None, max_examples=20, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=200)
settings.load_profile("tinyproto")


def pytest_configure():
    """Let Ctrl-C interrupt, for the tests of it: a shell that starts the tests in the background
    has it ignored, by them and by the processes that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mnist():
    """All of MNIST: x_train, y_train, x_test, y_test, as float32 in [0, 1] and int64."""
    folder = os.environ.get("TINYPROTO_DATA", "")
    if not (Path(folder) / "mnist.npz").is_file():
        pytest.skip("needs all of MNIST: set TINYPROTO_DATA to a folder with mnist.npz")
    from tinyproto.data import load

    return flattened(load("mnist", folder))


@pytest.fixture(scope="session")
def digits():
    """The package's sample of MNIST, in the same form."""
    from tinyproto.data import load

    return flattened(load("mnist", download=False))


@pytest.fixture
def samples_only(monkeypatch):
    """No data sets but the samples in the package."""

    def no_network(entry):
        raise OSError("no network in tests")

    monkeypatch.delenv("TINYPROTO_DATA", raising=False)
    monkeypatch.setattr("tinyproto.data.datasets._cache_folder", lambda: Path("/nowhere"))
    monkeypatch.setattr("tinyproto.data.datasets._download", no_network)


def flattened(data):
    x, x_test = (i.reshape(len(i), -1) / np.float32(255) for i in (data.x_train, data.x_test))
    return x, data.y_train, x_test, data.y_test


def pytest_collection_modifyitems(config, items):
    """Leave out what needs a CUDA device, unless `-m` names it."""
    if "gpu" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("gpu")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session", autouse=True)
def one_thread_in_each_of_several_processes():
    """Of `pytest -n`: threads that share a core wait for one another at the end of every loop."""
    if ONE_THREAD:
        import numba

        numba.set_num_threads(1)


CUDA_TABLE = pytest.StashKey[str]()


def keep_cuda_table(config, table):
    """Keep a table for the summary, also where this is one of several processes."""
    config.stash[CUDA_TABLE] = table
    if hasattr(config, "workeroutput"):
        config.workeroutput["cuda table"] = table


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    if table := getattr(node, "workeroutput", {}).get("cuda table"):
        node.config.stash[CUDA_TABLE] = table


def pytest_terminal_summary(terminalreporter):
    table = terminalreporter.config.stash.get(CUDA_TABLE, None)
    if table:
        terminalreporter.section("kernels built for CUDA, with no device")
        terminalreporter.write_line(table)
