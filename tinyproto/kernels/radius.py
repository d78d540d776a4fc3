"""One mini-batch of training for the radius; `prototypes.radius_objective` derives the formulas."""

import math

from ..backend import kernel, routine, row_max, row_sum
from .hyperplane import box_multiplier, box_step
from .winner_take_all import FLUSH_THRESHOLD

NEURONS_PER_TILE = 4


@routine
def first_index(t, T, values, first, last, wanted):
    """The first k from `first` to `last` − 1 with values[k] == wanted; `first` if there is none."""
    found = last
    for k in range(first + t, last, T):
        if found == last and values[k] == wanted:
            found = k
    found = int(-row_max(values.dtype.type(-found)))
    return found if found < last else first


@routine
def pair_ratio(score, k, j, inverse_norm):
    """(oₖ − oⱼ) / ‖Aₖ − Aⱼ‖."""
    return (score[k] - score[j]) * inverse_norm[k, j]


@kernel
def nearest_pairs(
    i, t, T, score, label, prototypes_per_class, inverse_norm, own, rival, bound
):  # fmt: skip
    """bound[i] = maxₖ minⱼ (oₖ − oⱼ) / ‖Aₖ − Aⱼ‖, over neurons k of the sample's class and j of the
    others; own[i] and rival[i] are k and j, of equal ones the first.

    score (N, neurons), label, own, rival, bound (N,), inverse_norm (neurons, neurons). The winner
    of the class comes first. For most others the nearest rival so far is already too near, or one
    of the first rivals that are looked at.
    """
    first = label[i] * prototypes_per_class
    last = first + prototypes_per_class
    infinity = score.dtype.type(math.inf)
    largest = score[i, first]
    for k in range(first + t, last, T):
        largest = max(largest, score[i, k])
    largest = row_max(largest)
    winner = first_index(t, T, score[i], first, last, largest)

    best, best_own, best_rival = -infinity, winner, -1
    for attempt in range(-1, prototypes_per_class):
        k = winner if attempt < 0 else first + attempt
        least, start = infinity, 0
        if best_rival >= 0:
            least = pair_ratio(score[i], k, best_rival, inverse_norm)
        while start < score.shape[1] and least > best:
            stop = min(start + 64 * T, score.shape[1])
            part = least
            for j in range(start + t, stop, T):
                if not first <= j < last:
                    part = min(part, pair_ratio(score[i], k, j, inverse_norm))
            least = -row_max(-part)
            start = stop
        if least > best:
            found = score.shape[1]
            for j in range(t, score.shape[1], T):
                is_rival = found == score.shape[1] and not first <= j < last
                if is_rival and pair_ratio(score[i], k, j, inverse_norm) == least:
                    found = j
            found = int(-row_max(score.dtype.type(-found)))
            if found < score.shape[1]:
                best, best_own, best_rival = least, k, found
    if t == 0:
        bound[i] = best
        own[i] = best_own
        rival[i] = max(best_rival, 0)


@kernel
def boundary_points(
    i, t, T, x, A, b, own, rival, lo, hi, euclidean, target, least, temperature,
    difference, point, strength, loss,
):  # fmt: skip
    """For the pair k = own[i], j = rival[i] of sample i: the nearest point z in the box lo … hi at
    which their scores are equal, the loss of the signed distance r to it, and −∂loss/∂h.

    x, point (N, d), A (neurons, d), b (neurons,); strength and loss (N,); difference (N, d) is
    Aⱼ − Aₖ. The norm is L2 where `euclidean`, else L∞. The loss is max(target − r, 0) where
    `temperature` is 0, else temperature · log(1 + exp((target − r) / temperature)); below r = least
    it is constant. A pair that cannot meet in the box has loss and strength 0.
    """
    k, m = own[i], rival[i]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    part = zero
    for j in range(t, x.shape[1], T):
        difference[i, j] = A[m, j] - A[k, j]
        part += difference[i, j] * x[i, j]
    h = (b[k] - b[m]) - row_sum(part)
    sign = one if h > 0 else -one
    tau, slope = box_multiplier(t, T, x[i], difference[i], h, lo, hi, euclidean)
    square = zero
    for j in range(t, x.shape[1], T):
        delta = box_step(j, tau, x[i], difference[i], sign, lo, hi, euclidean)
        point[i, j] = x[i, j] + delta
        square += delta * delta
    length = math.sqrt(row_sum(square)) if euclidean else tau
    if t == 0:
        radius = sign * length
        strength[i], loss[i] = zero, zero
        if slope > 0:
            shortfall = target - max(radius, least)
            weight = one if shortfall > 0 else zero
            loss[i] = max(shortfall, zero)
            if temperature > 0:
                u = shortfall / temperature
                small = math.exp(-abs(u))
                loss[i] = temperature * (max(u, zero) + math.log(one + small))
                weight = (one if u > 0 else small) / (one + small)
            if radius < least:
                weight = zero
            if not euclidean:
                strength[i] = weight / slope
            elif length > 0:
                strength[i] = weight * tau / length
            else:
                strength[i] = weight / math.sqrt(slope)


