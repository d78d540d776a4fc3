"""The outlier score `profile`: distances to all prototypes, judged by their covariance.

The *profile* of x consists of its distances to all M positive prototypes, and the logarithm of the
residual of its best approximation by a linear combination of them:

    rₖ = ‖x − w⁺ₖ‖ (k = 1 … M)      r_{M+1} = log min_a ‖x − Σₖ aₖ w⁺ₖ‖²
    score = (r − μ)ᵀ S⁻¹ (r − μ)    μ of the winning neuron, S of its class

By the distance alone any input with a small norm looks like a typical "1"; the profile compares the
distances to *all* prototypes. μ is the mean profile of the training samples that the neuron wins
and classifies correctly, S their covariance about it, over the whole class and shrunk a little
towards that of all classes.

**The gradient.** With the rows w⁺ₖ of W, G = WWᵀ and u = Wx, the best approximation of x is its
projection Px = WᵀG⁻¹u, and the residual ρ = ‖x‖² − uᵀG⁻¹u has ∂ρ/∂x = 2x − 2WᵀG⁻¹Wx = 2(x − Px).
So, with f = ∂score/∂r = 2S⁻¹(r − μ) for a fixed neuron,

    ∂rₖ/∂x = (x − w⁺ₖ)/rₖ       ∂r_{M+1}/∂x = 2(x − Px)/ρ
    ∇score = Σₖ (fₖ/rₖ)(x − w⁺ₖ) + 2 (f_{M+1}/ρ)(x − WᵀG⁻¹u)
           = (Σₖ fₖ/rₖ + 2f_{M+1}/ρ) x − Wᵀ(f/r + (2f_{M+1}/ρ) G⁻¹u)

which is one more product with W. Where rₖ = 0, or ρ is below the minimum that keeps its logarithm
finite, the term is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...layers.linear import rowwise
from ..base import WinnerTakeAll
from .scores import calibration_samples, positive_prototypes, winners

SHRINKAGE = 0.1  # towards the covariance of all classes
RIDGE = 1e-4  # times the mean variance: prototypes may be nearly collinear
MINIMUM = 1e-6  # of ρ, times the mean squared norm of a prototype

Product = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""How rows (N, m) are multiplied with a matrix (m, n): all at once, or `rowwise`."""


@dataclass(frozen=True)
class Profile:
    """W (M, d); a `whitening` (M, rank) with G⁻¹ = its product with its transpose; the mean profile
    (M, M + 1) of each neuron; S⁻¹ (C, M + 1, M + 1) of each class."""

    w: np.ndarray
    whitening: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray

    @classmethod
    def calibrate(cls, network: WinnerTakeAll, X: np.ndarray, correct: np.ndarray) -> "Profile":
        w = positive_prototypes(network)
        # The squared norm of x's projection onto the span of the prototypes is uᵀG⁻¹u. The
        # distances need u anyway, so this costs M² more products. Eigenvectors of G whose
        # eigenvalue is only rounding error are left out.
        eigenvalue, direction = np.linalg.eigh(w @ w.T)
        valid = eigenvalue > 1e-10 * eigenvalue[-1]
        whitening = direction[:, valid] / np.sqrt(eigenvalue[valid])
        per_class = network._per_class
        winner, r = winners(network, X)[correct], profiles(w, whitening, X)[correct]
        masks = (calibration_samples(winner, k, per_class) for k in range(len(w)))
        mean = np.array([r[mask].mean(axis=0) for mask in masks])
        error = r - mean[winner]
        overall = error.T @ error / len(error)
        inverse = []
        for c in range(len(network.classes_)):
            own = error[winner // per_class == c]
            S = (1 - SHRINKAGE) * own.T @ own / len(own) + SHRINKAGE * overall
            inverse.append(np.linalg.inv(S + RIDGE * np.trace(S) / len(S) * np.eye(len(S))))
        return cls(w, whitening, mean, np.array(inverse))

    def __call__(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        error = profiles(self.w, self.whitening, X) - self.mean[neuron]
        return (self._weighted(error, neuron) * error).sum(axis=1)

    def gradient(self, X: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        x = X.astype(np.float64)
        r, residual = distances_and_residual(self.w, self.whitening, x, rowwise)
        logarithm = np.log(np.maximum(residual, _minimum(self.w)))
        error = np.column_stack([r, logarithm]) - self.mean[neuron]
        f = 2 * self._weighted(error, neuron, rowwise)
        weight = np.where(r > 0, f[:, :-1] / np.where(r > 0, r, 1.0), 0.0)
        valid = residual > _minimum(self.w)
        last = np.where(valid, 2 * f[:, -1] / np.where(valid, residual, 1.0), 0.0)
        u = rowwise(x, self.w.T)
        projected = rowwise(rowwise(u, self.whitening), self.whitening.T)
        total = (weight.sum(axis=1) + last)[:, None] * x
        return total - rowwise(weight + last[:, None] * projected, self.w)

    def _weighted(
        self, error: np.ndarray, neuron: np.ndarray, product: Product = np.matmul
    ) -> np.ndarray:
        """S⁻¹(r − μ) (N, M + 1), each with S of its neuron's class."""
        out = np.empty_like(error)
        owner = neuron // (len(self.w) // len(self.inverse))
        for c in range(len(self.inverse)):
            rows = owner == c
            out[rows] = product(error[rows], self.inverse[c])
        return out


def profiles(w: np.ndarray, whitening: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The profiles r (N, M + 1)."""
    r, residual = distances_and_residual(w, whitening, X.astype(np.float64))
    return np.column_stack([r, np.log(np.maximum(residual, _minimum(w)))])


def distances_and_residual(
    w: np.ndarray, whitening: np.ndarray, x: np.ndarray, product: Product = np.matmul
) -> tuple[np.ndarray, np.ndarray]:
    """‖x − w⁺ₖ‖ (N, M) and ρ (N,)."""
    square, u = (x**2).sum(axis=1), product(x, w.T)
    squared = square[:, None] - 2 * u + (w**2).sum(axis=1)
    residual = square - (product(u, whitening) ** 2).sum(axis=1)
    return np.sqrt(np.maximum(squared, 0)), residual


def _minimum(w: np.ndarray) -> float:
    return MINIMUM * float((w**2).sum(axis=1).mean())
