"""Margins: differences of scores, above 0 where another class has a larger score than its own;
attacks maximize them."""

import numpy as np

from ..backend.device import Array, array_module
from .checks import check_columns, check_scores

MIN_DENOMINATOR = 1e-12
"""The smallest denominator of `dlr`: smaller ones are replaced by it."""


def margin(z: Array, y: Array) -> tuple[Array, Array]:
    """The margin max_{j≠y} z_j − z_y of Carlini and Wagner.

    Parameters
    ----------
    z : array (N, C)
        Class scores.
    y : array (N,)
        Labels: columns of z.

    Returns
    -------
    value : array (N,)
        The margin of each example: above 0 where another class has a larger score than its own, 0
        where they tie.
    dz : array (N, C)
        Its gradient 1_r − 1_y, r being the first of the largest wrong classes.

    Raises
    ------
    ValueError
        For fewer than 2 classes, or labels that are not columns of z.

    Notes
    -----
    Source: Carlini and Wagner, arXiv 1608.04644; their objective is this difference of scores, cut
    off at a confidence κ.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import margin
    >>> margin(np.array([[3.0, 1.0, 2.0]]), np.array([0]))
    (array([-1.]), array([[-1.,  0.,  1.]]))
    """
    check_scores("margin", z, classes=2)
    y = check_columns(z, y)
    return _difference(z, y, largest_other(z, y))


def difference(z: Array, y: Array, target: Array) -> tuple[Array, Array]:
    """The difference z_t − z_y of the scores of a target class and of the label.

    Parameters
    ----------
    z : array (N, C)
        Class scores.
    y : array (N,)
        Labels: columns of z.
    target : array (N,)
        The class t of each example, other than y (for t = y, value and gradient are 0).

    Returns
    -------
    value : array (N,)
        The difference of each example.
    dz : array (N, C)
        Its gradient 1_t − 1_y.

    Raises
    ------
    ValueError
        For scores of another shape, or labels or targets that are not columns of z.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import difference
    >>> difference(np.array([[3.0, 1.0, 2.0]]), np.array([0]), np.array([1]))
    (array([-2.]), array([[-1.,  1.,  0.]]))
    """
    check_scores("difference", z)
    return _difference(z, check_columns(z, y), check_columns(z, target, "target"))


def dlr(z: Array, y: Array) -> tuple[Array, Array]:
    """The difference of logits ratio, −(z_y − z_r) / (z_π1 − z_π3), for an attack to maximize.

    Parameters
    ----------
    z : array (N, C)
        Class scores of 3 classes or more.
    y : array (N,)
        Labels: columns of z.

    Returns
    -------
    value : array (N,)
        The ratio of each example: above 0 where another class has a larger score than its own, 0
        where they tie.
    dz : array (N, C)
        Its gradient.

    Raises
    ------
    ValueError
        For fewer than 3 classes, or labels that are not columns of z.

    Notes
    -----
    π sorts the scores in descending order, and r is the largest wrong class, max_{i≠y}. Neither a
    shift nor a positive scale of the scores changes the value, so an attack on a classifier with
    large scores still has a direction. The gradient is that of `_logits_ratio` with n = z_r − z_y
    and D = z_π1 − z_π3; where y has the third-largest score, the value is 1 and dz = 0.

    Of scores that tie, the earlier column comes first in π. Where D is below 1e-12 it counts as
    the constant 1e-12 (the authors' code adds 1e-12 everywhere): constant scores have the value 0
    and the gradient 10¹² (1_r − 1_y), finite in float32 too. For float16, in which 1e-12 is 0, all
    is computed in float32, and what is beyond ±65504 becomes that.
    Source: Croce and Hein, arXiv 2003.01690, equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import dlr
    >>> value, dz = dlr(np.array([[4.0, 0.0, 3.0]]), np.array([0]))
    >>> value, dz
    (array([-0.25]), array([[-0.1875, -0.0625,  0.25  ]]))
    """
    check_scores("dlr", z, classes=3)
    y = check_columns(z, y)
    order = _descending(z)
    return _logits_ratio(z, y, largest_other(z, y), [(order[:, 0], 1.0), (order[:, 2], -1.0)])


