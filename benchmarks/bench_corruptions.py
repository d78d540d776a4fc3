"""Seconds that each corruption of CIFAR-10-C takes for 10,000 images, at its slowest severity.

    python benchmarks/bench_corruptions.py [--quick] [--json FILE] [--data DIR]

The images are CIFAR-10's test images where they are found, random ones otherwise. --quick corrupts
1,000 images, and the seconds are ten times those. CPU seconds, the sum over the threads, hardly
depend on what else the machine does.
"""

import time
from functools import partial

import numpy as np
from common import argument_parser, median_seconds, report

from tinyproto.backend import worker_count
from tinyproto.data import CORRUPTION_GROUPS, corrupt, load
from tinyproto.evaluation.command import run_command

COUNT = 10_000
MOST_SECONDS = 10


def main() -> None:
    options = argument_parser(__doc__).parse_args()
    count, rounds = (COUNT // 10, 1) if options.quick else (COUNT, 3)
    try:
        data = load("cifar10", options.data, download=False)
        images, source = data.x_test[:count], f"test images of {data.name}"
    except (ValueError, OSError):
        random = np.random.default_rng(0)
        images, source = random.integers(0, 256, (count, 32, 32, 3), np.uint8), "random images"
    images = np.resize(images, (count, 32, 32, 3))
    rows = []
    for group, names in CORRUPTION_GROUPS.items():
        for name in names:
            programs = {str(s): partial(corrupt, images, name, s) for s in range(1, 6)}
            seconds = median_seconds(programs, rounds)
            slowest = max(seconds, key=seconds.__getitem__)
            scaled = seconds[slowest] * COUNT / count
            begun = time.process_time()
            programs[slowest]()
            cpu_scaled = (time.process_time() - begun) * COUNT / count
            rows.append(
                {
                    "group": group,
                    "corruption": name,
                    "seconds": round(scaled, 3),
                    "CPU seconds": round(cpu_scaled, 3),
                    "severity": int(slowest),
                    "at most": MOST_SECONDS,
                    "met": "yes" if scaled <= MOST_SECONDS else "no",
                }
            )
    note = f"{count:,} of {COUNT:,} {source}; {worker_count(1 << 40)} threads"
    report(rows, options.json, note)


if __name__ == "__main__":
    run_command(main)
