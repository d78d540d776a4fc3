"""What the fast convolutions cost in accuracy: of scores, of gradients, and after training.

    python benchmarks/bench_fast_path.py [--quick] [--model FILE] [--json FILE]

First a network's scores and input gradients in float32, ours and PyTorch's, against ours in
float64: the largest error of a score relative to the largest score, and how many gradients change
their sign, which is all that an L∞ attack sees of them. Once at random points of the ball of 8/255
around the images, where PGD starts, and once at the images themselves: these have areas of one
colour, where equal values tie in max-pooling; an implementation that rounds them differently sends
the gradient to another of the tied pixels, which is equally valid. Then the same training runs with
the fast convolutions and with the plain ones, from several seeds.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch_peer as peer
from common import argument_parser, report
from torch_peer import torch

from tinyproto import networks, parameters
from tinyproto.data import Dataset, load
from tinyproto.data.augment import crop_and_flip
from tinyproto.evaluation.command import run_command
from tinyproto.layers import convolution, im2col
from tinyproto.losses import cross_entropy
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.parameters import zeros
from tinyproto.schedules import one_cycle

BATCH, RATE, DECAY = 128, 0.1, 5e-4


@contextmanager
def plain() -> Iterator[None]:
    """Within, every convolution is computed by im2col."""

    def always(*arguments: Any, **options: Any) -> ModuleType:
        return im2col

    with mock.patch.object(convolution, "select_backend", always):
        yield


def scores_and_gradients(
    network: Network, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    z, backward = network(x)
    return z, backward(cross_entropy(z, y)[1])


def of_pytorch(network: Network, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    twin = peer.module(network).to(memory_format=torch.channels_last).eval()
    image = peer.images(x).requires_grad_()
    z = twin(image)
    loss = torch.nn.functional.cross_entropy(z, torch.from_numpy(y), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, image)
    return z.detach().numpy(), peer.array(gradient)


def precision(network: Network, x: np.ndarray, y: np.ndarray, where: str) -> list[dict[str, Any]]:
    single = network.to(dtype=np.float32)
    found = {
        "ours": scores_and_gradients(single, x, y),
        "ours, BatchNorm folded": scores_and_gradients(networks.fold(single), x, y),
        "PyTorch": of_pytorch(single, x, y),
    }
    with plain():
        found["ours, im2col convolutions"] = scores_and_gradients(single, x, y)
    exact = networks.from_settings(network.settings, "the network").to(dtype=np.float64)
    parameters.assign(exact.params, parameters.flatten(single.params), "the network")
    z, gradient = scores_and_gradients(exact, x.astype(np.float64), y)
    return [
        {
            "computed by": name,
            "inputs": where,
            "largest relative error of a score": float(np.abs(scores - z).max() / np.abs(z).max()),
            "gradients with another sign": f"{float((np.sign(g) != np.sign(gradient)).mean()):.1e}",
        }
        for name, (scores, g) in found.items()
    ]


def train(data: Dataset, images: int, epochs: int, seed: int) -> tuple[float, float]:
    """Test accuracy after standard training, and its seconds."""
    network, optimizer = networks.compact_cnn(seed=seed), SGD(weight_decay=DECAY)
    rate = one_cycle(RATE, epochs * (images // BATCH))
    random = np.random.default_rng(seed)
    done, begun = 0, time.perf_counter()
    for epoch in range(epochs):
        order = random.permutation(images)
        for start in range(0, images - BATCH + 1, BATCH):
            index = order[start : start + BATCH]
            x = crop_and_flip(data.x_train[index], index=index, seed=seed, epoch=epoch)
            grads = zeros(network.params)
            z, backward = network(x / np.float32(255), train=True)
            backward(cross_entropy(z, data.y_train[index])[1] / len(z), grads)
            optimizer.step(network.params, grads, rate(done))
            done += 1
    seconds = time.perf_counter() - begun
    parts = np.array_split(np.arange(len(data.x_test)), 20)
    right = [
        network(data.x_test[part] / np.float32(255))[0].argmax(axis=1) == data.y_test[part]
        for part in parts
    ]
    return float(np.concatenate(right).mean()), seconds


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, help="a trained network (else a random one)")
    chosen = parser.parse_args()
    data = load("cifar10", chosen.data)
    network = networks.load(chosen.model) if chosen.model else networks.compact_cnn()
    count, images, epochs, seeds = (64, 1000, 1, 2) if chosen.quick else (2000, 5000, 6, 4)
    images = min(images, len(data.x_train))
    x, y = data.x_test[:count] / np.float32(255), data.y_test[:count].astype(np.int64)
    moved = np.random.default_rng(0).uniform(-8 / 255, 8 / 255, x.shape).astype(np.float32)
    rows = precision(network, np.clip(x + moved, 0, 1), y, "random starts")
    rows += precision(network, x, y, "images")
    for name, context in (("fast", nullcontext), ("im2col", plain)):
        with context():
            runs = [train(data, images, epochs, seed) for seed in range(seeds)]
        accuracies = [100 * accuracy for accuracy, _ in runs]
        rows.append(
            {
                "trained with": f"{name} convolutions",
                "test accuracy %": statistics.mean(accuracies),
                "lowest – highest %": f"{min(accuracies):.2f} – {max(accuracies):.2f}",
                "seconds": statistics.median(seconds for _, seconds in runs),
            }
        )
    report(
        rows,
        chosen.json,
        f"{count} test images of CIFAR-10; {images:,} training images, {epochs} epochs, "
        f"{seeds} seeds",
    )


if __name__ == "__main__":
    run_command(main)
