"""Exercise 2: layer normalization, both passes (Ba, Kiros and Hinton, arXiv 1607.06450)."""

import numpy as np

from tinyproto.layers import Backward, Layer


class LayerNorm(Layer):
    """Layer normalization of rows x (N, d): each example by itself, over its d features,

        μ = mean(x)      σ² = mean((x − μ)²)      x̂ = (x − μ)/√(σ² + ε)      y = γ x̂ + β

    with the parameters "scale" γ and "shift" β, (d,) each.

    To do: y, and its backward pass. It returns dx (N, d), and adds dγ and dβ into `grads["scale"]`
    and `grads["shift"]`, where grads has these slots:

        if grads and "scale" in grads:
            grads["scale"] += ...

    Hint: μ and σ² depend on every feature of the example. `tinyproto.layers.batch_norm` derives the
    same for means over the batch. There γ is the same for all numbers of a mean, and stands before
    it; here each feature has its own, so that γ dy takes the place of dy.
    """

    def __init__(self, features: int, epsilon: float = 1e-5):
        self.epsilon = epsilon
        ones, zeros = np.ones(features, np.float32), np.zeros(features, np.float32)
        self.params = {"scale": ones, "shift": zeros}

    def __call__(self, x: np.ndarray, train: bool = False) -> tuple[np.ndarray, Backward]:
        raise NotImplementedError("LayerNorm, in layer_norm.py")
