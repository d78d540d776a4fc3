"""How long an evaluation and a training step take with 2 to 256 workers: a model, on paper.

    python benchmarks/cost_model.py [--latency 2e-5] [--bandwidth 3e9] [--json FILE]

It measures one thread of this machine (its CPU time, so that other load matters little): passes and
an Adv-DPNP step of ResNet-18, the sum of its gradients, and the state file of 10,000 images. The
time of a message of n bytes is latency + n / bandwidth. No cluster has been measured.

AutoAttack on 10,000 images. The attacks come one after the other, and each waits for its last
batch. Attack k gets the images that are left, n_k, and makes q_k passes for each (both are those
that bench_autoattack.py measured on the compact CNN). In batches of B images, p workers take

    Σ_k max(⌈⌈n_k / B⌉ / p⌉ B q_k t_pass, ⌈n_k / B⌉ t_task) + p (latency + network / bandwidth)

with t_task what the calling process does for a batch: it sends it and writes the state file.

Training on N images in batches of 128, or of 128 for each worker. With n = ⌈batch / p⌉ images a
rank, G bytes of gradients and b exchanges of BatchNorm and of sums, a step takes

    t_fixed + n t_image                                        passes and the optimizer
  + 2 (p − 1) (latency + G / (p bandwidth)) + t_sum            gradients, see MPICommunicator
  + b ⌈log₂ p⌉ latency + (p − 1) S / bandwidth                 S: the bytes of these b exchanges
"""

import json
import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import argument_parser, report

from tinyproto import networks
from tinyproto.backend import cpu
from tinyproto.communicator import sum_in_order
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.report import ARRAY_FIELDS
from tinyproto.layers import Layer
from tinyproto.layers.batch_norm import BatchNorm
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.parameters import leaves, zeros
from tinyproto.state import save_arrays
from tinyproto.training import Batch, PGDConfig, adv_dpnp

STAGES = Path(__file__).parent / "results" / "autoattack_time.json"
WORKERS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
IMAGES, TRAINING_IMAGES, BATCH = 10_000, 50_000, 128
BATCH_NORM_EXCHANGES = 4  # of a layer and step: forward and backward, clean and attacked
ATTACKED, TRAINED, SPEED_UP = "workers of AutoAttack", "ranks that train", "speed-up"
USEFUL = 0.5  # of the time of a worker


class Cost(NamedTuple):
    """Seconds and bytes that were measured."""

    forward: float
    backward: float
    fixed: float
    image: float
    sum: float
    task: float
    network: int
    exchanges: int
    exchanged: int


class Link(NamedTuple):
    """What a message costs: seconds, and bytes a second."""

    latency: float
    bandwidth: float


