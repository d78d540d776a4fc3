"""Expectation over transformation (EOT) for any attack: a randomized victim, averaged.

A victim that answers at random, by noise, random crops or dropout, has no gradient that an attack
could follow step after step; its expectation has. With z_s the scores of pass s,

    z = 1/S Σ_s z_s,        ∂/∂x of a loss of z: 1/S Σ_s (∂z_s/∂x)ᵀ dz.

Source: Athalye and others, "Synthesizing robust adversarial examples", arXiv 1707.07397.
"""

from ..backend.device import Array
from ..validation import check_count
from .victim import Backward, Victim


def average(victim: Victim, samples: int) -> Victim:
    """The victim whose scores are the mean of several passes of a randomized one.

    Parameters
    ----------
    victim : Victim
        A model whose scores differ from call to call; the passes count for it.
    samples : int
        The number of passes S.

    Returns
    -------
    Victim
        What any attack can be run on. What it finds is misclassified by the mean scores.

    Raises
    ------
    ValueError
        For fewer than one sample.

    Notes
    -----
    `apgd` averages losses and their gradients itself, `eot_iter=S`, as AutoAttack's version rand
    does; here scores are averaged, so that other attacks need not know of it.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, average, pgd
    >>> W, random = np.array([[1.0, -1.0], [-1.0, 1.0]]), np.random.default_rng(0)
    >>> def noisy(x):
    ...     return (x + 0.2 * random.normal(size=x.shape)) @ W, lambda dz: dz @ W.T
    >>> victim = Victim(noisy)
    >>> x, y = np.array([[0.7, 0.5]]), np.array([0])
    >>> average(victim, 10_000)(x)[0].round(1)  # the scores without noise
    array([[ 0.2, -0.2]])
    >>> attacked = pgd(average(victim, 100), x, y, eps=0.15)
    >>> victim.forward_passes > 10_000
    True
    """
    check_count("samples", samples)

    def model(x: Array) -> tuple[Array, Backward]:
        passes = [victim(x) for _ in range(samples)]

        def backward(dz: Array) -> Array:
            total = passes[0][1](dz)
            for _, one in passes[1:]:
                total = total + one(dz)
            return total / samples

        total = passes[0][0]
        for z, _ in passes[1:]:
            total = total + z
        return total / samples, backward

    result = Victim(model, lo=victim.lo, hi=victim.hi, keep=victim.keep)
    result.warned, result.passes = victim.warned, samples * victim.passes
    return result
