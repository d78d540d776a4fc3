"""Online learning: the authors' rule, one sample at a time, exact.

Each kernel has one row, which goes through the samples in `order`; every sample is scored with the
prototypes that the one before has updated. Arguments that they share:

    x (N, d), label (N,), order (M,)    the samples, their classes, and which to take
    beta (1,)                           β, updated
    learning_rate, beta_learning_rate   α and α_β
    beta_floor                          β never falls below it
    min_probability                     of `competitive_softmax_row`
    workspace (3, neurons)              in rows SCORE, UNSCALED_SCORE and RESIDUAL, one sample's
                                        scores o, the scores before they are multiplied by β, and
                                        residuals τ − q
    loss (M,)                           E of each sample, before its own update
"""

from ..backend import kernel, routine, row_sum, sync
from .winner_take_all import (
    competitive_softmax_row,
    distance_difference,
    flush_subnormals,
    inner_product,
    squared_distance,
)

FLUSH_INTERVAL = 1024
"""Samples from one `flush_subnormals` to the next."""

SCORE, UNSCALED_SCORE, RESIDUAL = range(3)


@routine
def attract(t, T, w, step, x):
    """w ← w + step (x − w)."""
    for j in range(t, x.shape[0], T):
        w[j] += step * (x[j] - w[j])


@routine
def attract_and_measure(t, T, w, other, step, previous, x):
    """w ← w + step (previous − w); returns this lane's part of ‖x − other‖² − ‖x − w‖²."""
    total = x.dtype.type(0)
    two = x.dtype.type(2)
    for j in range(t, x.shape[0], T):  # as in `distance_difference`
        updated = w[j] + step * (previous[j] - w[j])
        w[j] = updated
        total += (updated - other[j]) * (two * x[j] - (updated + other[j]))
    return total


@kernel
def online_plus_minus(
    i, t, T, x, label, order, prototypes_per_class, positive, negative, beta, learning_rate,
    beta_learning_rate, beta_floor, min_probability, workspace, samples, loss,
):  # fmt: skip
    """±ED-WTA: oₖ = β gₖ with the unscaled score gₖ = ½‖x − w⁻ₖ‖² − ½‖x − w⁺ₖ‖².

    The switching rule:

        w⁺ₖ ← w⁺ₖ + α β (τₖ − qₖ)(x − w⁺ₖ)   own class
        w⁻ₖ ← w⁻ₖ + α β  qₖ      (x − w⁻ₖ)   other classes
        β   ← β + α_β Σₖ (τₖ − qₖ) gₖ        at least its floor

    Reading the prototypes takes most of the time. So a neuron is updated for one sample, with
    `step` = α β (τ − q), just before it is measured against the next sample: its prototypes are
    read once for both. `samples` (2, d) holds copies of these two samples.
    """
    half = x.dtype.type(0.5)
    score, unscaled_score = workspace[SCORE], workspace[UNSCALED_SCORE]
    step = workspace[RESIDUAL]  # the residuals become the steps
    for k in range(t, positive.shape[0], T):
        step[k] = 0
    sync()
    for s in range(order.shape[0]):
        sample, previous = samples[s % 2], samples[1 - s % 2]
        for j in range(t, x.shape[1], T):
            sample[j] = x[order[s], j]
        if s % FLUSH_INTERVAL == 0:
            flush_subnormals(t, T, positive)
            flush_subnormals(t, T, negative)
        sync()
        for k in range(positive.shape[0]):
            w, v = positive[k], negative[k]
            if step[k] > 0:
                value = attract_and_measure(t, T, w, v, step[k], previous, sample)
            elif step[k] < 0:
                value = -attract_and_measure(t, T, v, w, -step[k], previous, sample)
            else:
                value = distance_difference(t, T, sample, w, v)
            value = half * row_sum(value)
            if t == 0:
                unscaled_score[k] = value
                score[k] = beta[0] * value
        sync()
        first = label[order[s]] * prototypes_per_class
        last = first + prototypes_per_class
        value = competitive_softmax_row(t, T, score, first, last, min_probability, step)
        slope = x.dtype.type(0)  # −∂E/∂β
        for k in range(positive.shape[0]):
            slope += step[k] * unscaled_score[k]
        sync()
        for k in range(t, positive.shape[0], T):
            step[k] *= learning_rate * beta[0]
        sync()
        if t == 0:
            loss[s] = value
            beta[0] = max(beta[0] + beta_learning_rate * slope, beta_floor)
        sync()
    previous = samples[(order.shape[0] - 1) % 2]
    for k in range(positive.shape[0]):
        if step[k] > 0:
            attract(t, T, positive[k], step[k], previous)
        elif step[k] < 0:
            attract(t, T, negative[k], -step[k], previous)


@kernel
def online_euclidean(
    i, t, T, x, label, order, prototypes_per_class, w, beta, learning_rate, beta_learning_rate,
    beta_floor, min_probability, workspace, loss,
):  # fmt: skip
    """ED-WTA: oₖ = β gₖ with the unscaled score gₖ = −½‖x − wₖ‖², and the gradient of E.

    wₖ ← wₖ + α β (τₖ − qₖ)(x − wₖ)      β ← β + α_β Σₖ (τₖ − qₖ) gₖ
    """
    half = x.dtype.type(0.5)
    score, unscaled_score = workspace[SCORE], workspace[UNSCALED_SCORE]
    residual = workspace[RESIDUAL]
    for s in range(order.shape[0]):
        n = order[s]
        if s % FLUSH_INTERVAL == 0:
            flush_subnormals(t, T, w)
            sync()
        for k in range(w.shape[0]):
            value = -half * row_sum(squared_distance(t, T, x[n], w[k]))
            if t == 0:
                unscaled_score[k] = value
                score[k] = beta[0] * value
        sync()
        first = label[n] * prototypes_per_class
        last = first + prototypes_per_class
        value = competitive_softmax_row(t, T, score, first, last, min_probability, residual)
        slope = x.dtype.type(0)  # −∂E/∂β
        for k in range(w.shape[0]):
            slope += residual[k] * unscaled_score[k]
            step = learning_rate * beta[0] * residual[k]
            if step != 0:
                attract(t, T, w[k], step, x[n])
        sync()
        if t == 0:
            loss[s] = value
            beta[0] = max(beta[0] + beta_learning_rate * slope, beta_floor)
        sync()


@kernel
def online_inner_product(
    i, t, T, x, label, order, prototypes_per_class, weight, bias, learning_rate, min_probability,
    workspace, loss,
):  # fmt: skip
    """IP-WTA: oₖ = Wₖ·x + bₖ, then Wₖ ← Wₖ + α (τₖ − qₖ) x and bₖ ← bₖ + α (τₖ − qₖ)."""
    score, residual = workspace[SCORE], workspace[RESIDUAL]
    for s in range(order.shape[0]):
        n = order[s]
        for k in range(weight.shape[0]):
            value = row_sum(inner_product(t, T, x[n], weight[k]))
            if t == 0:
                score[k] = value + bias[k]
        sync()
        first = label[n] * prototypes_per_class
        last = first + prototypes_per_class
        value = competitive_softmax_row(t, T, score, first, last, min_probability, residual)
        for k in range(weight.shape[0]):
            step = learning_rate * residual[k]
            if step != 0:
                for j in range(t, x.shape[1], T):
                    weight[k, j] += step * x[n, j]
                if t == 0:
                    bias[k] += step
        if t == 0:
            loss[s] = value
        sync()
