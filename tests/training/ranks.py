"""Ranks for tests: threads that stand in for processes; and a program for `mpirun`."""

import pickle
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np

from tests.training.test_loop import ATTACK, images, tiny
from tinyproto.communicator import (
    Communicator,
    MPICommunicator,
    failing_together,
    sum_in_order,
)
from tinyproto.data.augment import crop_and_flip
from tinyproto.optimizers import SGD
from tinyproto.parameters import flatten
from tinyproto.schedules import one_cycle
from tinyproto.training import fit
from tinyproto.training.defenses import adv_dpnp


class Thread(Communicator):
    """A rank that is a thread; all share `slots` and a barrier."""

    def __init__(self, rank, slots, waiting):
        self.rank, self.size = rank, len(slots)
        self.slots, self.waiting = slots, waiting

    def exchange(self, value):
        self.slots[self.rank] = pickle.dumps(value)
        self.barrier()
        values = [pickle.loads(slot) for slot in self.slots]
        self.barrier()
        return values

    def all_gather(self, array):
        return np.stack(self.exchange(array))

    def all_reduce(self, array):
        return sum_in_order(self.all_gather(array))

    def broadcast(self, value):
        return self.exchange(value)[0]

    def barrier(self):
        self.waiting.wait(timeout=60)

    def abort(self, message):
        self.waiting.abort()


def in_ranks(size, function):
    """The results of function(communicator) on each of so many ranks."""
    slots, waiting, results = [None] * size, threading.Barrier(size), [None] * size
    errors = []

    def work(rank):
        try:
            results[rank] = function(Thread(rank, slots, waiting))
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            errors.append((rank, error))
            if not isinstance(error, Exception):
                return
            waiting.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise min(errors, key=lambda found: found[0])[1]
    return results


def train(communicator, dtype=np.float32, **changed):
    """A run of adv_dpnp with all that a run can have, and its network."""
    network = tiny().to(np, dtype)
    x, y = images()
    options = {
        "epochs": 3, "batch_size": 13, "schedule": partial(one_cycle, 0.05), "average": 0.9,
        "augment": partial(crop_and_flip, padding=1), "validation": images(21, seed=1),
        "validation_attack": ATTACK, "monitor": "robust", "seed": 5, "checkpoint_every": 2,
        "verbose": False, "optimizer": SGD(),
    }  # fmt: skip
    options |= {"x": x, "y": y, **changed}
    defense = partial(adv_dpnp, attack=ATTACK)
    history = fit(network, defense, **options, communicator=communicator)
    return history, {path: leaf.copy() for path, leaf in flatten(network.params).items()}


def main(scenario, folder):
    """In each rank that mpirun started."""
    communicator = MPICommunicator()
    if scenario == "train":
        _, params = train(communicator, checkpoint=folder / "checkpoint.npz")
        np.savez(folder / f"rank{communicator.rank}.npz", **params)
    elif scenario == "sums":
        random = np.random.default_rng(communicator.rank)
        for dtype in (np.float32, np.float64):
            for shape in ((3,), (1, 1), (40_001,), (100, 333), (0,)):
                own = random.normal(size=shape).astype(dtype)
                every = communicator.all_gather(own)
                assert (every[communicator.rank] == own).all()
                summed = communicator.all_reduce(own)
                assert summed.dtype == dtype
                np.testing.assert_array_equal(summed, sum_in_order(every))
        assert communicator.broadcast(communicator.rank) == 0
    else:
        with failing_together(communicator):
            if communicator.rank == 1:
                raise OSError("no disk\nat all")
            communicator.barrier()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
