"""Softmax, cross-entropy, and the boosted cross-entropy of MART, exact also near p = 1.

The exponentials are taken at z − z_max, and their sum leaves out the 1 of the largest score itself,
beside which the others could be lost to rounding: with rest = Σ_{j≠top} e^{z_j − z_max},
p_top = 1 / (1 + rest) and log p_top = −log(1 + rest) keep their digits when rest is far below 1.
"""

from ..backend.device import Array, array_module
from .checks import check_columns, check_scores
from .margins import largest_other


def softmax(z: Array) -> Array:
    """The probabilities p_j = e^{z_j} / Σ_k e^{z_k}.

    Parameters
    ----------
    z : array (N, C)
        Class scores.

    Returns
    -------
    array (N, C)
        Probabilities; every row sums to 1.

    Raises
    ------
    ValueError
        For scores of another shape, or that are no floating-point numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import softmax
    >>> softmax(np.array([[0.0, np.log(3.0)]])).round(3)
    array([[0.25, 0.75]])
    """
    check_scores("softmax", z)
    _, exponentials, rest = shifted_exponentials(z)
    return exponentials / (1 + rest)[:, None]


def log_softmax(z: Array) -> Array:
    """The log-probabilities log p_j = (z_j − z_max) − log(1 + Σ_{k≠top} e^{z_k − z_max}).

    Parameters
    ----------
    z : array (N, C)
        Class scores.

    Returns
    -------
    array (N, C)
        Log-probabilities, exact also near p = 1.

    Raises
    ------
    ValueError
        For scores of another shape, or that are no floating-point numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import log_softmax
    >>> bool(log_softmax(np.array([[100.0, 0.0]]))[0, 0] < 0)  # −e^(−100), not rounded to 0
    True
    """
    check_scores("log_softmax", z)
    highest, _, rest = shifted_exponentials(z)
    return (z - highest[:, None]) - array_module(z).log1p(rest)[:, None]


def cross_entropy(z: Array, y: Array, smoothing: float = 0.0) -> tuple[Array, Array]:
    """Cross-entropy −log p_y, with label smoothing if wanted.

    Parameters
    ----------
    z : array (N, C)
        Class scores.
    y : array (N,)
        Labels: columns of z.
    smoothing : float
        s in [0, 1] of label smoothing (Szegedy and others, arXiv 1512.00567, section 7).

    Returns
    -------
    value : array (N,)
        The loss of each example.
    dz : array (N, C)
        Its gradient p − 1_y.

    Raises
    ------
    ValueError
        For a smoothing outside [0, 1], scores of another shape, or labels that are not columns
        of z.

    Notes
    -----
    The value is (z_max − z_y) + log(1 + Σ_{j≠top} e^{z_j − z_max}), and −∂/∂z_y is the sum of the
    other probabilities: neither is lost to rounding when p_y is close to 1, so an attack on a
    confident classifier still has a direction.

    With smoothing the target is t = (1 − s) 1_y + s/C, the value −Σ_j t_j log p_j =
    (1 − s)(z_max − z_y) + s mean_j(z_max − z_j) + log(1 + …), and the gradient
    p − t = (p − 1_y) + s 1_y − s/C.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import cross_entropy
    >>> value, dz = cross_entropy(np.array([[0.0, np.log(3.0)]]), np.array([1]))
    >>> value.round(3), dz.round(3)
    (array([0.288]), array([[ 0.25, -0.25]]))
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must be in [0, 1], not {smoothing!r}")
    check_scores("cross_entropy", z)
    y = check_columns(z, y)
    xp = array_module(z)
    rows = xp.arange(len(z))
    highest, exponentials, rest = shifted_exponentials(z)
    below = highest - z[rows, y]
    if smoothing:
        below = (1 - smoothing) * below + smoothing * (highest[:, None] - z).mean(axis=1)
    value = below + xp.log1p(rest)
    dz = exponentials / (1 + rest)[:, None]
    dz[rows, y] = 0
    dz[rows, y] = -dz.sum(axis=1)
    if smoothing:
        dz -= smoothing / z.shape[1]
        dz[rows, y] += smoothing
    return value, dz


def boosted_cross_entropy(z: Array, y: Array) -> tuple[Array, Array]:
    """Boosted cross-entropy −log p_y − log(1 − p_r), with r = argmax_{k≠y} p_k.

    Parameters
    ----------
    z : array (N, C)
        Class scores.
    y : array (N,)
        Labels: columns of z.

    Returns
    -------
    value : array (N,)
        The loss of each example.
    dz : array (N, C)
        Its gradient.

    Raises
    ------
    ValueError
        For fewer than 2 classes, or labels that are not columns of z.

    Notes
    -----
    With s the softmax over the columns other than r (s_r = 0) and u = z_r − log Σ_{j≠r} e^{z_j},
    p_r = 1 / (1 + e^{−u}) and p_j = s_j (1 − p_r) for j ≠ r. So

        −log(1 − p_r) = log(1 + e^u)
        ∂u/∂z = 1_r − s,   ∂/∂z log(1 + e^u) = p_r (1_r − s)
        dz = (p − 1_y) + p_r (1_r − s)

    in which no 1 − p is computed: value and gradient keep their digits for p_r or p_y close to 1
    (the authors' code takes log(1.0001 − p_r + 1e-12), so its second term stays below 9.3).
    Source: MART, Wang and others, ICLR 2020, the loss BCE.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import boosted_cross_entropy
    >>> value, dz = boosted_cross_entropy(np.array([[0.0, np.log(3.0)]]), np.array([1]))
    >>> value.round(3), dz.round(3)  # −2 log 0.75
    (array([0.575]), array([[ 0.5, -0.5]]))
    """
    check_scores("boosted_cross_entropy", z, classes=2)
    y = check_columns(z, y)
    xp = array_module(z)
    rows = xp.arange(len(z))
    value, dz = cross_entropy(z, y)
    r = largest_other(z, y)
    others = z.copy()
    others[rows, r] = -xp.inf
    highest, exponentials, rest = shifted_exponentials(others)
    u = (z[rows, r] - highest) - xp.log1p(rest)
    small = xp.exp(-xp.abs(u))  # p_r is 1 / (1 + small) for u ≥ 0, small / (1 + small) below
    p_r = xp.where(u >= 0, 1, small) / (1 + small)
    dz -= (p_r / (1 + rest))[:, None] * exponentials
    dz[rows, r] += p_r
    return value + (xp.maximum(u, 0) + xp.log1p(small)), dz


def softmax_and_log(z: Array) -> tuple[Array, Array]:
    """p (N, C) and log p (N, C)."""
    highest, exponentials, rest = shifted_exponentials(z)
    log_p = (z - highest[:, None]) - array_module(z).log1p(rest)[:, None]
    return exponentials / (1 + rest)[:, None], log_p


def shifted_exponentials(z: Array) -> tuple[Array, Array, Array]:
    """z_max (N,), e^{z − z_max} (N, C), and rest = Σ_{j≠top} e^{z_j − z_max} (N,)."""
    xp = array_module(z)
    rows = xp.arange(len(z))
    top = z.argmax(axis=1)
    highest = z[rows, top]
    exponentials = xp.exp(z - highest[:, None])
    exponentials[rows, top] = 0
    rest = exponentials.sum(axis=1)
    exponentials[rows, top] = 1
    return highest, exponentials, rest
