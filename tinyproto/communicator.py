"""The ranks of a program that trains as one: processes, each with a part of every batch.

A communicator says which rank this is and of how many, adds up arrays of all ranks, and hands out
what one of them has. Sums are in the order of the ranks, in float64, and rounded once: they have
the same bits on all ranks and in every run, whatever the network between them does.

`fit` sums gradients. BatchNorm needs its moments, and the sums of its backward pass, over all
ranks, too; it finds the communicator of the step that it is part of in `spread_over`.
"""

import importlib
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .backend import cpu
from .backend.device import Array, array_module, to_device, to_host

__all__ = [
    "ONE_PROCESS",
    "Communicator",
    "MPICommunicator",
    "NCCLCommunicator",
    "failing_together",
]

SMALL = 1 << 16
"""Bytes up to which each rank adds up everything itself: one message less to wait for."""

READ_BY_MPIRUN = 0.5
"""Seconds between an error message and the end of all ranks. Once in fifty times, MPICH's mpirun
dropped a message that had just been written."""


class Communicator:
    """A single process; the base class of those with several ranks.

    Attributes
    ----------
    rank, size : int
        Which one this is, from 0, and how many there are.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.communicator import Communicator
    >>> one = Communicator()
    >>> one.size, one.all_reduce(np.array([1.0, 2.0])).tolist()
    (1, [1.0, 2.0])
    """

    rank, size = 0, 1

    def all_gather(self, array: Array) -> Array:
        """The arrays of all ranks (size, …), which have the same shape and dtype."""
        return array[None]

    def all_reduce(self, array: Array) -> Array:
        """Their sum, in the order of the ranks."""
        return array

    def broadcast(self, value: Any) -> Any:
        """What rank 0 gives, an object that can be pickled."""
        return value

    def barrier(self) -> None:
        """Wait until all ranks are here."""

    def abort(self, message: str) -> None:
        """Print a line, and end all ranks."""
        sys.exit(message)

    def shard(self, index: np.ndarray) -> np.ndarray:
        """This rank's part of a batch: parts are as equal as they can be, the first ones larger."""
        return np.array_split(index, self.size)[self.rank]


ONE_PROCESS = Communicator()


