"""The competitive cross-entropy of ±ED-WTA (arXiv 2008.08750), in mini-batches.

For a sample of class y

    q = softmax(o)     τₖ = qₖ / Σ_{m of class y} q_m for the neurons of class y, else 0
    E = −log Σ_{m of class y} q_m        ∂E/∂oₖ = qₖ − τₖ

The gradient follows from E = log Σ_m e^{o_m} − log Σ_{m of class y} e^{o_m}: the derivative of the
first term is the softmax over all neurons, q, and that of the second is the softmax over the
neurons of class y, τ. How each network computes o and updates its prototypes is derived in
`winner_take_all.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..backend.device import Array, array_module
from ..kernels.winner_take_all import competitive_softmax

if TYPE_CHECKING:
    from .base import WinnerTakeAll


class CrossEntropySteps:
    """The mini-batch steps of a network."""

    def __init__(self, network: WinnerTakeAll):
        self.network = network

    def __call__(self, x: Array, label: Array, rate: float, beta_rate: float) -> Array:
        """One mini-batch, all updates computed from the same prototypes. Returns E (N,)."""
        network, number = self.network, x.dtype.type
        unscaled = network._unscaled_scores(x)
        residual, loss = residual_and_loss(network, unscaled * network._beta, label)
        network._update_prototypes(x, residual, network._beta * number(rate))
        if beta_rate and network._learns_beta:
            ascent = (residual * unscaled).sum(dtype=x.dtype) * number(beta_rate)
            beta = network._beta + ascent
            network._beta = array_module(x).maximum(beta, number(network.BETA_FLOOR))
        return loss


def residual_and_loss(network: WinnerTakeAll, score: Array, label: Array) -> tuple[Array, Array]:
    """The residual τ − q (N, C K) and E (N,), for the scores o (N, C K)."""
    xp = array_module(score)
    residual, loss = xp.empty_like(score), xp.empty(len(score), dtype=score.dtype)
    min_probability = score.dtype.type(np.finfo(score.dtype).eps)
    competitive_softmax(
        len(score), score, label, network._per_class, min_probability, residual, loss
    )
    return residual, loss
