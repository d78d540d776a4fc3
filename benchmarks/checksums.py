"""Checksums of what the package computes: a change that only moves or renames code changes none.

    python benchmarks/checksums.py --json before.json      # at one commit
    python benchmarks/checksums.py --against before.json   # at another, on the same machine

Outputs, gradients, optimizer steps, a training step of each defence, the winner-take-all networks
after one epoch, every attack and AutoAttack on 16 images, in float32 and float64. Bits depend on
the processor and on NumPy's version, so two runs are compared on one machine; the script is that
of its commit, and the names of the checksums stay the same.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyproto import layers, losses, networks, optimizers, parameters, schedules
from tinyproto import random as numbers
from tinyproto.attacks import (
    Victim,
    apgd,
    apgd_targeted,
    autoattack,
    carlini_wagner,
    carlini_wagner_linf,
    fab,
    fgsm,
    pgd,
    pgd_inner,
    square,
)
from tinyproto.data import load
from tinyproto.data.augment import crop_and_flip, elastic
from tinyproto.evaluation import evaluate
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.geometry import compactness, pairwise_angles
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA, storage
from tinyproto.prototypes.certificate import exact_radius
from tinyproto.prototypes.detection import SCORES, Detector
from tinyproto.prototypes.dpnp import alignment, repulsion, simplex
from tinyproto.prototypes.equivalence import centre_distances, inner_product_to_euclidean
from tinyproto.prototypes.kmeans import kmeans
from tinyproto.training import DEFENSES, Batch, PGDConfig, fit

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "benchmarks" / "models" / "cifar10_adv_dpnp.npz"
DTYPES = (np.float32, np.float64)
Item = tuple[str, Any]


def checksum(value: Any) -> str:
    """Of arrays, numbers, text, and nested lists and dicts of them."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, dict):
            for name in sorted(part):
                add(name)
                add(part[name])
        elif isinstance(part, list | tuple):
            for each in part:
                add(each)
        elif isinstance(part, np.ndarray | np.generic):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())

    add(value)
    return digest.hexdigest()[:16]


