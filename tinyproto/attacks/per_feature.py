"""Radii of their own for each feature, as tabular data needs them.

With s the scale of each feature, an attack on u = x / s in the units of s,

    ‖u′ − u‖ = ‖(x′ − x) / s‖ ≤ 1,

is in L∞ the attack inside |x′_j − x_j| ≤ s_j, and in L2 that inside an ellipsoid with the half-axes
s_j. So the victim is scaled and no attack has to know: with z(x) = z(s u), ∂z/∂u = s ∂z/∂x.
"""

from typing import Any

import numpy as np

from ..backend.device import Array, array_module, to_device, to_host
from .checks import is_array
from .inputs import validate_inputs
from .region import linf_bounds
from .signatures import refuse_settled
from .victim import Backward, Victim


def scaled(victim: Victim, scale: Array) -> Victim:
    """The victim in units of its own for each feature: a victim of u = x / scale.

    Parameters
    ----------
    victim : Victim
        The model under attack; the passes count for it, too.
    scale : array
        Like one example, 0 or more: the unit of each feature. A feature with 0 is kept as it is,
        in its old unit: no attack changes it.

    Returns
    -------
    Victim
        Its box is that of the victim, divided by the scale.

    Raises
    ------
    ValueError
        For a scale that is not an array of finite numbers of 0 or more.

    Examples
    --------
    Age in years, income in thousands; the second is known more precisely than the first:

    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, fab, scaled
    >>> W = np.array([[1.0, -1.0], [-0.1, 0.1]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T), lo=0.0, hi=np.array([120.0, 900.0]))
    >>> x, y, scale = np.array([[40.0, 380.0]]), np.array([0]), np.array([1.0, 10.0])
    >>> found = fab(scaled(victim, scale), x / scale, y, bisections=30) * scale
    >>> (found - x).round(3)
    array([[-1., 10.]])
    """
    unit, kept = _units(scale)

    def model(u: Array) -> tuple[Array, Backward]:
        factor = to_device(unit, array_module(u)).astype(u.dtype)
        z, backward = victim(u * factor)
        return z, lambda dz: backward(dz) * factor

    keep = kept if victim.keep is None else kept | victim.keep
    result = Victim(model, lo=victim.lo / unit, hi=victim.hi / unit, keep=keep)
    result.warned, result.passes = victim.warned, victim.passes
    return result


def per_feature(
    attack: Any, victim: Victim, x: Array, y: Array, *, eps: Array, **options: Any
) -> Array:
    """An attack with a radius for each feature.

    Parameters
    ----------
    attack : callable
        One that stays in a ball, attack(victim, x, y, eps=, …), such as `pgd` or `autoattack`.
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in the victim's box.
    y : array (N,)
        Labels: columns of the scores z.
    eps : array
        Like one example: how far each feature may move, 0 or more, in its own units. With
        norm="l2" they are the half-axes of an ellipsoid.
    **options
        Further arguments of the attack.

    Returns
    -------
    array (N, …)
        The attacked examples, in the box; no element is farther from x than its eps.

    Raises
    ------
    ValueError
        For an eps that is not like one example, and as the attack does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, per_feature, pgd
    >>> W = np.array([[1.0, -1.0], [-0.1, 0.1]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T), lo=0.0, hi=np.array([120.0, 900.0]))
    >>> x, y = np.array([[40.0, 380.0]]), np.array([0])
    >>> per_feature(pgd, victim, x, y, eps=np.array([0.0, 40.0]), random_start=False).round(1)
    array([[ 40., 405.]])
    """
    x, y, *_ = validate_inputs(victim, x, y, options.get("index"), 0.0, "linf")
    refuse_settled(attack, "eps")
    shape = eps.shape if is_array(eps) else None
    if shape != x.shape[1:]:
        raise ValueError(
            f"eps must be an array like one example, of shape {x.shape[1:]}, not "
            f"{shape or repr(eps)}; a radius for each example is an argument of the attack itself"
        )
    xp = array_module(x)
    unit = to_device(_units(eps)[0], xp).astype(x.dtype)
    within = scaled(victim, eps)
    u = x / unit
    with within.unquestioned("eps"):  # the box is in the same units: 1 may be most of it
        found = attack(within, u, y, eps=1.0, **options)
    moved = xp.where(found == u, x, found * unit)
    radii = to_device(eps, xp).astype(xp.float64)[None]
    return xp.clip(moved, *linf_bounds(x, radii, victim.lo, victim.hi))


def _units(scale: Array) -> tuple[np.ndarray, np.ndarray]:
    """A scale without its zeros, float64, and where they were."""
    array = to_host(scale) if is_array(scale) else np.zeros(0, object)
    if array.dtype.kind not in "iuf" or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError("the scale of the features must be an array of finite numbers, 0 or more")
    array = array.astype(np.float64)
    return np.where(array > 0, array, 1.0), array == 0
