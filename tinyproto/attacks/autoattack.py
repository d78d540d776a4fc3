"""AutoAttack: an ensemble of attacks, each on the examples that are still classified correctly.

    standard: APGD on cross-entropy, APGD towards nine classes on the targeted DLR loss, FAB towards
              nine classes, Square with 5,000 queries
    plus:     APGD on cross-entropy and on DLR, FAB without a target, with five restarts each;
              Square; APGD and FAB towards nine classes
    rand:     APGD on cross-entropy and on DLR, each gradient averaged over 20 passes: for
              randomized victims

In L1, standard has five restarts of APGD on cross-entropy and five target classes of APGD, as the
authors have it. For fewer than ten classes all wrong ones are targets; what replaces DLR where it
is not defined is explained in `apgd`.

Sources: Croce and Hein, arXiv 2003.01690, and for L1 arXiv 2103.01208.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from ..backend.device import Array, array_module
from .apgd import apgd, apgd_targeted
from .fab import fab
from .inputs import initially_correct, validate_inputs
from .region import NORMS, Radius, expand_like, norms, per_example
from .square import square
from .victim import Victim

Attack = Callable[..., Array]
"""attack(victim, x, y, eps=, norm=, seed=, index=), which returns the attacked examples."""

VERSIONS = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
"""The attacks of each version, in order."""


def autoattack(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    norm: str | float = "linf",
    version: str | Sequence[str] = "standard",
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """AutoAttack: several attacks in order, each on the examples that those before it left.

    `tinyproto.evaluation.evaluate` does the same in batches, continues after an interruption, and
    reports what each attack did.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in [victim.lo, victim.hi]; images with their channels last.
    y : array (N,)
        Labels: columns of the scores z.
    eps : float or array (N,)
        The radius of the ball, in the units of x; ∞ is the box.
    norm : {"linf", "l2", "l1"}
        The norm of the ball. "L2", 2 and `np.inf` are understood too.
    version : {"standard", "plus", "rand"} or sequence of str
        A version, or names of attacks of these versions.
    seed : int
        The seed of all random numbers.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default; as in `pgd`.

    Returns
    -------
    array (N, …)
        The point of the first attack that found a misclassified one. An example for which none did,
        or that is misclassified to begin with, is not changed.

    Raises
    ------
    ValueError
        As `pgd` does, and for an unknown version or attack.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, autoattack
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.6, 0.5], [0.9, 0.1]]), np.array([0, 0])
    >>> attacked = autoattack(victim, x, y, eps=0.125, version=["apgd-ce", "fab-t"])
    >>> victim(attacked)[0].argmax(axis=1)
    array([1, 0])
    """
    x, y, index, radii, norm = validate_inputs(
        victim, x, y, index, eps, norm, NORMS, seed=seed, no_radius=True
    )
    attacks = attacks_to_run(version, norm)
    adversarial, remaining, _ = initially_correct(victim, x, y)
    for attack in attacks.values():
        if len(remaining) == 0 or not radii.any():
            break
        options = {"eps": radii[remaining], "norm": norm, "seed": seed, "index": index[remaining]}
        attacked = attack(victim, x[remaining], y[remaining], **options)
        wrong = victim(attacked)[0].argmax(axis=1) != y[remaining]
        adversarial[remaining[wrong]] = attacked[wrong]
        remaining = remaining[~wrong]
    return adversarial


def attacks_to_run(
    version: str | Sequence[str] = "standard", norm: str = "linf"
) -> dict[str, Attack]:
    """The attacks of a version of AutoAttack by name, with the authors' settings, in order.

    Parameters
    ----------
    version : {"standard", "plus", "rand"} or sequence of str
        A version, or names of attacks of these versions.
    norm : {"linf", "l2", "l1"}
        The norm of the ball: the standard version differs in L1.

    Returns
    -------
    dict of str to callable
        Name → attack(victim, x, y, eps=, norm=, seed=, index=).

    Raises
    ------
    ValueError
        For an unknown version or attack.

    Examples
    --------
    >>> from tinyproto.attacks.autoattack import attacks_to_run
    >>> list(attacks_to_run("standard"))
    ['apgd-ce', 'apgd-t', 'fab-t', 'square']
    """
    names: tuple[str, ...] = ()
    if isinstance(version, str):
        names = VERSIONS.get(version, ())
    elif isinstance(version, Iterable):
        names = tuple(version)
    if not names:
        raise ValueError(f"version must be one of {', '.join(VERSIONS)}, not {version!r}")
    sparse = norm == "l1" and version == "standard"
    restarts = 5 if version == "plus" or sparse else 1
    eot_iter = 20 if version == "rand" else 1
    known: dict[str, Attack] = {
        "apgd-ce": partial(apgd, restarts=restarts, eot_iter=eot_iter),
        "apgd-dlr": partial(apgd, loss="dlr", restarts=restarts, eot_iter=eot_iter),
        "apgd-t": partial(apgd_targeted, targets=5) if sparse else apgd_targeted,
        "fab": partial(fab_in_ball, restarts=restarts),
        "fab-t": partial(fab_in_ball, targets=9),
        "square": square,
    }
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown attack {unknown[0]!r}; AutoAttack has {', '.join(known)}")
    return {name: known[name] for name in names}


def fab_in_ball(
    victim: Victim, x: Array, y: Array, *, eps: Radius, norm: str | float = "linf", **options: Any
) -> Array:
    """The points that FAB finds where they lie within eps of x, else x itself.

    Parameters
    ----------
    victim, x, y, eps, norm
        As in `pgd`.
    **options
        Further arguments of `fab`.

    Returns
    -------
    array (N, …)
        The attacked examples.
    """
    found = fab(victim, x, y, norm=norm, eps=eps, **options)
    xp = array_module(x)
    near = norms(found.astype(xp.float64) - x, norm) <= per_example(eps, x)
    return xp.where(expand_like(near, x), found, x)
