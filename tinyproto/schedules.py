"""Schedules: the learning rate at each step of a run, as a function of the step alone.

    learning_rate = one_cycle(0.1, steps)
    learning_rate(0), …, learning_rate(steps - 1)

A schedule has no state, so a run that is resumed needs nothing but the number of its step.
"""

import math
from collections.abc import Callable

from .validation import require

__all__ = ["Schedule", "cosine", "one_cycle", "step_decay"]

Schedule = Callable[[int], float]
"""step (0 … steps − 1) → learning rate."""


def step_decay(
    peak: float, steps: int, milestones: tuple[float, ...] = (0.5, 0.75), factor: float = 0.1
) -> Schedule:
    """Multiply the learning rate by a factor at each milestone: peak · factorᵏ after k of them.

    Parameters
    ----------
    peak : float
        The first learning rate, 0 or more.
    steps : int
        Steps in the whole run.
    milestones : tuple of float
        When, as fractions of the steps: milestone m is reached at step round(m · steps).
    factor : float
        In (0, 1].

    Returns
    -------
    Schedule
        step → learning rate; ValueError for a step outside 0 … steps − 1.

    Raises
    ------
    ValueError
        For an argument outside its range.

    Examples
    --------
    >>> from tinyproto.schedules import step_decay
    >>> learning_rate = step_decay(0.5, 8, factor=0.5)
    >>> [learning_rate(step) for step in range(8)]
    [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    """
    _check_arguments(peak, steps)
    for milestone in milestones:
        require(0 <= milestone <= 1, "milestones must be in [0, 1]", milestone)
    require(0 < factor <= 1, "factor must be in (0, 1]", factor)
    starts = [round(milestone * steps) for milestone in milestones]
    return _within(steps, lambda step: peak * factor ** sum(step >= start for start in starts))


def cosine(peak: float, steps: int, warmup: float = 0.0) -> Schedule:
    """Lower the learning rate along half a cosine, after a linear warm-up.

    Step t has ½ peak (1 + cos π (t − W)/(steps − W)), which at the last step is just above 0 (SGDR,
    Loshchilov and Hutter, arXiv 1608.03983, equation 5, without restarts). W = round(warmup ·
    steps) steps come before that, of which step t has peak (t + 1)/(W + 1).

    Parameters
    ----------
    peak : float
        The largest learning rate, 0 or more.
    steps : int
        Steps in the whole run.
    warmup : float
        The fraction of the steps, in [0, 1), over which the learning rate rises.

    Returns
    -------
    Schedule
        step → learning rate; ValueError for a step outside 0 … steps − 1.

    Raises
    ------
    ValueError
        For an argument outside its range.

    Examples
    --------
    >>> from tinyproto.schedules import cosine
    >>> learning_rate = cosine(0.1, 6, warmup=0.34)
    >>> [round(learning_rate(step), 3) for step in range(6)]
    [0.033, 0.067, 0.1, 0.085, 0.05, 0.015]
    """
    _check_arguments(peak, steps, warmup)
    rising = min(round(warmup * steps), steps - 1)

    def rate(step: int) -> float:
        if step < rising:
            return peak * (step + 1) / (rising + 1)
        return _half_cosine(peak, 0.0, (step - rising) / (steps - rising))

    return _within(steps, rate)


def one_cycle(
    peak: float, steps: int, warmup: float = 0.3, start: float = 0.04, end: float = 0.0
) -> Schedule:
    """Raise the learning rate linearly from start · peak to peak, then lower it along half a cosine
    to end · peak at the last step (after Smith and Topin, arXiv 1708.07120).

    Parameters
    ----------
    peak : float
        The largest learning rate, 0 or more.
    steps : int
        Steps in the whole run.
    warmup : float
        Where the peak is, as a fraction, in [0, 1), of the way from the first step to the last: at
        step round(warmup · (steps − 1)), but never at the last of several.
    start, end : float
        The first and the last learning rate, as fractions of the peak, in [0, 1].

    Returns
    -------
    Schedule
        step → learning rate; ValueError for a step outside 0 … steps − 1.

    Raises
    ------
    ValueError
        For an argument outside its range.

    Examples
    --------
    >>> from tinyproto.schedules import one_cycle
    >>> learning_rate = one_cycle(0.1, 7, warmup=0.5)
    >>> [round(learning_rate(step), 3) for step in range(7)]
    [0.004, 0.036, 0.068, 0.1, 0.075, 0.025, 0.0]
    """
    _check_arguments(peak, steps, warmup)
    require(0 <= start <= 1, "start must be in [0, 1]", start)
    require(0 <= end <= 1, "end must be in [0, 1]", end)
    last = steps - 1
    top = min(round(warmup * last), max(last - 1, 0))

    def rate(step: int) -> float:
        if step < top:
            return peak * (start + (1 - start) * step / top)
        return _half_cosine(peak, end * peak, (step - top) / max(last - top, 1))

    return _within(steps, rate)


def _half_cosine(high: float, low: float, fraction: float) -> float:
    """From high to low along half a cosine, at a fraction of the way."""
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * fraction))


def _within(steps: int, rate: Schedule) -> Schedule:
    """The same schedule, which refuses a step outside 0 … steps − 1."""

    def checked(step: int) -> float:
        require(0 <= step < steps and step == int(step), f"step must be in 0 … {steps - 1}", step)
        return rate(int(step))

    return checked


def _check_arguments(peak: float, steps: int, warmup: float = 0.0) -> None:
    """Raise ValueError for what all schedules refuse."""
    require(0 <= peak < math.inf, "peak must be 0 or more", peak)
    require(steps >= 1 and hasattr(steps, "__index__"), "steps must be 1 or more", steps)
    require(0 <= warmup < 1, "warmup must be a fraction of the steps in [0, 1)", warmup)
