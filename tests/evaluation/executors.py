"""What the tests of executors evaluate; with MPI: `python -m mpi4py.futures -m …executors FILE`."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np

from tinyproto.attacks import Victim, pgd, square
from tinyproto.evaluation import evaluate
from tinyproto.layers import Flatten, Linear, ReLU, Sequential, initialize
from tinyproto.parameters import leaves

ATTACKS = {"square": partial(square, queries=40), "pgd": partial(pgd, steps=4)}


def problem(count=40):
    """A random network, images (N, 4, 4, 3), and labels of which some are wrong."""
    network = initialize(Sequential(Flatten(), Linear(48, 32), ReLU(), Linear(32, 5)), seed=0)
    random = np.random.default_rng(0)
    for _, leaf in leaves(network.params):
        leaf[...] = random.normal(size=leaf.shape)
    x = random.random((count, 4, 4, 3), np.float32)
    y = network(x)[0].argmax(axis=1)
    y[::9] = (y[::9] + 1) % 5
    return Victim(network), x, y


def run(executor, attacks=ATTACKS, **options):
    """An evaluation in batches of 7, and its victim."""
    victim, x, y = problem()
    options = {"eps": 0.05, "sequential": True, "batch_size": 7, "verbose": False} | options
    return evaluate(victim, x, y, attacks, executor=executor, **options), victim


def figures(report, victim):
    """All that an executor must not change."""
    arrays = {
        f"{name} {field}": getattr(result, field)
        for name, result in report.results.items()
        for field in ("attacked", "robust", "robust_8bit", "distance")
    }
    counts = [victim.forward_passes, victim.backward_passes, victim.flat_gradients]
    counts += [(r.forward_passes, r.backward_passes) for r in report.results.values()]
    return arrays, (counts, report.warnings)


def dying(victim, x, y, *, marker, always=False, **options):
    """PGD whose process is killed, the first time or always, unless it is the one named in the
    marker's folder."""
    if os.getpid() != int((marker.parent / "caller").read_text()):
        try:
            marker.touch(exist_ok=always)
            os.kill(os.getpid(), signal.SIGKILL)
        except FileExistsError:
            pass
    return pgd(victim, x, y, steps=4, **options)


def refusing(victim, x, y, **options):
    raise ValueError("no such attack")


def flat(x):
    """Scores without a gradient."""
    return np.ones((len(x), 3)) * [2, 0, 0], lambda dz: np.zeros_like(x)


def main(path):
    """Evaluate in the workers of MPI, and write what was found."""
    from mpi4py.futures import MPIPoolExecutor

    with MPIPoolExecutor() as executor:
        report, victim = run(executor)
    arrays, others = figures(report, victim)
    np.savez(path, **arrays)
    Path(path).with_suffix(".txt").write_text(repr(others))


if __name__ == "__main__":
    main(sys.argv[1])
