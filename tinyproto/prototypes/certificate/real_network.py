"""A winner-take-all network in real arithmetic: what its stored parameters define.

The parameters (W and b, or w⁺, w⁻ and β) are floats, and so exact numbers. With them every score
oₖ = Aₖ·x + bₖ is a real number, up to a term that all neurons share. Float64 gives it with an error
that is bounded here; integers give it exactly.

The bounds are the usual ones (Higham, Accuracy and Stability of Numerical Algorithms, chapter 3).
With u = 2⁻⁵³, a sum of n terms in any order, each of them a product of rounded factors, differs
from the exact one by at most γ_n Σ|terms|, where n counts the roundings that a term goes through
and γ_n = nu/(1 − nu) ≤ 2nu. A result below 2⁻¹⁰²² loses up to 2⁻¹⁰⁷⁵ more.
"""

from typing import NamedTuple

import numpy as np

from ...backend.device import to_host
from ..base import WinnerTakeAll
from .dyadic import Dyadic


def gamma(n: int) -> float:
    """At least nu/(1 − nu) with u = 2⁻⁵³, for n below 2⁵²."""
    return n * 2.0**-52


class Polyhedron(NamedTuple):
    """Gδ ≥ h, exactly, for G (K, d) and h (K,)."""

    G: Dyadic
    h: Dyadic


class RealNetwork:
    """A fitted network, with its scores in float64 and exactly.

    A (M, d) and b (M,) are `network.linear()`, times the power of two `scale` that brings the
    largest |A| to about 1. In these units |A − exact A| ≤ γ₃|A| + `underflow`.
    """

    def __init__(self, network: WinnerTakeAll):
        with np.errstate(over="ignore", invalid="ignore"):
            A, b = network.linear()
            self.weights, self.biases, self.beta = A, b, 1.0
            self.prototypes = [
                to_host(getattr(network, name)).astype(np.float64)
                for name in ("positive_prototypes_", "negative_prototypes_")
                if hasattr(network, name)
            ]
            magnitude = np.abs(b)
            if self.prototypes:
                self.beta = network.beta_
                squares = np.sum([(w**2).sum(axis=1) for w in self.prototypes], axis=0)
                magnitude = 0.5 * self.beta * squares
        if not (np.isfinite(A).all() and np.isfinite(magnitude).all()):
            raise ValueError(
                f"an exact radius needs finite parameters whose squares stay below 1e308; of this "
                f"network's scores A·x + b, |A| reaches {np.abs(A).max()} and |b| {np.abs(b).max()}"
            )
        largest = float(np.abs(A).max(initial=0.0))
        self.exponent = -int(np.frexp(largest)[1])
        self.A, self.b = np.ldexp(A, self.exponent), np.ldexp(b, self.exponent)
        self.absolute = np.abs(self.A)
        self.magnitude = np.ldexp(magnitude, self.exponent)
        smallest = np.ldexp(max(1.0, self.beta), self.exponent - 1070)
        self.underflow = float(max(smallest, 2.0**-1000))

    def scores(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scores (N, M) of x (N, d), and bounds of their errors (N, M), in units of `A`.

        Every term goes through at most d + 8 roundings: those of A and b, the product, the sum.
        """
        d = x.shape[1]
        size = np.abs(x)
        with np.errstate(over="ignore", invalid="ignore"):
            score = x @ self.A.T + self.b
            error = gamma(d + 16) * (size @ self.absolute.T + self.magnitude)
            error += 2 * self.underflow * (d + size.sum(axis=1, keepdims=True))
        if not (np.isfinite(score).all() and np.isfinite(error).all()):
            raise ValueError(
                f"the scores of x overflow float64: |x| reaches {size.max():.3g}, the weights "
                f"{np.abs(self.weights).max():.3g}, the biases {np.abs(self.biases).max():.3g}; "
                f"scale them down"
            )
        return score, error

    def polyhedron(
        self, rival: int, own: np.ndarray, x: np.ndarray, overshoot: float = 0.0
    ) -> Polyhedron:
        """Where the rival's score is at least `overshoot` above those of all neurons `own`, at
        x + δ for x (d,). In the units of the network."""
        neurons = np.concatenate([[rival], own])
        A, b = self._linear(neurons)
        G = A[:1] - A[1:]
        h = Dyadic.of(overshoot) - (G @ Dyadic.of(x) + (b[:1] - b[1:]))
        return Polyhedron(G, h)

    def _linear(self, neurons: np.ndarray) -> tuple[Dyadic, Dyadic]:
        """A and b of some neurons, exactly: β(w⁺ − w⁻) and −½β(‖w⁺‖² − ‖w⁻‖²)."""
        if not self.prototypes:
            return Dyadic.of(self.weights[neurons]), Dyadic.of(self.biases[neurons])
        w = [Dyadic.of(prototypes[neurons]) for prototypes in self.prototypes]
        squares = [(part * part).sum(axis=1) for part in w]
        A, size = (w[0] - w[1], squares[0] - squares[1]) if len(w) == 2 else (w[0], squares[0])
        beta = Dyadic.of(self.beta)
        return A * beta, -(size * beta).times_power(-1)
