"""One ±ED-WTA network with the authors' settings, looked at while it is trained."""

import copy
from typing import NamedTuple

import numpy as np

from tinyproto.prototypes import PlusMinusEDWTA
from tinyproto.random import permutation

from .runs import Images, Run, build


class Snapshot(NamedTuple):
    """The network after so many samples."""

    samples: int
    network: PlusMinusEDWTA


def record(name: str, images: Images, prototypes: int = 6, epochs: int = 12) -> list[Snapshot]:
    """The network at growing intervals within the first epoch, then after each epoch; its samples
    come in the order of `fit`, so the last is what `fit` returns."""
    run = Run(name, "±ED-WTA", "authors", prototypes, 0, epochs)
    network = build(run).set_params(epochs=0).fit(images.x, images.y)
    assert isinstance(network, PlusMinusEDWTA)
    rate, beta_rate = network.learning_rate, network.beta_learning_rate
    found = [Snapshot(0, copy.deepcopy(network))]
    count = len(images.x)
    for epoch in range(epochs):
        order = permutation(count, seed=0, stream="shuffle", epoch=epoch)
        factor = network.decay**epoch
        network.set_params(learning_rate=rate * factor, beta_learning_rate=beta_rate * factor)
        stops = np.unique(np.geomspace(10, count, 25).astype(int)) if epoch == 0 else [count]
        for start, stop in zip([0, *stops[:-1]], stops, strict=True):
            part = order[start:stop]
            network.partial_fit(images.x[part], images.y[part])
            found.append(Snapshot(epoch * count + int(stop), copy.deepcopy(network)))
    return found


def nearest_to(samples: int, history: list[Snapshot]) -> Snapshot:
    return min(history, key=lambda snapshot: abs(snapshot.samples - samples))


class Activity(NamedTuple):
    """What one neuron k computes for samples x (N, d).

    Its score is o = A·x − θ with A = β(w⁺ − w⁻) and θ = ½β(‖w⁺‖² − ‖w⁻‖²): A·x is its activity, θ
    a threshold that both prototypes move. The update of a sample changes the neuron in proportion
    to r = τ − q, which is above 0 for its own class (w⁺ is attracted, the response to x grows) and
    below 0 for others (w⁻ is attracted, the response shrinks).
    """

    activity: np.ndarray  # A·x (N,)
    threshold: float  # θ
    plasticity: np.ndarray  # r (N,)


def activity(network: PlusMinusEDWTA, neuron: int, x: np.ndarray, y: np.ndarray) -> Activity:
    A, b = network.linear()
    o = x @ A.T + b
    p = np.exp(o - o.max(axis=1, keepdims=True))
    q = p / p.sum(axis=1, keepdims=True)
    own = y[:, None] == network.prototype_labels_
    tau = np.where(own, q, 0) / np.where(own, q, 0).sum(axis=1, keepdims=True)
    return Activity(x @ A[neuron], -float(b[neuron]), (tau - q)[:, neuron])
