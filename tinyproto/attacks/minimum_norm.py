"""The nearest misclassified points that an attack inside a ball finds: bisection over its radius.

For each example the radius lies in an interval: at the upper end the attack is known to succeed, or
is hoped to; at the lower end it has failed. The attack is run at the middle, which becomes the
upper end where it succeeds, else the lower one; of all points found the nearest is kept. It may be
much nearer than the radius at which it was found: a step that the box cuts short reaches the
boundary at a radius, and not at the distance that it ends at. An attack does not succeed at every
radius above the least one at which it does, so that the result is an upper bound of what the attack
can do.
"""

import math
from typing import Any

from ..backend.device import Array, array_module
from ..validation import check_count
from .inputs import initially_correct, resolve_radius, validate_inputs
from .region import NORMS, Radius, norms
from .signatures import refuse_settled, takes
from .victim import Victim


def minimum_norm(
    attack: Any,
    victim: Victim,
    x: Array,
    y: Array,
    *,
    norm: str | float = "linf",
    farthest: Radius = math.inf,
    halvings: int = 16,
    seed: int = 0,
    index: Array | None = None,
    **options: Any,
) -> Array:
    """The nearest misclassified points that an attack inside a ball finds.

    Parameters
    ----------
    attack : callable
        One that stays in a ball: attack(victim, x, y, eps=, norm=, seed=, index=, …), or without
        seed and index if it draws no random numbers.
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in the victim's box.
    y : array (N,)
        Labels: columns of the scores z.
    norm : {"linf", "l2", "l1"}
        The norm of the ball, one that the attack has.
    farthest : float or array (N,)
        The upper end of the interval of radii: no point farther away is looked for. ∞ is the size
        of the box.
    halvings : int
        How often the interval is halved, which is how often the attack is run.
    seed, index
        As in `pgd`.
    **options
        Further arguments of the attack.

    Returns
    -------
    array (N, …)
        The points; x itself where none was found, or where it is misclassified to begin with. Their
        distances are `norms(found - x, norm)`.

    Raises
    ------
    ValueError
        As the attack does, for eps, and for an unbounded box without `farthest`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, minimum_norm, norms, pgd
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.6, 0.5], [0.9, 0.1]]), np.array([0, 0])
    >>> found = minimum_norm(pgd, victim, x, y)
    >>> norms(found - x, "linf").round(3)  # the exact distances
    array([0.05, 0.4 ])
    """
    check_count("halvings", halvings)
    if "eps" in options:
        raise ValueError(
            "minimum_norm takes no eps, since it looks for the least one; the option for an upper "
            f"bound is farthest={options['eps']!r}"
        )
    refuse_settled(attack, "eps", "norm", "seed", "index")
    x, y, index, _, norm = validate_inputs(victim, x, y, index, 0.0, norm, NORMS, seed=seed)
    high = resolve_radius("farthest", farthest, x, norm, victim)
    xp = array_module(x)
    adversarial, remaining, _ = initially_correct(victim, x, y)
    if not len(remaining):
        return adversarial
    x, y, index = x[remaining], y[remaining], index[remaining]
    drawn = {"seed": seed, "index": index}
    options |= {name: value for name, value in drawn.items() if takes(attack, name)}
    low, high, found = xp.zeros(len(x)), high[remaining], x.copy()
    best = high
    for _ in range(halvings):
        radius = (low + high) / 2
        with victim.unquestioned("eps"):  # large radii are tried on purpose
            attacked = attack(victim, x, y, eps=radius, norm=norm, **options)
        distance = norms(attacked.astype(xp.float64) - x, norm)
        wrong = victim(attacked)[0].argmax(axis=1) != y
        low, high = xp.where(wrong, low, radius), xp.where(wrong, radius, high)
        nearer = wrong & (distance <= best)
        found[nearer], best = attacked[nearer], xp.where(nearer, distance, best)
    adversarial[remaining] = found
    return adversarial
