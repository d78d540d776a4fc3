"""A trained network with features, and a detector on its features."""

import numpy as np

from tinyproto import parameters
from tinyproto.losses import cross_entropy
from tinyproto.optimizers import Adam
from tinyproto.prototypes import Detector, PlusMinusEDWTA
from tinyproto.testing.networks import random_network


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
