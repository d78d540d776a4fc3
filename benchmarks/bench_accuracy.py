"""Test accuracy on MNIST of the two presets, over seeds, and what their prototypes look like.

    python benchmarks/bench_accuracy.py [--quick] [--preset authors accurate] [--json FILE]

"Nearest image of own class" is the percentage of positive prototypes whose nearest image, among the
first 10,000 of the training, is of their class. --quick takes one seed and a tenth of the epochs.
An interrupted run continues from the rows in FILE when it is started again.
"""

import statistics
import time
from typing import Any

import numpy as np
from common import argument_parser, known_rows, load_mnist, own_class_fraction, report

from tinyproto.data.augment import elastic
from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import ACCURATE, AUTHORS, PlusMinusEDWTA

PRESETS = {"authors": AUTHORS, "accurate": ACCURATE}
SEEDS = {"authors": range(5), "accurate": range(3)}


def epochs_of(preset: str, chosen: Any) -> int:
    return max(1, int(PRESETS[preset]["epochs"]) // (10 if chosen.quick else 1))


def train(preset: str, seed: int, chosen: Any) -> dict[str, Any]:
    x, y, x_test, y_test, data = load_mnist(chosen.data)
    settings = {**PRESETS[preset], "epochs": epochs_of(preset, chosen)}

    def deform(samples: Any, epoch: int) -> Any:
        images = samples.reshape(-1, *data.x_train.shape[1:])
        return elastic(images, seed=seed, epoch=epoch).reshape(samples.shape)

    network = PlusMinusEDWTA(**settings, random_state=seed)
    started = time.perf_counter()
    network.fit(x, y, augment=deform if preset == "accurate" else None)
    seconds = time.perf_counter() - started
    difference = network.positive_prototypes_ - network.negative_prototypes_
    return {
        "preset": preset,
        "seed": seed,
        "epochs": settings["epochs"],
        "test accuracy %": 100 * network.score(x_test, y_test),
        "nearest image of own class %": 100
        * own_class_fraction(network.positive_prototypes_, network.prototype_labels_, x, y),
        "‖w⁺ − w⁻‖/‖w⁺‖": float(
            np.linalg.norm(difference) / np.linalg.norm(network.positive_prototypes_)
        ),
        "seconds": seconds,
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--preset", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    chosen = parser.parse_args()
    about = {"quick": chosen.quick, "whole data": load_mnist(chosen.data)[-1].complete}
    rows = known_rows(chosen.json, about)
    for preset in chosen.preset:
        for seed in list(SEEDS[preset])[: 1 if chosen.quick else None]:
            epochs = epochs_of(preset, chosen)
            names = (preset, seed, epochs)
            if any((row["preset"], row["seed"], row["epochs"]) == names for row in rows):
                continue
            rows.append(train(preset, seed, chosen))
            report(rows, chosen.json, about=about)
            print(flush=True)
    for preset in chosen.preset:
        found = [row["test accuracy %"] for row in rows if row["preset"] == preset]
        print(f"{preset}: mean of {len(found)} seeds {statistics.mean(found):.2f} %")


if __name__ == "__main__":
    run_command(main)
