"""Every gradient compared with PyTorch's autograd, on the same weights in float64.

    python benchmarks/bench_gradients.py [--quick] [--json FILE]

A row compares arrays one by one: the largest difference of its elements, relative to the largest
element that PyTorch has. PyTorch gets the definitions (the losses as their papers write them) and
differentiates them itself. Ends with exit status 1 where an error is above 1e-10.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch_peer as peer
from common import Row, argument_parser, report
from torch_peer import torch

from tinyproto import losses, networks, parameters
from tinyproto.attacks import Victim, pgd_inner
from tinyproto.evaluation.command import run_command
from tinyproto.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Flatten,
    FlipAverage,
    GlobalAveragePool,
    Layer,
    Linear,
    MaxPool2D,
    Normalize,
    Pad2D,
    ReLU,
    Residual,
    Sequential,
)
from tinyproto.networks import Network
from tinyproto.optimizers import SGD, Adam, Optimizer
from tinyproto.prototypes.dpnp import PrototypeHead, alignment, repulsion
from tinyproto.training.defenses import DEFENSES, Batch

REQUIRED = 1e-10
F = torch.nn.functional
Arrays = Mapping[str, np.ndarray]


def compare(what: str, ours: Arrays, theirs: Arrays) -> Row:
    """A row: of arrays by name, the one that differs most."""
    if ours.keys() != theirs.keys():
        raise ValueError(f"{what}: arrays of one side only, {sorted(ours.keys() ^ theirs.keys())}")
    errors = {name: relative_error(ours[name], theirs[name]) for name in ours}
    worst = max(errors, key=lambda name: errors[name])
    return {
        "compared": what,
        "arrays": len(errors),
        "largest relative error": errors[worst],
        "at": worst,
        "required": REQUIRED,
    }


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """‖a − b‖∞ / ‖b‖∞; ∞ where shapes differ, for what is no number, and for b = 0 ≠ a."""
    if ours.shape != theirs.shape:
        return np.inf
    difference, scale = np.abs(ours - theirs).max(), np.abs(theirs).max()
    if difference == 0:
        return 0.0
    error = float(difference / scale) if scale > 0 else np.inf
    return error if np.isfinite(error) else np.inf


# Networks


def randomized(network: Network, random: np.random.Generator) -> Network:
    """Every leaf at random, in float64: no term of a gradient vanishes by its start."""
    for path, leaf in parameters.leaves(network.params):
        name = path.rpartition("/")[2]
        if name in ("scale", "running_variance"):
            leaf[...] = random.uniform(0.5, 2, leaf.shape)
        elif name == "weight":
            leaf[...] = random.normal(size=leaf.shape) * np.sqrt(2 / leaf[..., 0].size)
        else:
            leaf[...] = random.normal(size=leaf.shape) / 2
    network.to(dtype=np.float64).project()
    return network


def random_network(random: np.random.Generator, x: np.ndarray) -> Network:
    """Every kind of layer, of random sizes and in random order.

    Every BatchNorm is inside a Residual, so that a path leads around it: otherwise it would cancel
    the bias before it, whose gradient would be 0 but for rounding, which cannot be compared.
    """

    def size(low: int, high: int) -> int:
        return int(random.integers(low, high + 1))

    channels = x.shape[3]
    border = Pad2D([size(0, 2) for _ in range(4)], float(random.normal()))
    layers: list[Layer] = [border, Normalize(*random.uniform(0.2, 1, (2, channels)).tolist())]
    blocks = ["convolution", "maximum", "average", "residual", "shortcut"]
    for kind in random.permutation(blocks):
        out = size(2, 6)
        if kind == "convolution":
            kernel, stride = size(1, 4), size(1, 2)
            padding = size(0, kernel - 1)
            layers += [Conv2D(channels, out, kernel, stride=stride, padding=padding), ReLU()]
            channels = out
        elif kind == "residual":
            inner = Conv2D(channels, out, 3, padding=1, bias=False)
            outer = Conv2D(out, channels, 3, padding=1)
            body = Sequential(inner, BatchNorm(out, epsilon=1e-3), ReLU(), outer)
            layers += [Residual(body), ReLU()]
        elif kind == "shortcut":
            body = Sequential(ReLU(), Conv2D(channels, out, 3, stride=2, padding=1))
            beside = Conv2D(channels, out, 1, stride=2, bias=False)
            layers += [Residual(body, Sequential(beside, BatchNorm(out))), ReLU()]
            channels = out
        else:
            pool = MaxPool2D if kind == "maximum" else AveragePool2D
            layers += [pool(size(2, 3), size(1, 2))]
    layers += [Flatten() if random.random() < 0.5 else GlobalAveragePool()]
    width = Sequential(*layers)(x.astype(np.float32))[0].shape[1]
    layers += [Linear(width, 7), ReLU(), Linear(7, 5, bias=random.random() < 0.5)]
    head = PrototypeHead(5, 4) if random.random() < 0.5 else Linear(5, 4)
    features = Sequential(*layers)
    return Network(FlipAverage(features) if random.random() < 0.5 else features, head)


def cases(quick: bool) -> Iterator[tuple[str, Network, np.ndarray]]:
    """Networks with random weights, and images for them."""
    random = np.random.default_rng(0)
    builders: dict[str, tuple[Callable[..., Network], int]] = {
        "compact_cnn, linear head": (networks.compact_cnn, 16 if quick else 32),
        "compact_cnn, prototypes": (partial(networks.compact_cnn, head="prototypes"), 16),
        "compact_cnn, two views": (
            partial(networks.compact_cnn, padding=(1, 0, 2, 0), flip_average=True),
            16,
        ),
        "resnet18": (networks.resnet18, 16),
        "wide_resnet(10, 2)": (partial(networks.wide_resnet, 10, 2, head="prototypes"), 12),
    }
    for name, (build, side) in builders.items():
        yield name, randomized(build(), random), random.random((4, side, side, 3))
    rows = [Linear(6, 7, bias=False), BatchNorm(7), ReLU(), Flatten(), Linear(7, 5)]
    on_rows = Network(Sequential(*rows), PrototypeHead(5, 4))
    yield "rows, BatchNorm", randomized(on_rows, random), random.normal(size=(9, 6))
    for seed in range(3 if quick else 12):
        random = np.random.default_rng(seed)
        height, width = random.integers(28, 36, 2)
        x = random.random((5, height, width, int(random.integers(2, 5))))
        yield f"random layers, seed {seed}", randomized(random_network(random, x), random), x


def compare_networks(quick: bool) -> Iterator[Row]:
    """Scores, all gradients, and the running averages after a step."""
    for name, network, x in cases(quick):
        for train in (False, True):
            twin = peer.module(network).train(train)
            grads = parameters.zeros(network.params)
            z, backward = network(x, train)
            dz = np.random.default_rng(1).normal(size=z.shape)
            alone, dx = backward(dz), backward(dz, grads)
            SGD().step(network.params, only_running(grads), 0.0)

            image = peer.images(x).requires_grad_()
            scores = twin(image)
            scores.backward(torch.from_numpy(dz))
            found = peer.array(image.grad)
            yield compare(
                f"{name}, {'train' if train else 'eval'}",
                {"z": z, "dx": dx, "dx alone": alone} | gathered(grads) | running(network.params),
                {"z": peer.array(scores), "dx": found, "dx alone": found}
                | named_gradients(twin, network)
                | running(peer.state(twin, network.params)),
            )


def gathered(grads: parameters.Tree) -> dict[str, np.ndarray]:
    """Gradients by name, without the running averages' slots."""
    slots = parameters.leaves(parameters.without_running(grads))
    return {f"gradient of {path}": slot for path, slot in slots}


