"""Losses at the class scores z (N, C): each example's value (N,) and its gradient dz (N, C).

No loss divides by the batch size; the caller does. A loss of two arguments returns the gradient at
both. Throughout, p = softmax(z), q = softmax(w), y (N,) are columns of z, 1_k is the indicator of
column k, and values and gradients have the dtype of the scores.

Where a formula has the largest of several scores, the first of those that tie is taken: its
gradient is a subgradient of the maximum, and the same on every device.

- `entropy`: softmax and cross-entropy, which train classifiers
- `divergences`: of two sets of scores or features, which compare clean and attacked examples
- `margins`: differences of scores, which attacks maximize
"""

from .divergences import kl_divergence, squared_error, weighted_kl
from .entropy import boosted_cross_entropy, cross_entropy, log_softmax, softmax
from .margins import difference, dlr, margin, targeted_dlr

__all__ = [
    "boosted_cross_entropy",
    "cross_entropy",
    "difference",
    "dlr",
    "kl_divergence",
    "log_softmax",
    "margin",
    "softmax",
    "squared_error",
    "targeted_dlr",
    "weighted_kl",
]
