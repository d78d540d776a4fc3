"""Training a winner-take-all network for its robustness radius.

A neuron has the score oₖ = Aₖ·x + bₖ, up to a term that all neurons share. For a neuron i of the
sample's class and a rival j of another class let

    g = Aⱼ − Aᵢ      h = oᵢ − oⱼ      r_ij = the distance from x to the points z with oⱼ(z) = oᵢ(z),
                                             which satisfy g·(z − x) = h; negative where h < 0

While neuron i beats every rival, the prediction is right, so r = maxᵢ minⱼ r_ij is a lower bound of
the radius within which it stays right. Without a box r_ij = h / ‖g‖ with the dual norm: ‖g‖₂ in L2,
‖g‖₁ in L∞. (`exact_radius` joins the rows of all neurons i, and is never smaller.) The loss of a
sample is a hinge, or its smooth form with temperature T, and R is the radius aimed at:

    loss = max(R − r, 0)     or     T log(1 + exp((R − r) / T))

In the last part of the training R may be smaller (`final_target_radius`): the large one makes
margins that last on new samples, the small one spends what is left on the radius that counts. And
there the parameter `ramp` gives up samples: where r is below it the loss is constant, which makes
the hinge a ramp (Collobert and others, ICML 2006). What the lost ones would pull at then serves
those that can still reach R.

With `dropout` each mini-batch leaves out some neurons, drawn at random (Srivastava and others, JMLR
2014): a sample then learns to be robust by several neurons, not by the one that knows it by heart.

Voráček and Hein train nearest prototypes with this hinge (ICML 2022, arXiv 2207.07208); their bound
is the one for A = w, b = −½‖w‖², and all three networks have it.

**Its gradient.** r_ij is the value of min ‖δ‖ with g·δ = h, and x + δ in the box if there is one.
By the envelope theorem its derivative is that of the Lagrangian ‖δ‖ − λ(g·δ − h) at the solution,
where only g and h depend on the parameters:

    dr = λ (dh − δ·dg)        λ = dr/dh

    L2   |δₖ| = min(τ|gₖ|, sideₖ), λ = τ/r          (without a box 1/‖g‖₂)
    L∞   |δₖ| = min(τ, sideₖ),     λ = 1/Σ|gₖ| over the k that are not at their side

With z = x + δ, the point of the boundary nearest to x, dh − δ·dg = d(oᵢ − oⱼ)(z) with z held fixed:
*the gradient is that of the difference of the two scores, at z instead of x*. So

    IPWTA          ∂r/∂Wᵢ  = λ z               ∂r/∂Wⱼ  = −λ z            ∂r/∂bᵢ = λ = −∂r/∂bⱼ
    EDWTA          ∂r/∂wᵢ  = λ β(z − wᵢ)       ∂r/∂wⱼ  = −λ β(z − wⱼ)
    PlusMinusEDWTA ∂r/∂w⁺ᵢ = λ β(z − w⁺ᵢ)      ∂r/∂w⁺ⱼ = −λ β(z − w⁺ⱼ)
                   ∂r/∂w⁻ᵢ = −λ β(z − w⁻ᵢ)     ∂r/∂w⁻ⱼ = λ β(z − w⁻ⱼ)

A and b are β times what they are for β = 1, so g and h are too, and r does not depend on β: λβ is λ
at β = 1. The objective does not train β.

**The switching rule.** Of the four halves of ±ED-WTA two attract: w⁺ of the own neuron and w⁻ of
the rival move towards z, the point on the boundary. With `switching=True` only these move, as in
the paper's rule for the cross-entropy. The full gradient also moves w⁻ᵢ and w⁺ⱼ away from z.

**The step.** g is the mean of the samples' gradients, downhill, with Nesterov's momentum (as in
PyTorch's SGD), μ the momentum and α the learning rate:

    v ← μ v + g        w ← w + α (g + μ v)

Choosing the pair takes ‖Aᵢ − Aⱼ‖ of all pairs. These norms change slowly, and are computed
`NORM_UPDATES` times in an epoch. They only choose: the r and the gradient of the pair are exact.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..backend import worker_count
from ..backend.blas import one_blas_thread
from ..backend.device import Array, array_module
from ..kernels.radius import (
    NEURONS_PER_TILE,
    absolute_differences,
    boundary_points,
    nearest_pairs,
    pair_update,
)
from ..random import uniform

if TYPE_CHECKING:
    from .base import WinnerTakeAll
    from .prediction import Predictor

NORM_UPDATES = 4
"""How often an epoch computes the norms of all pairs."""

FINAL_AFTER = 0.75
"""The part of the training that comes before the final radius and the ramp."""

LEFT_OUT = -1e30
"""The score of a neuron that dropout leaves out: never the best own one, nor a near rival."""

NEURONS_PER_PRODUCT = 512
"""A product with all neurons is computed in parts of this size, so that its bits do not depend on
the number of threads that share the parts."""


class Direction(NamedTuple):
    """How one array of a network changes with r, in units of λ: sign (z − coefficient · w) for the
    own neuron and for the rival; sign 0 leaves it as it is."""

    name: str
    coefficient: int
    own: int = 1
    rival: int = -1


class RadiusSteps:
    """The mini-batch steps of one call of `fit`, with the velocities and the norms of all pairs."""

    def __init__(self, network: WinnerTakeAll, samples: int, epochs: float):
        self.network, self.samples = network, samples
        self.final_after = FINAL_AFTER * samples * epochs
        self.total = 0
        zeros = network._xp.zeros_like
        self.velocity = {d.name: zeros(vars(network)[d.name]) for d in network._directions()}
        self.inverse_norm: Array = None
        self.seen = 0  # samples since the norms were computed

    def __call__(self, x: Array, label: Array, rate: float, beta_rate: float) -> Array:
        """One mini-batch, all updates computed from the same prototypes. Returns the loss (N,)."""
        network, xp, number = self.network, array_module(x), x.dtype.type
        A, b = network._unscaled_linear()
        if self.inverse_norm is None or self.seen * NORM_UPDATES >= self.samples:
            self.inverse_norm, self.seen = inverse_norms(A, network.norm), 0
        self.seen += len(x)
        target, least = network.target_radius, -np.inf
        if self.total >= self.final_after:
            target = target if network.final_target_radius is None else network.final_target_radius
            least = least if network.ramp is None else network.ramp
        score = product(x, A) + b
        if network.dropout:
            score[:, self._left_out()] = LEFT_OUT
        self.total += len(x)
        own, rival, _ = nearest_pairs_of(network, score, label, self.inverse_norm)
        difference, point = xp.empty_like(x), xp.empty_like(x)
        strength, loss = (xp.empty(len(x), dtype=x.dtype) for _ in range(2))
        lo, hi = (-np.inf, np.inf) if network.lo is None else (network.lo, network.hi)
        boundary_points(
            len(x), x, A, b, own, rival, number(lo), number(hi), network.norm == "l2",
            number(target), number(least), number(network.temperature),
            difference, point, strength, loss,
        )  # fmt: skip
        self._update(point, strength / number(len(x)), xp.concatenate([own, rival]), number(rate))
        return loss

    def _left_out(self) -> Array:
        """The neurons that dropout leaves out of the next mini-batch, as a mask (neurons,)."""
        network, neurons = self.network, len(self.network.prototype_labels_)
        batch = self.total % self.samples // network.batch_size
        drawn = uniform(
            1, network._xp.arange(neurons) + batch * neurons, seed=network.random_state,
            stream="dropout", epoch=network.n_epochs_, xp=network._xp,
        )  # fmt: skip
        mask = (drawn < network.dropout).reshape(-1, network._per_class)
        return (mask & ~mask.all(axis=1, keepdims=True)).ravel()

    def _update(self, point: Array, strength: Array, pairs: Array, rate: np.number) -> None:
        """The step of Nesterov's momentum, from the mean of the samples' losses."""
        network, xp, number = self.network, array_module(point), point.dtype.type
        neurons = len(network.prototype_labels_)
        member = xp.argsort(pairs, kind="stable")
        start = xp.searchsorted(pairs[member], xp.arange(neurons + 1))
        for name, coefficient, own, rival in network._directions():
            w, velocity = vars(network)[name], self.velocity[name]
            points = point
            if w.ndim == 1:  # the biases: weights of an input that is always 1
                w, velocity, points = w[:, None], velocity[:, None], xp.ones_like(point[:, :1])
            pair_update(
                neurons, points, strength, member, start, number(own), number(rival),
                number(coefficient), rate, number(network.momentum),
                xp.empty_like(w), velocity, w,
            )  # fmt: skip


def nearest_pairs_of(
    network: Predictor, score: Array, label: Array, inverse_norm: Array
) -> tuple[Array, Array, Array]:
    """The pair (i, j) of each sample, (N,) each, and its (oᵢ − oⱼ) / ‖Aᵢ − Aⱼ‖."""
    xp = array_module(score)
    own, rival = (xp.empty(len(score), dtype=xp.int64) for _ in range(2))
    bound = xp.empty(len(score), dtype=score.dtype)
    nearest_pairs(len(score), score, label, network._per_class, inverse_norm, own, rival, bound)
    return own, rival, bound


def inverse_norms(A: Array, norm: str) -> Array:
    """1 / ‖Aₖ − Aₘ‖ (neurons, neurons) in the dual norm; a large number where they are equal."""
    xp = array_module(A)
    if norm == "linf":
        out = xp.empty((len(A), len(A)), dtype=A.dtype)
        absolute_differences(-(-len(A) // NEURONS_PER_TILE), A, out)
    else:
        square = (A * A).sum(axis=1)
        out = product(A, A)
        out *= -2
        out += square
        out += square[:, None]
        xp.sqrt(xp.maximum(out, 0, out=out), out=out)
    return 1 / xp.maximum(out, A.dtype.type(1e-6), out=out)


def product(x: Array, A: Array) -> Array:
    """x Aᵀ (N, neurons), in parts that threads share."""
    xp = array_module(x)
    if xp is not np:
        return x @ A.T
    out = np.empty((len(x), len(A)), dtype=A.dtype)

    def part(start: int) -> None:
        neurons = slice(start, start + NEURONS_PER_PRODUCT)
        np.matmul(x, A[neurons].T, out=out[:, neurons])

    starts = range(0, len(A), NEURONS_PER_PRODUCT)
    with one_blas_thread(), ThreadPoolExecutor(worker_count(x.size * len(A))) as pool:
        list(pool.map(part, starts))
    return out


def radius_bound(network: Predictor, x: Array, label: Array, norm: str) -> Array:
    """maxᵢ minⱼ r_ij (N,) in float64, without a box; see `WinnerTakeAll.radius_bound`."""
    xp = array_module(x)
    A, b = (xp.asarray(array) for array in network.linear())
    x = x.astype(np.float64, copy=False)
    inverse = inverse_norms(A, norm)
    bound = xp.empty(len(x))
    for start in range(0, len(x), 1024):
        rows = slice(start, start + 1024)
        score = product(x[rows], A) + b
        bound[rows] = nearest_pairs_of(network, score, label[rows], inverse)[2]
    return bound
