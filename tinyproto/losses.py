"""Losses at the class scores z (N, C): each example's value (N,) and its gradient dz (N, C).

Nobody here divides by the batch; the one who sums does. A loss of two arguments returns the
gradient at both. Throughout, p = softmax(z), q = softmax(w), y (N,) are columns of z, 1_k is the
indicator of column k, and values and gradients have the dtype of the scores.

Where a formula asks for the largest of several scores, the first of those that tie is taken: its
gradient is a subgradient of the maximum, and the same on every device.
"""

import math

from .backend.device import Array, array_module

SMALLEST_SPREAD = 1e-12
"""A spread of scores below this counts as this: the denominator of `dlr` is never 0."""


def softmax(z: Array) -> Array:
    """p (N, C) with p_j = e^{z_j} / Σ_k e^{z_k}."""
    _, share, rest = _exponentials(z)
    return share / (1 + rest)[:, None]


def log_softmax(z: Array) -> Array:
    """log p (N, C) = (z − z_top) − log(1 + Σ_{j≠top} e^{z_j − z_top}); exact also near p = 1."""
    highest, _, rest = _exponentials(z)
    return (z - highest[:, None]) - array_module(z).log1p(rest)[:, None]


def cross_entropy(z: Array, y: Array, smoothing: float = 0.0) -> tuple[Array, Array]:
    """−log softmax(z)_y and its gradient p − 1_y.

    The value is (z_top − z_y) + log(1 + Σ_{j≠top} e^{z_j − z_top}), and −∂/∂z_y is the sum of the
    other shares: neither is lost to rounding when p_y is close to 1, so an attack on a sure
    classifier still has a direction.

    smoothing: s in [0, 1] of label smoothing (Szegedy and others, arXiv 1512.00567, section 7).
    The target is t = (1 − s) 1_y + s/C, the value −Σ_j t_j log p_j =
    (1 − s)(z_top − z_y) + s mean_j(z_top − z_j) + log(1 + …), and the gradient
    p − t = (p − 1_y) + s 1_y − s/C.
    Raises ValueError for another s.
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must be in [0, 1], not {smoothing!r}")
    xp = array_module(z)
    rows = xp.arange(len(z))
    highest, share, rest = _exponentials(z)
    below = highest - z[rows, y]
    if smoothing:
        below = (1 - smoothing) * below + smoothing * (highest[:, None] - z).mean(axis=1)
    value = below + xp.log1p(rest)
    dz = share / (1 + rest)[:, None]
    dz[rows, y] = 0
    dz[rows, y] = -dz.sum(axis=1)
    if smoothing:
        dz -= smoothing / z.shape[1]
        dz[rows, y] += smoothing
    return value, dz


def kl_divergence(z: Array, w: Array) -> tuple[Array, Array, Array]:
    """KL(p‖q) = Σ_j p_j ℓ_j with ℓ = log p − log q: value (N,), dz (N, C) and dw (N, C).

    At z: ∂p_j/∂z_k = p_j (1[j = k] − p_k) and ∂log p_j/∂z_k = 1[j = k] − p_k, so

        ∂KL/∂z_k = p_k ℓ_k − p_k Σ_j p_j ℓ_j + Σ_j p_j (1[j = k] − p_k) = p_k (ℓ_k − KL),

    the last sum being 0. At w: ∂(−log q_j)/∂w_k = q_k − 1[j = k], so ∂KL/∂w_k = q_k − p_k; where
    p_k is largest this is taken as minus the sum of the others, which keeps its digits when both
    are close to 1. The value is never below 0, not even by rounding.
    Source: TRADES, Zhang and others, arXiv 1901.08573, section 4, p being the clean branch.
    """
    xp = array_module(z)
    p, log_p = _softmax_and_log(z)
    q, log_q = _softmax_and_log(w)
    ratio = log_p - log_q
    value = (p * ratio).sum(axis=1)
    dz = p * (ratio - value[:, None])
    rows, top = xp.arange(len(z)), z.argmax(axis=1)
    dw = q - p
    dw[rows, top] = 0
    dw[rows, top] = -dw.sum(axis=1)
    return xp.maximum(value, 0), dz, dw


def margin(z: Array, y: Array) -> tuple[Array, Array]:
    """max_{j≠y} z_j − z_y (Carlini and Wagner 2017): above 0 exactly where the answer is wrong.

    The gradient is 1_rival − 1_y; of rivals that tie, the first.
    """
    return difference(z, y, _rival(z, y))


def difference(z: Array, y: Array, target: Array) -> tuple[Array, Array]:
    """z_t − z_y, by how much a class t (N,) other than y wins; its gradient is 1_t − 1_y."""
    xp = array_module(z)
    rows, dz = xp.arange(len(z)), xp.zeros_like(z)
    dz[rows, target], dz[rows, y] = 1, -1
    return z[rows, target] - z[rows, y], dz


def dlr(z: Array, y: Array) -> tuple[Array, Array]:
    """Difference of logits ratio, −(z_y − z_r) / (z_π1 − z_π3), to be maximised by an attack.

    π sorts the scores from the largest down and r is the largest of the others, max_{i≠y}. Above 0
    exactly where the answer is wrong; neither a shift of the scores nor a positive scale matters,
    so an attack on a classifier with large scores still has a direction. The gradient is that of
    `_ratio` with n = z_r − z_y and D = z_π1 − z_π3; where y is third, v = 1 and dz = 0.

    Of scores that tie, the earlier column comes first in π. Where D is below 1e-12 it counts as
    the constant 1e-12 (the authors' code adds 1e-12 everywhere): constant scores have the value 0
    and the gradient 10¹² (1_r − 1_y), finite in float32 too.

    Raises ValueError for fewer than 3 classes.
    Source: Croce and Hein, arXiv 2003.01690, equation 6.
    """
    if z.shape[1] < 3:
        raise ValueError(f"dlr needs scores of at least 3 classes, not {z.shape[1]}")
    order = _descending(z)
    spread = [(order[:, 0], 1.0), (order[:, 2], -1.0)]
    return _ratio(z, y, _rival(z, y), spread)


def targeted_dlr(z: Array, y: Array, target: Array) -> tuple[Array, Array]:
    """−(z_y − z_t) / (z_π1 − (z_π3 + z_π4)/2), to be maximised by an attack towards class t.

    target (N,): the class t of each example, a column other than y (for t = y the value is 0).
    As `dlr` otherwise, with n = z_t − z_y and D = z_π1 − ½ z_π3 − ½ z_π4.

    Raises ValueError for fewer than 4 classes.
    Source: Croce and Hein, arXiv 2003.01690, equation 7.
    """
    if z.shape[1] < 4:
        raise ValueError(f"targeted_dlr needs scores of at least 4 classes, not {z.shape[1]}")
    order = _descending(z)
    spread = [(order[:, 0], 1.0), (order[:, 2], -0.5), (order[:, 3], -0.5)]
    return _ratio(z, y, target, spread)


def boosted_cross_entropy(z: Array, y: Array) -> tuple[Array, Array]:
    """−log p_y − log(1 − p_r) with the rival r = argmax_{k≠y} p_k: value (N,) and dz (N, C).

    With s the softmax over the columns other than r (s_r = 0) and u = z_r − log Σ_{j≠r} e^{z_j},
    p_r = 1 / (1 + e^{−u}) and p_j = s_j (1 − p_r) for j ≠ r. So

        −log(1 − p_r) = log(1 + e^u)
        ∂u/∂z = 1_r − s,   ∂/∂z log(1 + e^u) = p_r (1_r − s)
        dz = (p − 1_y) + p_r (1_r − s)

    in which no 1 − p is formed: value and gradient keep their digits for p_r or p_y close to 1
    (the authors' code takes log(1.0001 − p_r + 1e-12), so its second term stays below 9.3). Of
    rivals that tie, r is the first.

    Raises ValueError for fewer than 2 classes.
    Source: MART, Wang and others, ICLR 2020, the loss BCE.
    """
    if z.shape[1] < 2:
        raise ValueError(f"boosted_cross_entropy needs at least 2 classes, not {z.shape[1]}")
    xp = array_module(z)
    rows = xp.arange(len(z))
    value, dz = cross_entropy(z, y)
    rival = _rival(z, y)
    others = z.copy()
    others[rows, rival] = -xp.inf
    highest, share, rest = _exponentials(others)
    u = (z[rows, rival] - highest) - xp.log1p(rest)
    small = xp.exp(-xp.abs(u))  # p_r is 1 / (1 + small) for u ≥ 0, small / (1 + small) below
    rival_share = xp.where(u >= 0, 1, small) / (1 + small)
    dz -= (rival_share / (1 + rest))[:, None] * share
    dz[rows, rival] += rival_share
    return value + (xp.maximum(u, 0) + xp.log1p(small)), dz


def weighted_kl(z: Array, w: Array, y: Array) -> tuple[Array, Array, Array]:
    """KL(p‖q) (1 − p_y): the divergence weighs most where the clean scores z are wrong.

    With K = KL(p‖q) and e = p − 1_y, the weight is 1 − p_y = −e_y, and ∂(1 − p_y)/∂z_j =
    −p_y (1[j = y] − p_j) = p_y e_j. So

        value = −e_y K       dz = −e_y ∂K/∂z + K p_y e       dw = −e_y (q − p)

    with value (N,), dz and dw (N, C). The weight is differentiated through, as in the authors'
    code. `cross_entropy` gives e with all its digits, so a weight near 0 is not lost.
    Source: MART, Wang and others, ICLR 2020, the second term of its objective.
    """
    rows = array_module(z).arange(len(z))
    value, dz, dw = kl_divergence(z, w)
    _, error = cross_entropy(z, y)
    weight = -error[rows, y]
    own_share = softmax(z)[rows, y]
    dz = weight[:, None] * dz + (value * own_share)[:, None] * error
    return weight * value, dz, weight[:, None] * dw


def squared_error(h: Array, g: Array) -> tuple[Array, Array, Array]:
    """‖h − g‖² for h and g (N, …): value (N,), and the gradients 2(h − g) and −2(h − g).

    Raises ValueError for two shapes.
    """
    if h.shape != g.shape:
        raise ValueError(f"h and g must have one shape, not {h.shape} and {g.shape}")
    difference = h - g
    flat = difference.reshape(len(h), math.prod(h.shape[1:]))
    dh = 2 * difference
    return (flat * flat).sum(axis=1), dh, -dh


def _exponentials(z: Array) -> tuple[Array, Array, Array]:
    """z_top (N,), e^{z − z_top} (N, C), and Σ_{j≠top} e^{z_j − z_top} (N,).

    The sum leaves the 1 of the top itself out, which would swallow the rest."""
    xp = array_module(z)
    rows = xp.arange(len(z))
    top = z.argmax(axis=1)
    highest = z[rows, top]
    share = xp.exp(z - highest[:, None])
    share[rows, top] = 0
    rest = share.sum(axis=1)
    share[rows, top] = 1
    return highest, share, rest


def _softmax_and_log(z: Array) -> tuple[Array, Array]:
    highest, share, rest = _exponentials(z)
    log_p = (z - highest[:, None]) - array_module(z).log1p(rest)[:, None]
    return share / (1 + rest)[:, None], log_p


def _rival(z: Array, y: Array) -> Array:
    """argmax_{j≠y} z_j (N,), the first of those that tie."""
    xp = array_module(z)
    others = z.copy()
    others[xp.arange(len(z)), y] = -xp.inf
    return others.argmax(axis=1)


def _descending(z: Array) -> Array:
    """π (N, C): the columns from the largest score down; of equal ones, the earlier first."""
    return array_module(z).argsort(-z, axis=1, kind="stable")


def _ratio(
    z: Array, y: Array, rival: Array, spread: list[tuple[Array, float]]
) -> tuple[Array, Array]:
    """v = n / D with n = z_rival − z_y and D = Σ c_k z_k over the (k, c) of `spread`.

    The c sum to 0, the first being 1, so D = −Σ c_k (z_π1 − z_k): a sum of differences, none
    below 0. dv = dn / D − n dD / D² = (dn − v dD) / D, so

        dz = (1_rival − 1_y − v Σ_k c_k 1_k) / D

    and, where D is held at its least value, the same without its last term.
    """
    xp = array_module(z)
    rows = xp.arange(len(z))
    first = spread[0][0]
    total = xp.zeros_like(z[:, 0])
    for column, factor in spread[1:]:
        total -= factor * (z[rows, first] - z[rows, column])
    D = xp.maximum(total, SMALLEST_SPREAD)
    value = (z[rows, rival] - z[rows, y]) / D
    moving = xp.where(total > SMALLEST_SPREAD, value, 0)
    dz = xp.zeros_like(z)
    dz[rows, rival] += 1
    dz[rows, y] -= 1
    for column, factor in spread:
        dz[rows, column] -= factor * moving
    return value, dz / D[:, None]
