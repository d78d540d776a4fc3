"""Attacks along the gradient: FGSM and PGD.

FGSM (Goodfellow and others, arXiv 1412.6572): one step of size eps, x + eps sign ∇L.
PGD (Madry and others, arXiv 1706.06083): many small steps, each projected back into the ball.
In L2 the step is along ∇L / ‖∇L‖₂ instead of sign ∇L. The step itself is `Region.step`.
"""

import numpy as np

from ..backend.device import Array, array_module
from ..random import normal
from ..validation import check_count, check_number
from .inputs import (
    HIGHEST_SEED,
    Loss,
    initially_correct,
    resolve_loss,
    resolve_radius,
    validate_inputs,
    validate_labels,
)
from .region import Radius, Region, expand_like, norms
from .victim import Victim


def fgsm(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    norm: str | float = "linf",
    loss: str | Loss = "ce",
) -> Array:
    """Fast gradient sign method: one step of length eps that raises the loss.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in [victim.lo, victim.hi], float32 or float64.
    y : array (N,)
        Labels: columns of the scores z.
    eps : float or array (N,)
        The length of the step, in the units of x.
    norm : {"linf", "l2"}
        The norm of the step. "L2", 2 and `np.inf` are understood too.
    loss : {"ce", "dlr", "margin"} or callable
        The loss to raise; a function is one like those of `tinyproto.losses`.

    Returns
    -------
    array (N, …)
        The attacked examples. One that is misclassified to begin with is not changed.

    Raises
    ------
    ValueError
        As `pgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, fgsm
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> fgsm(victim, np.array([[0.6, 0.5]]), np.array([0]), eps=0.125).round(3)
    array([[0.475, 0.625]])
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
    norm: str | float = "linf",
    restarts: int = 1,
    random_start: bool = True,
    momentum: float = 0.0,
    early_exit: bool = True,
    loss: str | Loss = "ce",
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """Projected gradient descent: many steps that raise the loss, each projected into the ball.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in [victim.lo, victim.hi], float32 or float64.
    y : array (N,)
        Labels: columns of the scores z, 0 … C − 1. For the labels of a fitted network they are
        `np.searchsorted(network.classes_, labels)`.
    eps : float or array (N,)
        The radius of the ball, in the units of x; ∞ is the box.
    steps : int
        The number of steps.
    step_size : float or array (N,), optional
        The length of a step in the units of x, above 0 where eps is; 2.5 eps / steps by default.
    norm : {"linf", "l2"}
        The norm of the ball. "L2", 2 and `np.inf` are understood too.
    restarts : int
        The number of runs; a run attacks the examples that are still classified correctly.
    random_start : bool
        Whether a run starts at a random point of the ball instead of at x.
    momentum : float
        The decay factor μ of the accumulated gradient, each gradient scaled to L1 norm 1 (MI-FGSM,
        Dong and others, arXiv 1710.06081).
    early_exit : bool
        Whether an example stops moving once it is misclassified. Otherwise it moves on, and the
        last of its misclassified points is returned.
    loss : {"ce", "dlr", "margin"} or callable
        The loss to raise; a function is one like those of `tinyproto.losses`.
    seed : int
        The seed of the random start.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default. A random start depends
        on seed, position and restart alone, not on the batch.

    Returns
    -------
    array (N, …)
        The attacked examples, in the ball and in [victim.lo, victim.hi]. One that is misclassified
        to begin with is not changed; one that stays classified correctly is returned as the last
        restart left it.

    Raises
    ------
    ValueError
        For an unknown norm or loss, a negative eps, steps or restarts below 1, labels that are not
        columns of the scores, or x outside the victim's bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, pgd
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.6, 0.5], [0.9, 0.1]]), np.array([0, 0])
    >>> attacked = pgd(victim, x, y, eps=0.125)
    >>> victim(attacked)[0].argmax(axis=1)
    array([1, 0])
    >>> bool(np.abs(attacked - x).max() <= 0.125)
    True
    """
    loss = resolve_loss(loss)
    x, y, index, eps, norm = validate_inputs(
        victim, x, y, index, eps, norm, seed=seed, steps=steps, restarts=restarts
    )
    check_number("momentum", momentum)
    region = Region(x, eps, norm, victim)
    step_sizes = 2.5 * eps / steps
    if step_size is not None:
        step_sizes = _resolve_step_size(step_size, x, norm, victim, eps)
    adversarial, remaining, _ = initially_correct(victim, x, y)
    for restart in range(restarts):
        if len(remaining) == 0 or not region.eps.any():
            break
        part = region.take(remaining)
        start = part.x
        if random_start:
            start = part.random_point(index[remaining], seed=seed, restart=restart)
        adversarial[remaining], fooled = _single_run(
            part, start, y[remaining], loss, steps, step_sizes[remaining], momentum, early_exit
        )
        remaining = remaining[~fooled]
    return adversarial


def _resolve_step_size(value: Radius, x: Array, norm: str, victim: Victim, eps: Array) -> Array:
    """The length of a step for each example, float64 (N,). Raises ValueError where it is 0 and the
    example could move."""
    step_sizes = resolve_radius("step_size", value, x, norm, victim)
    if bool(((step_sizes == 0) & (eps > 0)).any()):
        raise ValueError("step_size must be above 0 where eps is, not 0")
    return step_sizes


def _single_run(
    region: Region, start: Array, y: Array, loss: Loss, steps: int, step_sizes: Array,
    momentum: float, early_exit: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """One run from `start`: the resulting points, and whether each is misclassified (N,)."""
    xp = array_module(start)
    result = start.copy()
    fooled = xp.zeros(len(start), dtype=bool)
    points = start
    active = xp.arange(len(start))  # the examples whose points `points` holds
    velocity = xp.zeros(start.shape, dtype=xp.float64)
    for step in range(steps + 1):
        z, backward = region.victim(points)
        wrong = z.argmax(axis=1) != y[active]
        fooled[active[wrong]] = True
        update = wrong | ~fooled[active]  # never replace a misclassified point by a correct one
        result[active[update]] = points[update]
        if step == steps:
            break
        gradient = backward(loss(z, y[active])[1])
        if early_exit and bool(wrong.any()):
            active, points, gradient = active[~wrong], points[~wrong], gradient[~wrong]
            velocity = velocity[~wrong]
        if len(active) == 0:
            break
        if momentum:
            length = norms(gradient, "l1")
            scale = expand_like(xp.where(length > 0, length, 1.0), gradient)
            velocity = momentum * velocity + gradient / scale
            gradient = velocity
        points = region.step(active, points, gradient, step_sizes[active])
    return result, fooled


def pgd_inner(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: float,
    steps: int,
    step_size: float,
    norm: str | float = "linf",
    loss: str | Loss = "ce",
    initial_noise: float | None = None,
    seed: int = 0,
    epoch: int = 0,
    index: Array | None = None,
) -> Array:
    """PGD for the inner maximization of adversarial training.

    Every example, classified correctly or not, takes all its steps, and no pass is spent on
    checking the result: it costs exactly `steps` forward and backward passes for each example.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in [victim.lo, victim.hi], float32 or float64.
    y : array (N,)
        Labels: columns of the scores z.
    eps : float
        The radius of the ball, in the units of x.
    steps : int
        The number of steps.
    step_size : float
        The length of a step, in the units of x.
    norm : {"linf", "l2"}
        The norm of the ball. "L2", 2 and `np.inf` are understood too.
    loss : {"ce", "dlr", "margin"} or callable
        The loss to raise; a function is one like those of `tinyproto.losses`.
    initial_noise : float, optional
        Start at x plus normal noise of this standard deviation, as TRADES does, instead of at a
        uniformly random point of the ball.
    seed, epoch : int
        With the positions in the data set, all that the start depends on.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default.

    Returns
    -------
    array (N, …)
        The attacked examples, in the ball and in [victim.lo, victim.hi].

    Raises
    ------
    ValueError
        As `pgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, pgd_inner
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.6, 0.5], [0.9, 0.1]]), np.array([0, 0])
    >>> pgd_inner(victim, x, y, eps=0.125, steps=10, step_size=0.05).round(3)
    array([[0.475, 0.625],
           [0.775, 0.225]])
    >>> victim.forward_passes, victim.backward_passes
    (20, 20)
    """
    loss = resolve_loss(loss)
    x, y, index, eps, norm = validate_inputs(victim, x, y, index, eps, norm, seed=seed, steps=steps)
    check_count("epoch", epoch, 0, HIGHEST_SEED)
    xp, step_sizes = array_module(x), _resolve_step_size(step_size, x, norm, victim, eps)
    region = Region(x, eps, norm, victim)
    if initial_noise is None:
        points = region.random_point(index, seed=seed, epoch=epoch)
    else:
        check_number("initial_noise", initial_noise)
        size = int(np.prod(x.shape[1:]))
        # The name of the stream decides the numbers, so it stays that of 0.1.0.
        drawn = normal(size, index, stream="craft jitter", seed=seed, epoch=epoch, xp=xp)
        moved = x + (initial_noise * drawn).reshape(x.shape).astype(x.dtype)
        points = region.project(slice(None), moved)
    for step in range(steps):
        z, backward = victim(points)
        if step == 0:
            validate_labels(z, y)
        points = region.step(slice(None), points, backward(loss(z, y)[1]), step_sizes)
    return points
