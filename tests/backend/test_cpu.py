"""How compiled work is started on the CPU's cores."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tinyproto.backend import cpu
from tinyproto.backend.cpu import cpu_kernel
from tinyproto.backend.kernel import kernel


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


def test_an_array_with_gaps_is_refused():
    with pytest.raises(ValueError, match="not contiguous"):
        _mark(1, np.zeros(8, np.float32)[::2], 1, 1.0, True)


def _double(i, t, T, x, y):
    for j in range(t, x.shape[1], T):
        y[i, j] = 2 * x[i, j]


def test_a_kernel_takes_an_array_with_gaps():
    from tinyproto.backend.kernel import registry

    double = kernel(_double)
    try:
        x = np.arange(24.0).reshape(4, 6)
        y = np.zeros((4, 3))
        double(4, x[:, ::2], y)
        np.testing.assert_array_equal(y, 2 * x[:, ::2])
        double(0, x, y)  # no rows, no work
        z = np.zeros_like(x)
        double(4, x, z)
        np.testing.assert_array_equal(z, 2 * x)
    finally:
        registry.pop(double.__name__)


def test_little_work_is_done_by_one_worker():
    assert cpu.workers(1000) == 1
    assert cpu.workers() == cpu.load_numba().get_num_threads()
    assert cpu.workers(1e12) == cpu.workers()


@pytest.mark.parametrize("file", ["cpu.py", "kernel.py", "tiles.py", "channels.py", "arguments.py"])
def test_the_stamp_sees_an_edit(file, monkeypatch):
    before, read = cpu.source_checksum(), Path.read_bytes
    monkeypatch.setattr(cpu, "_stamp", None)
    assert cpu.source_checksum() == before
    monkeypatch.setattr(cpu, "_stamp", None)
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * (p.name == file))
    assert cpu.source_checksum() != before


def test_an_array_of_foreign_byte_order_is_refused():
    with pytest.raises(ValueError, match="byte order"):
        _mark(1, np.zeros(4, ">f4"), 1, 1.0, True)


def test_several_python_threads_start_work_at_once():
    def work(value):
        for _ in range(100):
            marks = np.zeros(50, np.float32)
            _mark(2, marks, value, 1.0, True)
            if not (marks == value).all():
                failed.append(value)

    failed: list[int] = []
    crew = [threading.Thread(target=work, args=(value,)) for value in range(1, 5)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert not failed


def test_long_compiling_is_announced_once(monkeypatch, capsys):
    said = threading.Event()
    monkeypatch.setattr(cpu, "_compiling", 0.99)
    monkeypatch.setattr(cpu, "_said", False)
    speak = cpu._say_so

    def watched():
        speak()
        said.set()

    monkeypatch.setattr(cpu, "_say_so", watched)
    for _ in range(2):
        with cpu.compile_notice():
            assert said.wait(10)
    assert capsys.readouterr().err.count("compiled once") == 1


def test_short_compiling_is_not_announced(monkeypatch, capsys):
    monkeypatch.setattr(cpu, "_compiling", 0.0)
    with cpu.compile_notice():
        pass
    assert capsys.readouterr().err == ""


PROGRAM = """
import sys
if sys.argv[1] == "none":
    sys.modules["numba.np.ufunc.omppool"] = None
import numpy as np
from tinyproto.layers import Conv2D
x = np.random.default_rng(0).random((40, 9, 9, 16), np.float32)
y, backward = Conv2D(16, 16, 3, padding=1)(x)
import threading
crew = [threading.Thread(target=Conv2D(16, 16, 3, padding=1), args=(x,)) for _ in range(4)]
for each in crew:
    each.start()
for each in crew:
    each.join()
from numba import threading_layer
print(threading_layer(), float(np.abs(y).sum()), float(np.abs(backward(y)).sum()))
"""


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
