"""Targeted attacks: towards a given class instead of away from the label.

Being classified as t is being misclassified by a victim of two scores, "any other class" and "t",

    z′ = (max_{j≠t} z_j, z_t),        label 0,

so every attack is targeted without knowing it: its success is argmax z′ = 1, that is argmax z = t.
Its loss is one of z_t − max_{j≠t} z_j alone: the margin of Square, FAB and Carlini and Wagner
towards t, and for cross-entropy log(1 + exp(z_t − max_{j≠t} z_j)), whose gradient has the same
direction. With r the largest of the other classes, ∂L/∂z_r = ∂L/∂z′_0 and ∂L/∂z_t = ∂L/∂z′_1.

The examples of each target class are attacked together.
"""

from typing import Any

from ..backend.device import Array, array_module, to_device, to_host
from ..losses.margins import largest_other
from ..validation import check_index, check_labels
from .checks import is_array, require_array
from .signatures import takes
from .victim import Backward, Victim


def targeted(attack: Any, victim: Victim, x: Array, target: Array, **options: Any) -> Array:
    """An attack towards given classes: successful where an example is classified as its target.

    Parameters
    ----------
    attack : callable
        Any attack(victim, x, y, …): `fgsm`, `pgd`, `apgd`, `fab`, `square`, `carlini_wagner`,
        `hop_skip_jump`, or `functools.partial` of one with its settings.
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in the victim's box.
    target : array (N,)
        The class that each example shall be taken for: a column of the scores z.
    **options
        Further arguments of the attack: eps, norm, seed, index, start, …. An array of shape (N,),
        or of that of x, has one value, or one point, for each example.

    Returns
    -------
    array (N, …)
        What the attack returns, classified as the targets where it succeeded. An example that is
        classified as its target to begin with is not changed.

    Raises
    ------
    ValueError
        For targets that are not columns of the scores, and as the attack does.

    Notes
    -----
    There are two scores, so that the losses "ce", "dlr" and "margin" are functions of one margin,
    and `apgd_targeted` and `fab` have a single class to go to.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, pgd, targeted
    >>> W = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T), lo=-1.0)
    >>> x, target = np.array([[0.6, 0.5], [0.6, 0.5]]), np.array([1, 2])
    >>> victim(x)[0].argmax(axis=1)
    array([0, 0])
    >>> attacked = targeted(pgd, victim, x, target, eps=0.9)
    >>> victim(attacked)[0].argmax(axis=1)
    array([1, 2])
    """
    require_array("x", x)
    require_array("target", target)
    xp, count = array_module(x), len(x)
    target = check_labels(to_device(target, xp), count, name="target")
    if takes(attack, "index"):
        options["index"] = check_index(options.get("index"), count, like=x)
    result = x.copy()
    for t in sorted(set(to_host(target).tolist())):
        group = xp.flatnonzero(target == t)
        chosen = {
            name: value[group] if is_array(value) and value.shape in ((count,), x.shape) else value
            for name, value in options.items()
        }
        zeros = xp.zeros(len(group), dtype=xp.int64)
        result[group] = attack(towards(victim, t), x[group], zeros, **chosen)
    return result


def towards(victim: Victim, target: int) -> Victim:
    """The victim of two scores, the largest of the other classes' and the target's."""

    def model(x: Array) -> tuple[Array, Backward]:
        z, backward = victim(x)
        xp, rows = array_module(z), len(z)
        label = check_labels(xp.full(rows, target), rows, z.shape[1], name="target")
        other, each = largest_other(z, label), xp.arange(rows)

        def backward_two(dz: Array) -> Array:
            every = xp.zeros_like(z)
            every[each, other], every[each, label] = dz[:, 0], dz[:, 1]
            return backward(every)

        return xp.stack([z[each, other], z[each, label]], axis=1), backward_two

    result = Victim(model, lo=victim.lo, hi=victim.hi, keep=victim.keep)
    result.warned, result.passes = victim.warned, victim.passes
    return result