def named_gradients(twin: Any, network: Network) -> dict[str, np.ndarray]:
    found = peer.gradients(twin, network.params)
    return {f"gradient of {path}": slot for path, slot in found.items()}


def running(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {path: leaf for path, leaf in parameters.leaves(params) if parameters.is_running(path)}


def only_running(grads: parameters.Tree) -> parameters.Tree:
    """The slots of running averages alone."""
    return {
        name: only_running(value) if isinstance(value, dict) else value
        for name, value in grads.items()
        if isinstance(value, dict) or parameters.is_running(name)
    }


# Losses


def compare_losses(quick: bool) -> Iterator[Row]:
    """Each example's value, and the gradient of their sum at every argument."""
    random = np.random.default_rng(2)
    n = 50 if quick else 1000
    z, w = random.normal(size=(2, n, 10)) * random.uniform(0.3, 5, (1, n, 1))
    C, y = random.normal(size=(10, 10)), random.integers(0, 10, n)
    target = (y + random.integers(1, 10, n)) % 10
    labels, aim = torch.from_numpy(y), torch.from_numpy(target)
    smooth, entropy = losses.cross_entropy, F.cross_entropy
    pairs: dict[str, tuple[Any, Callable[..., Any], list[np.ndarray]]] = {
        "cross entropy": (smooth(z, y), lambda z: entropy(z, labels, reduction="none"), [z]),
        "cross entropy, smoothing 0.1": (
            smooth(z, y, 0.1),
            lambda z: entropy(z, labels, reduction="none", label_smoothing=0.1),
            [z],
        ),
        "KL(p ‖ q), both ends": (losses.kl_divergence(z, w), peer.kl, [z, w]),
        "MART's boosted cross entropy": (
            losses.boosted_cross_entropy(z, y),
            lambda z: peer.boosted(z, labels),
            [z],
        ),
        "MART's weighted KL, both ends": (
            losses.weighted_kl(z, w, y),
            lambda z, w: peer.weighted_kl(z, w, labels),
            [z, w],
        ),
        "margin": (
            losses.margin(z, y),
            lambda z: peer.at(z, peer.rival_of(z, labels)) - peer.at(z, labels),
            [z],
        ),
        "DLR": (losses.dlr(z, y), lambda z: peer.dlr(z, labels), [z]),
        "targeted DLR": (
            losses.targeted_dlr(z, y, target),
            lambda z: peer.targeted_dlr(z, labels, aim),
            [z],
        ),
        "squared error": (losses.squared_error(z, w), lambda z, w: ((z - w) ** 2).sum(1), [z, w]),
        "alignment, at h and C": (
            alignment(z, C, y),
            lambda h, C: peer.alignment(h, C, labels),
            [z, C],
        ),
        "repulsion": (repulsion(C, y), lambda C: peer.repulsion(C, labels), [C]),
    }
    for name, ((value, *slopes), definition, arguments) in pairs.items():
        tensors = [torch.tensor(argument, requires_grad=True) for argument in arguments]
        defined = definition(*tensors)
        defined.sum().backward()
        theirs = {"value": peer.array(defined)}
        theirs |= {f"gradient {i}": peer.array(t.grad) for i, t in enumerate(tensors)}
        yield compare(
            name, {"value": value} | {f"gradient {i}": s for i, s in enumerate(slopes)}, theirs
        )


# Defences: a whole step


def compare_defenses(quick: bool) -> Iterator[Row]:
    """The loss, all gradients, and the whole state after a step of SGD."""
    dual = {
        "alignment_weight": 0.3,
        "repulsion_weight": 0.2,
        "adversarial_weight": 0.7,
        "consistency_weight": 2.0,
    }
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "standard": ("standard", {"smoothing": 0.1}),
        "PGD": ("pgd", {}),
        "TRADES": ("trades", {"beta": 6.0}),
        "MART": ("mart", {"kl_weight": 5.0}),
        "DPNP": ("dpnp", {"alignment_weight": 0.3, "repulsion_weight": 0.2}),
        "Adv-DPNP, KL": ("adv-dpnp", {**dual, "consistency": "kl"}),
        "Adv-DPNP, features": ("adv-dpnp", {**dual, "consistency": "features"}),
        "Adv-DPNP, statistics of clean images": (
            "adv-dpnp",
            {**dual, "consistency": "kl", "clean_statistics": True},
        ),
    }
    for name, (method, coefficients) in variants.items():
        random = np.random.default_rng(3)
        network = networks.compact_cnn(head="prototypes", feature_width=12)
        randomized(network, random)
        x, y = random.random((6, 12, 12, 3)), random.integers(0, 10, 6)
        attacked = np.clip(x + random.choice([-0.03, 0.03], x.shape), 0, 1)
        tensors = peer.images(x), peer.images(attacked), torch.from_numpy(y)
        twin = peer.module(network)

        attack = {"attack": given(attacked)} if DEFENSES[method].adversarial else {}
        grads = parameters.zeros(network.params)
        batch = Batch(x, y, np.arange(len(x)))
        loss, z = DEFENSES[method](network, batch, grads, **attack, **coefficients)
        ours = {"loss": loss, "z": z} | gathered(grads)
        SGD().step(network.params, grads, 0.1)
        network.project()

        defined, scores = peer.total(method, twin, *tensors, **coefficients)
        defined.mean().backward()
        theirs = {"loss": peer.array(defined), "z": peer.array(scores)}
        theirs |= named_gradients(twin, network)
        groups = peer.groups(twin, network.params, weight_decay=5e-4)
        torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True).step()
        with torch.no_grad():
            twin.head.weight *= 3.0 / twin.head.weight.norm(dim=1, keepdim=True)
        yield compare(
            f"a step of {name}",
            ours | parameters.flatten(network.params),
            theirs | peer.state(twin, network.params),
        )


