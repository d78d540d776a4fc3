"""The distance from the centres of the three networks to the digits (arXiv 2008.08750).

    python benchmarks/bench_centres.py [--quick] [--json FILE]

An IP-WTA network becomes a Euclidean one with the same winners for any scale s > 0. With a small s
its centres lie far from the digits; with a large one they approach one point, not the images of
their classes. The last column is the percentage of centres whose nearest image, among the first
10,000 of the training, is of their class. The last row has the distance of a test image.
"""

from typing import Any

import numpy as np
from common import argument_parser, load_mnist, own_class_fraction, report

from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import (
    EDWTA,
    IPWTA,
    PlusMinusEDWTA,
    centre_distances,
    inner_product_to_euclidean,
)

SCALES = (0.1, 1.0, 10.0, 100.0)
DISTANCE = "distance to the nearest image"
OWN_CLASS = "nearest image of own class %"


def main() -> None:
    chosen = argument_parser(__doc__).parse_args()
    x, y, x_test, y_test, _ = load_mnist(chosen.data)
    epochs = 3 if chosen.quick else 49
    rows: list[dict[str, Any]] = []

    def add(name: str, accuracy: float, centres: np.ndarray) -> None:
        distance = float(centre_distances(centres, x).mean())
        own = 100 * own_class_fraction(centres, inner.prototype_labels_, x, y)
        rows.append(
            {"centres": name, "test accuracy %": accuracy, DISTANCE: distance, OWN_CLASS: own}
        )

    inner = IPWTA(epochs=epochs).fit(x, y)
    accuracy = 100 * inner.score(x_test, y_test)
    for scale in SCALES:
        centres = inner_product_to_euclidean(*inner.linear(), scale)
        add(f"IP-WTA, converted with s = {scale:g}", accuracy, centres)
    euclidean = EDWTA(epochs=epochs).fit(x, y)
    add("ED-WTA", 100 * euclidean.score(x_test, y_test), euclidean.positive_prototypes_)
    plus_minus = PlusMinusEDWTA(epochs=epochs).fit(x, y)
    accuracy = 100 * plus_minus.score(x_test, y_test)
    add("±ED-WTA, positive", accuracy, plus_minus.positive_prototypes_)
    add("±ED-WTA, negative", accuracy, plus_minus.negative_prototypes_)
    distance = float(centre_distances(x_test[:1000], x).mean())
    rows.append(
        {"centres": "a test image", "test accuracy %": "", DISTANCE: distance, OWN_CLASS: ""}
    )
    report(rows, chosen.json, f"{epochs} epochs, one sample at a time, 6 neurons for each class")


if __name__ == "__main__":
    run_command(main)
