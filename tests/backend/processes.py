"""Work for processes that are forked and started: `python -m tests.backend.processes SCENARIO`.

A scenario raises, or a child of it ends with another status than 0, where something is wrong.
"""

import concurrent.futures
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
import zlib
from contextlib import contextmanager

import numpy as np

from tinyproto.backend import cpu, empty, memory, one_blas_thread, worker_count
from tinyproto.backend.blas import numpy_blas
from tinyproto.backend.cpu import cpu_kernel

TIMEOUT = 20
METHODS = [m for m in ("fork", "forkserver", "spawn") if hasattr(os, "fork") or m == "spawn"]


def work(_=None):
    """A checksum of a layer's output and of its input gradient, computed in several threads."""
    from tinyproto.layers import Conv2D

    x = np.random.default_rng(0).random((40, 9, 9, 16), np.float32)
    y, backward = Conv2D(16, 16, 3, padding=1)(x)
    return zlib.crc32(y.tobytes() + backward(y).tobytes())


def workers(_=None):
    return worker_count()


def fork(function):
    """Run a function in a forked child, which must end well, and soon."""
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    killer = threading.Timer(TIMEOUT, os.kill, (child, signal.SIGKILL))
    killer.start()
    status = os.waitpid(child, 0)[1]
    killer.cancel()
    assert status == 0, f"the child of {function.__name__} ended with status {status}"


@contextmanager
def background(function):
    """A block during which a function is called again and again in another thread."""
    stopped, running = threading.Event(), threading.Event()

    def loop():
        while not stopped.is_set():
            function()
            running.set()

    thread = threading.Thread(target=loop)
    thread.start()
    running.wait()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def new_kernel():
    """Compile and run a kernel that no cache has."""
    scope = {}
    exec("def fill(worker, workers, x, value):\n    x[worker] = value", scope)
    x = np.zeros(2)
    cpu_kernel(scope["fill"])(2, x, 3.0)
    assert (x == 3).all()


def threads_after_fork(threads):
    return 1 if cpu.numba.threading_layer() == "omp" else threads


def check_child(want, threads):
    """Right numbers in a child, in as many threads as its layer allows, and in a grandchild."""
    assert work() == want
    assert workers() == threads
    fork(lambda: check_grandchild(want, threads))


def check_grandchild(want, threads):
    assert work() == want
    assert workers() == threads


def forked():
    """Forked after a first call: one worker where OpenMP was used, else as many as before."""
    want, threads = work(), workers()
    assert threads > 1
    threads = threads_after_fork(threads)
    for _ in range(2):
        fork(lambda: check_child(want, threads))
    assert work() == want

    with background(work):
        for _ in range(5):
            fork(lambda: check_child(want, threads))
    assert work() == want


def forked_before():
    """Forked before any call: the child uses its threads."""
    fork(check_child_alone)
    assert work()


def check_child_alone():
    want, threads = work(), workers()
    assert threads > 1
    fork(lambda: check_grandchild(want, threads_after_fork(threads)))


def forked_while_compiling():
    new_kernel()
    with background(new_kernel):
        for _ in range(3):
            fork(new_kernel)


def forked_inside():
    """Forked while other threads hold the memory's lock, or are in a block of one BLAS thread."""
    library = numpy_blas()[0]
    entered, leave = threading.Event(), threading.Event()
    before = library.get_num_threads()

    def hold():
        with memory._lock, one_blas_thread():
            entered.set()
            leave.wait()

    def child():
        assert library.get_num_threads() == before
        with one_blas_thread():
            assert library.get_num_threads() == 1
        assert library.get_num_threads() == before
        assert empty((1000, 1000)).shape == (1000, 1000)

    def child_of_block():
        assert library.get_num_threads() == 1

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    try:
        fork(child)
        with one_blas_thread():
            fork(child_of_block)
    finally:
        leave.set()
        thread.join()
    assert library.get_num_threads() == before
    with one_blas_thread():
        fork(child_of_block)


def forked_by_others():
    """Forked after other code used Numba's threads, and before this package did."""
    total_of_ones()
    fork(check_alone)


def check_alone():
    assert work()
    assert workers() == threads_after_fork(workers_of_numba())


def pools():
    """multiprocessing and concurrent.futures, after a first call."""
    want = work()
    for method in METHODS:
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            assert pool.map_async(work, range(2)).get(TIMEOUT) == [want] * 2
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
            assert executor.submit(work).result(TIMEOUT) == want
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        assert list(executor.map(work, range(12))) == [want] * 12


def joblib():
    import joblib

    want = work()
    for backend in ("loky", "multiprocessing", "threading"):
        done = joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(work)() for _ in range(4))
        assert done == [want] * 4, backend


def total_of_ones():
    """Other code that uses Numba."""
    import numba

    @numba.njit(parallel=True)
    def total(x):
        result = 0.0
        for i in numba.prange(x.size):
            result += x[i]
        return result

    assert total(np.ones(1000)) == 1000


def workers_of_numba():
    return cpu.numba.get_num_threads()


@cpu_kernel
def fill(worker, workers, x, value):
    for i in range(worker, len(x), workers):
        x[i] = value


def fill_often(value):
    x = np.empty(100_000)
    for i in range(100):
        fill(2, x, value + i)
        assert (x == value + i).all()


def at_once():
    """Loops of four threads at once: under `workqueue` that ends the process, unless locked."""
    fill_often(0)
    assert cpu.numba.threading_layer() == "workqueue"
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        list(executor.map(fill_often, range(4)))


def layer_in_use():
    import numba

    numba.config.THREADING_LAYER = "workqueue"
    total_of_ones()
    at_once()


def layer_chosen():
    import numba

    numba.config.THREADING_LAYER = "workqueue"
    at_once()


def threads_chosen():
    import numba

    numba.set_num_threads(1)
    assert workers() == 1
    work()
    assert workers() == 1
    numba.set_num_threads(2)
    assert workers() == 2


def start_method():
    """A first call leaves the choice of a start method to the user."""
    work()
    multiprocessing.set_start_method("spawn")


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    globals()[sys.argv[1]]()
