"""Forward pass, input gradient and training step on a CUDA device, compared with PyTorch's.

    python benchmarks/bench_gpu.py [--quick] [--json FILE]

The same weights and images in float32, ours and PyTorch's in turn, each timed until the device is
done. In eval mode (the forward pass, and the gradient that an attack needs) BatchNorm is folded
into the convolutions for both. PyTorch runs eager, on channels_last images, in float32 without
TF32.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch_peer as peer
from common import argument_parser, median_seconds, report
from torch_peer import torch

from tinyproto import networks
from tinyproto.backend.device import select_device
from tinyproto.evaluation.command import run_command
from tinyproto.losses import cross_entropy
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.parameters import zeros

BATCH, RATE, DECAY = 128, 0.01, 5e-4
NETWORKS: dict[str, Callable[..., Network]] = {
    "compact_cnn": networks.compact_cnn,
    "resnet18": networks.resnet18,
}
Run = Callable[[], Any]


def ours(network: Network, x: Any, y: Any, xp: Any) -> dict[str, Run]:
    folded, optimizer = networks.fold(network), SGD(weight_decay=DECAY)

    def waited(run: Run) -> Run:
        def call() -> None:
            run()
            xp.cuda.Stream.null.synchronize()

        return call

    def gradient() -> None:
        z, backward = folded(x)
        backward(cross_entropy(z, y)[1])

    def training_step() -> None:
        grads = zeros(network.params)
        z, backward = network(x, train=True)
        backward(cross_entropy(z, y)[1] / len(z), grads)
        optimizer.step(network.params, grads, RATE)

    runs: dict[str, Run] = {
        "forward": lambda: folded(x), "input gradient": gradient, "training step": training_step,
    }  # fmt: skip
    return {name: waited(run) for name, run in runs.items()}


def theirs(network: Network, x: np.ndarray, y: np.ndarray) -> dict[str, Run]:
    """The same in PyTorch. `network` is on the host."""
    layout = torch.channels_last
    image = peer.images(x).cuda().contiguous(memory_format=layout)
    labels = torch.from_numpy(y).cuda()
    folded = peer.module(networks.fold(network)).cuda().to(memory_format=layout).eval()
    folded.requires_grad_(False)
    trained = peer.module(network).cuda().to(memory_format=layout).train()
    optimizer = torch.optim.SGD(
        trained.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=DECAY, fused=True
    )

    def forward() -> None:
        with torch.no_grad():
            folded(image)
        torch.cuda.synchronize()

    def gradient() -> None:
        point = image.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(folded(point), labels, reduction="sum")
        torch.autograd.grad(loss, point)
        torch.cuda.synchronize()

    def training_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(trained(image), labels).backward()
        optimizer.step()
        torch.cuda.synchronize()

    return {"forward": forward, "input gradient": gradient, "training step": training_step}


def main() -> None:
    chosen = argument_parser(__doc__).parse_args()
    xp = select_device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    random, rows = np.random.default_rng(0), []
    x, y = random.random((BATCH, 32, 32, 3), dtype=np.float32), random.integers(0, 10, BATCH)
    for name, build in NETWORKS.items():
        contenders = {
            "PyTorch": theirs(build(), x, y),
            "ours": ours(build().to(xp), xp.asarray(x), xp.asarray(y), xp),
        }
        for what in contenders["ours"]:
            runs = {who: run[what] for who, run in contenders.items()}
            seconds = median_seconds(runs, 3 if chosen.quick else 15)
            rows.append(
                {
                    "what": what,
                    "network": f"{name}, {BATCH} images",
                    "ours, ms": 1000 * seconds["ours"],
                    "PyTorch, ms": 1000 * seconds["PyTorch"],
                    "ours / PyTorch": seconds["ours"] / seconds["PyTorch"],
                }
            )
    device = torch.cuda.get_device_name()
    note = f"{device}, float32; CuPy {xp.__version__}, PyTorch {torch.__version__}; medians"
    report(rows, chosen.json, note)


if __name__ == "__main__":
    run_command(main)
