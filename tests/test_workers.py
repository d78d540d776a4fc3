"""Tasks in workers: each is done once, in how many threads, and what travels how often."""

import signal
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest

from tinyproto import workers
from tinyproto.backend import blas, cpu
from tinyproto.workers import Workers


def multiply(common, a):
    return common["factor"] * a


class Forgetful(Executor):
    """Runs a task at once, each in a worker that was never sent anything."""

    def submit(self, function, /, *arguments):
        workers._kept.clear()
        future = Future()
        future.set_result(function(*arguments))
        return future


@pytest.mark.parametrize("make", [Forgetful, lambda: ThreadPoolExecutor(3)])
def test_every_task_is_done_once(make):
    with Workers(make, multiply, {"factor": 3}, {}) as pool:
        for count in (0, 1, 100):
            found = sorted(pool.run((i,) for i in range(count)))
            assert found == [3 * i for i in range(count)]


def test_what_is_common_is_sent_once_to_each_worker():
    with Workers(lambda: ThreadPoolExecutor(1), multiply, {"factor": 2}, {}) as pool:
        assert sum(pool.run((i,) for i in range(50))) == 2450
        assert pool._sent == 1


def test_tasks_are_taken_as_they_are_needed():
    """Their arguments, images, are not all in memory at once."""
    taken = []

    def tasks():
        for i in range(40):
            taken.append(i)
            yield (i,)

    with Workers(lambda: ThreadPoolExecutor(2), multiply, {"factor": 1}, {}) as pool:
        next(pool.run(tasks()))
        assert len(taken) == 4


def test_the_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr(cpu, "worker_count", lambda: 8)
    with Workers(lambda: ThreadPoolExecutor(3), multiply, {}, {}) as pool:
        assert pool._threads == 2
    with Workers(lambda: ThreadPoolExecutor(9), multiply, {}, {}) as pool:
        assert pool._threads == 1
    with Workers(Forgetful(), multiply, {}, {}) as pool:
        assert pool._threads == 1  # it does not say how many workers it has on which machine


def test_a_task_has_no_more_threads():
    numba = cpu.load_numba()
    before = numba.get_num_threads()
    with workers._at_most(1):
        assert numba.get_num_threads() == 1
        shared, own = blas.blas_libraries()
        assert {get() for get, _ in shared + own} <= {1}
        np.ones((2, 2)) @ np.ones((2, 2))
    assert numba.get_num_threads() == before
    with workers._at_most(1000):
        assert numba.get_num_threads() == before


def test_workers_end_in_silence_when_they_are_terminated():
    before = signal.signal(signal.SIGTERM, lambda number, frame: print("a word"))
    try:
        with workers.worker_processes(1, "fork")() as executor:
            assert executor.submit(signal.getsignal, signal.SIGTERM).result() == signal.SIG_DFL
            assert executor.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_executor_that_was_given_is_left_running_and_one_that_was_made_is_not():
    made = []

    def make():
        made.append(ThreadPoolExecutor(1))
        return made[0]

    with ThreadPoolExecutor(1) as given:
        for executor in (given, make):
            with Workers(executor, multiply, {"factor": 1}, {}) as pool:
                assert list(pool.run([(5,)])) == [5]
        assert given.submit(abs, -1).result() == 1
        with pytest.raises(RuntimeError, match="after shutdown"):
            made[0].submit(abs, -1)
