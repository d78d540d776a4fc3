"""How close attacks come to the true smallest perturbation, which ±ED-WTA lets us compute.

    python benchmarks/bench_exact.py [--quick] [--json FILE]

The network of examples/mnist_ed_wta.py, in float64, and test digits that it gets right; all inside
[0, 1]. For each attack the ratio of the distance it reached to the exact one: 1 is perfect, below 1
impossible beyond rounding. Attacks inside a ball are given a radius of its own for each digit, and
halve the interval in which it lies 16 times; the distance is that of the nearest wrong point seen.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common import argument_parser, load_mnist, report

from tinyproto.attacks import (
    Victim,
    apgd,
    apgd_targeted,
    carlini_wagner,
    fab,
    minimum_norm,
    pgd,
    square,
)
from tinyproto.attacks.region import norms
from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import PlusMinusEDWTA
from tinyproto.prototypes.certificate import exact_radius

Search = Callable[[Victim, np.ndarray, np.ndarray, str], np.ndarray]
HALVINGS = 16
FARTHEST = {"linf": 0.5, "l2": 5.0}


def bisected(attack: Callable[..., np.ndarray]) -> Search:
    """The nearest wrong points that an attack inside a ball finds, by bisection over the radius."""
    return lambda victim, x, y, norm: minimum_norm(
        attack, victim, x, y, norm=norm, farthest=FARTHEST[norm], halvings=HALVINGS
    )


def nearest(attack: Callable[..., np.ndarray]) -> Search:
    """What an attack finds that needs no radius."""
    return lambda victim, x, y, norm: attack(victim, x, y, norm=norm)


def carlini(victim: Victim, x: np.ndarray, y: np.ndarray, norm: str, **settings: Any) -> np.ndarray:
    return carlini_wagner(victim, x, y, **settings)


def main() -> None:
    chosen = argument_parser(__doc__).parse_args()
    x, y, x_test, y_test, _ = load_mnist(chosen.data)
    count, images, epochs = (20, 5000, 3) if chosen.quick else (200, len(x), 49)
    network = PlusMinusEDWTA(prototypes_per_class=6, epochs=epochs, random_state=0, dtype="float64")
    network.fit(x[:images].astype(np.float64), y[:images])
    at = np.flatnonzero(network.predict(x_test.astype(np.float64)) == y_test)[:count]
    x, y = x_test[at].astype(np.float64), np.searchsorted(network.classes_, y_test[at])
    squares = x.reshape(-1, 28, 28, 1)  # for Square, whose windows are squares
    rows = []
    for norm in ("linf", "l2"):
        exact, _ = exact_radius(network, x, y_test[at], norm=norm, lo=0.0, hi=1.0)
        searches = {
            "PGD, 100 steps": bisected(partial(pgd, steps=100)),
            "APGD, cross-entropy": bisected(apgd),
            "APGD, DLR": bisected(partial(apgd, loss="dlr")),
            "APGD, towards 9 classes": bisected(apgd_targeted),
            "Square, 1,000 queries": bisected(partial(square, queries=1000)),
            "FAB": nearest(fab),
            "FAB, then 20 bisections": nearest(partial(fab, bisections=20)),
            "FAB towards 9 classes, 20 bisections": nearest(partial(fab, targets=9, bisections=20)),
        }
        if norm == "l2":
            searches["Carlini and Wagner"] = nearest(carlini)
        for name, search in searches.items():
            rows.append(measure(name, search, network, squares, y, norm, exact))
            print(rows[-1], flush=True)
    note = f"±ED-WTA of 60 neurons after {epochs} epochs, {len(x)} test digits of MNIST, seed 0"
    report(rows, chosen.json, note)


def measure(
    name: str, search: Search, network: PlusMinusEDWTA, x: np.ndarray, y: np.ndarray, norm: str,
    exact: np.ndarray,
) -> dict[str, Any]:  # fmt: skip
    """Ratios of the distances that one attack reached to the exact ones, and what it cost."""
    victim = Victim(network)
    found = search(victim, x, y, norm)
    wrong = network(found)[0].argmax(axis=1) != y
    ratio = norms(found - x, norm)[wrong] / exact[wrong]
    return {
        "norm": norm,
        "attack": name,
        "fooled %": 100 * float(wrong.mean()),
        "median ratio": f"{np.median(ratio):.5f}",
        "95th percentile": f"{np.quantile(ratio, 0.95):.4f}",
        "largest ratio": f"{ratio.max():.4f}",
        "smallest ratio − 1": f"{ratio.min() - 1:.1e}",
        "passes per image": round((victim.forward_passes + victim.backward_passes) / len(x)),
    }


if __name__ == "__main__":
    run_command(main)
