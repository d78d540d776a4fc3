"""Projection onto the L1 ball inside the box, exact, by sorting.

The nearest point x + δ to x + v (in L2) with ‖δ‖₁ ≤ eps and lo ≤ x + δ ≤ hi: no δ_j has another
sign than v_j, so let u_j ≥ 0 be how far x_j may go in the direction of v_j. It remains to minimize

    ½ Σ (|v_j| − t_j)²        Σ t_j ≤ eps        0 ≤ t_j ≤ u_j        for t_j = |δ_j|.

With the multiplier λ ≥ 0 of the sum, each t_j is the minimizer of its own term plus λ t_j, cut off:

    t_j = min(max(|v_j| − λ, 0), u_j)        f(λ) = Σ t_j(λ)

If f(0) ≤ eps, λ is 0: the box alone matters. Otherwise f(λ) = eps: f is decreasing and linear
between the points |v_j| − u_j, where t_j begins to fall, and |v_j|, where it becomes 0. Between the
sorted points its slope is minus the number of the j that have begun and have not become 0, so that
the values at all of them are sums of products, and the piece in which f falls to eps gives λ.

Cutting off at the ball first and at the box then, as L2 attacks do, would end far inside the ball.
Source: Croce and Hein, "Mind the box", arXiv 2103.01208, section 3.1 and proposition 3.1.
"""

from ..backend.device import Array, array_module


def shrink_to_l1_ball(length: Array, room: Array, eps: Array) -> Array:
    """t of the module: the lengths of the moves of each element.

    Parameters
    ----------
    length : array (N, d)
        |v|, float64.
    room : array (N, d)
        u ≥ 0, which may be ∞.
    eps : array (N,)
        The radius of each ball.

    Returns
    -------
    array (N, d)
        t, whose sums are eps or less, to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks.l1 import shrink_to_l1_ball
    >>> length, room = np.array([[3.0, 2.0, 0.5]]), np.array([[1.0, 9.0, 9.0]])
    >>> shrink_to_l1_ball(length, room, np.array([2.0]))
    array([[1., 1., 0.]])
    """
    xp = array_module(length)
    t = xp.minimum(length, room)
    outside = xp.flatnonzero(t.sum(axis=1) > eps)
    if len(outside):
        length, room = length[outside], room[outside]
        multiplier = _multiplier(length, room, t[outside].sum(axis=1), eps[outside])
        shrunk = xp.minimum(xp.maximum(length - multiplier[:, None], 0.0), room)
        excess = xp.maximum(shrunk.sum(axis=1), eps[outside])  # by rounding alone
        t[outside] = shrunk * (eps[outside] / xp.where(excess > 0, excess, 1.0))[:, None]
    return t


def _multiplier(length: Array, room: Array, total: Array, eps: Array) -> Array:
    """λ (n,) with f(λ) = eps, where f(0) = `total` exceeds it."""
    xp = array_module(length)
    points = xp.concatenate([xp.maximum(length - room, 0.0), length], axis=1)
    begins = xp.ones(length.shape)
    order = points.argsort(axis=1, kind="stable")
    points = xp.take_along_axis(points, order, axis=1)
    changes = xp.concatenate([begins, -begins], axis=1)
    slope = xp.cumsum(xp.take_along_axis(changes, order, axis=1), axis=1)  # of −f, after the point
    fall = xp.cumsum(slope[:, :-1] * (points[:, 1:] - points[:, :-1]), axis=1)
    above = total[:, None] - fall > eps[:, None]  # at each point but the first, where it is
    piece = above.sum(axis=1)[:, None]
    value = total - xp.where(
        piece[:, 0] > 0, xp.take_along_axis(fall, xp.maximum(piece - 1, 0), axis=1)[:, 0], 0.0
    )
    start, falling = (xp.take_along_axis(a, piece, axis=1)[:, 0] for a in (points, slope))
    return start + (value - eps) / xp.maximum(falling, 1.0)


def steepest_step(gradient: Array, sparsity: Array) -> Array:
    """The direction of norm 1 in L1 that APGD steps along: the signs of the gradient at its largest
    elements, over their number.

    Parameters
    ----------
    gradient : array (N, d)
        The gradient of each example.
    sparsity : array (N,)
        The fraction of the elements that move. Of equal ones at the limit, all do.

    Returns
    -------
    array (N, d)
        float64.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks.l1 import steepest_step
    >>> steepest_step(np.array([[0.1, -3.0, 0.2, 2.0]]), np.array([0.5]))
    array([[ 0. , -0.5,  0. ,  0.5]])
    """
    xp, size = array_module(gradient), gradient.shape[1]
    magnitude = xp.abs(gradient)
    at = xp.clip((1.0 - sparsity) * size, 0, size - 1).astype(xp.int64)
    limit = xp.take_along_axis(xp.sort(magnitude, axis=1), at[:, None], axis=1)
    sign = xp.where(magnitude >= limit, xp.sign(gradient), 0.0).astype(xp.float64)
    return sign / xp.maximum(xp.abs(sign).sum(axis=1), 1.0)[:, None]