@kernel
def pair_update(
    i, t, T, point, strength, member, start, own_sign, rival_sign, coefficient, rate, momentum,
    gradient, velocity, w,
):  # fmt: skip
    """A step of Nesterov's momentum for neuron i, from all samples in whose pair it is:

        g = Σₙ ± strengthₙ (zₙ − coefficient · wᵢ)     v ← momentum · v + g
                                                       wᵢ ← wᵢ + rate · (g + momentum · v)

    The sign is `own_sign` where the neuron is the own one of sample n, `rival_sign` where it is the
    rival; 0 leaves it out. point z (N, d), strength (N,), gradient, velocity and w (neurons, d).
    member holds the numbers n (own) and N + n (rival), sorted by neuron; those of neuron i are
    member[start[i]] … member[start[i + 1] − 1].
    """
    samples = point.shape[0]
    total = w.dtype.type(0)
    for j in range(t, w.shape[1], T):
        gradient[i, j] = 0
    for e in range(start[i], start[i + 1]):
        n = member[e]
        factor = own_sign * strength[n] if n < samples else rival_sign * strength[n - samples]
        if factor != 0:
            total += factor
            row = n if n < samples else n - samples
            for j in range(t, w.shape[1], T):
                gradient[i, j] += factor * point[row, j]
    total *= coefficient
    threshold = w.dtype.type(FLUSH_THRESHOLD)
    for j in range(t, w.shape[1], T):
        g = gradient[i, j] - total * w[i, j]
        v = momentum * velocity[i, j] + g
        if abs(v) < threshold:
            v = w.dtype.type(0)  # see `flush_subnormals`
        velocity[i, j] = v
        w[i, j] += rate * (g + momentum * v)
        if abs(w[i, j]) < threshold:
            w[i, j] = 0


@kernel
def absolute_differences(i, t, T, A, out):
    """out[k, m] = Σⱼ |Aₖⱼ − Aₘⱼ|. Row i is a tile of neurons k = 4i … 4i + 3.

    A (neurons, d), out (neurons, neurons); ⌈neurons / NEURONS_PER_TILE⌉ rows. The neurons m, the
    larger part of the memory, are read once for four neurons k; at the end the last is repeated.
    """
    last = A.shape[0] - 1
    k, l = 4 * i, min(4 * i + 1, last)  # noqa: E741
    m, n = min(4 * i + 2, last), min(4 * i + 3, last)
    for other in range(A.shape[0]):
        total_k, total_l = A.dtype.type(0), A.dtype.type(0)
        total_m, total_n = A.dtype.type(0), A.dtype.type(0)
        for j in range(t, A.shape[1], T):
            value = A[other, j]
            total_k += abs(A[k, j] - value)
            total_l += abs(A[l, j] - value)
            total_m += abs(A[m, j] - value)
            total_n += abs(A[n, j] - value)
        total_k, total_l = row_sum(total_k), row_sum(total_l)
        total_m, total_n = row_sum(total_m), row_sum(total_n)
        if t == 0:
            out[k, other] = total_k
            out[l, other] = total_l
            out[m, other] = total_m
            out[n, other] = total_n
