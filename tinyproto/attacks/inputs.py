"""What every attack does first: check its arguments, and find the examples it has to attack."""

import math
import reprlib
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from ..backend.device import Array, array_module, to_device
from ..losses import cross_entropy, dlr, margin
from ..validation import check_count, check_index, check_labels, check_shape, resolve_norm
from .box import box_size, check_box
from .checks import is_array, require_array
from .region import Radius, per_example
from .victim import Victim

Loss = Callable[[Array, Array], tuple[Array, Array]]
"""loss(z, y) of scores z (N, C) and labels y (N,): values (N,), and gradients at the scores."""

LOSSES: dict[str, Loss] = {"ce": cross_entropy, "dlr": dlr, "margin": margin}
"""The losses that an attack knows by name."""

HIGHEST_SEED = 2**32 - 1


def resolve_loss(loss: str | Loss) -> Loss:
    """The loss function of a name in LOSSES; a function is returned with a check of its values.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    if not callable(loss):
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} or a function, not {loss!r}")
    if loss in LOSSES.values():
        return loss

    def checked(z: Array, y: Array) -> tuple[Array, Array]:
        value, dz = loss(z, y)
        check_shape("the value of the loss", value, (len(z),))
        return value, dz

    return checked


class Inputs(NamedTuple):
    """The arguments of an attack, checked: what each is called, and its one form."""

    x: Array
    y: Array
    index: Array
    eps: Array
    norm: str


def validate_inputs(
    victim: Victim,
    x: Array,
    y: Array,
    index: Array | None,
    eps: Radius,
    norm: str | float,
    allowed_norms: tuple[str, ...] = ("linf", "l2"),
    *,
    seed: int = 0,
    no_radius: bool = False,
    **counts: int,
) -> Inputs:
    """Check the arguments of an attack.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in the victim's box, float32 or float64.
    y : array (N,)
        Labels, integers. Whether they are columns of the scores is checked in `initially_correct`.
    index : array (N,) or None
        The examples' positions in the data set; 0 … N − 1 for None.
    eps : float or array (N,)
        The radius, 0 or more; ∞ is the box. More than half of the box is warned of, once for each
        victim.
    norm : str or float
        One of `allowed_norms`, in any of the ways of `validation.resolve_norm`.
    seed : int
        From 0 to 2³² − 1.
    no_radius : bool
        Whether eps = ∞ stays ∞: no radius at all.
    **counts : int
        Arguments that must be integers of 1 or more, by name: steps=, restarts=, …

    Returns
    -------
    Inputs
        x in this machine's byte order; labels and positions as integers on the device of x; the
        radius of each example, float64 and no larger than the box; the name of the norm.

    Raises
    ------
    ValueError
        For an argument that an attack cannot work with.
    """
    if not hasattr(victim, "lo"):
        raise ValueError("the victim must be a Victim: write Victim(model)")
    name = resolve_norm(norm, allowed_norms)
    for count_name, count in counts.items():
        check_count(count_name, count)
    check_count("seed", seed, 0, HIGHEST_SEED)
    require_array("x", x)
    require_array("y", y)
    x = check_examples("x", x, victim)
    y = check_labels(to_device(y, array_module(x)), len(x))
    index = check_index(index, len(x), like=x)
    radii = resolve_radius("eps", eps, x, name, victim, no_radius)
    return Inputs(x, y, index, radii, name)


def check_examples(name: str, x: Array, victim: Victim) -> Array:
    """x in this machine's byte order, if it is in the box and float32 or float64."""
    xp = array_module(x)
    found = f"{x.dtype} of shape {x.shape}"
    if x.ndim == 0 or (len(x) and not x.size):
        raise ValueError(f"{name} must hold examples (N, …), not {found}")
    x = xp.asarray(x).astype(x.dtype.newbyteorder("="), copy=False)
    if x.dtype not in (np.float32, np.float64):
        wanted = "float32 or float64" if x.dtype.kind == "f" else "floating-point numbers"
        levels = " / 255" if x.dtype.kind in "iu" and victim.width == 1 else ""
        raise ValueError(
            f"{name} must hold {wanted}, not {found}; use {name}.astype(np.float32){levels}"
        )
    check_box(name, x, victim)
    return x


