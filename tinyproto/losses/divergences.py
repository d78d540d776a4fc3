"""Divergences: how much two sets of scores or features differ, with the gradients at both."""

import math

from ..backend.device import Array, array_module
from .checks import check_columns, check_scores
from .entropy import cross_entropy, softmax, softmax_and_log


def kl_divergence(z: Array, w: Array) -> tuple[Array, Array, Array]:
    """The Kullback-Leibler divergence KL(p‖q) = Σ_j p_j (log p_j − log q_j).

    Parameters
    ----------
    z, w : arrays (N, C)
        The scores of p = softmax(z) and of q = softmax(w).

    Returns
    -------
    value : array (N,)
        The divergence of each example; never below 0, not even by rounding.
    dz, dw : arrays (N, C)
        Its gradients at z and at w.

    Raises
    ------
    ValueError
        For scores of two shapes, or that are no floating-point numbers.

    Notes
    -----
    Let ℓ = log p − log q. At z, ∂p_j/∂z_k = p_j (1[j = k] − p_k) and
    ∂log p_j/∂z_k = 1[j = k] − p_k, so

        ∂KL/∂z_k = p_k ℓ_k − p_k Σ_j p_j ℓ_j + Σ_j p_j (1[j = k] − p_k) = p_k (ℓ_k − KL),

    the last sum being 0. At w, ∂(−log q_j)/∂w_k = q_k − 1[j = k], so ∂KL/∂w_k = q_k − p_k; where
    p_k is largest this is taken as minus the sum of the others, which keeps its digits when both
    are close to 1.
    Source: TRADES, Zhang and others, arXiv 1901.08573, section 4, p being the clean branch.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import kl_divergence
    >>> z, w = np.array([[0.0, 0.0]]), np.array([[0.0, np.log(3.0)]])
    >>> value, dz, dw = kl_divergence(z, w)
    >>> value.round(3), dw.round(3)
    (array([0.144]), array([[-0.25,  0.25]]))
    """
    check_scores("kl_divergence", z, w=w)
    xp = array_module(z)
    p, log_p = softmax_and_log(z)
    q, log_q = softmax_and_log(w)
    log_ratio = log_p - log_q
    value = (p * log_ratio).sum(axis=1)
    dz = p * (log_ratio - value[:, None])
    rows, top = xp.arange(len(z)), z.argmax(axis=1)
    dw = q - p
    dw[rows, top] = 0
    dw[rows, top] = -dw.sum(axis=1)
    return xp.maximum(value, 0), dz, dw


def weighted_kl(z: Array, w: Array, y: Array) -> tuple[Array, Array, Array]:
    """KL(p‖q) (1 − p_y): the divergence has the most weight where the clean scores z are wrong.

    Parameters
    ----------
    z, w : arrays (N, C)
        The scores of p = softmax(z) and of q = softmax(w).
    y : array (N,)
        Labels: columns of z.

    Returns
    -------
    value : array (N,)
        The weighted divergence of each example.
    dz, dw : arrays (N, C)
        Its gradients at z and at w.

    Raises
    ------
    ValueError
        For scores of two shapes, or labels that are not columns of z.

    Notes
    -----
    With K = KL(p‖q) and e = p − 1_y, the weight is 1 − p_y = −e_y, and ∂(1 − p_y)/∂z_j =
    −p_y (1[j = y] − p_j) = p_y e_j. So

        value = −e_y K       dz = −e_y ∂K/∂z + K p_y e       dw = −e_y (q − p)

    The weight is differentiated through, as in the authors' code. `cross_entropy` gives e with all
    its digits, so a weight near 0 is not lost.
    Source: MART, Wang and others, ICLR 2020, the second term of its objective.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import weighted_kl
    >>> z, w = np.array([[0.0, 0.0]]), np.array([[0.0, np.log(3.0)]])
    >>> value, dz, dw = weighted_kl(z, w, np.array([0]))
    >>> value.round(3)  # half of KL(p‖q)
    array([0.072])
    """
    value, dz, dw = kl_divergence(z, w)
    rows, y = array_module(z).arange(len(z)), check_columns(z, y)
    _, error = cross_entropy(z, y)
    weight = -error[rows, y]
    p_y = softmax(z)[rows, y]
    dz = weight[:, None] * dz + (value * p_y)[:, None] * error
    return weight * value, dz, weight[:, None] * dw


def squared_error(h: Array, g: Array) -> tuple[Array, Array, Array]:
    """The squared Euclidean distance ‖h − g‖² of two sets of features.

    Parameters
    ----------
    h, g : arrays (N, …)
        Features, of one shape.

    Returns
    -------
    value : array (N,)
        The distance of each example.
    dh, dg : arrays (N, …)
        Its gradients 2(h − g) and −2(h − g).

    Raises
    ------
    ValueError
        For two shapes, and for other than floating-point numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import squared_error
    >>> value, dh, dg = squared_error(np.array([[3.0, 4.0]]), np.zeros((1, 2)))
    >>> value, dh
    (array([25.]), array([[6., 8.]]))
    """
    shapes = [getattr(array, "shape", None) for array in (h, g)]
    if shapes[0] != shapes[1] or not shapes[0]:
        raise ValueError(f"h and g must have one shape, not {shapes[0]} and {shapes[1]}")
    if h.dtype.kind != "f" or g.dtype.kind != "f":
        raise ValueError(f"h and g must hold floating-point numbers, not {h.dtype} and {g.dtype}")
    difference = h - g
    flat = difference.reshape(len(h), math.prod(h.shape[1:]))
    dh = 2 * difference
    return (flat * flat).sum(axis=1), dh, -dh
