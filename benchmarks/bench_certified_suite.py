"""Every attack of the package against the exact radius: none may succeed within it.

    python benchmarks/bench_certified_suite.py [--model FILE] [--norm l2|linf] [--images N]
        [--attacks NAME ...] [--workers N] [--quick] [--json FILE]

For a saved winner-take-all network (default: that of examples/mnist_ed_wta.py) and the first test
digits of MNIST: each attack of `tinyproto.attacks.ATTACKS` attacks each digit that is classified
right at its own certified radius, where none may succeed, and a little farther, where many should.
An attack sees the network as it is stored; its points are judged by the same numbers in float64, so
that a success below the radius would be an error of the proof. One ends the benchmark. A row is
written after each attack, and those that the JSON file has are not computed again; a file is about
one network, norm and number of digits.
"""

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_certified import TOLERANCE, check, chosen_network, distances, in_float64
from common import argument_parser, known_rows, load_mnist, report

from tinyproto.attacks import ATTACKS, Victim, norms_of
from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import WinnerTakeAll, certify
from tinyproto.state import parameters_checksum

BATCH = 250
FARTHER = 1.05
WITHOUT_RADIUS = ("cw", "fab", "fab-t")  # those that look for the nearest point


def parse() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("--model", type=Path, metavar="FILE", help="a network that prototypes.save wrote")
    add("--norm", choices=("l2", "linf"), default="l2")
    add("--images", type=int, metavar="N", help="test digits (1000; --quick 5)")
    add("--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS), metavar="NAME")
    add("--workers", type=int, default=1, metavar="N", help="processes that certify")
    return parser.parse_args()


def attack(
    name: str, network: WinnerTakeAll, x: np.ndarray, y: np.ndarray, norm: str, radius: np.ndarray
) -> dict[str, Any]:
    """The row of one attack. Ends the program where it is below a radius."""
    begun, reached = time.perf_counter(), 0.0
    victim, judge = Victim(network), Victim(in_float64(copy.deepcopy(network)))
    label, right = np.searchsorted(network.classes_, y), np.flatnonzero(radius > 0)
    for factor in (FARTHER,) if name in WITHOUT_RADIUS else (1.0, FARTHER):
        distance = np.full(len(right), np.inf)
        for start in range(0, len(right), BATCH):
            part = slice(start, start + BATCH)
            at = right[part]
            points = ATTACKS[name](
                victim, x[at], label[at], eps=factor * radius[at], norm=norm, seed=0, index=at
            )
            points, clean = points.astype(np.float64), x[at].astype(np.float64)
            distance[part] = distances(judge, points, clean, label[at], norm)
        check(name, norm, distance, radius[right], right)
        reached = float((distance <= factor * radius[right] * (1 + TOLERANCE)).mean())
    return {
        "norm": norm,
        "attack": name,
        "right digits attacked": len(right),
        "below their radius": 0,  # else `check` has ended the program
        f"within {FARTHER} times their radius %": 100 * reached,
        "seconds": time.perf_counter() - begun,
    }


def main() -> None:
    chosen = parse()
    x, y, x_test, y_test, data = load_mnist(chosen.data)
    images = chosen.images or (5 if chosen.quick else 1000)
    network = chosen_network(chosen, x, y)
    x_test, y_test, norm = x_test[:images], y_test[:images], chosen.norm
    exact = in_float64(copy.deepcopy(network))
    double = x_test.astype(np.float64)
    radius, _ = certify(exact, double, y_test, norm=norm, lo=0.0, hi=1.0, workers=chosen.workers)
    arrays = {k: v for k, v in vars(network).items() if isinstance(v, np.ndarray)}
    about = {
        "network": parameters_checksum(arrays), "norm": norm, "digits": len(x_test),
        "whole data": data.complete,
    }  # fmt: skip
    rows = known_rows(chosen.json, about)
    note = (
        f"{type(network).__name__} of {len(network.prototype_labels_)} neurons, the first "
        f"{images:,} test digits of MNIST"
    )
    for name in chosen.attacks:
        if norm in norms_of(name) and all(row["attack"] != name for row in rows):
            rows.append(attack(name, network, x_test, y_test, norm, radius))
            rows.sort(key=lambda row: list(ATTACKS).index(row["attack"]))
            report(rows, chosen.json, note, about)
            print(flush=True)


if __name__ == "__main__":
    run_command(main)