def resolve_radius(
    name: str, value: Radius, x: Array, norm: str, victim: Victim, no_radius: bool = False
) -> Array:
    """A radius, or another length, for each example: float64 (N,), no larger than the box except
    for ∞ where that is no radius.

    Raises
    ------
    ValueError
        For what is no number, or not one for each example; for negative ones and NaN; for ∞ where
        the box is unbounded.
    """
    xp, count = array_module(x), len(x)
    right, found = isinstance(value, Real) and not isinstance(value, bool), reprlib.repr(value)
    if is_array(value):
        array: Any = value
        right = array.shape in ((), (count,)) and array.dtype.kind in "iuf"
        found = f"{array.dtype} {array.shape}"
    if not right:
        like_one = getattr(value, "shape", None) == x.shape[1:]
        advice = "; for one for each feature use per_feature" if like_one else ""
        raise ValueError(
            f"{name} must be a number, or one for each of {count} examples, not {found}{advice}"
        )
    lengths = xp.atleast_1d(to_device(value, xp) if is_array(value) else xp.asarray(float(value)))
    if lengths.size and not bool((lengths >= 0).all()):
        raise ValueError(f"{name} must be 0 or more, not {float(lengths.min()):g}")
    size, finite = box_size(x.shape, norm, victim), lengths[lengths < math.inf]
    if size == math.inf and len(finite) < len(lengths) and not no_radius:
        raise ValueError(f"{name} must be finite where lo or hi is not")
    if name == "eps" and len(finite):
        question = question_radius(float(finite.max()), norm, size, victim.width)
        if question:
            victim.warn_once("eps", question)
    bounded = xp.minimum(lengths, size)
    return per_example(
        xp.where(lengths == math.inf, math.inf, bounded) if no_radius else bounded, x
    )


def question_radius(eps: float, norm: str, size: float, width: float) -> str | None:
    """What to ask of a radius that is finite, but more than half the size of the box; None where
    there is nothing to ask. `size` is that of `box_size`, `width` is hi − lo."""
    if not size / 2 < eps < math.inf:
        return None
    half = "" if eps > size else "half "
    meant = f"{eps:g}/255" if width == 1 else f"{eps * width / 255:.4g}"
    advice = f"; did you mean {meant}?" if width < 128 else ""
    return f"eps {eps:g} is more than {half}the size of the box, {size:.4g} in {norm}{advice}"


def initially_correct(victim: Victim, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """The examples that an attack has to attack: those that the victim classifies correctly.

    Parameters
    ----------
    victim : Victim
        The model under attack; this takes one forward pass.
    x : array (N, …)
        The examples.
    y : array (N,)
        Their labels, columns of the scores.

    Returns
    -------
    adversarial : array (N, …)
        A copy of x, into which the attack writes the points it finds.
    remaining : array (n,)
        The indices of the examples that are classified correctly.
    z : array (N, C)
        The scores at x.

    Raises
    ------
    ValueError
        For fewer than two classes, and for labels that are not columns of the scores.
    """
    z, _ = victim(x)
    validate_labels(z, y)
    return x.copy(), array_module(x).flatnonzero(z.argmax(axis=1) == y), z


def validate_labels(z: Array, y: Array) -> None:
    """Check labels y (N,) against scores z (N, C).

    Raises
    ------
    ValueError
        For fewer than two classes, and for labels that are not columns of the scores.
    """
    if z.shape[1] < 2:
        raise ValueError(f"the scores must have two classes or more, not {z.shape[1]}")
    check_labels(y, len(y), z.shape[1])
