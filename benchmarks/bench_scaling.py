"""Time and memory of a training step by batch size, width and image size, ours and PyTorch's.

    python benchmarks/bench_scaling.py [--quick] [--json FILE]

`compact_cnn` with its channels multiplied by a factor, two threads; PyTorch is eager with
channels_last, its best mode for training in bench_network.py. Each row runs ours and PyTorch's in a
new process each: the median time of the steps, and the peak of memory minus what the process used
before the first step (Linux: VmHWM, reset through /proc/self/clear_refs).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, report

from tinyproto.backend import cpu
from tinyproto.backend.memory import empty_cache
from tinyproto.evaluation.command import run_command
from tinyproto.layers import (
    BatchNorm,
    Conv2D,
    GlobalAveragePool,
    Linear,
    MaxPool2D,
    Normalize,
    ReLU,
    Sequential,
    initialize,
)
from tinyproto.losses import cross_entropy
from tinyproto.networks import CIFAR10_MEAN, CIFAR10_STD, Network
from tinyproto.optimizers import SGD
from tinyproto.parameters import zeros

THREADS = 2
POINTS = (
    [("batch", batch, 1.0, 32) for batch in (1, 2, 8, 32, 128, 512)]
    + [("width", 64, width, 32) for width in (0.5, 1.0, 2.0, 4.0)]
    + [("image side", 64, 1.0, side) for side in (16, 32, 64, 96)]
)


def network(width: float) -> Network:
    """compact_cnn with its channels multiplied by `width`."""
    layers, before = [], 3
    for channels, pooled in ((32, 0), (32, 1), (64, 0), (64, 1), (128, 0), (128, 0)):
        out = int(channels * width)
        layers += [Conv2D(before, out, 3, padding=1, bias=False), BatchNorm(out), ReLU()]
        layers += [MaxPool2D()] * pooled
        before = out
    features = [Normalize(CIFAR10_MEAN, CIFAR10_STD), *layers, GlobalAveragePool()]
    built: Network = initialize(Network(Sequential(*features), Linear(before, 10)), 0)
    return built


def training_step(kind: str, width: float) -> Any:
    """A function (x, y) that makes one training step."""
    model = network(width)
    if kind == "ours":
        optimizer = SGD(weight_decay=5e-4)

        def step(x: np.ndarray, y: np.ndarray) -> None:
            grads = zeros(model.params)
            z, backward = model(x, train=True)
            backward(cross_entropy(z, y)[1] / len(z), grads)
            optimizer.step(model.params, grads, 0.01)

        return step
    import torch_peer as peer
    from torch_peer import torch

    torch.set_num_threads(THREADS)
    layout = torch.channels_last
    module = peer.module(model).to(memory_format=layout).train()
    torch_optimizer = torch.optim.SGD(
        module.parameters(), lr=0.01, momentum=0.9, nesterov=True, foreach=True
    )

    def torch_step(x: np.ndarray, y: np.ndarray) -> None:
        torch_optimizer.zero_grad(set_to_none=True)
        image = peer.images(x).contiguous(memory_format=layout)
        torch.nn.functional.cross_entropy(module(image), torch.from_numpy(y)).backward()
        torch_optimizer.step()

    return torch_step


def measure(kind: str, batch: int, width: float, side: int, steps: int) -> dict[str, float]:
    """Seconds per step, and MB, measured in this process."""
    random = np.random.default_rng(0)
    step = training_step(kind, width)
    x, y = random.random((batch, side, side, 3), np.float32), random.integers(0, 10, batch)
    step(x[:2, :8, :8].copy(), y[:2])  # compiles and loads what a step needs
    empty_cache()
    Path("/proc/self/clear_refs").write_text("5")
    before, seconds = memory("VmRSS"), []
    for _ in range(steps + 2):
        begun = time.perf_counter()
        step(x, y)
        seconds.append(time.perf_counter() - begun)
    return {"s": statistics.median(seconds[2:]), "MB": memory("VmHWM") - before}


def memory(which: str) -> float:
    """Memory of this process in MB, from /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1]) / 1024


def main() -> None:
    parser = argument_parser(__doc__, data=False)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        kind, batch, width, side, steps = chosen.one
        cpu.load_numba()
        print(json.dumps(measure(kind, int(batch), float(width), int(side), int(steps))))
        return
    rows = []
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(THREADS)}
    for varied, batch, width, side in POINTS[::3] if chosen.quick else POINTS:
        found = {}
        for kind in ("ours", "PyTorch"):
            steps = 5 if chosen.quick else 15
            command = [sys.executable, __file__, "--one", kind, *map(str, (batch, width, side))]
            out = subprocess.run(
                [*command, str(steps)], env=environment, capture_output=True, text=True
            )
            if out.returncode:
                raise SystemExit(out.stderr.strip() or f"{kind} failed")
            found[kind] = json.loads(out.stdout)
        rows.append(
            {
                "varied": varied,
                "batch size": batch,
                "width factor": width,
                "image side, pixels": side,
                "ours, s": found["ours"]["s"],
                "PyTorch, s": found["PyTorch"]["s"],
                "ours / PyTorch": found["ours"]["s"] / found["PyTorch"]["s"],
                "ours, MB": round(found["ours"]["MB"]),
                "PyTorch, MB": round(found["PyTorch"]["MB"]),
            }
        )
    note = f"training steps of compact_cnn with BatchNorm, float32, {THREADS} threads; "
    report(rows, chosen.json, f"{note}a process each, memory above that before the first step")


if __name__ == "__main__":
    run_command(main)
