"""With g = γ dy, s = √(σ² + ε), and ∂μ/∂x_j = 1/d, ∂σ²/∂x_j = 2(x_j − μ)/d,

    dx = (g − mean(g) − x̂ mean(g x̂)) / s      dγ = Σ_n dy x̂      dβ = Σ_n dy

where the means go over the features of an example.
"""

import numpy as np

from tinyproto.layers import Backward, Layer
from tinyproto.parameters import Tree


class LayerNorm(Layer):
    def __init__(self, features: int, epsilon: float = 1e-5):
        self.epsilon = epsilon
        ones, zeros = np.ones(features, np.float32), np.zeros(features, np.float32)
        self.params = {"scale": ones, "shift": zeros}

    def __call__(self, x: np.ndarray, train: bool = False) -> tuple[np.ndarray, Backward]:
        scale, shift = self.params["scale"], self.params["shift"]
        s = np.sqrt(x.var(axis=1, keepdims=True) + x.dtype.type(self.epsilon))
        x_hat = (x - x.mean(axis=1, keepdims=True)) / s

        def backward(dy: np.ndarray, grads: Tree | None = None) -> np.ndarray:
            if grads and "scale" in grads:
                grads["scale"] += (dy * x_hat).sum(axis=0)
            if grads and "shift" in grads:
                grads["shift"] += dy.sum(axis=0)
            g = scale * dy
            along = (g * x_hat).mean(axis=1, keepdims=True)
            return (g - g.mean(axis=1, keepdims=True) - x_hat * along) / s

        return scale * x_hat + shift, backward
