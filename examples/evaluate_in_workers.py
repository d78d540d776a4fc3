"""Attack a network in the workers of an executor. The table is the same for all, and for none.

    python examples/evaluate_in_workers.py processes
    python examples/evaluate_in_workers.py dask
    mpirun -n 3 python -m mpi4py.futures examples/evaluate_in_workers.py mpi

With --state, a run that was stopped continues, whatever its workers are then.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinyproto.attacks import Victim
from tinyproto.evaluation import evaluate
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.saved_models import open_with_test_images
from tinyproto.validation import check_count
from tinyproto.workers import worker_processes


# processes
def processes(options: argparse.Namespace) -> Any:
    """Processes of this machine, which share its cores; one that dies is replaced."""
    return worker_processes(options.workers, "spawn")


# mpi
def mpi(options: argparse.Namespace) -> Any:
    """The other ranks that mpirun has started."""
    from mpi4py.futures import MPIPoolExecutor

    return MPIPoolExecutor


# dask
@contextmanager
def dask(options: argparse.Namespace) -> Iterator[Any]:
    """The workers of a cluster, or of this machine where no scheduler is named."""
    from distributed import Client

    local = {"n_workers": options.workers, "threads_per_worker": 1, "dashboard_address": None}
    with Client(options.scheduler, **({} if options.scheduler else local)) as client:
        yield client.get_executor()


# the end of the engines
def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("engine", choices=["none", "processes", "mpi", "dask"], help="who works")
    add("--workers", type=int, default=2, metavar="N", help="processes on this machine (2)")
    add("--scheduler", metavar="ADDRESS", help="Dask's, such as tcp://node1:8786")
    add("--model", type=Path, default=Path("cifar10-compact-pgd"), metavar="FILE",
        help="a saved network, or the name of one that ships (cifar10-compact-pgd)")  # fmt: skip
    add("--data", metavar="DIR", help="folder with the data set")
    add("--attack", nargs="+", default=["fgsm", "pgd-20"], metavar="NAME", help="(fgsm pgd-20)")
    add("--examples", type=int, default=100, metavar="N", help="number of test images (100)")
    add("--batch", type=int, default=25, metavar="N", help="images in a task (25)")
    add("--state", type=Path, metavar="FILE", help="save the progress; continue if it exists")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    for name in ("workers", "examples", "batch"):
        check_count(f"--{name}", getattr(options, name))
    if options.scheduler and options.engine != "dask":
        raise ValueError(f"--scheduler is Dask's: it has no effect with {options.engine}")
    model, images, labels, _ = open_with_test_images(
        options.model, np, options.examples, folder=options.data
    )

    def attack(executor: Any) -> None:
        report = evaluate(
            Victim(model), images / np.float32(255), labels, options.attack, eps=8 / 255,
            batch_size=options.batch, state_path=options.state, executor=executor,
        )  # fmt: skip
        print(report.text())

    if options.engine == "dask":
        with dask(options) as executor:
            attack(executor)
    else:
        attack(
            {"none": lambda _: None, "processes": processes, "mpi": mpi}[options.engine](options)
        )


if __name__ == "__main__":
    options = parse()
    run_command(lambda: run(options))
