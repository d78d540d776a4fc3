"""How compiled work is started on the CPU's cores."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT
from tinyproto.backend import cpu
from tinyproto.backend.cpu import cpu_kernel


@cpu_kernel
def _mark(worker, workers, marks, value, scale, on):
    for i in range(worker, len(marks), workers):
        marks[i] = value * scale if on else -1


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_arguments_arrive_and_all_workers_work(count, dtype):
    marks = np.zeros(11, dtype)
    _mark(count, marks, 3, 0.5, True)
    np.testing.assert_array_equal(marks, np.full(11, 1.5).astype(dtype))
    _mark(count, marks, np.int64(3), np.float32(0.5), False)
    assert (marks == -1).all()


@pytest.mark.parametrize("on", [False, True])
def test_a_truth_value_of_numpy(on):
    marks = np.zeros(3)
    _mark(1, marks, 3, 0.5, np.bool_(on))
    assert (marks == (1.5 if on else -1)).all()


def test_kernels_without_compilation_are_refused():
    program = "from tinyproto.backend import cpu; cpu.load_numba()"
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=ROOT, capture_output=True, text=True
    )
    last = done.stderr.splitlines()[-1]
    assert last == "RuntimeError: NUMBA_DISABLE_JIT is set: tinyproto's kernels are compiled"


def test_an_array_that_is_not_contiguous_is_refused():
    with pytest.raises(ValueError, match="kernel _mark: argument marks is not contiguous"):
        _mark(1, np.zeros(8, np.float32)[::2], 1, 1.0, True)


def test_little_work_is_done_by_one_worker():
    assert cpu.worker_count(1000) == 1
    assert cpu.worker_count() == cpu.load_numba().get_num_threads()
    assert cpu.worker_count(1e12) == cpu.worker_count()


@pytest.mark.parametrize("file", ["cpu.py", "kernel.py", "tiles.py", "channels.py", "arguments.py"])
def test_the_checksum_of_the_sources_sees_an_edit(file, monkeypatch):
    read = Path.read_bytes
    before = cpu.source_checksum.__wrapped__()
    assert cpu.source_checksum.__wrapped__() == before
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * (p.name == file))
    assert cpu.source_checksum.__wrapped__() != before


def test_an_array_of_foreign_byte_order_is_refused():
    with pytest.raises(ValueError, match="kernel _mark: argument marks has foreign byte order"):
        _mark(1, np.zeros(4, ">f4"), 1, 1.0, True)


def test_several_python_threads_start_work_at_once():
    def work(value):
        for _ in range(100):
            marks = np.zeros(50, np.float32)
            _mark(2, marks, value, 1.0, True)
            if not (marks == value).all():
                failed.append(value)

    failed: list[int] = []
    threads = [threading.Thread(target=work, args=(value,)) for value in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_wrong_number_of_arguments_is_refused():
    with pytest.raises(TypeError, match=r"takes 4 arguments \(marks, value, scale, on\), not 3"):
        _mark(1, np.zeros(4, np.float32), 1, 1.0)


def test_a_kernel_that_no_file_holds_compiles():
    """As in an interactive session: Numba has no place for its cache."""
    scope = {}
    exec("def fill(worker, workers, x, value):\n    x[worker] = value", scope)
    x = np.zeros(2)
    cpu_kernel(scope["fill"])(2, x, 3.0)
    np.testing.assert_array_equal(x, 3)


def test_an_argument_may_have_any_name():
    @cpu_kernel
    def scale(worker, workers, array, number, float32, rows, body):
        for i in range(worker, len(array), workers):
            array[i] = number * float32 + rows + body

    x = np.zeros(3, np.float32)
    scale(1, x, 2.0, np.float32(3), 4, np.int64(5))
    np.testing.assert_array_equal(x, 15)


PROGRAM = """
import sys
if sys.argv[1] == "none":
    sys.modules["numba.np.ufunc.omppool"] = None
import numpy as np
from tinyproto.layers import Conv2D
x = np.random.default_rng(0).random((40, 9, 9, 16), np.float32)
y, backward = Conv2D(16, 16, 3, padding=1)(x)
import threading
threads = [threading.Thread(target=Conv2D(16, 16, 3, padding=1), args=(x,)) for _ in range(4)]
for each in threads:
    each.start()
for each in threads:
    each.join()
from numba import threading_layer
print(threading_layer(), float(np.abs(y).sum()), float(np.abs(backward(y)).sum()))
"""


@pytest.mark.slow
def test_without_openmp_the_numbers_are_the_same():
    def run(openmp):
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM, openmp],
            env={**os.environ, "NUMBA_NUM_THREADS": "2"}, capture_output=True, text=True,
        )  # fmt: skip
        assert out.returncode == 0, out.stderr
        return out.stdout.split()

    layer, *numbers = run("none")
    assert layer == "workqueue"
    assert run("there")[1:] == numbers
