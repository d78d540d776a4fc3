"""Inner products and Euclidean distances: when two winner-take-all networks have the same winner.

All neurons share the term ½‖x‖², so leaving it out changes no winner:

    −½‖x − w‖² + ½‖x‖² = w·x − ½‖w‖²                                    (ED → IP: W = w, b = −½‖w‖²)

In the other direction, IP → ED, we look for centres cₖ with s(cₖ·x − ½‖cₖ‖²) = Wₖ·x + bₖ + a term
that all neurons share. Comparing the coefficients of x gives cₖ = (Wₖ + v)/s for one scale s > 0
and one shift v; comparing the rest,

    −‖Wₖ + v‖²/2s = bₖ + constant   ⇔   Wₖ·v + ½t = −s bₖ − ½‖Wₖ‖²   for all k, with one number t.

These are as many linear equations as neurons, in d + 1 unknowns. Of their solutions we take the one
with the least ‖v‖. Where there is none, each centre gets an extra coordinate eₖ (0 for every
input), which adds ½s²e²ₖ to the left-hand side and so makes up for what is missing; t is chosen
such that every e²ₖ ≥ 0.

Such centres have the winners of the network, but nothing attracts them to the data: Wₖ is a
difference of images, not an image. `centre_distances` shows it, as the paper does (arXiv
2008.08750).
"""

import numpy as np

from ..backend.device import Array, to_host
from ..validation import check_number, check_shape
from .validation import check_rows


def euclidean_to_inner_product(centres: Array) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases whose largest score belongs to the nearest centre.

    Parameters
    ----------
    centres : array (M, d)
        cₖ.

    Returns
    -------
    weights : array (M, d)
        W = c, in float64.
    biases : array (M,)
        b = −½‖c‖², so that argmaxₖ Wₖ·x + bₖ = argminₖ ‖x − cₖ‖ for all x.

    Raises
    ------
    ValueError
        For another shape, and for centres that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import euclidean_to_inner_product
    >>> weights, biases = euclidean_to_inner_product(np.array([[0.0, 1.0], [3.0, 0.0]]))
    >>> biases.tolist()
    [-0.5, -4.5]
    """
    centres = check_rows(centres, "centres").copy()
    return centres, -0.5 * (centres**2).sum(axis=1)


def inner_product_to_euclidean(weights: Array, biases: Array, scale: float = 1.0) -> np.ndarray:
    """Centres whose nearest one is the neuron with the largest score Wₖ·x + bₖ.

    Parameters
    ----------
    weights : array (M, d)
        W.
    biases : array (M,)
        b.
    scale : float, default 1.0
        s > 0; the centres have the same winners for any s.

    Returns
    -------
    array (M, d) or (M, d + 1)
        The centres, in float64. With d + 1 coordinates, where d are not enough, the last coordinate
        of every input is 0.

    Raises
    ------
    ValueError
        For a scale that is not positive, for other shapes, and for numbers that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import euclidean_to_inner_product, inner_product_to_euclidean
    >>> centres = np.array([[0.0, 1.0], [3.0, 0.0]])
    >>> again = inner_product_to_euclidean(*euclidean_to_inner_product(centres))
    >>> np.allclose(again, centres)
    True
    """
    check_number("scale", scale, zero=False)
    W = check_rows(weights, "weights")
    check_shape("biases", to_host(biases), (len(W),))
    b = check_rows(to_host(biases)[:, None], "biases")[:, 0]
    target = -scale * b - 0.5 * (W**2).sum(axis=1)
    # t is free, so only differences between the equations matter: subtract their mean.
    rows, right = W - W.mean(axis=0), target - target.mean()
    shift = np.linalg.lstsq(rows, right, rcond=None)[0]
    missing = right - rows @ shift
    centres = (W + shift) / scale
    if np.abs(missing).max() <= 1e-9 * max(np.abs(target).max(), np.finfo(float).tiny):
        return centres
    extra = np.sqrt(2 * (missing - missing.min())) / scale
    return np.concatenate([centres, extra[:, None]], axis=1)


def centre_distances(centres: Array, x: Array) -> np.ndarray:
    """The distance of each centre to its nearest sample.

    Parameters
    ----------
    centres : array (M, d) or (M, d + 1)
        The centres, perhaps with the extra coordinate of `inner_product_to_euclidean`, which is 0
        for the samples.
    x : array (N, d)
        The samples.

    Returns
    -------
    array (M,)
        Euclidean distances, in float64.

    Raises
    ------
    ValueError
        For other shapes, and for numbers that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import centre_distances
    >>> centre_distances(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0], [9.0, 9.0]])).tolist()
    [5.0]
    """
    centres, x = check_rows(centres, "centres"), check_rows(x, "x")
    if centres.shape[1] - x.shape[1] not in (0, 1):
        raise ValueError(
            f"x must have as many columns as the centres, {centres.shape[1]}, or one less, not "
            f"{x.shape[1]}"
        )
    within, extra = centres[:, : x.shape[1]], centres[:, x.shape[1] :]
    nearest = np.full(len(centres), np.inf)
    for rows in np.array_split(x, max(1, len(x) // 4096)):
        squares = (rows**2).sum(axis=1)[None, :] - 2 * within @ rows.T
        nearest = np.minimum(nearest, squares.min(axis=1))
    squared = nearest + (within**2).sum(axis=1) + (extra**2).sum(axis=1)
    return np.sqrt(np.maximum(squared, 0.0))
