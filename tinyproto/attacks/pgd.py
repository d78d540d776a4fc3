"""Attacks along the gradient: FGSM and PGD.

FGSM (Goodfellow and others, arXiv 1412.6572): one step of size eps, x + eps sign ∇L.
PGD (Madry and others, arXiv 1706.06083): many small steps, each projected back into the ball.
In L2 the step is along ∇L / ‖∇L‖₂ instead of sign ∇L.
"""

from typing import Any

import numpy as np

from ..backend.device import Array, array_module
from ..random import normal
from .inputs import Loss, initially_correct, resolve_loss, validate_inputs
from .region import Radius, Region, expand_like, norms, per_example
from .victim import Victim


def fgsm(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    norm: str = "linf",
    loss: str | Loss = "ce",
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
    eps: Radius,
    steps: int = 20,
    step_size: Radius | None = None,
    norm: str = "linf",
    restarts: int = 1,
    random_start: bool = True,
    momentum: float = 0.0,
    early_exit: bool = True,
    loss: str | Loss = "ce",
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """Projected gradient ascent on the loss of the labels y (N,) around x (N, …).

    y: columns of the scores z, 0 … C − 1; of a fitted network's labels they are
    `np.searchsorted(network.classes_, labels)`.
    eps: radius of the ball, in the units of x, one for all or one for each example (N,).
    step_size: likewise; 2.5 eps / steps unless given.
    norm: "linf" or "l2". loss: "ce", "dlr", "margin", or a function like those of `losses`.
    momentum: of the step's direction, each gradient scaled to L1 norm 1 (MI-FGSM, Dong and others,
    arXiv 1710.06081). early_exit: an example is no longer moved once it is wrong; without it, it
    goes on and its last wrong point is returned.
    seed, index: the random start of an example depends on these, its restart, and nothing else;
    `index` are the places in the data set (0 … N − 1 unless given).

    Returns points in the ball and in [victim.lo, victim.hi], like x. An example that is wrong to
    begin with is left alone; one that withstands is returned as its last restart left it.
    Raises ValueError for an unknown norm, a negative eps, no steps, labels that are no columns of
    z, or x outside the victim's bounds.
    """
    loss = resolve_loss(loss)
    y, index = validate_inputs(victim, x, y, index, eps, norm, steps=steps, restarts=restarts)
    radii = per_example(eps, x)
    sizes = 2.5 * radii / steps if step_size is None else per_example(step_size, x)
    attacked, left, _ = initially_correct(victim, x, y)
    for restart in range(restarts):
        if len(left) == 0 or not radii.any():
            break
        region = Region(x[left], radii[left], norm, victim)
        name: dict[str, Any] = {"seed": seed, "restart": restart}
        start = region.random_point(index[left], **name) if random_start else x[left]
        landed, fooled = _climb(
            victim, region, start, y[left], steps, sizes[left], momentum, early_exit, loss
        )
        attacked[left] = landed
        left = left[~fooled]
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
    loss: str | Loss = "ce",
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
    loss = resolve_loss(loss)
    y, index = validate_inputs(victim, x, y, index, eps, norm, steps=steps)
    xp, sizes = array_module(x), per_example(step_size, x)
    region = Region(x, eps, norm, victim)
    if jitter is None:
        point = region.random_point(index, seed=seed, epoch=epoch)
    else:
        size = int(np.prod(x.shape[1:]))
        drawn = normal(size, index, stream="craft jitter", seed=seed, epoch=epoch, xp=xp)
        moved = x + (jitter * drawn).reshape(x.shape).astype(x.dtype)
        point = region.project(slice(None), moved)
    for _ in range(steps):
        z, backward = victim(point)
        point = region.step(slice(None), point, backward(loss(z, y)[1]), sizes)
    return point


def _climb(
    victim: Victim,
    region: Region,
    start: Array,
    y: Array,
    steps: int,
    sizes: Array,
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
            length = norms(gradient, "l1")
            scale = expand_like(xp.where(length > 0, length, 1.0), gradient)
            velocity = momentum * velocity + gradient / scale
            gradient = velocity
        point = region.step(active, point, gradient, sizes[active])
    return landed, fooled
