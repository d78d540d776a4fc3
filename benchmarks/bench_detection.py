"""Detectors against an attacker who ignores them, an attacker who knows them, and any attacker.

    python benchmarks/bench_detection.py [--quick] [--json FILE]

The network of examples/mnist_ed_wta.py, a detector for each score that may refuse 5 % of the
training digits, and the first test digits; all inside [0, 1]. An image evades if it is classified
wrongly and accepted. Rows are written one after another, and those that FILE has are kept.
"""

from typing import Any

from common import argument_parser, known_rows, load_mnist, report, write_rows

from tinyproto.evaluation import DetectionReport, detection_report
from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import SCORES, Detector, PlusMinusEDWTA

RADII = {"l2": (1.0, 1.5), "linf": (0.05, 0.1)}


def main() -> None:
    chosen = argument_parser(__doc__).parse_args()
    x, y, x_test, y_test, data = load_mnist(chosen.data)
    count, epochs = (20, 3) if chosen.quick else (200, 49)
    network = PlusMinusEDWTA(epochs=epochs).fit(x, y)
    note = f"±ED-WTA of 60 neurons after {epochs} epochs, {count} test digits of MNIST, seed 0"
    about = {"quick": chosen.quick, "whole data": data.complete}
    rows = known_rows(chosen.json, about)
    known = {(row["score"], row["norm"], row["eps"]) for row in rows}
    for score in SCORES:
        wanted = [(norm, eps) for norm, radii in RADII.items() for eps in radii]
        wanted = [case for case in wanted if (score, *case) not in known]
        if not wanted:
            continue
        detector = Detector(network, score).fit(x, y)
        for norm, eps in wanted:
            found = detection_report(detector, x_test[:count], y_test[:count], eps=eps, norm=norm)
            rows.append(row(found))
            print(rows[-1], flush=True)
            write_rows(rows, chosen.json, note, about)
    report(rows, chosen.json, note, about)


def row(found: DetectionReport) -> dict[str, Any]:
    return {
        "score": found.score,
        "norm": found.norm,
        "eps": found.eps,
        "refused unattacked %": percent(found.false_rejection),
        "ignoring attacker: AUROC": rounded(found.ignoring_auroc),
        "refused %": percent(found.ignoring_refused),
        "evades %": percent(found.ignoring_evasion),
        "adaptive attacker: evades %": percent(found.adaptive_evasion),
        "robust accuracy with refusal %": percent(found.robust_accuracy),
        "certified %": percent(found.certified),
        "network alone, certified %": percent(found.without_detector),
    }


def percent(share: float | None) -> float | str:
    """Empty where there is no figure."""
    return "" if share is None else round(100 * share, 1)


def rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 3)


if __name__ == "__main__":
    run_command(main)
