"""What attacks inside a ball share: the ball as a place to start and to move in, and the checks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend.device import Array, array_module, to_host
from ..losses import cross_entropy, dlr, margin
from ..random import normal, uniform
from . import ball
from .victim import Victim

Loss = Callable[[Array, Array], tuple[Array, Array]]
LOSSES: dict[str, Loss] = {"ce": cross_entropy, "dlr": dlr, "margin": margin}


def named(loss: str | Loss) -> Loss:
    """A loss, by its name or itself. Raises ValueError for an unknown name."""
    if not isinstance(loss, str):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} or a function, not {loss!r}")
    return LOSSES[loss]


class Region:
    """The ball of radius eps around x inside the box, and how one starts and moves in it."""

    def __init__(self, x: Array, eps: ball.Radius, norm: str, victim: Victim):
        self.x, self.norm, self.eps = x, norm, ball.spread(eps, x)
        self.lo, self.hi = victim.lo, victim.hi
        if norm == "linf":
            self.low, self.high = ball.limits(x, self.eps, self.lo, self.hi)

    def step(self, active: Any, point: Array, gradient: Array, sizes: Array) -> Array:
        """One step along the gradient, of a length for each of the examples, projected back."""
        xp, size = array_module(point), ball.column(sizes, point)
        if self.norm == "linf":
            direction = xp.sign(gradient).astype(point.dtype)
            return self.project(active, point + direction * xp.asarray(size, dtype=point.dtype))
        return self.project(active, point + size * ball.unit(gradient))

    def project(self, active: Any, moved: Array) -> Array:
        """The points of the examples `active` (places or a slice), back in the ball and the box."""
        if self.norm == "linf":
            xp = array_module(moved)
            inside: Array = xp.clip(moved, self.low[active], self.high[active])
            return inside
        return ball.project_l2(self.x[active], moved, self.eps[active], self.lo, self.hi)

    def random(self, index: Array, *, stream: str = "pgd", **name: Any) -> Array:
        """A point drawn uniformly from the ball, then clipped to the box. The stream, and the seed,
        restart and epoch in `name`, with the index, name the numbers drawn."""
        x, xp = self.x, array_module(self.x)
        size = int(np.prod(x.shape[1:]))
        options: dict[str, Any] = {"xp": xp, **name}
        if self.norm == "linf":
            drawn = uniform(size, index, stream=f"{stream} start", **options).reshape(x.shape)
            moved = (x + ball.column(self.eps, x) * (2 * drawn - 1)).astype(x.dtype)
            return xp.clip(moved, self.low, self.high)
        direction = ball.unit(normal(size, index, stream=f"{stream} start", **options))
        radius = uniform(1, index, stream=f"{stream} radius", **options) ** (1 / size)
        moved = x + (self.eps[:, None] * radius * direction).reshape(x.shape)
        return ball.project_l2(x, moved, self.eps, self.lo, self.hi)


def check(
    victim: Victim,
    x: Array,
    y: Array,
    index: Array | None,
    eps: ball.Radius,
    norm: str,
    norms: tuple[str, ...] = ("linf", "l2"),
    **counts: int,
) -> tuple[Array, Array]:
    """The labels, and the examples' places in the data set, 0 … N − 1 unless given, as int64.
    Raises ValueError for what an attack cannot work with."""
    if not hasattr(victim, "lo"):
        raise ValueError("the victim must be a Victim: write Victim(model)")
    for name, array in (("x", x), ("y", y)):
        if not hasattr(array, "dtype"):
            raise ValueError(f"{name} must be an array, not {type(array).__name__}")
    if norm not in norms:
        raise ValueError(f"norm must be {' or '.join(map(repr, norms))}, not {norm!r}")
    _check_radius(eps, len(x))
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
    places = xp.arange(len(x)) if index is None else xp.asarray(index)
    return y.astype(xp.int64), places


def _check_radius(eps: ball.Radius, count: int) -> None:
    if not isinstance(eps, int | float) and getattr(eps, "shape", None) not in ((), (count,)):
        shown = eps.shape if hasattr(eps, "shape") else repr(eps)
        raise ValueError(f"eps must be a number, or one for each of {count} examples, not {shown}")
    radii = np.asarray(to_host(eps) if hasattr(eps, "shape") else eps)
    if not bool(np.all(radii >= 0)):
        raise ValueError(f"eps must be 0 or more, not {eps!r}")


def standing(victim: Victim, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """A copy of x, the places of the examples that are right to begin with, and all scores.
    Raises ValueError for fewer than two classes, and labels that are no columns of z."""
    z, _ = victim(x)
    check_labels(z, y)
    return x.copy(), array_module(x).flatnonzero(z.argmax(axis=1) == y), z


def check_labels(z: Array, y: Array) -> None:
    """Raises ValueError for scores z (N, C) of fewer than two classes, and for labels y that are
    no columns of them."""
    if z.shape[1] < 2:
        raise ValueError(f"scores must be of two classes or more, not {z.shape[1]}")
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < z.shape[1]:
        wrong = int(y.min()) if int(y.min()) < 0 else int(y.max())
        raise ValueError(f"y must hold columns of z, 0 … {z.shape[1] - 1}, not {wrong}")
