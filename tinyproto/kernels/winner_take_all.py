"""Winner-take-all neurons: their scores, the competitive softmax, the updates of their prototypes.

Neurons are sorted by class, K for each: neuron k belongs to class k // K. In the updates of a
mini-batch a row is one neuron: it sums over the samples, in order.
"""

import math

from ..backend import kernel, routine, row_max, row_sum, sync

FLUSH_THRESHOLD = 1e-15
"""Elements of prototypes below it are set to 0: far above those whose squares are subnormal."""

SAMPLES_PER_TILE = 4
"""Samples in a row of `distance_differences`, which has a variable for each of them."""


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

    Computed as (w⁺ − w⁻)·(2x − (w⁺ + w⁻)), coordinate by coordinate: the two distances are large
    and nearly equal, and subtracting them would lose most of a float32's digits.
    """
    total = x.dtype.type(0)
    two = x.dtype.type(2)
    for j in range(t, x.shape[0], T):
        total += (positive[j] - negative[j]) * (two * x[j] - (positive[j] + negative[j]))
    return total


@routine
def flush_subnormals(t, T, w):
    """Set the elements of prototypes w (neurons, d) below FLUSH_THRESHOLD to 0.

    Where a pixel is 0 in all samples, the prototypes decay towards 0 without reaching it. They, and
    their squares, would become subnormal numbers, for which a processor takes many times longer.
    """
    threshold = w.dtype.type(FLUSH_THRESHOLD)
    for k in range(w.shape[0]):
        for j in range(t, w.shape[1], T):
            if abs(w[k, j]) < threshold:
                w[k, j] = 0


@routine
def competitive_softmax_row(t, T, score, first, last, min_probability, residual):
    """One sample's competitive softmax: residual ← τ − q; returns E = −log Σ_own q.

    The neurons of the sample's class are first … last − 1. With q = softmax(score),

        own class:      τₖ = qₖ / Σ_own q ≥ qₖ,  so the residual is ≥ 0
        other classes:  τₖ = 0,                  so the residual is −qₖ ≤ 0

    Σ_own q may underflow where τ and E do not, so the own class subtracts its own maximum score.
    In another class a probability q below `min_probability`, the precision of the dtype, is rounded
    to 0: it is lost in a sum of probabilities, which is 1.
    """
    neurons = score.shape[0]
    largest = score[first]
    own_largest = largest
    for k in range(t, neurons, T):
        largest = max(largest, score[k])
    for k in range(first + t, last, T):
        own_largest = max(own_largest, score[k])
    largest = row_max(largest)
    own_largest = row_max(own_largest)

    total = score.dtype.type(0)
    own_total = score.dtype.type(0)
    for k in range(t, neurons, T):
        exponential = math.exp(score[k] - largest)
        residual[k] = exponential
        total += exponential
    for k in range(first + t, last, T):
        own_total += math.exp(score[k] - own_largest)
    total = row_sum(total)
    own_total = row_sum(own_total)

    zero = score.dtype.type(0)
    threshold = min_probability * total
    for k in range(t, neurons, T):
        if k < first or k >= last:
            exponential = residual[k]
            residual[k] = -exponential / total if exponential > threshold else zero
        else:
            tau = math.exp(score[k] - own_largest) / own_total
            residual[k] = max(tau - residual[k] / total, zero)
    sync()
    return (largest - own_largest) + math.log(total) - math.log(own_total)


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


@kernel
def distance_differences(i, t, T, x, positive, negative, out):
    """out[n, k] = ‖xₙ − w⁻ₖ‖² − ‖xₙ − w⁺ₖ‖². Row i is a tile of samples n = 4i … 4i + 3.

    x (N, d), positive and negative (neurons, d), out (N, neurons); ⌈N / SAMPLES_PER_TILE⌉ rows.
    The prototypes, the larger part of the memory, are read once for four samples. Where fewer than
    four are left, the last sample is repeated.
    """
    last = x.shape[0] - 1
    a, b = 4 * i, min(4 * i + 1, last)
    c, d = min(4 * i + 2, last), min(4 * i + 3, last)
    two = x.dtype.type(2)
    for k in range(positive.shape[0]):
        total_a, total_b = x.dtype.type(0), x.dtype.type(0)
        total_c, total_d = x.dtype.type(0), x.dtype.type(0)
        for j in range(t, x.shape[1], T):  # as in `distance_difference`
            difference = positive[k, j] - negative[k, j]
            sum_of_both = positive[k, j] + negative[k, j]
            total_a += difference * (two * x[a, j] - sum_of_both)
            total_b += difference * (two * x[b, j] - sum_of_both)
            total_c += difference * (two * x[c, j] - sum_of_both)
            total_d += difference * (two * x[d, j] - sum_of_both)
        total_a, total_b = row_sum(total_a), row_sum(total_b)
        total_c, total_d = row_sum(total_c), row_sum(total_d)
        if t == 0:
            out[a, k] = total_a
            out[b, k] = total_b
            out[c, k] = total_c
            out[d, k] = total_d


@kernel
def competitive_softmax(
    i, t, T, score, label, prototypes_per_class, min_probability, residual, loss
):
    """residual[i] = τ − q and loss[i] = E of sample i; see `competitive_softmax_row`.

    score and residual (N, neurons), label and loss (N,).
    """
    first = label[i] * prototypes_per_class
    last = first + prototypes_per_class
    value = competitive_softmax_row(t, T, score[i], first, last, min_probability, residual[i])
    if t == 0:
        loss[i] = value


@kernel
def gradient_update(i, t, T, x, residual, rate, coefficient, w):
    """wᵢ ← wᵢ + rate Σₙ rₙᵢ (xₙ − coefficient · wᵢ), all samples n at the old wᵢ.

    A step against the gradient of E: with coefficient 1 for a prototype of ED-WTA, with 0 for a
    weight of IP-WTA. x (N, d), residual (N, neurons), w (neurons, d); `rate` is an array of one
    element, which on a GPU need not be copied to the host.
    """
    total = x.dtype.type(0)
    for n in range(x.shape[0]):
        total += residual[n, i]
    decay = rate[0] * coefficient * total
    threshold = x.dtype.type(FLUSH_THRESHOLD)
    for j in range(t, x.shape[1], T):
        w[i, j] -= decay * w[i, j]
        if abs(w[i, j]) < threshold:
            w[i, j] = 0  # see `flush_subnormals`
    for n in range(x.shape[0]):
        step = rate[0] * residual[n, i]
        if step != 0:
            for j in range(t, x.shape[1], T):
                w[i, j] += step * x[n, j]


@kernel
def switching_update(i, t, T, x, residual, rate, positive, negative):
    """The switching rule for neuron i over a mini-batch, all samples n at the old prototypes.

        w⁺ᵢ ← w⁺ᵢ + rate Σₙ max( rₙᵢ, 0)(xₙ − w⁺ᵢ)
        w⁻ᵢ ← w⁻ᵢ + rate Σₙ max(−rₙᵢ, 0)(xₙ − w⁻ᵢ)

    The sign of the residual r = τ − q is the switch: it is ≥ 0 for neurons of the sample's own
    class and ≤ 0 for all others (see `competitive_softmax_row`).
    """
    positive_decay = x.dtype.type(0)
    negative_decay = x.dtype.type(0)
    for n in range(x.shape[0]):
        if residual[n, i] > 0:
            positive_decay += residual[n, i]
        else:
            negative_decay -= residual[n, i]
    positive_decay *= rate[0]
    negative_decay *= rate[0]
    threshold = x.dtype.type(FLUSH_THRESHOLD)
    for j in range(t, x.shape[1], T):
        positive[i, j] -= positive_decay * positive[i, j]
        negative[i, j] -= negative_decay * negative[i, j]
        if abs(positive[i, j]) < threshold:
            positive[i, j] = 0  # see `flush_subnormals`
        if abs(negative[i, j]) < threshold:
            negative[i, j] = 0
    for n in range(x.shape[0]):
        step = rate[0] * residual[n, i]
        if step > 0:
            for j in range(t, x.shape[1], T):
                positive[i, j] += step * x[n, j]
        elif step < 0:
            for j in range(t, x.shape[1], T):
                negative[i, j] -= step * x[n, j]
