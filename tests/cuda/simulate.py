"""Run every kernel's example in Numba's CUDA simulator and on the CPU; print what differs as JSON.

A script of its own: the simulator is chosen by the environment before Numba is imported.
    NUMBA_ENABLE_CUDASIM=1 python -m tests.cuda.simulate
"""

import copy
import json
import sys
import threading
from collections import Counter
from contextlib import contextmanager

import numpy as np

from tests.kernel_examples import EXAMPLES, all_kernels
from tinyproto.backend.kernel import Kernel

LANES = (2, 4)


def prepare_simulator() -> None:
    """Make the simulator quick and free of its races.

    Its lanes are Python threads that poll each other: with Python's usual 5 ms a turn, every
    barrier would take several of them. Two lanes can both find that a shared array is not there
    yet: then each makes one of its own. And the first lane to leave a device function takes
    `cuda.threadIdx` away from those that are still in it: here the last one does.
    """
    from numba.cuda.simulator import kernel
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    def array(self, shape, dtype):
        caller = sys._getframe(1)
        place = caller.f_code.co_filename, caller.f_lineno
        return self._allocations.setdefault(place, np.empty(shape, dtype))

    FakeCUDAShared.array = array
    kernel.swapped_cuda_module = swap_for_all_lanes
    sys.setswitchinterval(1e-5)


lock = threading.Lock()
lanes_inside: Counter[int] = Counter()
"""How many lanes are in functions with these globals, by the globals' id."""


@contextmanager
def swap_for_all_lanes(function, fake):
    """The simulator's `cuda` in the function's globals, from the first lane that comes to the last
    that leaves."""
    from numba import cuda

    names = function.__globals__
    with lock:
        lanes_inside[id(names)] += 1
        for name in [name for name, value in names.items() if value is cuda]:
            names[name] = fake
    try:
        yield
    finally:
        with lock:
            lanes_inside[id(names)] -= 1
            if not lanes_inside[id(names)]:
                for name in [name for name, value in names.items() if value is fake]:
                    names[name] = cuda


def difference(kernel: Kernel, dtype, lanes: int) -> float:
    """The largest difference between the simulated kernel and the CPU's, over all arguments."""
    rows, *arguments = EXAMPLES[kernel.__name__](np.random.default_rng(0), dtype)
    simulated = copy.deepcopy(arguments)
    untouched = copy.deepcopy(arguments)
    kernel(rows, *arguments)
    kernel.launch(rows, *simulated, lanes=lanes, blocks=2)
    pairs = [(a, b) for a, b in zip(arguments, simulated, strict=True) if isinstance(a, np.ndarray)]
    assert any((a != b).any() for (a, _), b in zip(pairs, _arrays(untouched), strict=True)), (
        f"{kernel.__name__} wrote nothing: its example checks nothing"
    )
    return max(float(abs(a - b).max()) for a, b in pairs)


def _arrays(arguments: list) -> list:
    return [a for a in arguments if isinstance(a, np.ndarray)]


if __name__ == "__main__":
    prepare_simulator()
    found = {}
    for name, kernel in all_kernels().items():
        for dtype in (np.float32, np.float64):
            for lanes in LANES:
                key = f"{name} {dtype.__name__} lanes={lanes}"
                found[key] = difference(kernel, dtype, lanes)
    print(json.dumps(found))
