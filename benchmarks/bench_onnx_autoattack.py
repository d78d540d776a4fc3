"""AutoAttack on networks from ONNX files, compared with its authors' code on PyTorch's modules.

    python benchmarks/bench_onnx_autoattack.py [--networks NAME …] [--examples N] [--quick]
        [--threads N] [--eps N] [--training-images N] [--json FILE]

A module of PyTorch is exported by torch.onnx.export. Ours attacks what `load_onnx` reads, folded;
pyautoattack attacks the module, in channels_last, its BatchNorm folded into the convolutions, too.
Both run the standard version in L∞ at --eps (in 255ths; 8) on the same test images of CIFAR-10, on
as many threads, one after the other for each block of images. A point counts if it is in the ball
and the model of its own side misclassifies it.

The compact CNN is one that ships with the package. The ResNet-18 has the layers of torchvision's,
the first ones for images of CIFAR's size; it is trained here once, for two epochs by N-FGSM at the
same eps, and kept in --resnet18. Blocks that are finished, and the training, are kept when the
program is stopped; the rows of networks that are not chosen stay in FILE. Needs `pip install -e
".[peers]"`.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch_peer as peer
from bench_autoattack import Counted, plain
from common import argument_parser, report, rows_of_others
from onnx_rows import autoattack_row, check_scores
from parts import Parts
from torch_peer import torch
from torch_resnet import as_module, export

import tinyproto
from tinyproto import networks
from tinyproto.attacks import Victim
from tinyproto.attacks.region import norms
from tinyproto.backend import cpu
from tinyproto.data import load
from tinyproto.data.augment import crop_and_flip
from tinyproto.evaluation import evaluate
from tinyproto.evaluation.command import run_command
from tinyproto.interop import load_onnx
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.schedules import one_cycle
from tinyproto.training import DEFENSES, NFGSMConfig, fit

BLOCK = 125
STAGES = ["apgd-ce", "apgd-t", "fab-t", "square"]
NETWORKS = ("compact_cnn", "resnet18")
SHIPPED = "cifar10-compact-adv-dpnp"
RESNET18 = Path("runs/onnx_resnet18")
Images = tuple[np.ndarray, np.ndarray]


class Pair:
    """The network that was read from the export of a module, and that module."""

    def __init__(self, network: Network, eps: float):
        self.eps = eps
        module = as_module(network)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export(module, path)
            self.ours = networks.fold(load_onnx(path))
        self.theirs = Counted(peer.module(networks.fold(network))).eval().requires_grad_(False)
        x = np.random.default_rng(0).random((20, 32, 32, 3), dtype=np.float32)
        with torch.no_grad():
            expected = module(peer.images(x)).numpy()
        for name, z in (("ours", self.ours(x)[0]), ("the folded module", self.scores(x))):
            check_scores(name, z, expected)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Those of the folded module."""
        with torch.no_grad():
            found: np.ndarray = self.theirs(plain(x)).numpy()
        return found

    def attack_ours(self, x: np.ndarray, y: np.ndarray, first: int, stages: list[str]) -> Any:
        """What is left of images whose places in the data set are first, first + 1, …"""
        victim, index = Victim(self.ours), np.arange(first, first + len(x))
        begun = time.perf_counter()
        found = evaluate(
            victim, x, y, stages, eps=self.eps, sequential=True, index=index, batch_size=len(x),
            verbose=False,
        )  # fmt: skip
        seconds = time.perf_counter() - begun
        return outcome(found.robust, seconds, victim.forward_passes + victim.backward_passes)

    def attack_theirs(self, x: np.ndarray, y: np.ndarray, first: int, stages: list[str]) -> Any:
        """The same by pyautoattack; its seed is its own for each block."""
        from pyautoattack import AutoAttack

        attack = AutoAttack(self.theirs, norm="Linf", eps=self.eps, seed=first)
        attack.attacks_to_run = stages
        before, begun = self.theirs.passes, time.perf_counter()
        found, _ = attack.run_standard_evaluation(plain(x), torch.from_numpy(y), batch_size=len(x))
        seconds = time.perf_counter() - begun
        passes = self.theirs.passes - before
        return outcome(self.right_in_ball(peer.array(found), x, y), seconds, passes)

    def right_in_ball(self, attacked: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which images the module classifies correctly, attacked or not; a point outside the ball,
        beyond the rounding of float32, counts for nothing."""
        inside = norms(attacked.astype(np.float64) - x, "linf") <= self.eps * (1 + 1e-5)
        right = self.scores(x).argmax(axis=1) == y
        right &= ~inside | (self.scores(attacked).argmax(axis=1) == y)
        return right


def outcome(robust: np.ndarray, seconds: float, passes: int) -> dict[str, Any]:
    return {"robust": robust.tolist(), "seconds": seconds, "passes": passes}


def compare(pair: Pair, name: str, images: Images, stages: list[str], parts: Parts) -> dict:
    """The row of a network."""
    x, y = images
    sides = {"ours": pair.attack_ours, "pyautoattack": pair.attack_theirs}
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for first in range(0, len(x), BLOCK):
        block = x[first : first + BLOCK], y[first : first + BLOCK]
        for side, attack in sides.items():
            result = parts.get(
                f"{name}, {first}, {side}",
                lambda: attack(*block, first, stages),  # noqa: B023
            )
            found[side].append(result)
            left = f"{sum(result['robust'])} of {len(block[0])} images are left"
            print(
                f"{name}, from image {first}, {side}: {left}, {result['seconds']:.0f} s", flush=True
            )
    clean = 100 * float((pair.scores(x).argmax(axis=1) == y).mean())
    return autoattack_row(name, f"{255 * pair.eps:g}/255", clean, found)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """As many for both sides."""
    before = torch.get_num_threads()
    cpu.load_numba().set_num_threads(count)
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def trained_resnet18(path: Path, images: Images, eps: float, rate: float) -> Network:
    """The network in the file, trained first if there is none; a training that was stopped goes
    on."""
    if path.exists():
        return networks.load(path)
    network = networks.resnet18(feature_width=None)
    fit(
        network, partial(DEFENSES["pgd"], attack=NFGSMConfig(eps)), *images, epochs=2,
        optimizer=SGD(momentum=0.9, weight_decay=5e-4), schedule=partial(one_cycle, rate),
        augment=crop_and_flip, checkpoint=path.with_suffix(".checkpoint.npz"),
        checkpoint_every=50, resume=True,
    )  # fmt: skip
    networks.save(network, path)
    return network


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--examples", type=int, metavar="N", help="test images (500)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of each side (2)")
    parser.add_argument("--resnet18", type=Path, metavar="DIR", default=RESNET18,
                        help=f"folder of trained ResNet-18s ({RESNET18})")  # fmt: skip
    parser.add_argument("--eps", type=float, default=8, metavar="N", help="in 255ths (8)")
    parser.add_argument("--training-images", type=int, default=50_000, metavar="N",
                        help="that the ResNet-18 is trained on (50,000)")  # fmt: skip
    chosen = parser.parse_args()
    count = chosen.examples or (20 if chosen.quick else 500)
    stages = STAGES[:2] if chosen.quick else STAGES
    data = load("cifar10", chosen.data)
    images = data.x_test[:count] / np.float32(255), data.y_test[:count].astype(np.int64)
    rows, notes, models = [], [], {}
    with threads(chosen.threads):
        for name in chosen.networks:
            few = slice(chosen.training_images)
            models[name], described = model(name, chosen, (data.x_train[few], data.y_train[few]))
            notes.append(f"{name}: {described}")
        about = {
            "images": len(images[0]), "stages": stages, "block": BLOCK, "threads": chosen.threads,
            "eps": chosen.eps,
            **{name: digest(network) for name, network in models.items()},
        }  # fmt: skip
        parts = Parts(chosen.json.with_suffix(".part") if chosen.json else None, about)
        for name, network in models.items():
            rows.append(compare(Pair(network, chosen.eps / 255), name, images, stages, parts))
    version = torch.__version__.partition("+")[0]
    notes.append(f"{', '.join(stages)}; {chosen.threads} threads; PyTorch {version}")
    others, note = rows_of_others(chosen.json, "network", chosen.networks)
    names = tuple(row["network"] for row in others)
    kept = [part for part in note.split("; ") if part.startswith(names)]
    report([*others, *rows], chosen.json, "; ".join([*kept, *notes]))
    parts.remove()


def model(name: str, chosen: Any, images: Images) -> tuple[Network, str]:
    """The network of a row, and what it is."""
    if name == "compact_cnn":
        shipped = tinyproto.load(SHIPPED)
        assert isinstance(shipped, Network)
        return shipped, SHIPPED
    if not chosen.quick:
        described = f"two epochs of N-FGSM on {len(images[0]):,} images"
        rate = 0.1 if len(images[0]) >= 20_000 else 0.04  # a short cycle diverges at the higher one
        path = chosen.resnet18 / f"{len(images[0])}-images-eps-{chosen.eps:g}.npz"
        return trained_resnet18(path, images, chosen.eps / 255, rate), described
    with tempfile.TemporaryDirectory() as folder:
        few = images[0][:640], images[1][:640]
        trained = trained_resnet18(Path(folder) / "model.npz", few, chosen.eps / 255, 0.01)
        return trained, "10 steps of N-FGSM"


def digest(network: Network) -> str:
    """A checksum of the scores of a random image."""
    x = np.random.default_rng(0).random((1, 32, 32, 3), dtype=np.float32)
    return hashlib.sha256(network(x)[0].tobytes()).hexdigest()[:8]


if __name__ == "__main__":
    run_command(main)
