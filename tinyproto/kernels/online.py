"""Online learning: the authors' rule, one sample at a time, exact.

Each kernel is one row that walks the samples in `order`: what a sample moves, the next one sees.
`beta` is an array of one element; `rates` holds α, α_β, the floor of β and the share below which a
neuron counts as silent (`compete`). `scratch` has three rows of one element a neuron: the score o,
the gap g that β multiplies, and the residual τ − q. E of each sample, before its own update, goes
to `loss`.
"""

from ..backend import kernel, routine, row_sum, sync
from .winner_take_all import (
    compete,
    distance_difference,
    flush_subnormals,
    inner_product,
    squared_distance,
)

FLUSH_INTERVAL = 1024  # samples from one `flush_subnormals` to the next


@routine
def attract(t, T, w, step, x):
    """w ← w + step (x − w)."""
    for j in range(t, x.shape[0], T):
        w[j] += step * (x[j] - w[j])


@routine
def attract_and_measure(t, T, w, other, step, before, x):
    """w ← w + step (before − w), then this lane's part of ‖x − other‖² − ‖x − w‖²."""
    total = x.dtype.type(0)
    two = x.dtype.type(2)
    for j in range(t, x.shape[0], T):  # as in `distance_difference`
        moved = w[j] + step * (before[j] - w[j])
        w[j] = moved
        total += (moved - other[j]) * (two * x[j] - (moved + other[j]))
    return total


@kernel
def online_plus_minus(
    i, t, T, x, label, order, per_class, positive, negative, beta, rates, scratch, pair, loss
):
    """±ED-WTA: oₖ = β gₖ with the gap gₖ = d⁻ₖ − d⁺ₖ, then the switching rule.

        w⁺ₖ ← w⁺ₖ + α β (τₖ − qₖ)(x − w⁺ₖ)   own class
        w⁻ₖ ← w⁻ₖ + α β  qₖ      (x − w⁻ₖ)   other classes
        β   ← β + α_β Σₖ (τₖ − qₖ) gₖ        kept above its floor

    The time goes into reading the prototypes. So a neuron makes its move for one sample, kept in
    `step` = α β (τ − q), just before it is measured against the next, and is read once for both.
    `pair` (2, d) takes copies of the two samples, which are read once a neuron.
    """
    half = x.dtype.type(0.5)
    score, gap, step = scratch[0], scratch[1], scratch[2]
    for k in range(t, positive.shape[0], T):
        step[k] = 0
    sync()
    for s in range(order.shape[0]):
        sample, before = pair[s % 2], pair[1 - s % 2]
        for j in range(t, x.shape[1], T):
            sample[j] = x[order[s], j]
        if s % FLUSH_INTERVAL == 0:
            flush_subnormals(t, T, positive)
            flush_subnormals(t, T, negative)
        sync()
        for k in range(positive.shape[0]):
            w, v = positive[k], negative[k]
            if step[k] > 0:
                value = attract_and_measure(t, T, w, v, step[k], before, sample)
            elif step[k] < 0:
                value = -attract_and_measure(t, T, v, w, -step[k], before, sample)
            else:
                value = distance_difference(t, T, sample, w, v)
            value = half * row_sum(value)
            if t == 0:
                gap[k] = value
                score[k] = beta[0] * value
        sync()
        first = label[order[s]] * per_class
        value = compete(t, T, score, first, first + per_class, rates[3], step)  # τ − q
        slope = x.dtype.type(0)
        for k in range(positive.shape[0]):
            slope += step[k] * gap[k]
        sync()
        for k in range(t, positive.shape[0], T):
            step[k] *= rates[0] * beta[0]
        sync()
        if t == 0:
            loss[s] = value
            beta[0] = max(beta[0] + rates[1] * slope, rates[2])
        sync()
    before = pair[(order.shape[0] - 1) % 2]
    for k in range(positive.shape[0]):
        if step[k] > 0:
            attract(t, T, positive[k], step[k], before)
        elif step[k] < 0:
            attract(t, T, negative[k], -step[k], before)


@kernel
def online_euclidean(i, t, T, x, label, order, per_class, w, beta, rates, scratch, loss):
    """ED-WTA: oₖ = β gₖ with gₖ = −½‖x − wₖ‖², then the gradient of E.

    wₖ ← wₖ + α β (τₖ − qₖ)(x − wₖ)      β ← β + α_β Σₖ (τₖ − qₖ) gₖ
    """
    half = x.dtype.type(0.5)
    score, gap, residual = scratch[0], scratch[1], scratch[2]
    for s in range(order.shape[0]):
        n = order[s]
        if s % FLUSH_INTERVAL == 0:
            flush_subnormals(t, T, w)
            sync()
        for k in range(w.shape[0]):
            value = -half * row_sum(squared_distance(t, T, x[n], w[k]))
            if t == 0:
                gap[k] = value
                score[k] = beta[0] * value
        sync()
        first = label[n] * per_class
        value = compete(t, T, score, first, first + per_class, rates[3], residual)
        slope = x.dtype.type(0)
        for k in range(w.shape[0]):
            slope += residual[k] * gap[k]
            step = rates[0] * beta[0] * residual[k]
            if step != 0:
                attract(t, T, w[k], step, x[n])
        sync()
        if t == 0:
            loss[s] = value
            beta[0] = max(beta[0] + rates[1] * slope, rates[2])
        sync()


@kernel
def online_inner_product(i, t, T, x, label, order, per_class, weight, bias, rates, scratch, loss):
    """IP-WTA: oₖ = Wₖ·x + bₖ, then Wₖ ← Wₖ + α (τₖ − qₖ) x and bₖ ← bₖ + α (τₖ − qₖ)."""
    score, residual = scratch[0], scratch[2]
    for s in range(order.shape[0]):
        n = order[s]
        for k in range(weight.shape[0]):
            value = row_sum(inner_product(t, T, x[n], weight[k]))
            if t == 0:
                score[k] = value + bias[k]
        sync()
        first = label[n] * per_class
        value = compete(t, T, score, first, first + per_class, rates[3], residual)
        for k in range(weight.shape[0]):
            step = rates[0] * residual[k]
            if step != 0:
                for j in range(t, x.shape[1], T):
                    weight[k, j] += step * x[n, j]
                if t == 0:
                    bias[k] += step
        if t == 0:
            loss[s] = value
        sync()