def given(attacked: np.ndarray) -> Callable[..., np.ndarray]:
    """An attack that returns these images, whatever the network."""
    return lambda network, batch, **options: attacked


def compare_attack(quick: bool) -> Iterator[Row]:
    """The points of PGD, from x itself."""
    eps, steps, step_size = 8 / 255, 3 if quick else 10, 2 / 255
    random = np.random.default_rng(4)
    network = randomized(networks.compact_cnn(), random)
    x, y = random.random((4, 16, 16, 3)), random.integers(0, 10, 4)
    twin = peer.module(network).eval().requires_grad_(False)
    settings: dict[str, Any] = {"eps": eps, "steps": steps, "step_size": step_size}
    found = pgd_inner(Victim(network), x, y, initial_noise=0.0, **settings)

    image, labels = peer.images(x), torch.from_numpy(y)
    point = image
    for _ in range(steps):
        point = point.clone().requires_grad_()
        loss = F.cross_entropy(twin(point), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, point)
        moved = point.detach() + step_size * gradient.sign()
        point = moved.clamp(image - eps, image + eps).clamp(0, 1)
    yield compare(f"PGD, {steps} steps", {"x′ − x": found - x}, {"x′ − x": peer.array(point) - x})


def compare_optimizers(quick: bool) -> Iterator[Row]:
    """How far five steps along random gradients have moved each parameter."""
    pairs: dict[str, tuple[Optimizer, Callable[..., Any], float]] = {
        "SGD": (SGD(0.0, nesterov=False, weight_decay=0.0), torch.optim.SGD, 0.0),
        "SGD, momentum": (
            SGD(0.9, nesterov=False, weight_decay=0.0),
            partial(torch.optim.SGD, momentum=0.9),
            0.0,
        ),
        "SGD, Nesterov, weight decay": (
            SGD(0.9, nesterov=True, weight_decay=5e-3),
            partial(torch.optim.SGD, momentum=0.9, nesterov=True),
            5e-3,
        ),
        "Adam": (Adam(), torch.optim.Adam, 0.0),
        "Adam, decoupled decay": (Adam(weight_decay=0.05), torch.optim.AdamW, 0.05),
    }
    for name, (optimizer, kind, decay) in pairs.items():
        random = np.random.default_rng(5)
        network = randomized(networks.compact_cnn(head="prototypes"), random)
        twin = peer.module(network)
        start = {path: leaf.copy() for path, leaf in parameters.leaves(network.params)}
        theirs = kind(peer.groups(twin, network.params, decay), lr=0.1)
        for step in range(5):
            grads = parameters.without_running(parameters.zeros(network.params))
            for _, slot in parameters.leaves(grads):
                slot += random.normal(size=slot.shape)
            rate = 0.1 / (1 + step)
            optimizer.step(network.params, grads, rate)
            peer.give_gradients(twin, parameters.flatten(grads))
            for group in theirs.param_groups:
                group["lr"] = rate
            theirs.step()
        ends = parameters.flatten(network.params), peer.state(twin, network.params)
        ours, found = ({path: end[path] - start[path] for path in start} for end in ends)
        yield compare(f"{name}, 5 steps", ours, found)


COMPARISONS: dict[str, Callable[[bool], Iterator[Row]]] = {
    "networks": compare_networks,
    "losses": compare_losses,
    "defenses": compare_defenses,
    "attack": compare_attack,
    "optimizers": compare_optimizers,
}


def main() -> None:
    chosen = argument_parser(__doc__, data=False).parse_args()
    rows = [row for rows in COMPARISONS.values() for row in rows(chosen.quick)]
    report(rows, chosen.json, f"float64, PyTorch {torch.__version__}")
    wrong = [row["compared"] for row in rows if not row["largest relative error"] <= REQUIRED]
    if wrong:
        sys.exit(f"above {REQUIRED}: {'; '.join(wrong)}")


if __name__ == "__main__":
    run_command(main)
