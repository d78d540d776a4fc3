"""Winner-take-all neurons: their scores, their competition, and the moves of their prototypes.

Neurons are sorted by class, K to each: neuron k belongs to class k // K. The moves of a mini-batch
are gathered: a row owns one neuron's prototypes and sums over the samples in their order.
"""

import math

from ..backend import kernel, routine, row_max, row_sum, sync

NEGLIGIBLE = 1e-15  # of an element of a prototype: far from where its square is subnormal


@routine
def inner_product(t, T, x, w):
    """This lane's part of w·x."""
    total = x.dtype.type(0)
    for j in range(t, x.shape[0], T):
        total += w[j] * x[j]
    return total


@routine
def squared_distance(t, T, x, w):
    """This lane's part of ‖x − w‖²."""
    total = x.dtype.type(0)
    for j in range(t, x.shape[0], T):
        total += (x[j] - w[j]) * (x[j] - w[j])
    return total


@routine
def distance_difference(t, T, x, positive, negative):
    """This lane's part of ‖x − w⁻‖² − ‖x − w⁺‖².

    Factored as (w⁺ − w⁻)·(2x − (w⁺ + w⁻)), coordinate by coordinate: the two distances are large
    and nearly equal, and their difference would lose what a float32 has.
    """
    total = x.dtype.type(0)
    two = x.dtype.type(2)
    for j in range(t, x.shape[0], T):
        total += (positive[j] - negative[j]) * (two * x[j] - (positive[j] + negative[j]))
    return total


@routine
def flush_subnormals(t, T, w):
    """Set to 0 what is smaller than NEGLIGIBLE in prototypes w (neurons, d).

    Where no sample ever lights a pixel its prototypes decay towards 0 for ever, and a processor
    takes many times longer over the subnormal numbers that they, and their squares, would become.
    """
    least = w.dtype.type(NEGLIGIBLE)
    for k in range(w.shape[0]):
        for j in range(t, w.shape[1], T):
            if abs(w[k, j]) < least:
                w[k, j] = 0


@routine
def compete(t, T, score, first, last, negligible, residual):
    """Competitive softmax of one sample: residual ← τ − q; returns E = −log Σ_own q.

    The neurons of the sample's class are first … last − 1. With q = softmax(score),

        own class:      τₖ = qₖ / Σ_own q ≥ qₖ,  so the residual is ≥ 0
        other classes:  τₖ = 0,                  so the residual is −qₖ ≤ 0

    Each group has a maximum of its own: Σ_own q may underflow, τ and E must not. A share q of
    another class below `negligible` (the precision of the dtype) adds nothing to shares that sum to
    one: it counts as zero.
    """
    neurons = score.shape[0]
    top = score[first]
    own_top = top
    for k in range(t, neurons, T):
        top = max(top, score[k])
    for k in range(first + t, last, T):
        own_top = max(own_top, score[k])
    top = row_max(top)
    own_top = row_max(own_top)

    total = score.dtype.type(0)
    own_total = score.dtype.type(0)
    for k in range(t, neurons, T):
        share = math.exp(score[k] - top)
        residual[k] = share
        total += share
    for k in range(first + t, last, T):
        own_total += math.exp(score[k] - own_top)
    total = row_sum(total)
    own_total = row_sum(own_total)

    zero = score.dtype.type(0)
    least = negligible * total
    for k in range(t, neurons, T):
        if k < first or k >= last:
            share = residual[k]
            residual[k] = -share / total if share > least else zero
        else:
            tau = math.exp(score[k] - own_top) / own_total
            residual[k] = max(tau - residual[k] / total, zero)
    sync()
    return (top - own_top) + math.log(total) - math.log(own_total)


@kernel
def inner_products(i, t, T, x, weight, bias, out):
    """out[i, k] = Wₖ·xᵢ + bₖ. x (N, d), weight (neurons, d), bias (neurons,), out (N, neurons)."""
    for k in range(weight.shape[0]):
        value = row_sum(inner_product(t, T, x[i], weight[k]))
        if t == 0:
            out[i, k] = value + bias[k]


@kernel
def squared_distances(i, t, T, x, w, out):
    """out[i, k] = ‖xᵢ − wₖ‖². x (N, d), w (neurons, d), out (N, neurons)."""
    for k in range(w.shape[0]):
        value = row_sum(squared_distance(t, T, x[i], w[k]))
        if t == 0:
            out[i, k] = value


TILE = 4  # samples that `distance_differences` takes along the prototypes, written out there


