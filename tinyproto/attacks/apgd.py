"""Auto-PGD (APGD): PGD that chooses its step size itself.

It starts with the step size η = 2 eps, remembers the point x_max of the largest loss f_max, and
moves with momentum, α = 0.75,

    z_{k+1} = P(x_k + η direction)
    x_{k+1} = P(x_k + α (z_{k+1} − x_k) + (1 − α)(x_k − x_{k−1}))

with P the projection into ball and box. At checkpoints w_j, at 0.22 of all steps and then at
intervals that shrink by 0.03 down to 0.06 of them, the step size of an example is halved and it
goes back to its x_max if

    condition 1:  at most ρ = 0.75 of its steps since w_{j−1} raised the loss, or
    condition 2:  its step size was not halved at w_{j−1}, and f_max has not grown since.

L1 has steps of its own (`apgd_l1`). Source: Croce and Hein, arXiv 2003.01690, section 3 and
algorithm 1.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..backend.device import Array, array_module
from ..losses import difference, dlr, margin, targeted_dlr
from .apgd_l1 import run_l1
from .apgd_run import Objective, take
from .inputs import Loss, initially_correct, resolve_loss, validate_inputs
from .region import NORMS, Radius, Region, expand_like
from .victim import Victim

ALPHA, RHO = 0.75, 0.75


def apgd(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    steps: int = 100,
    norm: str | float = "linf",
    restarts: int = 1,
    loss: str | Loss = "ce",
    eot_iter: int = 1,
    early_exit: bool = True,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """Auto-PGD: projected gradient steps whose size adapts to the progress of each example.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in [victim.lo, victim.hi], float32 or float64.
    y : array (N,)
        Labels: columns of the scores z.
    eps : float or array (N,)
        The radius of the ball, in the units of x; ∞ is the box.
    steps : int
        The number of steps.
    norm : {"linf", "l2", "l1"}
        The norm of the ball; L1 has steps of its own. "L2", 2 and `np.inf` are understood too.
    restarts : int
        The number of runs; a run attacks the examples that are still classified correctly.
    loss : {"ce", "dlr", "margin"} or callable
        The loss to raise. "dlr" does not depend on the scale of the scores; for two classes, where
        it is not defined, the margin takes its place: the steps do not depend on a loss's scale.
    eot_iter : int
        The number of passes over which loss and gradient are averaged, for a randomized victim
        (expectation over transformation).
    early_exit : bool
        Whether an example stops moving once it is misclassified.
    seed : int
        The seed of the random start.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default; as in `pgd`.

    Returns
    -------
    array (N, …)
        Points in the ball and in [victim.lo, victim.hi]: a misclassified one where it was found,
        else the one of the largest loss in the last restart. An example that is misclassified to
        begin with is not changed.

    Raises
    ------
    ValueError
        As `pgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, apgd
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.6, 0.5], [0.9, 0.1]]), np.array([0, 0])
    >>> attacked = apgd(victim, x, y, eps=0.125, steps=20)
    >>> victim(attacked)[0].argmax(axis=1)
    array([1, 0])
    """
    loss = resolve_loss(loss)
    x, y, index, eps, norm = validate_inputs(
        victim, x, y, index, eps, norm, NORMS,
        seed=seed, steps=steps, restarts=restarts, eot_iter=eot_iter,
    )  # fmt: skip
    adversarial, remaining, z = initially_correct(victim, x, y)
    if loss is dlr and z.shape[1] < 3:
        loss = margin
    runs = [RunConfig("apgd", restart, y) for restart in range(restarts)]
    return run_restarts(
        runs, Region(x, eps, norm, victim), adversarial, remaining, index, seed,
        loss=loss, steps=steps, eot_iter=eot_iter, early_exit=early_exit,
    )  # fmt: skip


def apgd_targeted(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    steps: int = 100,
    norm: str | float = "linf",
    restarts: int = 1,
    targets: int = 9,
    eot_iter: int = 1,
    early_exit: bool = True,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """APGD on the targeted DLR loss, towards one wrong class after the other.

    Parameters
    ----------
    victim, x, y, eps, steps, norm, eot_iter, early_exit, seed, index
        As in `apgd`.
    restarts : int
        The number of runs towards each class.
    targets : int
        The number of target classes: the wrong classes of the largest scores at x. For fewer than
        four classes, where the targeted DLR loss is not defined, the loss is z_t − z_y.

    Returns
    -------
    array (N, …)
        As `apgd` does.

    Raises
    ------
    ValueError
        As `pgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, apgd_targeted
    >>> W = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.6, 0.5]]), np.array([0])
    >>> attacked = apgd_targeted(victim, x, y, eps=0.125, steps=20, targets=2)
    >>> bool(victim(attacked)[0].argmax() != 0)
    True
    """
    x, y, index, eps, norm = validate_inputs(
        victim, x, y, index, eps, norm, NORMS, seed=seed,
        steps=steps, restarts=restarts, targets=targets, eot_iter=eot_iter,
    )  # fmt: skip
    adversarial, remaining, z = initially_correct(victim, x, y)
    xp = array_module(x)
    order = xp.argsort(-z, axis=1, kind="stable")  # column 0 is the label where that is correct
    runs = [
        RunConfig(f"apgd target {rank}", restart, xp.stack([y, order[:, rank]], axis=1))
        for rank in range(1, min(targets + 1, z.shape[1]))
        for restart in range(restarts)
    ]
    return run_restarts(
        runs, Region(x, eps, norm, victim), adversarial, remaining, index, seed,
        loss=_targeted_loss, steps=steps, eot_iter=eot_iter, early_exit=early_exit,
    )  # fmt: skip


def _targeted_loss(z: Array, labels: Array) -> tuple[Array, Array]:
    """The targeted loss of labels and target classes, the two columns of `labels` (N, 2)."""
    loss = targeted_dlr if z.shape[1] > 3 else difference
    return loss(z, labels[:, 0], labels[:, 1])


class RunConfig(NamedTuple):
    """One run: its stream of random numbers and its restart, which decide the starting points, and
    what the loss takes, labels (N,) or labels and target classes (N, 2)."""

    stream: str
    restart: int
    labels: Array


def run_restarts(
    runs: list[RunConfig], region: Region, adversarial: Array, remaining: Array, index: Array,
    seed: int, **settings: Any,
) -> Array:  # fmt: skip
    """One run after the other, each on the examples that are still classified correctly: at first
    `remaining` (n,). `adversarial` (N, …) gets the resulting points; `settings` are those of a
    single run."""
    for stream, restart, labels in runs:
        if len(remaining) == 0 or not region.eps.any():
            break
        part = region.take(remaining)
        start = part.random_point(index[remaining], stream=stream, seed=seed, restart=restart)
        adversarial[remaining], fooled = _single_run(part, start, labels[remaining], **settings)
        remaining = remaining[~fooled]
    return adversarial


@dataclass
class APGDState:
    """The examples that a run still moves: every field has one entry for each of them (n, …)."""

    example: Array  # their indices into the arrays of the run
    point: Array  # x_k
    previous: Array  # x_{k−1}
    loss: Array  # at x_k
    gradient: Array
    best_point: Array  # x_max
    best_loss: Array  # f_max
    best_gradient: Array
    step_size: Array  # η
    increases: Array  # how many steps since the last checkpoint raised the loss
    halved: Array  # whether the step size was halved at the last checkpoint
    checkpoint_loss: Array  # f_max at the last checkpoint

    def next_point(self, region: Region, alpha: float) -> Array:
        """x_{k+1}; with α = 1, as in the first step, z_{k+1}."""
        x = self.point
        z = region.step(self.example, x, self.gradient, self.step_size)
        if alpha == 1:
            return z
        move = (z - x) * alpha + (x - self.previous) * (1 - alpha)
        return region.project(self.example, x + move.astype(x.dtype))

    def advance(self, point: Array, loss: Array, gradient: Array) -> None:
        """Go to the next point, of which loss and gradient are known."""
        self.increases += loss > self.loss
        self.previous, self.point, self.loss, self.gradient = self.point, point, loss, gradient
        better = loss > self.best_loss
        self.best_point[better], self.best_gradient[better] = point[better], gradient[better]
        self.best_loss = array_module(point).where(better, loss, self.best_loss)

    def update_step_sizes(self, period: int) -> None:
        """At a checkpoint, `period` steps after the last: conditions 1 and 2 of the module."""
        xp = array_module(self.point)
        condition_1 = self.increases <= RHO * period
        condition_2 = ~self.halved & (self.checkpoint_loss >= self.best_loss)
        halve = condition_1 | condition_2
        go_back = expand_like(halve, self.point)
        self.step_size = xp.where(halve, self.step_size / 2, self.step_size)
        self.point = xp.where(go_back, self.best_point, self.point)
        self.gradient = xp.where(go_back, self.best_gradient, self.gradient)
        self.increases = xp.zeros(len(self.point))
        self.halved, self.checkpoint_loss = halve, self.best_loss


def _single_run(
    region: Region, start: Array, labels: Array, *, loss: Loss, steps: int, eot_iter: int,
    early_exit: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """One run from `start`: the resulting points, and whether each is misclassified (N,). `labels`
    are (N,) or, for a targeted loss, labels and target classes (N, 2)."""
    objective = Objective.of(region.victim, loss, labels, eot_iter, start)
    run = run_l1 if region.norm == "l1" else _run
    best = run(region, start, objective, steps=steps, early_exit=early_exit)
    fooled = objective.fooled
    return array_module(start).where(expand_like(fooled, start), objective.result, best), fooled


def _run(
    region: Region, start: Array, objective: Objective, *, steps: int, early_exit: bool
) -> Array:
    """The point of the largest loss of each example in a run from `start`, as far as it went on."""
    xp, count, best = array_module(start), len(start), start.copy()
    everything = xp.arange(count)
    value, gradient = objective(everything, start)
    state = APGDState(
        example=everything, point=start, previous=start, loss=value, gradient=gradient,
        best_point=start.copy(), best_loss=value, best_gradient=gradient.copy(),
        step_size=2 * region.eps, increases=xp.zeros(count),
        halved=xp.ones(count, dtype=bool), checkpoint_loss=value,
    )  # fmt: skip
    period, shortening, shortest = (max(int(part * steps), 1) for part in (0.22, 0.03, 0.06))
    checkpoint = period
    for k in range(1, steps + 1):
        if early_exit and bool(objective.fooled[state.example].any()):
            state = take(state, ~objective.fooled[state.example])
        if len(state.example) == 0:
            break
        point = state.next_point(region, ALPHA if k > 1 else 1.0)
        state.advance(point, *objective(state.example, point))
        if k == checkpoint:
            state.update_step_sizes(period)
            period = max(period - shortening, shortest)
            checkpoint += period
    best[state.example] = state.best_point
    return best
