"""Attacks along the gradient: FGSM and PGD.

FGSM (Goodfellow and others, arXiv 1412.6572): one step of size eps, x + eps sign ∇L.
PGD (Madry and others, arXiv 1706.06083): many small steps, each projected back into the ball.
In L2 the step is along ∇L / ‖∇L‖₂ instead of sign ∇L.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array, array_module
from ..kernels.random import normal, uniform
from ..losses import cross_entropy
from . import ball
from .victim import Victim

Loss = Callable[[Array, Array], tuple[Array, Array]]


def fgsm(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: float,
    norm: str = "linf",
    loss: Loss = cross_entropy,
) -> Array:
    """x (N, …) moved by one step of length eps that raises the loss of the labels y (N,), which are
    columns of the scores z.

    An example that is already wrong is left alone. Raises ValueError as `pgd` does.
    """
    return pgd(
        victim, x, y, eps=eps, steps=1, step_size=eps, norm=norm, random_start=False, loss=loss
    )


def pgd(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: float,
    steps: int = 20,
    step_size: float | None = None,
    norm: str = "linf",
    restarts: int = 1,
    random_start: bool = True,
    momentum: float = 0.0,
    early_exit: bool = True,
    loss: Loss = cross_entropy,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """Projected gradient ascent on the loss of the labels y (N,) around x (N, …).

    y: columns of the scores z, 0 … C − 1; of a fitted network's labels they are
    `np.searchsorted(network.classes_, labels)`.
    eps: radius of the ball, in the units of x. step_size: 2.5 eps / steps unless given.
    norm: "linf" or "l2". momentum: of the step's direction, each gradient scaled to L1 norm 1
    (MI-FGSM, Dong and others, arXiv 1710.06081). early_exit: an example is no longer moved once
    it is wrong; without it, it goes on and its last wrong point is returned.
    seed, index: the random start of an example depends on these, its restart, and nothing else;
    `index` are the places in the data set (0 … N − 1 unless given).

    Returns points in the ball and in [victim.lo, victim.hi], like x. An example that is wrong to
    begin with is left alone; one that withstands is returned as its last restart left it.
    Raises ValueError for an unknown norm, a negative eps, no steps, labels that are no columns of
    z, or x outside the victim's bounds.
    """
    _check(victim, x, y, eps, norm)
    if steps < 1 or restarts < 1:
        raise ValueError(f"steps and restarts must be 1 or more, not {steps} and {restarts}")
    xp = array_module(x)
    index = xp.arange(len(x)) if index is None else xp.asarray(index)
    step_size = 2.5 * eps / steps if step_size is None else step_size
    attacked = x.copy()
    z, _ = victim(x)
    if len(x) and not 0 <= int(y.min()) <= int(y.max()) < z.shape[1]:
        raise ValueError(f"y must hold columns of z, 0 … {z.shape[1] - 1}, not {int(y.max())}")
    standing = xp.flatnonzero(z.argmax(axis=1) == y)
    for restart in range(restarts):
        if len(standing) == 0 or eps == 0:
            break
        region = _Region(x[standing], eps, norm, victim)
        if random_start:
            start = region.random(index[standing], seed=seed, restart=restart)
        else:
            start = x[standing]
        landed, fooled = _climb(
            victim, region, start, y[standing], steps, step_size, momentum, early_exit, loss
        )
        attacked[standing] = landed
        standing = standing[~fooled]
    return attacked


def craft(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: float,
    steps: int,
    step_size: float,
    norm: str = "linf",
    loss: Loss = cross_entropy,
    jitter: float | None = None,
    seed: int = 0,
    epoch: int = 0,
    index: Array | None = None,
) -> Array:
    """PGD as adversarial training asks for it: every example, right or wrong, goes all its steps,
    and no step is spent on looking at the result: `steps` forward and backward passes each.

    It starts uniformly in the ball, or, with `jitter`, at x plus normal noise of that size, as
    TRADES does. The start depends on (seed, epoch, index) alone. Raises ValueError as `pgd` does.
    """
    _check(victim, x, y, eps, norm)
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, not {steps}")
    xp = array_module(x)
    index = xp.arange(len(x)) if index is None else xp.asarray(index)
    region = _Region(x, eps, norm, victim)
    if jitter is None:
        point = region.random(index, seed=seed, epoch=epoch)
    else:
        size = int(np.prod(x.shape[1:]))
        drawn = normal(size, index, stream="craft jitter", seed=seed, epoch=epoch, xp=xp)
        moved = x + (jitter * drawn).reshape(x.shape).astype(x.dtype)
        point = region.project(slice(None), moved)
    for _ in range(steps):
        z, backward = victim(point)
        point = region.step(slice(None), point, backward(loss(z, y)[1]), step_size)
    return point


def _climb(
    victim: Victim,
    region: "_Region",
    start: Array,
    y: Array,
    steps: int,
    step_size: float,
    momentum: float,
    early_exit: bool,
    loss: Loss,
) -> tuple[Array, Array]:
    """One run from `start`: where each example landed, and whether it is wrong there."""
    xp = array_module(start)
    landed = start.copy()
    fooled = xp.zeros(len(start), dtype=bool)
    point = start
    active = xp.arange(len(start))  # the examples that `point` holds
    velocity = xp.zeros(start.shape, dtype=xp.float64)
    for step in range(steps + 1):
        z, backward = victim(point)
        wrong = z.argmax(axis=1) != y[active]
        fooled[active[wrong]] = True
        update = wrong | ~fooled[active]  # never exchange a wrong point for a right one
        landed[active[update]] = point[update]
        if step == steps:
            break
        gradient = backward(loss(z, y[active])[1])
        if early_exit and bool(wrong.any()):
            active, point, gradient = active[~wrong], point[~wrong], gradient[~wrong]
            velocity = velocity[~wrong]
        if len(active) == 0:
            break
        if momentum:
            flat = xp.abs(gradient.reshape(len(gradient), math.prod(gradient.shape[1:]))).sum(
                axis=1, dtype=xp.float64
            )
            scale = xp.where(flat > 0, flat, 1.0).reshape(-1, *[1] * (gradient.ndim - 1))
            velocity = momentum * velocity + gradient / scale
            gradient = velocity
        point = region.step(active, point, gradient, step_size)
    return landed, fooled


class _Region:
    """The ball of radius eps around x inside the box, and how one starts and moves in it."""

    def __init__(self, x: Array, eps: float, norm: str, victim: Victim):
        self.x, self.eps, self.norm = x, eps, norm
        self.lo, self.hi = victim.lo, victim.hi
        if norm == "linf":
            self.low, self.high = ball.limits(x, eps, self.lo, self.hi)

    def step(self, active: Any, point: Array, gradient: Array, size: float) -> Array:
        """One step of length `size` along the gradient, projected back."""
        xp = array_module(point)
        if self.norm == "linf":
            direction = xp.sign(gradient).astype(point.dtype)
            return self.project(active, point + direction * point.dtype.type(size))
        return self.project(active, point + size * ball.unit(gradient))

    def project(self, active: Any, moved: Array) -> Array:
        """The points of the examples `active` (places or a slice), back in the ball and the box."""
        if self.norm == "linf":
            xp = array_module(moved)
            inside: Array = xp.clip(moved, self.low[active], self.high[active])
            return inside
        return ball.project_l2(self.x[active], moved, self.eps, self.lo, self.hi)

    def random(self, index: Array, **name: int) -> Array:
        """A point drawn uniformly from the ball, then clipped to the box. `name` are the seed,
        restart and epoch that, with the index, name the numbers drawn."""
        x, xp = self.x, array_module(self.x)
        size = int(np.prod(x.shape[1:]))
        options: dict[str, Any] = {"xp": xp, **name}
        if self.norm == "linf":
            drawn = uniform(size, index, stream="pgd start", **options).reshape(x.shape)
            moved = (x + self.eps * (2 * drawn - 1)).astype(x.dtype)
            return xp.clip(moved, self.low, self.high)
        direction = ball.unit(normal(size, index, stream="pgd start", **options))
        radius = uniform(1, index, stream="pgd radius", **options) ** (1 / size)
        moved = x + (self.eps * radius * direction).reshape(x.shape)
        return ball.project_l2(x, moved, self.eps, self.lo, self.hi)


def _check(victim: Victim, x: Array, y: Array, eps: float, norm: str) -> None:
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm must be 'linf' or 'l2', not {norm!r}")
    if not eps >= 0:
        raise ValueError(f"eps must be 0 or more, not {eps!r}")
    if len(y) != len(x):
        raise ValueError(f"y must hold one label for each of the {len(x)} examples, not {len(y)}")
    if len(x) and not (float(x.min()) >= victim.lo and float(x.max()) <= victim.hi):
        raise ValueError(
            f"x must lie in [{victim.lo}, {victim.hi}], not [{float(x.min())}, {float(x.max())}]"
        )
