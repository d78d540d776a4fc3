"""Times of a network's passes, ours and PyTorch's in turn, in one process: rows as JSON.

    CUPY_TF32=0 python benchmarks/gpu/times.py [--quick] [--device cuda]

The same weights and images in float32; TF32 is used by both or by neither, as CuPy's variable says.
In eval mode (the forward pass, the gradient that an attack needs, and PGD) BatchNorm is folded into
the convolutions for both. PyTorch runs eager, on channels_last images.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from common import argument_parser, median_seconds

from gpu.ceilings import waited
from tinyproto import networks
from tinyproto.attacks import Victim, pgd_inner
from tinyproto.backend.device import select_device
from tinyproto.losses import cross_entropy
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.parameters import zeros

try:
    import torch_peer as peer
except SystemExit:
    peer = None  # type: ignore[assignment]

BATCH, RATE, DECAY, STEPS, EPS = 128, 0.01, 5e-4, 10, 8 / 255
NETWORKS: dict[str, Callable[..., Network]] = {
    "compact_cnn": networks.compact_cnn,
    "resnet18": networks.resnet18,
}
Programs = dict[str, Callable[[], Any]]


def ours(network: Network, x: Any, y: Any, xp: ModuleType) -> Programs:
    folded, optimizer = networks.fold(network), SGD(weight_decay=DECAY)
    victim = Victim(folded)

    def gradient() -> None:
        z, backward = folded(x)
        backward(cross_entropy(z, y)[1])

    def attack() -> None:
        pgd_inner(victim, x, y, eps=EPS, steps=STEPS, step_size=EPS / 4)

    def training_step() -> None:
        grads = zeros(network.params)
        z, backward = network(x, train=True)
        backward(cross_entropy(z, y)[1] / len(z), grads)
        optimizer.step(network.params, grads, RATE)

    found: Programs = {
        "forward": lambda: folded(x), "input gradient": gradient, f"PGD-{STEPS}": attack,
        "training step": training_step,
    }  # fmt: skip
    return {name: waited(run, xp) for name, run in found.items()}


def theirs(network: Network, x: np.ndarray, y: np.ndarray, device: str) -> Programs:
    """The same in PyTorch. `network` is on the host."""
    torch = peer.torch
    layout = torch.channels_last
    image = peer.images(x).to(device).contiguous(memory_format=layout)
    labels = torch.from_numpy(y).to(device)
    folded = peer.module(networks.fold(network)).to(device).to(memory_format=layout).eval()
    folded.requires_grad_(False)
    trained = peer.module(network).to(device).to(memory_format=layout).train()
    optimizer = torch.optim.SGD(
        trained.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=DECAY, fused=True
    )

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def forward() -> None:
        with torch.no_grad():
            folded(image)
        wait()

    def slope(point: Any) -> Any:
        point = point.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(folded(point), labels, reduction="sum")
        return torch.autograd.grad(loss, point)[0]

    def gradient() -> None:
        slope(image)
        wait()

    def attack() -> None:
        point = (image + (2 * torch.rand_like(image) - 1) * EPS).clamp(0, 1)
        for _ in range(STEPS):
            point = point + EPS / 4 * slope(point).sign()
            point = torch.min(torch.max(point, image - EPS), image + EPS).clamp(0, 1)
        wait()

    def training_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(trained(image), labels).backward()
        optimizer.step()
        wait()

    return {
        "forward": forward, "input gradient": gradient, f"PGD-{STEPS}": attack,
        "training step": training_step,
    }  # fmt: skip


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    chosen = parser.parse_args()
    xp = select_device(chosen.device)
    if peer is not None:
        allowed = os.environ.get("CUPY_TF32") == "1"
        peer.torch.backends.cuda.matmul.allow_tf32 = allowed
        peer.torch.backends.cudnn.allow_tf32 = allowed
    random, rows = np.random.default_rng(0), []
    x, y = random.random((BATCH, 32, 32, 3), dtype=np.float32), random.integers(0, 10, BATCH)
    for name, build in NETWORKS.items():
        contenders = {"ours": ours(build().to(xp), xp.asarray(x), xp.asarray(y), xp)}
        if peer is not None:
            contenders["PyTorch"] = theirs(build(), x, y, chosen.device)
        for what in contenders["ours"]:
            runs = {who: programs[what] for who, programs in contenders.items()}
            seconds = median_seconds(runs, 3 if chosen.quick else 15)
            row: dict[str, Any] = {"what": what, "network": f"{name}, {BATCH} images"}
            row |= {f"{who}, ms": 1000 * value for who, value in seconds.items()}
            if "PyTorch" in seconds:
                row["ours / PyTorch"] = seconds["ours"] / seconds["PyTorch"]
            rows.append(row)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
