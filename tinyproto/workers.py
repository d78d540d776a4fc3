"""Work shared out to an executor: any of `concurrent.futures`, of MPI or of Dask.

Every task is `function(common, *task)`. `common`, such as a network and its attacks, is pickled
once. A worker that does not have it says so and is sent it with its next task; so it travels about
once for each worker, whatever starts the workers and wherever they run.

A worker that dies takes its tasks with it, and they are done again. The workers of a
ProcessPoolExecutor all end with the first that does (`BrokenProcessPool`): a new pool is made where
`executor` is a function that makes one, and else the tasks that are left are done in this process.
"""

import hashlib
import importlib
import importlib.util
import multiprocessing
import pickle
import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from .backend import cpu
from .backend.blas import one_blas_thread

__all__ = ["ExecutorLike", "worker_processes"]

ExecutorLike = Executor | Callable[[], Executor]
"""An executor, or a function that makes one."""

MAX_BREAKS = 3
"""How many pools may break, one after the other, without one task being done."""

UNKNOWN_WORKERS = 16
"""As many workers an executor is taken to have that does not tell."""

_kept: dict[str, Any] = {}  # of a worker: the function and `common`, by the digest of their pickle


class WorkersFailed(RuntimeError):
    """The processes of an executor end, one after the other, without having done a task."""


class Task(NamedTuple):
    """The arguments of a call, and whether `common` is to be sent with them."""

    arguments: tuple[Any, ...]
    send: bool = False


class NotKept:
    """What a worker returns that was not sent `common` and does not have it."""


