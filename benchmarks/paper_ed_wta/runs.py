"""What is trained, and what is measured of each trained network: one row for each run."""

import copy
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from common import own_class_fraction

from tinyproto.data import load
from tinyproto.prototypes import (
    EDWTA,
    IPWTA,
    Detector,
    PlusMinusEDWTA,
    WinnerTakeAll,
    auroc,
    centre_distances,
    dead_neurons,
    inner_product_to_euclidean,
    revive,
)
from tinyproto.random import permutation, uniform

from . import NETWORKS

CLASSES: dict[str, type[WinnerTakeAll]] = dict(
    zip(NETWORKS, (IPWTA, EDWTA, PlusMinusEDWTA), strict=True)
)
PROTOTYPES = (1, 2, 4, 6, 10, 20, 40)
K = 6  # the authors', of which everything is measured
SEEDS = range(5)
EPOCHS = 12
AUTHORS_RATES = (0.01, 1e-4)
RATES = {
    "mnist": {"IP-WTA": (0.1, 1e-4), "ED-WTA": (0.1, 1e-4), "±ED-WTA": (0.003, 3e-3)},
    "fashion": {"IP-WTA": (0.03, 1e-4), "ED-WTA": (0.03, 1e-4), "±ED-WTA": (0.001, 1e-3)},
}
"""Learning rates (α, α_β) with the highest accuracy on the last 10,000 training images, after
training on the others with K = 6 and seed 0. IP-WTA has no β."""
SCALES = (1.0, 10.0, 100.0)  # of IP-WTA's conversion to centres


class Images(NamedTuple):
    """A data set as vectors in [0, 1]."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    complete: bool
    class_names: tuple[str, ...]


def load_images(name: str, directory: str | None) -> Images:
    data = load(name, directory)
    x, x_test = (i.reshape(len(i), -1) / np.float32(255) for i in (data.x_train, data.x_test))
    return Images(x, data.y_train, x_test, data.y_test, data.complete, tuple(data.class_names))


class Run(NamedTuple):
    """What identifies a row."""

    data: str
    network: str
    rates: str  # "chosen" or "authors"
    prototypes: int
    seed: int
    epochs: int


def plan(data: list[str], quick: bool) -> Iterator[Run]:
    """All runs, the most needed first: K up to 10 with seed 0, the authors' K with all seeds, then
    the large networks, and the other seeds."""
    epochs, prototypes, seeds = (2, (1, K), range(1)) if quick else (EPOCHS, PROTOTYPES, SEEDS)
    small, large = [k for k in prototypes if k <= 10], [k for k in prototypes if k > 10]
    steps = [(k, 0) for k in small] + [(K, seed) for seed in seeds[1:]] + [(k, 0) for k in large]
    steps += [(k, seed) for seed in seeds[1:] for k in small if k != K]
    steps += [(k, seed) for seed in seeds[1:3] for k in large]
    for k, seed in steps:
        for name in data:
            for network in NETWORKS:
                yield Run(name, network, "chosen", k, seed, epochs)
                if k == K and (seed == 0 or network == "±ED-WTA"):
                    yield Run(name, network, "authors", k, seed, epochs)


def rates(run: Run) -> tuple[float, float]:
    """α and α_β."""
    return AUTHORS_RATES if run.rates == "authors" else RATES[run.data][run.network]


def build(run: Run) -> WinnerTakeAll:
    """The network, with learning rates that fall as far as in the authors' 49 epochs."""
    rate, beta_rate = rates(run)
    return CLASSES[run.network](
        run.prototypes,
        epochs=run.epochs,
        learning_rate=rate,
        beta_learning_rate=beta_rate,
        decay=0.95 ** (49 / run.epochs),
        random_state=run.seed,
    )


