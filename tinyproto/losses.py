"""Losses at the class scores z (N, C): each example's value (N,) and its gradient dz (N, C).

Nobody here divides by the batch; the one who sums does.
"""

from .device import Array, array_module


def cross_entropy(z: Array, y: Array) -> tuple[Array, Array]:
    """−log softmax(z)_y and its gradient p − 1_y.

    The value is (z_top − z_y) + log(1 + Σ_{j≠top} e^{z_j − z_top}), and −∂/∂z_y is the sum of the
    other shares: neither is lost to rounding when p_y is close to 1, so an attack on a sure
    classifier still has a direction.
    """
    xp = array_module(z)
    rows = xp.arange(len(z))
    top = z.argmax(axis=1)
    share = xp.exp(z - z[rows, top][:, None])
    share[rows, top] = 0
    rest = share.sum(axis=1)
    value = (z[rows, top] - z[rows, y]) + xp.log1p(rest)
    share[rows, top] = 1
    dz = share / (1 + rest)[:, None]
    dz[rows, y] = 0
    dz[rows, y] = -dz.sum(axis=1)
    return value, dz


def margin(z: Array, y: Array) -> tuple[Array, Array]:
    """max_{j≠y} z_j − z_y (Carlini and Wagner 2017): above 0 exactly where the answer is wrong.

    The gradient is 1_rival − 1_y; of rivals that tie, the first.
    """
    xp = array_module(z)
    rows = xp.arange(len(z))
    others = z.copy()
    others[rows, y] = -xp.inf
    rival = others.argmax(axis=1)
    dz = xp.zeros_like(z)
    dz[rows, rival] = 1
    dz[rows, y] = -1
    return z[rows, rival] - z[rows, y], dz
