"""Small victims for tests of attacks; their scores do not depend on the batch."""

import numpy as np

from tinyproto import parameters
from tinyproto.attacks import Victim
from tinyproto.layers import Linear, ReLU, Sequential, initialize


def hidden(seed, d=6, classes=5, dtype=np.float64, width=48):
    """A random network with one hidden layer on x (N, d), whose mean scores are 0."""
    network = initialize(Sequential(Linear(d, width), ReLU(), Linear(width, classes)), seed)
    random = np.random.default_rng(seed)
    for _, leaf in parameters.leaves(network.params):
        leaf[...] = random.normal(size=leaf.shape)
    parameters.convert(network.params, np, dtype)
    mean = network(random.random((200, d)).astype(dtype))[0].mean(axis=0)

    def model(x):
        z, backward = network(x)
        return z - mean, backward

    return model


def flattened(model):
    """The same model on images (N, H, W, C)."""

    def images(x):
        z, backward = model(np.ascontiguousarray(x.reshape(len(x), -1)))
        return z, lambda dz: backward(dz).reshape(x.shape)

    return images


def problem(seed, count=8, d=6, classes=5, dtype=np.float64):
    """A victim, examples in its box, and its predictions."""
    victim = Victim(hidden(seed, d, classes, dtype))
    x = np.random.default_rng(seed).random((count, d)).astype(dtype)
    return victim, x, victim(x)[0].argmax(axis=1)


def constant(value=0.0, classes=4):
    """The same scores everywhere, and a gradient of 0."""
    return lambda x: (np.full((len(x), classes), value), lambda dz: np.zeros_like(x))