def photographs(dtype: Any, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    data = load("cifar10", ROOT / "tinyproto" / "data" / "samples")
    return data.x_test[:count].astype(dtype) / dtype(255), data.y_test[:count]


def digits(dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    data = load("mnist", ROOT / "tinyproto" / "data" / "samples")
    x, x_test = (
        i.reshape(len(i), -1).astype(dtype) / dtype(255) for i in (data.x_train, data.x_test)
    )
    return x[:2000], data.y_train[:2000], x_test[:40], data.y_test[:40]


def of_random(dtype: Any) -> Iterator[Item]:
    index = np.array([0, 7, 123456])
    yield "words", numbers.words(9, index, seed=3, stream="shuffle", epoch=2, restart=1, step=4)
    yield "uniform", numbers.uniform(9, index, seed=3, stream="start", epoch=2)
    yield "normal", numbers.normal(9, index, seed=3, stream="start", restart=2)
    yield "permutation", numbers.permutation(1000, seed=5, stream="shuffle", epoch=1)
    x, _y, *_ = digits(dtype)
    images = x[:20].reshape(-1, 28, 28)
    yield "elastic", elastic(images, seed=1, epoch=2)
    crops = partial(crop_and_flip, seed=1, epoch=2, cutout=8)
    yield "crop_and_flip", crops(photographs(dtype)[0])
    yield "k-means", kmeans(x, 7, seed=2)


def of_losses(dtype: Any) -> Iterator[Item]:
    random = np.random.default_rng(0)
    z, w = (random.normal(scale=3, size=(9, 6)).astype(dtype) for _ in "zw")
    y, target = random.integers(0, 6, 9), random.integers(0, 6, 9)
    for name in ("cross_entropy", "margin", "dlr", "boosted_cross_entropy"):
        yield name, getattr(losses, name)(z, y)
    yield "smoothing", losses.cross_entropy(z, y, 0.1)
    yield "targeted_dlr", losses.targeted_dlr(z, y, target)
    yield "difference", losses.difference(z, y, target)
    yield "kl_divergence", losses.kl_divergence(z, w)
    yield "weighted_kl", losses.weighted_kl(z, w, y)
    yield "squared_error", losses.squared_error(z, w)
    yield "softmax", [losses.softmax(z), losses.log_softmax(z)]
    prototypes = (3 * simplex(6)).astype(dtype)
    h = random.normal(size=(9, 5)).astype(dtype)
    yield "alignment", alignment(h, prototypes, y)
    yield "repulsion", repulsion(prototypes + dtype(0.1) * h[:6], y)
    yield "geometry", [pairwise_angles(prototypes), compactness(h, y, prototypes)]


def of_layers(dtype: Any) -> Iterator[Item]:
    random = np.random.default_rng(1)
    cases: list[tuple[str, layers.Layer, tuple[int, ...]]] = [
        ("max pool", layers.MaxPool2D(3, 2), (3, 9, 8, 32)),
        ("max pool, odd", layers.MaxPool2D(2), (3, 9, 8, 5)),
        ("average pool", layers.AveragePool2D(3, 2), (3, 9, 8, 5)),
        ("global pool", layers.GlobalAveragePool(), (3, 9, 8, 5)),
        ("relu", layers.ReLU(), (3, 9, 8, 5)),
        ("normalize", layers.Normalize([0.1, 0.2], [0.5, 0.7]), (3, 4, 5, 2)),
        ("linear", layers.Linear(7, 5), (6, 7)),
        ("batch norm", layers.BatchNorm(32), (4, 5, 6, 32)),
        ("batch norm of rows", layers.BatchNorm(5), (7, 5)),
    ]
    forms = (
        (3, 1, 1, 16, 32), (3, 1, 0, 40, 24), (3, 1, 2, 20, 70), (3, 1, 1, 3, 32),
        (3, 2, 1, 32, 48), (1, 1, 0, 32, 16), (1, 2, 0, 8, 24), (5, 1, 2, 3, 7), (4, 3, 1, 5, 33),
        (2, 3, 0, 6, 6),
    )  # fmt: skip
    for size, stride, padding, channels, out in forms:
        layer: layers.Layer = layers.Conv2D(channels, out, size, stride=stride, padding=padding)
        name = f"convolution {size}/{stride}/{padding} {channels}-{out}"
        cases.append((name, layer, (5, 13, 11, channels)))
        cases.append(
            (f"{name}, relu", layers.Sequential(layer, layers.ReLU()), (5, 13, 11, channels))
        )
    body = layers.Sequential(layers.Conv2D(16, 16, 3, padding=1), layers.BatchNorm(16))
    residual = layers.Sequential(layers.Residual(body), layers.ReLU())
    cases.append(("residual, relu", residual, (4, 8, 8, 16)))
    for name, layer, shape in cases:
        x = random.normal(size=shape).astype(dtype)
        parameters.convert(layer.params, dtype=dtype)
        for train in (False, True):
            grads = parameters.zeros(layer.params)
            y, backward = layer(x, train)
            dx = backward(random.normal(size=y.shape).astype(dtype), grads)
            yield f"{name}, {'train' if train else 'eval'}", [y, dx, parameters.flatten(grads)]


def of_networks(dtype: Any) -> Iterator[Item]:
    x, y = photographs(dtype, 8)
    builders: dict[str, networks.Network] = {
        "compact_cnn": networks.compact_cnn(seed=1),
        "compact_cnn, prototypes": networks.load(MODEL),
        "wide_resnet": networks.wide_resnet(10, 1, seed=2),
        "resnet18": networks.resnet18(seed=3, head="prototypes"),
    }
    for name, network in builders.items():
        network.to(dtype=dtype)
        images, labels = (x[:2], y[:2]) if name == "resnet18" else (x, y)
        for train in (False, True):
            grads = parameters.zeros(network.params)
            z, backward = network(images, train)
            dx = backward(losses.cross_entropy(z, labels)[1], grads)
            yield f"{name}, {'train' if train else 'eval'}", [z, dx, parameters.flatten(grads)]
        z, backward = networks.fold(network)(images)
        yield f"{name}, folded", [z, backward(losses.cross_entropy(z, labels)[1])]


def of_training(dtype: Any) -> Iterator[Item]:
    x, y = photographs(dtype, 12)
    variants: list[tuple[str, str, dict[str, Any]]] = [(name, name, {}) for name in DEFENSES]
    variants.append(("adv-dpnp, features", "adv-dpnp", {"consistency": "features"}))
    variants.append(("adv-dpnp, clean statistics", "adv-dpnp", {"clean_statistics": True}))
    variants.append(("standard, smoothing", "standard", {"smoothing": 0.1}))
    for name, method, options in variants:
        network = networks.load(MODEL).to(dtype=dtype)
        grads = parameters.zeros(network.params)
        loss, z = DEFENSES[method](network, Batch(x, y, np.arange(12), 3, 1), grads, **options)
        optimizer = optimizers.SGD()
        for _ in range(2):
            optimizer.step(network.params, grads, 0.1)
            network.project()
        yield name, [loss, z, parameters.flatten(network.params), optimizer.state_dict()]
    network = networks.load(MODEL).to(dtype=dtype)
    grads = parameters.zeros(network.params)
    DEFENSES["standard"](network, Batch(x, y, np.arange(12)), grads)
    adam, average = optimizers.Adam(weight_decay=0.1), optimizers.Average(network.params)
    for step in range(3):
        adam.step(network.params, grads, schedules.cosine(0.1, 3, 0.3)(step))
        average.update(network.params)
    yield "adam", [parameters.flatten(network.params), average.state_dict()]
    data = load("cifar10", ROOT / "tinyproto" / "data" / "samples")
    network = networks.compact_cnn(seed=4, head="prototypes").to(dtype=dtype)
    defense = partial(DEFENSES["adv-dpnp"], attack=PGDConfig(steps=2))
    rows = fit(
        network, defense, data.x_train[:70], data.y_train[:70], epochs=2, batch_size=32,
        average=0.9, augment=crop_and_flip, validation=(data.x_test[:30], data.y_test[:30]),
        validation_attack=PGDConfig(steps=2), monitor="robust", seed=6, verbose=False,
    )  # fmt: skip
    for row in rows:
        row.pop("seconds")
    yield "fit", [[list(row.values()) for row in rows], parameters.flatten(network.params)]


def of_winner_take_all(dtype: Any) -> Iterator[Item]:
    x, y, x_test, y_test = digits(dtype)
    dtype_name = np.dtype(dtype).name
    for kind in (IPWTA, EDWTA, PlusMinusEDWTA):
        for batch_size in (1, 64):
            for init in ("random", "kmeans", "class-mean"):
                network = kind(
                    3, epochs=1, batch_size=batch_size, init=init, dtype=dtype_name, random_state=2,
                    learning_rate=1e-3,
                )  # fmt: skip
                network.fit(x, y)
                z, backward = network(x_test)
                answers = [network.loss_, network.beta_, *network.linear(), z, backward(z)]
                yield (
                    f"{kind.__name__}, {batch_size}, {init}",
                    [answers, network.predict_proba(x_test), network.predict(x_test)],
                )
        for norm in ("l2", "linf"):
            boxes: tuple[dict[str, Any], ...] = ({}, {"lo": 0.0, "hi": 1.0})
            for box in boxes:
                found = exact_radius(network, x_test[:8], y_test[:8], norm=norm, **box)
                yield f"{kind.__name__}, radius {norm}{' in box' * bool(box)}", list(found)
        centres = inner_product_to_euclidean(*network.linear(), scale=2.0)
        yield f"{kind.__name__}, centres", [centres, centre_distances(centres, x)]
        with tempfile.TemporaryDirectory() as folder:
            storage.save(network, Path(folder) / "model.npz")
            again = storage.load(Path(folder) / "model.npz")
        yield f"{kind.__name__}, loaded", again.decision_function(x_test)
    for score in SCORES:
        detector = Detector(network, score).fit(x, y)
        name = {"combined": "both"}.get(score, score)  # its name in earlier checksums
        yield f"detector, {name}", [detector.score(x_test), detector.threshold_]


def of_attacks(dtype: Any) -> Iterator[Item]:
    network = networks.fold(networks.load(MODEL).to(dtype=dtype))
    x, y = photographs(dtype)
    few = (x[:6], y[:6])
    for norm, eps in (("linf", 8 / 255), ("l2", 0.5)):
        ball: dict[str, Any] = {"eps": eps, "norm": norm}
        yield f"fgsm, {norm}", fgsm(Victim(network), x, y, **ball)
        yield f"pgd, {norm}", pgd(Victim(network), x, y, **ball, steps=7, restarts=2, momentum=0.5)
        yield f"apgd, {norm}", apgd(Victim(network), *few, **ball, steps=20, restarts=2, loss="dlr")
        yield f"apgd eot, {norm}", apgd(Victim(network), *few, **ball, steps=9, eot_iter=2)
        yield f"apgd-t, {norm}", apgd_targeted(Victim(network), *few, **ball, steps=12, targets=3)
        yield f"square, {norm}", square(Victim(network), *few, **ball, queries=150)
        yield (
            f"inner pgd, {norm}",
            pgd_inner(Victim(network), x, y, **ball, steps=3, step_size=eps / 4, epoch=2),
        )
        victim = Victim(network)
        found = autoattack(victim, x, y, **ball, version="standard", seed=1)
        yield f"autoattack, {norm}", [found, victim.forward_passes, victim.backward_passes]
    steps: dict[str, Any] = {"eps": 8 / 255, "steps": 2, "step_size": 2 / 255}
    yield "inner pgd, noise", pgd_inner(Victim(network), x, y, **steps, initial_noise=0.001)
    for norm in ("linf", "l2", "l1"):
        yield (
            f"fab, {norm}",
            fab(Victim(network), *few, norm=norm, steps=6, restarts=2, bisections=3),
        )
        yield f"fab-t, {norm}", fab(Victim(network), *few, norm=norm, steps=6, targets=3)
    search: dict[str, Any] = {"binary_search_steps": 3, "initial_const": 1.0}
    yield "cw", carlini_wagner(Victim(network), *few, steps=20, learning_rate=0.05, **search)
    yield "cw linf", carlini_wagner_linf(Victim(network), *few, eps=8 / 255, steps=5)
    for attacks in ("masking", ["apgd-ce", "fab", "cw-linf"]):
        report = evaluate(
            Victim(network), *few, attacks, eps=8 / 255, batch_size=4, verbose=False
        )  # fmt: skip
        results = [[r.robust, r.robust_8bit, r.distance] for r in report.results.values()]
        yield f"evaluate, {attacks}", results


GROUPS = {
    "random": of_random,
    "losses": of_losses,
    "layers": of_layers,
    "networks": of_networks,
    "training": of_training,
    "winner-take-all": of_winner_take_all,
    "attacks": of_attacks,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the checksums there")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with these")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    options = parser.parse_args()
    found = {
        f"{group} {np.dtype(dtype).name}: {name}": checksum(value)
        for group in options.groups
        for dtype in DTYPES
        for name, value in GROUPS[group](dtype)
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.against:
        before = json.loads(options.against.read_text())
        before = {k: v for k, v in before.items() if k.split()[0] in options.groups}
        differ = sorted(k for k in {*before, *found} if before.get(k) != found.get(k))
        print("\n".join(f"differs: {name}" for name in differ))
        print(f"{len(found) - len(differ)} of {len(found)} checksums are equal")
        sys.exit(1 if differ else 0)
    print(f"{len(found)} checksums, all in all {checksum(found)}")


if __name__ == "__main__":
    run_command(main)
