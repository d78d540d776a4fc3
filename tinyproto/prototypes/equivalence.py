"""Inner products and Euclidean distances: when two winner-take-all networks have the same winner.

Subtracting ½‖x‖², which all neurons share, leaves every winner as it is:

    −½‖x − w‖² + ½‖x‖² = w·x − ½‖w‖²                                    (ED → IP: W = w, b = −½‖w‖²)

The other way, IP → ED, asks for centres cₖ with s(cₖ·x − ½‖cₖ‖²) = Wₖ·x + bₖ + a term that all
neurons share. Matching what multiplies x gives cₖ = (Wₖ + v)/s for one scale s > 0 and one shift v;
matching the rest,

    −‖Wₖ + v‖²/2s = bₖ + constant   ⇔   Wₖ·v + ½t = −s bₖ − ½‖Wₖ‖²   for all k, with one number t.

These are as many linear equations as neurons, in d + 1 unknowns. Of their solutions we take the one
of least ‖v‖; where there is none, an extra coordinate eₖ (0 for every input) takes up what remains:
½s²e²ₖ adds to the left-hand side, and t is free to make every e²ₖ ≥ 0.

Such centres have the winners of the network, but nothing draws them to the data: Wₖ is a difference
of images, not an image. `centre_distances` shows it, as the paper does (arXiv 2008.08750).
"""

import numpy as np

from ..backend.device import Array, to_host


def euclidean_to_inner_product(centres: Array) -> tuple[np.ndarray, np.ndarray]:
    """W (M, d) and b (M,) with argmaxₖ Wₖ·x + bₖ = argminₖ ‖x − cₖ‖ for centres (M, d)."""
    centres = to_host(centres).astype(np.float64)
    return centres, -0.5 * (centres**2).sum(axis=1)


def inner_product_to_euclidean(weights: Array, biases: Array, scale: float = 1.0) -> np.ndarray:
    """Centres (M, d) whose nearest one is the winner of Wₖ·x + bₖ, for weights (M, d), biases (M,).

    Where no such centres exist in d dimensions they have d + 1, and an input gets a last coordinate
    of 0. Raises ValueError for a scale that is not positive.
    """
    if not scale > 0:
        raise ValueError(f"scale must be above 0, not {scale!r}")
    W = to_host(weights).astype(np.float64)
    b = to_host(biases).astype(np.float64)
    wanted = -scale * b - 0.5 * (W**2).sum(axis=1)
    # Only differences between neurons bind v, since t is free: centre the equations.
    rows, right = W - W.mean(axis=0), wanted - wanted.mean()
    shift = np.linalg.lstsq(rows, right, rcond=None)[0]
    missing = right - rows @ shift
    centres = (W + shift) / scale
    if np.abs(missing).max() <= 1e-9 * max(np.abs(wanted).max(), np.finfo(float).tiny):
        return centres
    extra = np.sqrt(2 * (missing - missing.min())) / scale
    return np.concatenate([centres, extra[:, None]], axis=1)


def centre_distances(centres: Array, x: Array) -> np.ndarray:
    """The Euclidean distance of each centre (M, d) to its nearest sample of x (N, d): (M,).

    Centres with an extra coordinate count it: the samples have 0 there.
    """
    centres = to_host(centres).astype(np.float64)
    x = to_host(x).astype(np.float64)
    extra = centres[:, x.shape[1] :]
    near = centres[:, : x.shape[1]]
    nearest = np.full(len(centres), np.inf)
    for rows in np.array_split(x, max(1, len(x) // 4096)):
        squares = (rows**2).sum(axis=1)[None, :] - 2 * near @ rows.T
        nearest = np.minimum(nearest, squares.min(axis=1))
    squared = nearest + (near**2).sum(axis=1) + (extra**2).sum(axis=1)
    return np.sqrt(np.maximum(squared, 0.0))
