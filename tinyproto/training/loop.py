"""The loop that all defences share: epochs, progress, checkpoints, resuming.

A run that is stopped anywhere and resumed ends with the bits of one that was not: what a step does
depends on the checkpoint and on numbers named by (seed, epoch, place in the data set) alone.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..attacks import Victim, pgd
from ..backend.device import Array, array_module, to_device, to_host
from ..layers import Layer
from ..networks import Network
from ..optimizers import SGD, Average, Optimizer, Schedule, one_cycle
from ..parameters import Tree, assign, flatten, zeros
from ..progress import progress
from ..random import permutation
from . import checkpoint as checkpoints
from .checkpoint import Place
from .defenses import Batch, Crafting, Defense


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and has written its checkpoint."""


class NotFinite(FloatingPointError):
    """The loss, or a weight, is infinite or not a number; the last good checkpoint is kept."""


class Augment(Protocol):
    def __call__(self, images: Array, *, seed: int, epoch: int, index: Array) -> Array: ...


def fit(
    network: Network,
    defense: Defense,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: Optimizer | None = None,
    schedule: Callable[[int], Schedule] = lambda steps: one_cycle(0.1, steps),
    average: float | None = None,
    augment: Augment | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    probe: Crafting | None = None,
    select: str = "clean",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    every: int = 200,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    shown: bool = True,
    callback: Callable[[Network, dict[str, float]], Any] | None = None,
) -> list[dict[str, float]]:
    """Train `network` where it lives, on images x (N, H, W, C), uint8 or floats in [0, 1], with
    labels y (N,) on the host. Returns a row for each epoch.

    defense: one of `defenses`, its coefficients bound (functools.partial).
    schedule: steps → (step → learning rate). average: the decay of a moving average of the weights,
        which then are those that are judged and kept.
    validation: held-out training images and labels. After each epoch they give the clean accuracy
        and, with `probe`, that under PGD; `select`, "clean" or "robust", says by which the best
        weights are chosen, which the network has at the end. Without them it has the last.
    checkpoint: the file, written every so many steps (`every`), after each epoch, and when the
        process is asked to stop (SIGTERM, Ctrl-C; `Stopped` is raised). resume: go on from it where
        it exists. settings: what else, of JSON's types, a run that goes on must have in common.

    Raises ValueError for a bad argument or another run's checkpoint, NotFinite as it says.
    """
    if min(epochs, batch_size, every) < 1:
        raise ValueError(
            f"epochs, batch_size, every must be 1 or more, not {epochs}, {batch_size}, {every}"
        )
    if select not in ("clean", "robust") or (select == "robust" and probe is None):
        raise ValueError(f"select must be 'clean', or 'robust' with a probe, not {select!r}")
    if len(x) != len(y) or not len(x):
        raise ValueError(f"x and y must hold as many examples, 1 or more: {len(x)} and {len(y)}")
    optimizer = optimizer or SGD()
    averaged = Average(network.params, average) if average is not None else None
    steps = -(-len(x) // batch_size)
    rate = schedule(steps * epochs)
    place = Place()
    best: dict[str, Array] = {}
    common = {
        "network": network.settings, "epochs": epochs, "batch_size": batch_size, "seed": seed,
        "images": len(x), "average": average, "select": select, **(settings or {}),
    }  # fmt: skip
    if checkpoint and resume and Path(checkpoint).exists():
        place, best = checkpoints.load(checkpoint, common, network.params, optimizer, averaged)

    def save() -> None:
        if checkpoint:
            _check_finite(network)
            checkpoints.save(checkpoint, common, place, network.params, optimizer, averaged, best)

    done = min((place.epoch * len(x)) + place.seen, epochs * len(x))
    with (
        _asked_to_stop() as asked,
        progress(epochs * len(x), "image", done=done, shown=shown, lines=4 * epochs) as advance,
    ):
        while place.epoch < epochs:
            order = permutation(len(x), seed=seed, stream="shuffle", epoch=place.epoch)
            while place.step < steps:
                begun = time.perf_counter()
                at = order[place.step * batch_size : (place.step + 1) * batch_size]
                batch = _batch(network, x, y, at, augment, seed, place.epoch)
                learning_rate = rate(place.epoch * steps + place.step)
                loss, correct = _step(network, defense, batch, optimizer, learning_rate)
                if averaged:
                    averaged.update(network.params)
                place.step += 1
                place.seen += len(at)
                place.loss += loss
                place.correct += correct
                place.seconds += time.perf_counter() - begun
                advance(len(at), _describe(place))
                if asked():
                    save()
                    raise Stopped(_where(place))
                if place.step % every == 0 and place.step < steps:
                    save()
            with _weights(network, averaged):
                row = _judge(network, place, validation, probe)
                if validation is None or row[select] > place.best_score:
                    place.best_score = row.get(select, 0.0)
                    place.best_epoch = place.epoch + 1
                    best = {path: to_host(a).copy() for path, a in flatten(network.params).items()}
            row["learning_rate"] = learning_rate
            place.history.append(row)
            place.epoch, place.step = place.epoch + 1, 0
            place.loss, place.correct, place.seen = 0.0, 0, 0
            save()
            if asked():
                raise Stopped(_where(place))
            if callback is not None:
                callback(network, row)
    assign(network.params, best, "the best weights")
    return place.history


def evaluate(
    network: Layer, x: np.ndarray, y: np.ndarray, attack: Any = None, *, batch_size: int = 250
) -> float:
    """The share of images whose class is found, attacked by `attack(victim, x, y, index=…)` first
    if one is given. x as in `fit`; it does not depend on the batch size."""
    right = 0
    for start in range(0, len(x), batch_size):
        index = np.arange(start, min(start + batch_size, len(x)))
        batch = _batch(network, x, y, index, None, 0, 0)
        images = batch.x
        if attack is not None:
            images = attack(Victim(network), images, batch.y, index=batch.index)
        z, _ = network(images)
        right += int((z.argmax(axis=1) == batch.y).sum())
    return right / max(len(x), 1)


def _batch(
    network: Layer,
    x: np.ndarray,
    y: np.ndarray,
    at: np.ndarray,
    augment: Augment | None,
    seed: int,
    epoch: int,
) -> Batch:
    """The images at some places of the data set, where the network lives and of its dtype."""
    weights = next(iter(flatten(network.params).values()))
    xp = array_module(weights)
    images = to_device(x[at], xp).astype(weights.dtype)
    if x.dtype == np.uint8:
        images /= 255
    index = xp.asarray(at)
    if augment is not None:
        images = augment(images, seed=seed, epoch=epoch, index=index)
    return Batch(images, to_device(y[at], xp), index, epoch, seed)


def _step(
    network: Network, defense: Defense, batch: Batch, optimizer: Optimizer, learning_rate: float
) -> tuple[float, int]:
    """One step of learning: the batch's summed loss and how many it got right."""
    grads: Tree = zeros(network.params)
    loss, z = defense(network, batch, grads)
    total = float(loss.sum(dtype=np.float64))
    if not np.isfinite(total):
        raise NotFinite(
            f"the loss is not finite ({total}) in epoch {batch.epoch + 1}; "
            "a lower learning rate may help. The last checkpoint is as it was"
        )
    optimizer.step(network.params, grads, learning_rate)
    network.project()
    return total, int((z.argmax(axis=1) == batch.y).sum())


def _judge(
    network: Network,
    place: Place,
    validation: tuple[np.ndarray, np.ndarray] | None,
    probe: Crafting | None,
) -> dict[str, float]:
    """The row of the epoch that has ended."""
    row = {
        "epoch": place.epoch + 1,
        "loss": place.loss / place.seen,
        "train": place.correct / place.seen,
        "seconds": place.seconds,
    }
    if validation is not None:
        row["clean"] = evaluate(network, *validation)
        if probe is not None:

            def attack(victim: Victim, x: Array, y: Array, index: Array) -> Array:
                return pgd(
                    victim, x, y, eps=probe.eps, steps=probe.steps, step_size=probe.step_size,
                    norm=probe.norm, index=index,
                )  # fmt: skip

            row["robust"] = evaluate(network, *validation, attack)
    return row


def _describe(place: Place) -> str:
    text = f"epoch {place.epoch + 1}, loss {place.loss / place.seen:.3f}"
    if place.history:
        last = place.history[-1]
        text += "".join(
            f", {name} {last[name]:.1%}" for name in ("clean", "robust") if name in last
        )
    return text


def _where(place: Place) -> str:
    return f"stopped after epoch {place.epoch}, step {place.step}"


def _check_finite(network: Network) -> None:
    for path, leaf in flatten(network.params).items():
        if not bool(array_module(leaf).isfinite(leaf).all()):
            raise NotFinite(f"{path} is not finite; the last checkpoint is as it was")


@contextmanager
def _weights(network: Network, averaged: Average | None) -> Iterator[None]:
    """Within, the network has the averaged weights, if there are any."""
    if averaged is None:
        yield
        return
    own = {path: leaf.copy() for path, leaf in flatten(network.params).items()}
    averaged.copy_to(network.params)
    network.project()
    try:
        yield
    finally:
        assign(network.params, own, "the weights")


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGTERM or Ctrl-C has come; a second one is not waited for."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False

    def note(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