def worker_processes(count: int, method: str | None = None) -> Callable[[], Executor]:
    """A function that makes an executor of processes, which leave Ctrl-C to this one.

    Parameters
    ----------
    count : int
        The number of processes.
    method : str, optional
        How they start: "spawn", "forkserver" or "fork"; by default as `multiprocessing` is set to.

    Returns
    -------
    callable
        To be given as `executor`: a worker that dies is then replaced.

    Examples
    --------
    >>> from tinyproto.workers import worker_processes
    >>> with worker_processes(2)() as executor:
    ...     executor.submit(abs, -3).result()
    3
    """
    context = multiprocessing.get_context(method)
    return partial(ProcessPoolExecutor, count, context, _ignore_interrupt)


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent, which ends its workers with SIGTERM: they must not say a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Workers:
    """Runs tasks in the workers of an executor; a context manager.

    Parameters
    ----------
    executor : Executor or callable
        An executor, which is left running, or a function that makes one, which is shut down.
    function : callable
        function(common, *task), at the top level of a module.
    common : object
        What all tasks share.
    parts : mapping of str to object
        The parts of `common` that come from the user, by what an error calls them.

    Raises
    ------
    ValueError
        For an executor that is none, and for what cannot be pickled.
    """

    def __init__(
        self,
        executor: ExecutorLike,
        function: Callable[..., Any],
        common: Any,
        parts: Mapping[str, Any],
    ):
        if not isinstance(executor, Executor) and not callable(executor):
            raise ValueError(
                "executor must be a concurrent.futures.Executor, or a function that makes one, "
                f"not {executor!r}"
            )
        self.function, self.common = function, common
        self._pickled = _pickle((function, common), parts)
        self._key = hashlib.sha256(self._pickled).hexdigest()
        self._make = None if isinstance(executor, Executor) else executor
        self._executor = executor if isinstance(executor, Executor) else None
        self._size = 1 if self._executor is None else _count(self._executor)
        self._running: dict[Future[Any], Task] = {}
        self._breaks = 0  # pools that broke since a task was done
        self._sent = 0  # how often `common` was

    def __enter__(self) -> "Workers":
        if self._make:
            self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Cancel what is left. After an error, as after Ctrl-C, processes are not waited for."""
        for future in self._running:
            future.cancel()
        if self._make and self._executor:
            if kind is not None:
                for process in list((getattr(self._executor, "_processes", None) or {}).values()):
                    process.terminate()
            self._executor.shutdown(cancel_futures=True)

    def run(self, tasks: Iterable[tuple[Any, ...]]) -> Generator[Any, None, None]:
        """The results of all tasks, in the order in which they are done.

        Raises the error of a task, and WorkersFailed where one pool after the other breaks.
        """
        left: Iterator[Task] = (Task(arguments) for arguments in tasks)
        again: list[Task] = []
        while self._executor is not None:
            broken = self._fill(again, left)
            while self._running:
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    task = self._running.pop(future)
                    try:
                        result = future.result()
                    except BrokenExecutor as error:  # which ends all that are running
                        again.append(task)
                        broken = error
                        continue
                    if result is NotKept:
                        again.append(task._replace(send=True))
                    else:
                        self._breaks = 0
                        yield result
                broken = broken or self._fill(again, left)
            if broken is None:
                return
            self._replace(broken)
        for task in chain(again, left):
            yield self.function(self.common, *task.arguments)

    def _fill(self, again: list[Task], left: Iterator[Task]) -> BrokenExecutor | None:
        """Submit tasks until each worker has one more than it works on."""
        while len(self._running) < 2 * self._size:
            task = again.pop() if again else next(left, None)
            if task is None:
                break
            try:
                self._running[self._submit(task)] = task
            except BrokenExecutor as error:
                again.append(task)
                return error
        return None

    def _submit(self, task: Task) -> Future[Any]:
        """The first workers get `common` with their first task. The arguments are pickled here:
        Dask would look into them, and hand out arrays that cannot be written to."""
        assert self._executor is not None
        send = task.send or self._sent < self._size
        self._sent += send
        common, arguments = self._pickled if send else None, pickle.dumps(task.arguments)
        return self._executor.submit(_work, self._key, common, self._threads, arguments)

    @property
    def _threads(self) -> int:
        """How many threads a task gets: the workers of an executor of this machine share those of
        this process; of others it is not known how many are on a machine."""
        if isinstance(self._executor, ProcessPoolExecutor | ThreadPoolExecutor):
            return max(1, cpu.worker_count() // self._size)
        return 1

    def _start(self) -> None:
        assert self._make is not None
        self._executor, self._sent = self._make(), 0
        if not isinstance(self._executor, Executor):
            raise ValueError(f"executor() must return an Executor, not {self._executor!r}")
        self._size = _count(self._executor)

    def _replace(self, error: BrokenExecutor) -> None:
        """A new executor, or none: then the rest is done in this process."""
        self._breaks += 1
        if self._make is None:
            self._executor = None
            warnings.warn(
                "a worker process ended, and with it the executor: what is left is done in this "
                "process (give a function that makes an executor, and a new one is made)",
                RuntimeWarning,
                stacklevel=4,
            )
            return
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        if self._breaks == MAX_BREAKS:
            self._executor = None
            raise WorkersFailed(
                f"a worker process ended before its task was done, {MAX_BREAKS} times in a row: it "
                "was killed, or is short of memory (use fewer workers), or could not start (a "
                'program needs `if __name__ == "__main__":` around its start)'
            ) from error
        self._start()


def _work(key: str, pickled: bytes | None, threads: int, arguments: bytes) -> Any:
    """In a worker: one task, with no more than so many threads."""
    found = _kept.get(key)
    if found is None:
        if pickled is None:
            return NotKept
        found = pickle.loads(pickled)
        _kept.clear()  # of one use after the other, the last
        _kept[key] = found
    function, common = found
    with _at_most(threads):
        return function(common, *pickle.loads(arguments))


@contextmanager
def _at_most(threads: int) -> Generator[None, None, None]:
    """A block in which Numba uses no more threads, and BLAS one."""
    numba = cpu.load_numba()
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        with one_blas_thread():
            yield
    finally:
        numba.set_num_threads(before)


def _count(executor: Executor) -> int:
    """How many tasks an executor runs at the same time."""
    client: Any = getattr(executor, "_client", None)
    if hasattr(client, "nthreads"):  # Dask's
        return max(1, sum(client.nthreads().values()))
    for name in ("num_workers", "_max_workers"):  # mpi4py's, Python's
        if isinstance(found := getattr(executor, name, None), int) and found > 0:
            return found
    return UNKNOWN_WORKERS


def _pickle(value: Any, parts: Mapping[str, Any]) -> bytes:
    """With cloudpickle where it is installed, which also takes functions that have no name.
    Raises ValueError, in one line, with the first of the parts that cannot be pickled."""
    cloud = importlib.util.find_spec("cloudpickle") is not None
    dumps: Callable[[Any], bytes] = (
        importlib.import_module("cloudpickle").dumps if cloud else pickle.dumps
    )
    try:
        return dumps(value)
    except Exception as error:
        for name, part in parts.items():
            try:
                dumps(part)
            except Exception as reason:
                advice = "" if cloud else ", or install cloudpickle"
                raise ValueError(
                    f"executor: {name} cannot be sent to another process ("
                    f"{' '.join(str(reason).split())}); give a network of tinyproto, or what is "
                    f"defined at the top level of a module{advice}"
                ) from None
        raise ValueError(f"executor: {' '.join(str(error).split())}") from None
