"""APGD (Croce and Hein, arXiv 2003.01690, section 3): PGD that chooses its step size itself.

It starts with steps of 2 eps, keeps the point of the highest loss, and moves with momentum:

    v = P(x_k + s direction)        x_{k+1} = P(x_k + 0.75 (v − x_k) + 0.25 (x_k − x_{k−1}))

with P the projection into ball and box. At checkpoints, which come ever more often, it halves the
step size s of the examples that make no headway and puts them back to their best point. An example
makes no headway if at most 3/4 of its steps since the last checkpoint raised its loss; or if its
step size was not halved there, and its best loss has not grown since.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from ..backend.device import Array, array_module
from ..losses import difference, dlr, margin, targeted_dlr
from .inputs import Loss, initially_correct, resolve_loss, validate_inputs
from .region import Radius, Region, expand_like, per_example
from .victim import Victim

MOMENTUM, RISING = 0.75, 0.75


def apgd(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    steps: int = 100,
    norm: str = "linf",
    restarts: int = 1,
    loss: str | Loss = "ce",
    eot: int = 1,
    early_exit: bool = True,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """x (N, …) moved by no more than eps to raise the loss of the labels y (N,), columns of z.

    eps: one radius, or one for each example (N,). loss: "ce", "dlr" (scale does not matter to it),
    "margin", or a function like those of `losses`. eot: passes over which loss and gradient are
    averaged, for a victim that answers at random. early_exit: an example is no longer moved once it
    is wrong. seed, index: as in `pgd`.

    Returns points in the ball and in [victim.lo, victim.hi]: a wrong one where it was found, else
    the one of the highest loss in the last restart. An example that is wrong to begin with is left
    alone. Of two classes, where DLR is not defined, the margin takes its place: the steps do not
    depend on a loss's scale. Raises ValueError as `pgd` does, and for an unknown loss.
    """
    chosen = resolve_loss(loss)
    y, index = validate_inputs(
        victim, x, y, index, eps, norm, steps=steps, restarts=restarts, eot=eot
    )
    attacked, left, z = initially_correct(victim, x, y)
    if chosen is dlr and z.shape[1] < 3:
        chosen = margin
    runs = [Run("apgd", restart, y) for restart in range(restarts)]
    climb = partial(_climb, victim, loss=chosen, steps=steps, eot=eot, early_exit=early_exit)
    return _in_turn(victim, x, attacked, left, per_example(eps, x), norm, seed, index, runs, climb)


def apgd_targeted(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    steps: int = 100,
    norm: str = "linf",
    restarts: int = 1,
    targets: int = 9,
    eot: int = 1,
    early_exit: bool = True,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """As `apgd`, on the targeted DLR loss, towards the `targets` wrong classes of the highest
    scores at x, one after the other; of fewer than four classes, where that loss is not defined,
    on z_t − z_y."""
    y, index = validate_inputs(
        victim, x, y, index, eps, norm, steps=steps, restarts=restarts, targets=targets, eot=eot
    )
    attacked, left, z = initially_correct(victim, x, y)
    xp = array_module(x)
    order = xp.argsort(-z, axis=1, kind="stable")  # the label first, as long as it is right
    runs = [
        Run(f"apgd target {place}", restart, xp.stack([y, order[:, place]], axis=1))
        for place in range(1, min(targets + 1, z.shape[1]))
        for restart in range(restarts)
    ]
    climb = partial(_climb, victim, loss=_towards, steps=steps, eot=eot, early_exit=early_exit)
    return _in_turn(victim, x, attacked, left, per_example(eps, x), norm, seed, index, runs, climb)


def _towards(z: Array, aim: Array) -> tuple[Array, Array]:
    """The targeted loss of labels and targets, side by side in `aim` (N, 2)."""
    loss = targeted_dlr if z.shape[1] > 3 else difference
    return loss(z, aim[:, 0], aim[:, 1])


class Run(NamedTuple):
    """A run from a start of its own: the name of the start's random numbers, and what the loss asks
    for, labels (N,) or labels and targets (N, 2)."""

    stream: str
    restart: int
    aim: Array


def _in_turn(
    victim: Victim, x: Array, attacked: Array, left: Array, radii: Array, norm: str, seed: int,
    index: Array, runs: list[Run], climb: Callable[..., tuple[Array, Array]],
) -> Array:  # fmt: skip
    """One run after the other, each on the examples that those before it have left right."""
    for stream, restart, aim in runs:
        if len(left) == 0 or not radii.any():
            break
        region = Region(x[left], radii[left], norm, victim)
        start = region.random_point(index[left], stream=stream, seed=seed, restart=restart)
        attacked[left], fooled = climb(region, start, aim[left])
        left = left[~fooled]
    return attacked


def _climb(
    victim: Victim,
    region: Region,
    start: Array,
    aim: Array,
    loss: Loss,
    steps: int,
    eot: int,
    early_exit: bool,
) -> tuple[Array, Array]:
    """One run from `start`: where each example landed, and whether it is wrong there. `aim` holds
    the labels or, of a targeted loss, labels and targets side by side."""
    xp, count = array_module(start), len(start)
    labels = aim if aim.ndim == 1 else aim[:, 0]
    active = xp.arange(count)  # the examples that the arrays in `run` hold
    landed, fooled = start.copy(), xp.zeros(count, dtype=bool)

    def look(point: Array) -> tuple[Array, Array]:
        """Loss and gradient at the points of the active examples; the wrong ones have landed."""
        values, gradients = 0.0, 0.0
        for _ in range(eot):
            z, backward = victim(point)
            value, dz = loss(z, aim[active])
            values, gradients = values + value, gradients + backward(dz)
        wrong = z.argmax(axis=1) != labels[active]
        landed[active[wrong]], fooled[active[wrong]] = point[wrong], True
        return values / eot, gradients / eot

    value, gradient = look(start)
    run: dict[str, Any] = {
        "point": start, "previous": start, "value": value, "gradient": gradient,
        "best point": start.copy(), "best value": value, "best gradient": gradient.copy(),
        "size": 2 * region.eps, "rises": xp.zeros(count),
        "halved then": xp.ones(count, dtype=bool), "best value then": value,
    }  # fmt: skip
    period, shorter, least = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    checkpoint = period
    for step in range(1, steps + 1):
        if early_exit and bool(fooled[active].any()):
            kept = ~fooled[active]
            active, run = active[kept], {name: values[kept] for name, values in run.items()}
        if len(active) == 0:
            break
        moved = _move(region, active, run, MOMENTUM if step > 1 else 1.0)
        value, gradient = look(moved)
        run["rises"] += value > run["value"]
        run |= {"previous": run["point"], "point": moved, "value": value, "gradient": gradient}
        better = value > run["best value"]
        run["best point"][better], run["best gradient"][better] = moved[better], gradient[better]
        run["best value"] = xp.where(better, value, run["best value"])
        if step == checkpoint:
            _check_headway(run, period)
            period = max(period - shorter, least)
            checkpoint += period
    unfooled = ~fooled[active]
    landed[active[unfooled]] = run["best point"][unfooled]
    return landed, fooled


def _move(region: Region, active: Array, run: dict[str, Any], momentum: float) -> Array:
    """The next point of each active example."""
    point = run["point"]
    moved = region.step(active, point, run["gradient"], run["size"])
    if momentum == 1:
        return moved
    pull = (moved - point) * momentum + (point - run["previous"]) * (1 - momentum)
    return region.project(active, point + pull.astype(point.dtype))


def _check_headway(run: dict[str, Any], period: int) -> None:
    """At a checkpoint: halve the steps of the examples that are stuck, and put them back."""
    point = run["point"]
    xp = array_module(point)
    stuck = run["rises"] <= RISING * period
    stuck |= ~run["halved then"] & (run["best value then"] >= run["best value"])
    back = expand_like(stuck, point)
    run |= {
        "size": xp.where(stuck, run["size"] / 2, run["size"]),
        "point": xp.where(back, run["best point"], point),
        "gradient": xp.where(back, run["best gradient"], run["gradient"]),
        "rises": xp.zeros(len(point)), "halved then": stuck, "best value then": run["best value"],
    }  # fmt: skip
