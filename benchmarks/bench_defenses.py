"""Defences compared on CIFAR-10: the same network, images and epochs, clean and attacked accuracy.

    python benchmarks/bench_defenses.py [--quick] [--runs DIR] [--json FILE]

Each row is one run of examples/cifar10_adv_dpnp.py, in a folder of --runs. When the benchmark is
started again, a run that was interrupted continues from its checkpoint, and a finished one is only
read. --quick trains on 1,000 images for 2 epochs.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import argument_parser, report

from tinyproto.evaluation.command import run_command
from tinyproto.training import DEFENSES

OPTIONS = {"adv-dpnp": ["--adversarial-weight", "1", "--consistency-weight", "6"]}
"""Coefficients before the search of benchmarks/reproduce.py, with which the rows were made."""

EXAMPLE = Path(__file__).parent.parent / "examples" / "cifar10_adv_dpnp.py"


def run(
    method: str, out: Path, limit: int, epochs: int, steps: int, more: list[str]
) -> dict[str, Any]:
    """The metrics of one method, which is trained first unless it has been."""
    path = out / "metrics.json"
    if not path.exists():
        finished = subprocess.run(
            [
                sys.executable, str(EXAMPLE), "--method", method, "--limit", str(limit),
                "--epochs", str(epochs), "--out", str(out), "--resume", *more,
                *(["--attack-steps", str(steps)] if DEFENSES[method].adversarial else []),
            ],
        )  # fmt: skip
        if finished.returncode:
            sys.exit(finished.returncode)  # it has said why
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


def main() -> None:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add(
        "--runs", type=Path, default=Path("runs/defenses"), metavar="DIR", help="folder of the runs"
    )
    add("--methods", nargs="+", default=["standard", "pgd", "adv-dpnp"], help="one row for each")
    add("--limit", type=int, default=50_000, help="training images (50,000)")
    add("--epochs", type=int, default=10, help="passes over the training images (10)")
    add("--attack-steps", type=int, default=5, help="PGD steps for a training image (5)")
    add("--evaluate", type=int, default=10_000, help="test images to attack (10,000)")
    chosen = parser.parse_args()
    limit, epochs, count = chosen.limit, chosen.epochs, chosen.evaluate
    if chosen.quick:
        limit, epochs, count = 1000, 2, 200
    more = ["--evaluate", str(count), *(["--data", chosen.data] if chosen.data else [])]
    rows = []
    for method in chosen.methods:
        out = chosen.runs / f"{method}-{limit}-{epochs}-{chosen.attack_steps}-{count}"
        found = run(
            method, out, limit, epochs, chosen.attack_steps, [*more, *OPTIONS.get(method, [])]
        )
        robust = found["robust_accuracy"]
        rows.append(
            {
                "method": method,
                "clean accuracy %": 100 * found["clean_accuracy"],
                **{f"{name} %": 100 * value for name, value in robust.items()},
                "distance to own class mean / between the two closest class means": found["latent"][
                    "compactness"
                ]
                / found["latent"]["least_separation"],
            }
        )
    report(
        rows,
        chosen.json,
        f"compact_cnn, {found['trained_on']:,} training images, {epochs} epochs, seed 0; attacks "
        f"on {count:,} test images; PGD-{chosen.attack_steps} in training, both at 8/255",
    )


if __name__ == "__main__":
    run_command(main)