def measure(sizes: tuple[int, int]) -> Cost:
    """One thread of this machine; a step is a fixed part and one for each image."""
    cpu.load_numba().set_num_threads(1)
    network = networks.resnet18(10, head="prototypes")
    small, large = (
        cpu_seconds(partial(step, network, training_batch(count), SGD())) for count in sizes
    )
    image = (large - small) / (sizes[1] - sizes[0])
    victim, x = networks.fold(network), training_batch(sizes[0]).x
    z, backward = victim(x)
    arrays = [leaf for _, leaf in leaves(network.params)]
    elements = sum(leaf.size for leaf in arrays)
    gradients = np.ones((4, -(-elements // 4)), np.float32)
    norms = list(batch_norms(network.features))
    return Cost(
        forward=cpu_seconds(lambda: victim(x)) / len(x),
        backward=cpu_seconds(lambda: backward(z)) / len(x),
        fixed=max(0.0, small - sizes[0] * image),
        image=image,
        sum=cpu_seconds(lambda: sum_in_order(gradients)),
        task=cpu_seconds(save_state),
        network=4 * elements,
        exchanges=BATCH_NORM_EXCHANGES * len(norms) + 2,
        exchanged=BATCH_NORM_EXCHANGES * sum(8 * (2 * norm.channels + 1) for norm in norms),
    )


def cpu_seconds(run: Callable[[], Any]) -> float:
    """The least CPU time of three runs after a first."""
    found = []
    for _ in range(4):
        begun = time.process_time()
        run()
        found.append(time.process_time() - begun)
    return min(found[1:])


def training_batch(count: int) -> Batch:
    x = np.random.default_rng(0).random((count, 32, 32, 3), np.float32)
    return Batch(x, np.arange(count) % 10, np.arange(count))


def step(network: Network, batch: Batch, optimizer: SGD) -> None:
    grads = zeros(network.params)
    adv_dpnp(network, batch, grads, attack=PGDConfig(steps=5))
    optimizer.step(network.params, grads, 0.0)


def batch_norms(layer: Layer) -> Any:
    """All layers of that kind in a layer."""
    if isinstance(layer, BatchNorm):
        yield layer
    for value in vars(layer).values():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, Layer):
                yield from batch_norms(part)


def save_state() -> None:
    """The state file of four attacks."""
    arrays = {f"{k}/{name}": np.zeros(IMAGES) for k in range(4) for name in ARRAY_FIELDS}
    with tempfile.TemporaryDirectory() as folder:
        save_arrays(arrays, Path(folder) / "state.npz")


def autoattack_seconds(cost: Cost, link: Link, workers: int, batch: int) -> float:
    """Of the four attacks of AutoAttack on 10,000 images."""
    rows = json.loads(STAGES.read_text())["rows"]
    seconds = workers * (link.latency + cost.network / link.bandwidth) * (workers > 1)
    for row in rows[:-1]:
        images = IMAGES * row["images"] / rows[-1]["images"]
        passes = row["ours, passes"] / row["images"]
        forward_only = row["stage"].startswith("square")
        one = cost.forward if forward_only else (cost.forward + cost.backward) / 2
        tasks = math.ceil(images / batch)
        full = images / tasks  # a batch is this large on average
        seconds += max(math.ceil(tasks / workers) * full * passes * one, tasks * cost.task)
    return float(seconds)


def step_seconds(cost: Cost, link: Link, workers: int, batch: int) -> tuple[float, float]:
    """Of a training step: all of it, and the exchange between ranks."""
    exchange = 0.0
    if workers > 1:
        share = cost.network / (workers * link.bandwidth)
        exchange = 2 * (workers - 1) * (link.latency + share) + cost.sum
        exchange += cost.exchanges * math.ceil(math.log2(workers)) * link.latency
        exchange += (workers - 1) * cost.exchanged / link.bandwidth
    return cost.fixed + math.ceil(batch / workers) * cost.image + exchange, exchange


def tables(cost: Cost, link: Link) -> list[dict[str, Any]]:
    """A row for each number of workers: first of the evaluation, then of the training."""
    attacked: list[dict[str, Any]] = []
    trained: list[dict[str, Any]] = []
    one_attack = autoattack_seconds(cost, link, 1, 250)
    one_step, _ = step_seconds(cost, link, 1, BATCH)
    for p in WORKERS:
        batch = min(250, max(1, IMAGES // (4 * p)))
        seconds = autoattack_seconds(cost, link, p, batch)
        found = {"images in a batch": batch, "hours": seconds / 3600}
        attacked.append({ATTACKED: p, **found, SPEED_UP: one_attack / seconds})
        for size in (BATCH, BATCH * p)[: 1 + (p > 1)]:
            if size < p:
                continue  # each rank has an image
            seconds, exchange = step_seconds(cost, link, p, size)
            found = {
                "images in a batch": size,
                "hours an epoch": TRAINING_IMAGES / size * seconds / 3600,
                "% of it exchange": 100 * exchange / seconds,
            }
            trained.append({TRAINED: p, **found, SPEED_UP: size / BATCH * one_step / seconds})
    return [*attacked, *trained]


def conclusion(rows: list[dict[str, Any]], cost: Cost, link: Link) -> str:
    """What was assumed and measured, and where more workers are no longer of use."""

    def most(kind: str, fixed: bool) -> int:
        return max(
            row[kind]
            for row in rows
            if kind in row
            and row[SPEED_UP] >= USEFUL * row[kind]
            and (not fixed or row["images in a batch"] == BATCH)
        )

    return (
        f"A message takes {link.latency * 1e6:.3g} µs, and a second for {link.bandwidth / 1e9:.3g} "
        f"GB. ResNet-18 has {cost.network / 1e6:.1f} MB of gradients and {cost.exchanges} small "
        f"exchanges in a step. One thread takes {1e3 * cost.forward:.1f} ms for a forward and "
        f"{1e3 * cost.backward:.1f} ms for a backward pass of an image, and for a step "
        f"{1e3 * cost.fixed:.0f} ms and {1e3 * cost.image:.0f} ms an image. Workers are busy for "
        f"half of their time or more up to {most(ATTACKED, False)} in AutoAttack, up to "
        f"{most(TRAINED, True)} in training with batches of {BATCH}, and up to "
        f"{most(TRAINED, False)} with {BATCH} images for each of them"
    )


def main() -> None:
    parser = argument_parser(__doc__, data=False)
    parser.add_argument("--latency", type=float, default=2e-5, metavar="S", help="(2e-5 s)")
    parser.add_argument(
        "--bandwidth", type=float, default=3e9, metavar="B", help="(3e9 bytes a second)"
    )
    options = parser.parse_args()
    if not (options.latency >= 0 and options.bandwidth > 0):
        raise ValueError("--latency must be 0 or more, and --bandwidth above 0")
    cost = measure((2, 4) if options.quick else (4, 16))
    link = Link(options.latency, options.bandwidth)
    rows = tables(cost, link)
    report(rows, options.json, conclusion(rows, cost, link))


if __name__ == "__main__":
    run_command(main)