@kernel
def distance_differences(i, t, T, x, positive, negative, out):
    """out[n, k] = ‖xₙ − w⁻ₖ‖² − ‖xₙ − w⁺ₖ‖², for the samples n of tile i: 4i … 4i + 3.

    x (N, d), prototypes (neurons, d), out (N, neurons); ⌈N / TILE⌉ rows. The prototypes, which are
    many, are read once for four samples. A tile that juts out repeats the last sample.
    """
    last = x.shape[0] - 1
    a, b = 4 * i, min(4 * i + 1, last)
    c, d = min(4 * i + 2, last), min(4 * i + 3, last)
    two = x.dtype.type(2)
    for k in range(positive.shape[0]):
        at_a, at_b = x.dtype.type(0), x.dtype.type(0)
        at_c, at_d = x.dtype.type(0), x.dtype.type(0)
        for j in range(t, x.shape[1], T):  # as in `distance_difference`
            difference = positive[k, j] - negative[k, j]
            total = positive[k, j] + negative[k, j]
            at_a += difference * (two * x[a, j] - total)
            at_b += difference * (two * x[b, j] - total)
            at_c += difference * (two * x[c, j] - total)
            at_d += difference * (two * x[d, j] - total)
        at_a, at_b, at_c, at_d = row_sum(at_a), row_sum(at_b), row_sum(at_c), row_sum(at_d)
        if t == 0:
            out[a, k] = at_a
            out[b, k] = at_b
            out[c, k] = at_c
            out[d, k] = at_d


@kernel
def competitive_softmax(i, t, T, score, label, per_class, negligible, residual, loss):
    """residual[i] = τ − q and loss[i] = E of sample i (see `compete`). score (N, neurons)."""
    first = label[i] * per_class
    value = compete(t, T, score[i], first, first + per_class, negligible, residual[i])
    if t == 0:
        loss[i] = value


@kernel
def gradient_update(i, t, T, x, residual, rate, pull, w):
    """wᵢ ← wᵢ + rate Σₙ rₙᵢ (xₙ − pull wᵢ), all at the old wᵢ.

    pull = 1 moves a prototype of ED-WTA along −∂E/∂w; pull = 0 moves a weight of IP-WTA. `rate` is
    an array of one element: on a device it need not visit the host.
    """
    total = x.dtype.type(0)
    for n in range(x.shape[0]):
        total += residual[n, i]
    lost = rate[0] * pull * total
    least = x.dtype.type(NEGLIGIBLE)
    for j in range(t, x.shape[1], T):
        w[i, j] -= lost * w[i, j]
        if abs(w[i, j]) < least:
            w[i, j] = 0  # see `flush_subnormals`
    for n in range(x.shape[0]):
        step = rate[0] * residual[n, i]
        if step != 0:
            for j in range(t, x.shape[1], T):
                w[i, j] += step * x[n, j]


@kernel
def switching_update(i, t, T, x, residual, rate, positive, negative):
    """The switching rule for neuron i over a mini-batch, all samples at the old prototypes.

        w⁺ᵢ ← w⁺ᵢ + rate Σₙ max( rₙᵢ, 0)(xₙ − w⁺ᵢ)
        w⁻ᵢ ← w⁻ᵢ + rate Σₙ max(−rₙᵢ, 0)(xₙ − w⁻ᵢ)

    The sign of the residual r = τ − q is the switch: it is ≥ 0 for neurons of the sample's own
    class and ≤ 0 for all others (see `compete`).
    """
    attracted = x.dtype.type(0)
    opposed = x.dtype.type(0)
    for n in range(x.shape[0]):
        if residual[n, i] > 0:
            attracted += residual[n, i]
        else:
            opposed -= residual[n, i]
    attracted *= rate[0]
    opposed *= rate[0]
    least = x.dtype.type(NEGLIGIBLE)
    for j in range(t, x.shape[1], T):
        positive[i, j] -= attracted * positive[i, j]
        negative[i, j] -= opposed * negative[i, j]
        if abs(positive[i, j]) < least:
            positive[i, j] = 0  # see `flush_subnormals`
        if abs(negative[i, j]) < least:
            negative[i, j] = 0
    for n in range(x.shape[0]):
        step = rate[0] * residual[n, i]
        if step > 0:
            for j in range(t, x.shape[1], T):
                positive[i, j] += step * x[n, j]
        elif step < 0:
            for j in range(t, x.shape[1], T):
                negative[i, j] -= step * x[n, j]
