"""An evaluation in one process and in the workers of executors: the same figures, and the time.

    python benchmarks/bench_workers.py [--quick] [--json FILE]

Every worker has one thread, and so has the process without workers. The time includes the start of
the workers, which have imported nothing, and the sending of the network. `dask` is left out where
it is not installed.
"""

import hashlib
import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, report

from tinyproto.attacks import Victim
from tinyproto.backend import cpu
from tinyproto.evaluation import Report, evaluate
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.report import ARRAY_FIELDS
from tinyproto.evaluation.saved_models import open_with_test_images
from tinyproto.workers import worker_processes

MODEL = Path(__file__).parent / "models" / "cifar10_pgd.npz"
WORKERS = 2


@contextmanager
def dask() -> Iterator[Any]:
    """Two workers on this machine."""
    from distributed import Client

    with Client(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as client:
        yield client.get_executor()


@contextmanager
def given(executor: Any) -> Iterator[Any]:
    yield executor


def digest(found: Report) -> str:
    """A checksum of all arrays of a report."""
    arrays = (getattr(r, name) for r in found.results.values() for name in ARRAY_FIELDS)
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:8]


def main() -> None:
    options = argument_parser(__doc__).parse_args()
    count = 50 if options.quick else 1000
    attacks = ["fgsm", "pgd-20"] if options.quick else ["pgd-20", "apgd-ce", "apgd-dlr"]
    cpu.load_numba().set_num_threads(1)
    model, images, labels, _ = open_with_test_images(MODEL, np, count, folder=options.data)
    engines = {
        "none, one thread": given(None),
        f"{WORKERS} processes": given(worker_processes(WORKERS, "spawn")),
    }
    if importlib.util.find_spec("distributed"):
        engines[f"Dask, {WORKERS} workers"] = dask()
    rows: list[dict[str, Any]] = []
    for name, engine in engines.items():
        begun = time.perf_counter()
        with engine as executor:
            found = evaluate(
                Victim(model), images / np.float32(255), labels, attacks, eps=8 / 255,
                batch_size=25, executor=executor, verbose=False,
            )  # fmt: skip
        seconds = time.perf_counter() - begun
        alone = rows[0]["seconds"] if rows else seconds
        accuracy = 100 * float(found.robust.mean())
        rows.append({
            "workers": name, "accuracy %": accuracy, "checksum": digest(found),
            "seconds": seconds, "speed-up": alone / seconds,
        })  # fmt: skip
    report(rows, options.json, f"{count} images of cifar10, {', '.join(attacks)}")
    if len({row["checksum"] for row in rows}) > 1:
        raise ValueError("the results differ")


if __name__ == "__main__":
    run_command(main)
