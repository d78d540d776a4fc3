"""Losses at the class scores z (N, C): each example's value (N,) and its gradient dz (N, C).

Nobody here divides by the batch; the one who sums does.
"""

from .device import Array, array_module


def cross_entropy(z: Array, y: Array) -> tuple[Array, Array]:
    """−log softmax(z)_y and its gradient p − 1_y.

    The value is log Σ_j e^{z_j − z_y}, and −∂/∂z_y is the sum of the other shares: neither is lost
    to rounding when p_y is close to 1, so an attack on a sure classifier still has a direction.
    """
    xp = array_module(z)
    rows = xp.arange(len(z))
    top = z.max(axis=1, keepdims=True)
    share = xp.exp(z - top)
    total = share.sum(axis=1)
    value = (top[:, 0] - z[rows, y]) + xp.log(total)
    dz = share / total[:, None]
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
