"""What every attack does first: check its arguments, and find the examples it has to attack."""

from collections.abc import Callable

import numpy as np

from ..backend.device import Array, array_module, to_host
from ..losses import cross_entropy, dlr, margin
from .region import Radius
from .victim import Victim

Loss = Callable[[Array, Array], tuple[Array, Array]]
"""loss(z, y) of scores z (N, C) and labels y (N,): values (N,), and gradients at the scores."""

LOSSES: dict[str, Loss] = {"ce": cross_entropy, "dlr": dlr, "margin": margin}
"""The losses that an attack knows by name."""


def resolve_loss(loss: str | Loss) -> Loss:
    """The loss function of a name in LOSSES; a function is returned as it is.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if not isinstance(loss, str):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} or a function, not {loss!r}")
    return LOSSES[loss]


def validate_inputs(
    victim: Victim,
    x: Array,
    y: Array,
    index: Array | None,
    eps: Radius,
    norm: str,
    allowed_norms: tuple[str, ...] = ("linf", "l2"),
    **counts: int,
) -> tuple[Array, Array]:
    """The labels and the positions in the data set, after a check of an attack's arguments.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in the victim's box, floating point.
    y : array (N,)
        Labels, integers. Whether they are columns of the scores is checked in `initially_correct`.
    index : array (N,) or None
        The examples' positions in the data set; 0 … N − 1 for None.
    eps : float or array (N,)
        The radius, 0 or more.
    norm : str
        One of `allowed_norms`.
    **counts : int
        Arguments that must be 1 or more, by name: steps=, restarts=, …

    Returns
    -------
    y, index : arrays (N,)
        The labels as int64, and the positions.

    Raises
    ------
    ValueError
        For an argument that an attack cannot work with.
    """
    if not hasattr(victim, "lo"):
        raise ValueError("the victim must be a Victim: write Victim(model)")
    for name, array in (("x", x), ("y", y)):
        if not hasattr(array, "dtype"):
            raise ValueError(f"{name} must be an array, not {type(array).__name__}")
    if norm not in allowed_norms:
        raise ValueError(f"norm must be {' or '.join(map(repr, allowed_norms))}, not {norm!r}")
    _validate_radius(eps, len(x))
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be 1 or more, not {count!r}")
    if x.dtype.kind != "f":
        raise ValueError(f"x must hold floating-point numbers, not {x.dtype}")
    if y.dtype.kind not in "iu":
        raise ValueError(f"y must hold integers, columns of z, not {y.dtype}")
    if y.shape != (len(x),):
        found = len(y) if y.ndim == 1 else y.shape
        raise ValueError(f"y must hold one label for each of the {len(x)} examples, not {found}")
    if len(x) and not (float(x.min()) >= victim.lo and float(x.max()) <= victim.hi):
        raise ValueError(
            f"x must lie in [{victim.lo}, {victim.hi}], not [{float(x.min())}, {float(x.max())}]"
        )
    xp = array_module(x)
    index = xp.arange(len(x)) if index is None else xp.asarray(index)
    return y.astype(xp.int64), index


def _validate_radius(eps: Radius, count: int) -> None:
    if not isinstance(eps, int | float) and getattr(eps, "shape", None) not in ((), (count,)):
        found = eps.shape if hasattr(eps, "shape") else repr(eps)
        raise ValueError(f"eps must be a number, or one for each of {count} examples, not {found}")
    radii = np.asarray(to_host(eps) if hasattr(eps, "shape") else eps)
    if not bool(np.all(radii >= 0)):
        raise ValueError(f"eps must be 0 or more, not {eps!r}")


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
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < z.shape[1]:
        wrong = int(y.min()) if int(y.min()) < 0 else int(y.max())
        raise ValueError(f"y must hold columns of z, 0 … {z.shape[1] - 1}, not {wrong}")
