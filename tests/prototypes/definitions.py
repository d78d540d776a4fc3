"""The scores and the loss of winner-take-all networks by their definitions."""

import numpy as np

from tinyproto.testing.prototypes import Problem


def scores(problem: Problem, x: np.ndarray) -> np.ndarray:
    """o (N, neurons) by the definitions."""
    values = problem.parameters
    if "weights_" in values:
        return x @ values["weights_"].T + values["biases_"]
    positive = 0.5 * ((x[:, None] - values["positive_prototypes_"]) ** 2).sum(axis=2)
    negative = 0.0
    if "negative_prototypes_" in values:
        negative = 0.5 * ((x[:, None] - values["negative_prototypes_"]) ** 2).sum(axis=2)
    return values["beta"][0] * (negative - positive)


def loss(problem: Problem, x: np.ndarray, label: np.ndarray) -> float:
    """Σ over samples of E = −log Σ_own softmax(o), by its definition."""
    o = scores(problem, x)
    q = np.exp(o - o.max(axis=1, keepdims=True))
    q /= q.sum(axis=1, keepdims=True)
    own = np.arange(o.shape[1]) // problem.network.prototypes_per_class == label[:, None]
    return float(-np.log((q * own).sum(axis=1)).sum())
