"""Certified accuracy as a curve, and the curve that attacks leave above it.

    python benchmarks/bench_certified.py [--model FILE] [--norm l2|linf|both] [--images N]
        [--attacked N] [--workers N] [--state DIR] [--picture DIR] [--quick] [--json FILE]

For a saved winner-take-all network (default: that of examples/mnist_ed_wta.py) and the first test
digits of MNIST: the exact radius inside [0, 1] and without that box, and the nearest points of
another class that attacks find. FAB needs no radius; APGD then halves the interval between the
certified radius and the distance reached so far, six times for each of its two losses. The
parameters are taken as float64, so that an attack below a certified radius would be an error of
the proof; one ends the benchmark. With --state, what is computed is kept in a file for each norm,
and a benchmark that was stopped goes on.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, load_mnist, report

from tinyproto.attacks import Victim, apgd, fab
from tinyproto.attacks.region import norms
from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import (
    AUTHORS,
    PlusMinusEDWTA,
    WinnerTakeAll,
    certified_accuracy,
    certify,
    clopper_pearson,
    load,
)

RADII = {"l2": (0.0, 0.5, 1.0, 1.58, 2.0, 2.5, 3.0), "linf": (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)}
MARKED = {"l2": 1.58, "linf": 0.1}
HALVINGS = 6
BATCH = 100
TOLERANCE = 1e-9  # relative: the rounding of an attack's own scores and of its distance


def parse() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("--model", type=Path, metavar="FILE", help="a network that prototypes.save wrote")
    add("--norm", choices=("l2", "linf", "both"), default="both")
    add("--images", type=int, metavar="N", help="test digits to certify (1000; --quick 40)")
    add("--attacked", type=int, metavar="N", help="of these, to attack (200; --quick 10)")
    add("--workers", type=int, default=1, metavar="N", help="processes that certify")
    add("--state", type=Path, metavar="DIR", help="folder for radii found so far")
    add("--picture", type=Path, metavar="DIR", help="folder for certified_NORM.png")
    return parser.parse_args()


def main() -> None:
    chosen = parse()
    x, y, x_test, y_test, _ = load_mnist(chosen.data)
    images = chosen.images or (40 if chosen.quick else 1000)
    attacked = min(chosen.attacked or (10 if chosen.quick else 200), images)
    network = chosen_network(chosen, x, y)
    network = in_float64(network)
    x_test, y_test = x_test[:images].astype(np.float64), y_test[:images]
    rows: list[dict[str, Any]] = []
    for norm in ("l2", "linf") if chosen.norm == "both" else (chosen.norm,):
        curve, cost = measure(network, x_test, y_test, norm, attacked, chosen)
        rows += [*curve, cost]
    kind, neurons = type(network).__name__, len(network.prototype_labels_)
    note = f"{kind} of {neurons} neurons, the first {images:,} test digits of MNIST"
    report(rows, chosen.json, note)


def chosen_network(chosen: argparse.Namespace, x: np.ndarray, y: np.ndarray) -> WinnerTakeAll:
    """The network of --model, or that of examples/mnist_ed_wta.py."""
    if chosen.model is not None:
        return load(chosen.model)
    settings = {**AUTHORS, **({"epochs": 2} if chosen.quick else {})}
    return PlusMinusEDWTA(random_state=0, **settings).fit(x, y)


def in_float64(network: WinnerTakeAll) -> WinnerTakeAll:
    """The same numbers, with scores computed in float64."""
    for name, value in vars(network).items():
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            setattr(network, name, value.astype(np.float64))
    network.set_params(dtype="float64")
    return network


def measure(
    network: WinnerTakeAll, x: np.ndarray, y: np.ndarray, norm: str, attacked: int,
    chosen: argparse.Namespace,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:  # fmt: skip
    """The rows of the curve and that of the cost."""

    def radii(name: str, **box: Any) -> tuple[np.ndarray, float | None]:
        """The radii, and in how many seconds; None where some are those of an earlier start."""
        path = None if chosen.state is None else chosen.state / f"{norm}_{name}.npz"
        known = path is not None and path.exists()
        begun = time.perf_counter()
        found, _ = certify(
            network, x, y, norm=norm, workers=chosen.workers, path=path,
            verbose=sys.stderr.isatty(), **box,
        )  # fmt: skip
        return found, None if known else time.perf_counter() - begun

    radius, seconds = radii("box", lo=0.0, hi=1.0)
    unboxed, _ = radii("free")
    begun = time.perf_counter()
    reached = attack(network, x[:attacked], y[:attacked], norm, radius[:attacked])
    attack_seconds = time.perf_counter() - begun
    curve = []
    for at in RADII[norm]:
        proved = certified_accuracy(radius, np.array(at))
        lower, upper = clopper_pearson(round(float(proved) * len(x)), len(x))
        row: dict[str, Any] = {"norm": norm, "radius": at, "certified %": 100 * float(proved)}
        row["95 % interval"] = f"{100 * lower:.1f} to {100 * upper:.1f}"
        row["certified without the box %"] = 100 * float(certified_accuracy(unboxed, np.array(at)))
        row["certified of those attacked %"] = 100 * float(
            certified_accuracy(radius[:attacked], np.array(at))
        )
        row["right under FAB %"] = 100 * float((reached["FAB"] > at).mean())
        row["right under FAB and APGD %"] = 100 * float((reached["all"] > at).mean())
        curve.append(row)
    right = radius[:attacked] > 0
    ratio = reached["all"][right] / radius[:attacked][right]
    if chosen.picture is not None:
        path, some = chosen.picture / f"certified_{norm}.png", slice(attacked)
        draw(path, norm, radius[some], reached["all"], unboxed[some])
    return curve, {
        "norm": norm,
        "images": len(x),
        "seconds to certify": "" if seconds is None else seconds,
        "images per second": "" if seconds is None else len(x) / seconds,
        "workers": chosen.workers,
        "images attacked": attacked,
        "seconds to attack": attack_seconds,
        "attacks below the radius": 0,  # else `attack` has ended the program
        "APGD nearer than FAB %": 100 * float((reached["all"] < reached["FAB"])[right].mean()),
        "median ratio": f"{np.median(ratio):.5f}",
        "largest ratio": f"{ratio.max():.4f}",
        "smallest ratio − 1": f"{ratio.min() - 1:.1e}",
    }


def attack(
    network: WinnerTakeAll, x: np.ndarray, y: np.ndarray, norm: str, radius: np.ndarray
) -> dict[str, np.ndarray]:
    """For each attack, and all, the distances (N,) of the nearest points of another class: 0 for
    wrong predictions, ∞ where none was found. Ends the program where one is below the radius."""
    label = np.searchsorted(network.classes_, y)
    nearest = {name: np.zeros(len(x)) for name in ("FAB", "APGD-CE", "APGD-DLR", "all")}
    victim = Victim(network)
    right = np.flatnonzero(radius > 0)
    for start in range(0, len(right), BATCH):
        at = right[start : start + BATCH]
        for name, distance in attack_batch(victim, x[at], label[at], norm, radius[at]).items():
            nearest[name][at] = distance
    for name, distance in nearest.items():
        check(name, norm, distance, radius, np.arange(len(x)))
    return nearest


def check(
    name: str, norm: str, distance: np.ndarray, radius: np.ndarray, index: np.ndarray
) -> None:
    """End the program where an attack reached another class below the certified radius."""
    below = np.flatnonzero(distance < radius * (1 - TOLERANCE))
    if len(below):
        i = below[0]
        raise SystemExit(
            f"{name} reached another class at {distance[i]!r}, below the certified {norm} "
            f"radius {radius[i]!r} of test image {index[i]}"
        )


def distances(
    victim: Victim, points: np.ndarray, x: np.ndarray, label: np.ndarray, norm: str
) -> np.ndarray:
    """How far the points are from x, (N,); ∞ where the prediction is still right."""
    wrong = victim(points)[0].argmax(axis=1) != label
    return np.where(wrong, norms(points - x, norm), np.inf)


def attack_batch(
    victim: Victim, x: np.ndarray, label: np.ndarray, norm: str, radius: np.ndarray
) -> dict[str, np.ndarray]:
    def reach(points: np.ndarray) -> np.ndarray:
        return distances(victim, points, x, label, norm)

    found = {"FAB": reach(fab(victim, x, label, norm=norm, bisections=20))}
    found["all"] = found["FAB"].copy()
    for name, loss in (("APGD-CE", "ce"), ("APGD-DLR", "dlr")):
        low = radius
        high = np.where(np.isfinite(found["FAB"]), found["FAB"], 2 * radius)
        found[name] = np.full(len(x), np.inf)
        for _ in range(HALVINGS):
            eps = (low + high) / 2
            reached = reach(apgd(victim, x, label, eps=eps, norm=norm, loss=loss))
            found[name] = np.minimum(found[name], reached)
            wrong = np.isfinite(reached)
            low, high = np.where(wrong, low, eps), np.where(wrong, reached, high)
        found["all"] = np.minimum(found["all"], found[name])
    return found


def draw(
    path: Path, norm: str, radius: np.ndarray, reached: np.ndarray, unboxed: np.ndarray
) -> None:
    from tinyproto.evaluation.certified_picture import plot_certified_accuracy

    plot_certified_accuracy(
        radius, reached, path, norm=norm, unboxed=unboxed, marked=MARKED[norm],
        title=f"Accuracy on {len(radius):,} test digits, with proof and under attack",
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
