"""Runs of APGD in L1: sparse steps, whose sparsity adapts, in balls that shrink.

The steepest ascent in L1 is along the largest element of the gradient; stepping along the k largest
ones instead,

    x ← P(x + η sign(g)/k on those)

with P the exact projection (`l1`), loses little and moves many. k and η follow how sparse the best
point x_max is: at every 4 % of the steps

    k = ‖x_max − x‖₀ / 1.5        η = eps if ‖x_max − x‖₀ fell by 5 % since, else max(η/1.5, eps/10)

and where it fell, the example goes back to x_max. There is no momentum. The optimum is found more
easily from farther away: 30 % of the steps are made in the ball of radius 3 eps, 30 % in that of
2 eps, from the best point before, and the rest in that of eps.

Source: Croce and Hein, "Mind the box", arXiv 2103.01208, algorithm 1 and section 3.3; the numbers
are those of the authors' code.
"""

import math
from dataclasses import dataclass

from ..backend.device import Array, array_module
from .apgd_run import Objective, take
from .l1 import steepest_step
from .region import Region, expand_like, flatten

BALLS = (3.0, 2.0, 1.0)
"""The radii of the balls, in units of eps."""

PART, PERIOD, FELL, DENSITY, SHORTEN, SHORTEST = 0.3, 0.04, 0.95, 1.5, 1.5, 0.1


@dataclass
class SparseState:
    """The examples that a run still moves: every field has one entry for each of them (n, …)."""

    example: Array  # their indices into the arrays of the run
    point: Array
    gradient: Array
    best_point: Array
    best_loss: Array
    best_gradient: Array
    step_size: Array
    sparsity: Array  # the fraction of the elements that move
    support: Array  # ‖x_max − x‖₀ at the last checkpoint


def run_l1(
    region: Region, start: Array, objective: Objective, *, steps: int, early_exit: bool
) -> Array:
    """A run of APGD in L1 from `start`: the point of the largest loss of each example in its ball.
    What is misclassified is in the objective."""
    before = min(math.ceil(PART * steps), (steps - 1) // 2)
    point = start
    for radius in BALLS:
        last = radius == BALLS[-1]
        if not last and not before:
            continue
        ball = Region(region.x, radius * region.eps, "l1", region.victim)
        count = steps - 2 * before if last else before
        point = ball.project(slice(None), point)
        point = _run_in_ball(ball, point, objective, count, last, early_exit and last)
    return point


def _run_in_ball(
    ball: Region, start: Array, objective: Objective, steps: int, store: bool, early_exit: bool
) -> Array:
    """The points of the largest loss after some steps in one ball."""
    xp, best = array_module(start), start.copy()
    size = math.prod(start.shape[1:])
    example = xp.arange(len(start))
    value, gradient = objective(example, start, store)
    support = _support(ball, example, start)
    state = SparseState(
        example=example, point=start, gradient=gradient, best_point=start.copy(),
        best_loss=value, best_gradient=gradient.copy(), step_size=ball.eps.copy(),
        sparsity=support / (size * DENSITY), support=support,
    )  # fmt: skip
    period = max(int(PERIOD * steps), 1)
    for k in range(1, steps + 1):
        if early_exit and bool(objective.fooled[state.example].any()):
            state = take(state, ~objective.fooled[state.example])
        if not len(state.example):
            break
        direction = steepest_step(flatten(state.gradient), state.sparsity).reshape(
            state.point.shape
        )
        moved = state.point + expand_like(state.step_size, state.point) * direction
        state.point = ball.project(state.example, moved)
        value, state.gradient = objective(state.example, state.point, store)
        better = value > state.best_loss
        state.best_point[better] = state.point[better]
        state.best_gradient[better] = state.gradient[better]
        state.best_loss = xp.where(better, value, state.best_loss)
        best[state.example[better]] = state.point[better]
        if k % period == 0:
            _adapt(state, ball, size)
    return best


def _adapt(state: SparseState, ball: Region, size: int) -> None:
    """The sparsity and the step size of each example at a checkpoint."""
    xp, eps = array_module(state.point), ball.eps[state.example]
    support = _support(ball, state.example, state.best_point)
    fell = support < FELL * state.support
    state.sparsity, state.support = support / (size * DENSITY), support
    shorter = xp.maximum(state.step_size / SHORTEN, eps * SHORTEST)
    state.step_size = xp.where(fell, eps, shorter)
    go_back = expand_like(fell, state.point)
    state.point = xp.where(go_back, state.best_point, state.point)
    state.gradient = xp.where(go_back, state.best_gradient, state.gradient)


def _support(ball: Region, example: Array, point: Array) -> Array:
    """How many elements of each point differ from x, as a float (n,)."""
    changed = flatten(point != ball.x[example]).sum(axis=1)
    return changed.astype(array_module(point).float64)
