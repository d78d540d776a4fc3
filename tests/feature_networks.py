"""Small networks with features, for the tests of detectors in feature space and of explanations."""

import numpy as np

from tinyproto import parameters
from tinyproto.layers import Flatten, Linear, ReLU, Sequential, initialize
from tinyproto.losses import cross_entropy
from tinyproto.networks import Network
from tinyproto.optimizers import Adam
from tinyproto.prototypes import Detector, PlusMinusEDWTA, PrototypeHead


def random_network(seed, d=6, features=5, classes=3, head="prototypes", dtype=np.float64):
    """x (N, …) of d numbers ↦ features ↦ scores, with random parameters. The features of x in
    [0, 1] have about the mean 0, so that every class is the answer for some."""
    layers = Sequential(Flatten(), Linear(d, 24), ReLU(), Linear(24, features))
    last = PrototypeHead(features, classes, seed=seed)
    if head == "linear":
        last = Linear(features, classes)
        initialize(last, seed + 1)
        last.params["bias"][...] = np.random.default_rng(seed).normal(size=classes)
    initialize(layers, seed)
    h, _ = layers(np.random.default_rng(seed).random((200, d)).astype(np.float32))
    layers.layers[-1].params["bias"][...] = -h.mean(axis=0)
    network = Network(layers, last)
    parameters.convert(network.params, np, dtype)
    return network


def identity_network(vectors, bias):
    """The features are the inputs, in float64; the head is linear."""
    classes, d = np.shape(vectors)
    network = Network(Flatten(), Linear(d, classes)).to(np, np.float64)
    network.head.params["weight"][...] = np.transpose(vectors)
    network.head.params["bias"][...] = bias
    return network


def trained_network(x, y, epochs=4):
    """One hidden layer, features of width 12, and ten prototypes."""
    network = random_network(0, x.shape[1], 12, 10, dtype=np.float32)
    optimizer = Adam()
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(x))
        for start in range(0, len(x), 100):
            part = order[start : start + 100]
            grads = parameters.zeros(network.params)
            z, backward = network(x[part], train=True)
            backward((cross_entropy(z, y[part])[1] / len(part)).astype(z.dtype), grads)
            optimizer.step(network.params, grads, learning_rate=2e-3)
            network.project()
    return network


def winner_take_all_detector(network, x, score, per_class=2):
    """A detector of a ±ED-WTA network that was fitted on the features, and the answers."""
    h, _ = network.features(x)
    answers = network.head(h)[0].argmax(axis=1)
    fitted = PlusMinusEDWTA(per_class, epochs=0, init="kmeans", beta=3.0, dtype=str(h.dtype)).fit(
        h, answers
    )
    return Detector(fitted, score, false_rejection=0.2).fit(h, answers)
