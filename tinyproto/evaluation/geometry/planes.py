"""Planes of a latent space, to be drawn."""

import numpy as np

from ...prototypes.validation import check_rows


def prototype_plane(features: np.ndarray, prototypes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The plane through three prototypes: the one in which their classes are decided.

    Parameters
    ----------
    features : array (N, d)
        Features, d ≥ 2. They matter only for an axis that the prototypes leave open.
    prototypes : array (2 or 3, d)
        Prototypes c_j, or other vectors of the classes.

    Returns
    -------
    origin : array (d,)
        The mean of the prototypes.
    axes : array (2, d)
        Orthonormal: (h − origin) @ axes.T are the coordinates of a feature h. The first prototype
        is at the top, the second to the right of it.

    Raises
    ------
    ValueError
        For arrays of other shapes, or that are not finite.

    Notes
    -----
    Scores z_j = h · c_j + b_j differ by z_j − z_k = h · (c_j − c_k) + b_j − b_k. The axes span all
    c_j − c_k, so which of the classes has the largest score can be read from the plane exactly:
    what a projection to it loses is the same for all of them.

    Two prototypes, or three on a line, leave one axis open: there it is the direction across them
    in which the features vary most.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.geometry import prototype_plane
    >>> h, c = np.random.default_rng(0).normal(size=(9, 4)), np.eye(3, 4)
    >>> origin, axes = prototype_plane(h, c)
    >>> np.abs((c - origin) @ axes.T).round(3).tolist()  # a regular triangle
    [[0.0, 0.816], [0.707, 0.408], [0.707, 0.408]]
    """
    c = check_rows(prototypes, "prototypes", at_least=2)
    h = check_rows(features, "features")
    if len(c) > 3 or c.shape[1] < 2 or h.shape[1] != c.shape[1]:
        raise ValueError(
            "features (N, d) and prototypes (2 or 3, d) must have one d of 2 or more, not "
            f"{h.shape} and {c.shape}"
        )
    origin = c.mean(axis=0)
    axes = _two_axes(c - origin, least=1e-9 * float(np.abs(c).max()))
    if len(axes) < 2:
        rest = h - h.mean(axis=0)
        rest = rest - rest @ axes.T @ axes
        _, s, principal = np.linalg.svd(rest, full_matrices=False)
        axes = _two_axes(np.concatenate([axes, s[:, None] * principal, np.eye(h.shape[1])]))
    return origin, axes[::-1]


def _two_axes(vectors: np.ndarray, least: float = 0.0) -> np.ndarray:
    """The first two independent directions (2, d), orthonormal; fewer if there are no two. A
    direction that is shorter than `least` does not count."""
    axes = np.empty((0, vectors.shape[1]))
    for vector in vectors:
        rest = vector - axes.T @ (axes @ vector)
        rest -= axes.T @ (axes @ rest)
        length = np.linalg.norm(rest)
        if len(axes) < 2 and length > max(least, 1e-6 * float(np.linalg.norm(vector))):
            axes = np.concatenate([axes, rest[None] / length])
    return axes
