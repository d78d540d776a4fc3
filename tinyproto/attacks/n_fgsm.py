"""N-FGSM: a single step from a noisy start, for adversarial training (arXiv 2202.01181).

    η ~ U(−kε, kε)        x′ = clip(x + η + ε sign ∇ℓ(x + η))

PGD in training costs a forward and a backward pass for each of its steps; a single step costs one.
But a network that is trained on FGSM's images learns to bend its loss just there, and within an
epoch its accuracy under PGD falls to nothing: catastrophic overfitting. De Jorge and others found
what prevents it: noise that is larger than the ball, k = 2, and no projection to the ball after the
step. So x′ is as far as (k + 1) ε from x, and the box is its only bound.
"""

import math

from ..backend.device import Array, array_module
from ..random import uniform
from ..validation import check_count, check_number
from .inputs import HIGHEST_SEED, Loss, resolve_loss, validate_inputs, validate_labels
from .region import Radius, clip_to_box, expand_like
from .victim import Victim


def n_fgsm(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    noise: float = 2.0,
    loss: str | Loss = "ce",
    seed: int = 0,
    epoch: int = 0,
    index: Array | None = None,
) -> Array:
    """One signed step of size eps from a start with uniform noise of noise · eps, in L∞.

    The points are for training: they may be (noise + 1) eps from x, outside the ball in which a
    classifier is judged.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in [victim.lo, victim.hi], float32 or float64.
    y : array (N,)
        Labels: columns of the scores z.
    eps : float or array (N,)
        ε, the length of the step, in the units of x.
    noise : float
        k, the noise in units of ε; 0 for FGSM's start.
    loss : {"ce", "dlr", "margin"} or callable
        The loss to raise; a function is one like those of `tinyproto.losses`.
    seed, epoch : int
        With the positions in the data set, all that the noise depends on.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default.

    Returns
    -------
    array (N, …)
        The attacked examples, in [victim.lo, victim.hi].

    Raises
    ------
    ValueError
        As `fgsm` does, and for noise below 0.

    Notes
    -----
    Source: de Jorge and others, "Make some noise", NeurIPS 2022 (arXiv 2202.01181), algorithm 1;
    here the noisy start is clipped to the box, too.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, n_fgsm
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.6, 0.5]]), np.array([0])
    >>> n_fgsm(victim, x, y, eps=0.1, noise=0.0).round(3)
    array([[0.5, 0.6]])
    >>> bool(abs(n_fgsm(victim, x, y, eps=0.1) - x).max() <= 0.3)
    True
    """
    loss = resolve_loss(loss)
    x, y, index, eps, _ = validate_inputs(victim, x, y, index, eps, "linf", ("linf",), seed=seed)
    check_count("epoch", epoch, 0, HIGHEST_SEED)
    check_number("noise", noise)
    xp = array_module(x)
    size, box, eps = math.prod(x.shape[1:]), (x, victim.lo, victim.hi), expand_like(eps, x)
    drawn = uniform(size, index, stream="n-fgsm start", seed=seed, epoch=epoch, xp=xp)
    moved = drawn.reshape(x.shape)  # in float64, in place: these arrays are as large as the batch
    moved *= 2
    moved -= 1
    moved *= noise * eps
    moved += x
    start = clip_to_box(moved, *box)
    z, backward = victim(start)
    validate_labels(z, y)
    moved = eps * xp.sign(backward(loss(z, y)[1]))
    moved += start
    return clip_to_box(moved, *box)
