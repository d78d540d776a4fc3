"""All that needs a CUDA device in one command: tests, examples, agreement with the CPU, times.

    python benchmarks/bench_gpu.py [--quick] [--json FILE] [--only tests examples …]

Takes under eight minutes and needs no network; PyTorch is compared with where it is installed.

tests       `pytest -m gpu`, in several processes where pytest-xdist is installed
examples    both examples at a small size, on the device and on the CPU: their accuracies
agreement   scores, gradients and attacked images in float32, beside the CPU's
ceilings    what the card reaches: bytes copied and products of matrices in float32
kernels     the bytes that the kernels of a convolution move in a second, beside the ceiling
times       forward pass, input gradient, PGD and training step of `compact_cnn` and `resnet18`,
            beside PyTorch's on the same card, with TF32 off and on for both (see gpu/times.py)

`--device cpu` tries everything but the tests out where there is no device.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import argument_parser, report, write_rows
from gpu import agreement, ceilings

from tinyproto.backend.device import select_device
from tinyproto.evaluation.command import run_command

ROOT = Path(__file__).parent.parent
EXAMPLES = {
    "mnist_ed_wta.py": ["--epochs", "1"],
    "cifar10_adv_dpnp.py": ["--limit", "500", "--epochs", "2", "--evaluate", "100"],
}
TF32 = {"off": "0", "on": "1"}
"""The values of CuPy's variable CUPY_TF32, which is read when a process starts."""

FAILED: list[str] = []
"""Sections that have found a fault; the exit status is 1 then."""

Rows = Iterator[dict[str, Any]]


def child(command: list[str], **environment: str) -> str:
    """What a command prints. Raises ChildProcessError, with its last line, where it fails."""
    ran = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["without a word"])[-1]
        raise ChildProcessError(f"{Path(command[1]).name} failed: {last}")
    return ran.stdout


def tests(chosen: Any) -> Rows:
    """The tests that need a device, and how many passed."""
    if chosen.device == "cpu":
        return
    several = ["-n", "6"] if importlib.util.find_spec("xdist") else []
    begun = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *several],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if ran.returncode:
        print(ran.stdout, file=sys.stderr)
        FAILED.append("tests")
    last = ran.stdout.strip().splitlines()[-1].strip("= ").partition(" in ")[0]
    yield {"tests": "pytest -m gpu", "result": last, "seconds": time.perf_counter() - begun}


def examples(chosen: Any) -> Rows:
    """The accuracies of both examples on both devices."""
    for name, options in EXAMPLES.items():
        found = {}
        for device in (chosen.device, "cpu"):
            with tempfile.TemporaryDirectory() as folder:
                more = ["--data", chosen.data] if chosen.data else []
                child(
                    [sys.executable, str(ROOT / "examples" / name), *options, *more,
                     "--device", device, "--out", folder],
                )  # fmt: skip
                found[device] = json.loads((Path(folder) / "metrics.json").read_text())
        accuracy = {device: 100 * metrics["clean_accuracy"] for device, metrics in found.items()}
        yield {
            "example": name,
            "clean accuracy %": accuracy[chosen.device],
            "the same on the CPU %": accuracy["cpu"],
            "seconds of training": found[chosen.device]["seconds"],
        }


def times(chosen: Any) -> Rows:
    """Times with TF32 off and on, each in a process of its own."""
    program = [sys.executable, str(Path(__file__).parent / "gpu" / "times.py")]
    for tf32, value in TF32.items():
        options = ["--device", chosen.device, *["--quick"] * chosen.quick]
        for row in json.loads(child([*program, *options], CUPY_TF32=value)):
            yield {"what": row["what"], "network": row["network"], "TF32": tf32, **row}


SECTIONS: dict[str, Callable[[Any], Rows]] = {
    "tests": tests,
    "examples": examples,
    "agreement": lambda chosen: agreement.rows(select_device(chosen.device)),
    "ceilings": lambda chosen: ceilings.ceilings(select_device(chosen.device), chosen.quick),
    "kernels": lambda chosen: ceilings.kernels(select_device(chosen.device), chosen.quick),
    "times": times,
}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    chosen = parser.parse_args()
    xp = select_device(chosen.device)
    rows: list[dict[str, Any]] = []
    note = f"{ceilings.device_name(xp)}; {xp.__name__} {xp.__version__}"
    for name in chosen.only:
        for row in SECTIONS[name](chosen):
            rows.append(row)
            print(name, *row.values(), flush=True)
            write_rows(rows, chosen.json, note)  # nothing is lost where a later section fails
    report(rows, chosen.json, note)
    if FAILED:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