def targeted_dlr(z: Array, y: Array, target: Array) -> tuple[Array, Array]:
    """The targeted DLR loss, −(z_y − z_t) / (z_π1 − (z_π3 + z_π4)/2), for an attack to maximize.

    Parameters
    ----------
    z : array (N, C)
        Class scores of 4 classes or more.
    y : array (N,)
        Labels: columns of z.
    target : array (N,)
        The class t of each example, other than y (for t = y the value is 0).

    Returns
    -------
    value : array (N,)
        The ratio of each example: above 0 where the score of t exceeds that of y.
    dz : array (N, C)
        Its gradient.

    Raises
    ------
    ValueError
        For fewer than 4 classes, or labels or targets that are not columns of z.

    Notes
    -----
    As `dlr`, with n = z_t − z_y and D = z_π1 − ½ z_π3 − ½ z_π4.
    Source: Croce and Hein, arXiv 2003.01690, equation 7.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.losses import targeted_dlr
    >>> value, dz = targeted_dlr(np.array([[4.0, 0.0, 3.0, 0.0]]), np.array([0]), np.array([1]))
    >>> value
    array([-1.])
    """
    check_scores("targeted_dlr", z, classes=4)
    y, target = check_columns(z, y), check_columns(z, target, "target")
    order = _descending(z)
    terms = [(order[:, 0], 1.0), (order[:, 2], -0.5), (order[:, 3], -0.5)]
    return _logits_ratio(z, y, target, terms)


def largest_other(z: Array, y: Array) -> Array:
    """The largest wrong class argmax_{j≠y} z_j (N,), the first of those that tie."""
    xp = array_module(z)
    others = z.copy()
    others[xp.arange(len(z)), y] = -xp.inf
    return others.argmax(axis=1)


def _difference(z: Array, y: Array, target: Array) -> tuple[Array, Array]:
    xp = array_module(z)
    rows, dz = xp.arange(len(z)), xp.zeros_like(z)
    dz[rows, target] = 1
    dz[rows, y] -= 1
    return z[rows, target] - z[rows, y], dz


def _descending(z: Array) -> Array:
    """π (N, C): the columns by descending score; of equal ones, the earlier first."""
    return array_module(z).argsort(-z, axis=1, kind="stable")


def _logits_ratio(
    z: Array, y: Array, target: Array, terms: list[tuple[Array, float]]
) -> tuple[Array, Array]:
    """v = n / D with n = z_t − z_y and D = Σ c_k z_k over the columns k and coefficients c_k of
    `terms`.

    The c_k sum to 0, the first being 1, so D = −Σ c_k (z_π1 − z_k): a sum of differences, none
    below 0. dv = dn / D − n dD / D² = (dn − v dD) / D, so

        dz = (1_t − 1_y − v Σ_k c_k 1_k) / D

    and, where D is held at MIN_DENOMINATOR, the same without its last term.
    """
    xp = array_module(z)
    if z.dtype == np.float16:  # in which MIN_DENOMINATOR is 0, and its inverse infinite
        largest = float(np.finfo(z.dtype).max)
        both = _logits_ratio(z.astype(np.float32), y, target, terms)
        value, dz = (xp.clip(array, -largest, largest).astype(z.dtype) for array in both)
        return value, dz
    rows = xp.arange(len(z))
    first = terms[0][0]
    total = xp.zeros_like(z[:, 0])
    for column, coefficient in terms[1:]:
        total -= coefficient * (z[rows, first] - z[rows, column])
    D = xp.maximum(total, MIN_DENOMINATOR)
    value = (z[rows, target] - z[rows, y]) / D
    factor = xp.where(total > MIN_DENOMINATOR, value, 0)
    dz = xp.zeros_like(z)
    dz[rows, target] += 1
    dz[rows, y] -= 1
    for column, coefficient in terms:
        dz[rows, column] -= coefficient * factor
    return value, dz / D[:, None]