class MPICommunicator(Communicator):
    """The ranks that mpirun has started, by way of mpi4py.

    Numba gets this rank's share of the cores that it and others of its machine may use.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        By default MPI.COMM_WORLD.

    Raises
    ------
    ImportError
        Where mpi4py is not installed.

    Notes
    -----
    A large array is cut into `size` parts. Each rank gets its part of all ranks' arrays, adds these
    up in order, and sends the sum to all: 2 (size − 1)/size of its bytes are sent by each rank, as
    in a ring. Arrays of a GPU pass through the host.

    Examples
    --------
    >>> from tinyproto.communicator import MPICommunicator
    >>> communicator = MPICommunicator()  # doctest: +SKIP
    """

    def __init__(self, comm: Any = None):
        try:
            mpi = importlib.import_module("mpi4py.MPI")
        except ImportError as error:
            raise ImportError(
                f"training in several ranks needs mpi4py and an MPI ({error}); install them with: "
                "pip install mpi4py mpich"
            ) from None
        self.comm = mpi.COMM_WORLD if comm is None else comm
        self.rank, self.size = self.comm.rank, self.comm.size
        _share_cores(self.comm.Split_type(mpi.COMM_TYPE_SHARED))

    def all_gather(self, array: Array) -> Array:
        own = np.asarray(to_host(array), order="C")  # which leaves a number without an axis
        found = np.empty((self.size, *own.shape), own.dtype)
        self.comm.Allgather(own, found)
        return to_device(found, array_module(array))

    def all_reduce(self, array: Array) -> Array:
        if array.nbytes <= SMALL:
            return sum_in_order(self.all_gather(array))
        own = to_host(array)
        part = -(-own.size // self.size)
        sent = np.zeros((self.size, part), own.dtype)
        sent.reshape(-1)[: own.size] = own.reshape(-1)
        received = np.empty_like(sent)
        self.comm.Alltoall(sent, received)
        self.comm.Allgather(sum_in_order(received), sent)
        summed = sent.reshape(-1)[: own.size].reshape(own.shape)
        return to_device(summed, array_module(array))

    def broadcast(self, value: Any) -> Any:
        return self.comm.bcast(value)

    def barrier(self) -> None:
        self.comm.Barrier()

    def abort(self, message: str) -> None:
        print(f"rank {self.rank} of {self.size}: {message}", file=sys.stderr, flush=True)
        time.sleep(READ_BY_MPIRUN)
        self.comm.Abort(1)
        os._exit(1)  # MPICH's returns while mpirun ends the ranks


class NCCLCommunicator(MPICommunicator):
    """As `MPICommunicator`, with a GPU for each rank: sums go through CuPy's NCCL.

    Give each rank of a machine a device of its own by CUDA_VISIBLE_DEVICES. NCCL adds in an order
    of its own, the same in every run on the same machines. This class has been run with a stand-in
    for `cupyx.distributed` only, and on no device yet.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        By default MPI.COMM_WORLD.

    Examples
    --------
    >>> from tinyproto.communicator import NCCLCommunicator
    >>> communicator = NCCLCommunicator()  # doctest: +SKIP
    """

    def __init__(self, comm: Any = None):
        super().__init__(comm)
        distributed = importlib.import_module("cupyx.distributed")
        self.group = distributed.init_process_group(self.size, self.rank, use_mpi=True)

    def all_reduce(self, array: Array) -> Array:
        xp = array_module(array)
        if xp is np:
            return super().all_reduce(array)
        summed = xp.empty_like(array)
        self.group.all_reduce(xp.ascontiguousarray(array), summed)
        return summed


def sum_in_order(arrays: Array) -> Array:
    """The sum of the arrays (size, …), one after the other in float64, in their dtype."""
    total = arrays[0].astype(np.float64)
    for array in arrays[1:]:
        total += array
    return total.astype(arrays.dtype)


def all_reduce_all(communicator: Communicator, arrays: list[Array]) -> list[Array]:
    """The sums over the ranks of each of the arrays, which travel together."""
    if communicator.size == 1 or not arrays:
        return arrays
    xp = array_module(arrays[0])
    joined = communicator.all_reduce(xp.concatenate([array.reshape(-1) for array in arrays]))
    ends = np.cumsum([math.prod(array.shape) for array in arrays])
    parts = xp.split(joined, ends[:-1].tolist())
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]


_spread_over: ContextVar[Communicator] = ContextVar("spread_over", default=ONE_PROCESS)


def spread_over() -> Communicator:
    """The ranks over which the batch of a forward pass in train mode is spread."""
    return _spread_over.get()


@contextmanager
def spreading(communicator: Communicator) -> Iterator[None]:
    """A block in which batches are spread over the ranks."""
    token = _spread_over.set(communicator)
    try:
        yield
    finally:
        _spread_over.reset(token)


@contextmanager
def failing_together(communicator: Communicator, *agreed: type[BaseException]) -> Iterator[None]:
    """A block in which an error of one rank ends all, which would else wait for it for ever.

    Parameters
    ----------
    communicator : Communicator
        The ranks.
    agreed : exception classes
        Those that all ranks raise at the same time.

    Yields
    ------
    None

    Examples
    --------
    >>> from tinyproto.communicator import ONE_PROCESS, failing_together
    >>> with failing_together(ONE_PROCESS):
    ...     print("rank", ONE_PROCESS.rank)
    rank 0
    """
    try:
        yield
    except agreed:
        raise
    except BaseException as error:
        if communicator.size > 1:
            text = " ".join(str(error).split())
            communicator.abort(f"error: {text or type(error).__name__}")
        raise


def _share_cores(local: Any) -> None:
    """Let Numba use this rank's share of the cores; `local` are the ranks of this machine. Cores
    that mpirun has bound to this rank alone are all its own."""
    cores = getattr(os, "sched_getaffinity", lambda _: set(range(os.cpu_count() or 1)))(0)
    sharing = sum(1 for others in local.allgather(cores) if others & cores)
    numba = cpu.load_numba()
    numba.set_num_threads(max(1, min(numba.get_num_threads(), len(cores) // sharing)))
