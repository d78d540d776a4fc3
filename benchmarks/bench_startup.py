"""Startup times: imports, first compilation of the kernels, later starts from the cache.

    python benchmarks/bench_startup.py [--quick] [--json FILE]

Each figure is the median over new processes; "kernels compiled" starts with an empty cache.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from common import argument_parser, report

from tinyproto.evaluation.command import run_command

PROGRAMS = {
    "import numpy": "import numpy",
    "import tinyproto": "import tinyproto",
    "import tinyproto.prototypes, .attacks": "import tinyproto.prototypes, tinyproto.attacks",
}
COMPILED = {
    "first fit": """
import numpy as np
from tinyproto.prototypes import PlusMinusEDWTA
x = np.random.default_rng(0).random((100, 784), np.float32)
PlusMinusEDWTA(epochs=1).fit(x, np.arange(100) % 10).predict(x)
""",
    "first training step and attack of compact_cnn": """
import numpy as np
from tinyproto.networks import compact_cnn
from tinyproto.optimizers import SGD
from tinyproto.parameters import zeros
from tinyproto.training.defenses import Batch, pgd
network, y = compact_cnn(), np.arange(128) % 10
x = np.random.default_rng(0).random((128, 32, 32, 3), np.float32)
grads = zeros(network.params)
pgd(network, Batch(x, y, np.arange(128)), grads)
SGD().step(network.params, grads, 0.1)
""",
}


def seconds_of(program: str, cache: str | None = None) -> float:
    """Wall time of a new process minus that of one that does nothing."""
    environment = {**os.environ, **({"NUMBA_CACHE_DIR": cache} if cache else {})}
    times = []
    for source in ("pass", program):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", source], check=True, env=environment)
        times.append(time.perf_counter() - begun)
    return max(times[1] - times[0], 0.0)  # the difference of two small times may be negative


def main() -> None:
    chosen = argument_parser(__doc__, data=False).parse_args()
    rounds = 3 if chosen.quick else 7
    compilations = max(2, rounds // 2)
    rows = [
        {"program": name, "seconds": statistics.median(seconds_of(p) for _ in range(rounds))}
        for name, p in PROGRAMS.items()
    ]
    for name, program in COMPILED.items():
        compiling, cached = [], []
        for _ in range(compilations):
            with tempfile.TemporaryDirectory() as cache:
                compiling.append(seconds_of(program, cache))
                cached.append(seconds_of(program, cache))
        rows.append(
            {"program": f"{name}, kernels compiled", "seconds": statistics.median(compiling)}
        )
        rows.append(
            {"program": f"{name}, kernels from the cache", "seconds": statistics.median(cached)}
        )
    note = f"medians of {rounds} new processes, where kernels are compiled or loaded {compilations}"
    report(rows, chosen.json, note)


if __name__ == "__main__":
    run_command(main)