def measure(run: Run, images: Images, outliers: dict[str, np.ndarray]) -> dict[str, Any]:
    """Train, and all figures of the network. `outliers` are used for the authors' K."""
    network, half = build(run), []

    def keep(trained: WinnerTakeAll, epoch: int, loss: float) -> None:
        if epoch == run.epochs // 2:
            half.append(copy.deepcopy(trained))

    started = time.perf_counter()
    network.fit(images.x, images.y, callback=keep)
    row = {
        **run._asdict(),
        "seconds": time.perf_counter() - started,
        "test accuracy %": 100 * network.score(images.x_test, images.y_test),
        "dead": len(dead_neurons(network, images.x, images.y)),
    }
    if isinstance(network, PlusMinusEDWTA):
        row |= similarity(network)
    if run.prototypes == K or run.seed == 0:
        row |= revived(run, half[0], images)
    if run.prototypes == K:
        kind = "margin" if isinstance(network, IPWTA) else "profile"
        detector = Detector(network, kind).fit(images.x, images.y)
        inliers = detector.score(images.x_test)
        areas = {name: auroc(inliers, detector.score(x)) for name, x in outliers.items()}
        row |= {"score": kind, "AUROC": areas, "centres": centres(network, images)}
    return row


def revived(run: Run, network: WinnerTakeAll, images: Images) -> dict[str, Any]:
    """The other result of the second half of training, if the dead neurons of the first half are
    revived before it; nothing where none is dead. The samples come in the same order."""
    found = revive(network, images.x, images.y)
    if not len(found):
        return {"revived": 0}
    rate, beta_rate = rates(run)
    for epoch in range(run.epochs // 2, run.epochs):
        order = permutation(len(images.x), seed=run.seed, stream="shuffle", epoch=epoch)
        factor = network.decay**epoch
        network.set_params(learning_rate=rate * factor, beta_learning_rate=beta_rate * factor)
        network.partial_fit(images.x[order], images.y[order])
    return {
        "revived": len(found),
        "test accuracy % revived": 100 * network.score(images.x_test, images.y_test),
        "dead revived": len(dead_neurons(network, images.x, images.y)),
    }


def centres(network: WinnerTakeAll, images: Images) -> dict[str, dict[str, float]]:
    """The mean distance from the centres of each kind to the nearest training image, and the
    percentage of centres whose nearest image has their class."""
    if isinstance(network, IPWTA):
        converted = {s: inner_product_to_euclidean(*network.linear(), s) for s in SCALES}
        found = {f"s = {s:g}": centres for s, centres in converted.items()}
    elif isinstance(network, PlusMinusEDWTA):
        found = {"w⁺": network.positive_prototypes_, "w⁻": network.negative_prototypes_}
    else:
        assert isinstance(network, EDWTA)
        found = {"w": network.positive_prototypes_}
    labels = network.prototype_labels_
    return {
        name: {
            "distance": float(centre_distances(w, images.x).mean()),
            "own class %": 100 * own_class_fraction(w, labels, images.x, images.y),
        }
        for name, w in found.items()
    }


def similarity(network: PlusMinusEDWTA) -> dict[str, float]:
    """The mean cosine of w⁺ and w⁻ of a neuron, and the mean of ‖w⁺ − w⁻‖/‖w⁺‖."""
    positive, negative = network.positive_prototypes_, network.negative_prototypes_
    norms = np.linalg.norm(positive, axis=1), np.linalg.norm(negative, axis=1)
    return {
        "cosine": float(((positive * negative).sum(axis=1) / (norms[0] * norms[1])).mean()),
        "‖w⁺ − w⁻‖/‖w⁺‖": float((np.linalg.norm(positive - negative, axis=1) / norms[0]).mean()),
    }


def outlier_images(found: dict[str, Images], inliers: str) -> dict[str, np.ndarray]:
    """The test images of the other data set, and uniform noise."""
    others = {name: images.x_test for name, images in found.items() if name != inliers}
    count, features = found[inliers].x_test.shape
    noise = uniform(features, np.arange(count), seed=0, stream="noise").astype(np.float32)
    return {**others, "noise": noise}


def test_image_distance(images: Images) -> float:
    """The mean distance from a test image to the nearest training image."""
    return float(centre_distances(images.x_test[:1000], images.x).mean())
