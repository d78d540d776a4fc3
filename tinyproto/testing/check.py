"""Gradients against finite differences, along random directions."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .differences import slope_estimates
from .locate import describe_error
from .protocol import check_protocol
from .subject import GradientError, Subject, check_shape, in_float64

AGREE = 1e-8  # two estimates of a slope, relative to the sum of random terms of their size
ROUNDING = 1e-14  # of each output, relative to the largest that moves, and to 1
WRONG = 10  # times what two estimates may differ by, a gradient is wrong
SHORTER = (1.0, 0.1, 0.01)  # steps that are tried in turn where the differences part


@dataclass(frozen=True)
class GradientCheck:
    """What `check_gradients` has found.

    Parameters
    ----------
    checked : int
        How many directions were compared, over all arrays and modes.
    skipped : int
        How many were left out, because the function has a kink there.
    largest_error : float
        The largest difference between a slope by the gradient and by finite differences, relative
        to the root of the sum of squares of its terms, dy · ∂y.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import ReLU
    >>> from tinyproto.testing import check_gradients
    >>> check_gradients(ReLU(), np.array([[-1.0, 2.0]]), directions=3).checked
    6
    """

    checked: int
    skipped: int
    largest_error: float


def check_gradients(
    layer_or_loss: Callable[..., Any],
    x: np.ndarray,
    *others: Any,
    train: bool | None = None,
    directions: int = 8,
    step: float = 1e-4,
    seed: int = 0,
) -> GradientCheck:
    """Compare the gradients of a layer, a model or a loss with finite differences, in float64.

    Parameters
    ----------
    layer_or_loss : callable
        A layer `y, backward = layer(x, train)` with parameters `params`; a model without any,
        `z, backward = model(x)`; or a loss `value, dz = loss(z, y)` with a value (N,) for each
        example and a gradient for each of the first arguments.
    x : array (N, …)
        The input, or the scores of a loss. A copy in float64 is used, and copies of the parameters.
    *others
        Further arguments of a loss: labels, other scores.
    train : bool, optional
        The mode in which a layer is checked; both, if not given. A function without `params` has
        no modes.
    directions : int
        How many random directions are taken for x, and for each parameter by itself.
    step : float
        Length of a step along a direction of length 1, times the root mean square of the array
        where that is above 1.
    seed : int
        Seed of the directions and of dy.

    Returns
    -------
    GradientCheck
        How many directions were compared, how many skipped, and the largest error.

    Raises
    ------
    GradientError
        An AssertionError, in one line, with the array, the mode and the entries that are wrong: for
        a gradient that finite differences do not confirm; for a pass that changes its input, dy or
        a parameter, whose backward pass gives something else the second time or after another call,
        or that does not add to the gradients it is given; and where every direction was skipped.
    TypeError
        For a function that returns something else, or computes in float32.
    ValueError
        For x that holds no finite numbers, or directions or step not above 0.

    Notes
    -----
    A direction d has a random entry for each entry of the array, and every comparison a new random
    dy, so one wrong entry among many is seen, and so is a wrong sum of many right ones. The slope
    Σ dy · ∂y/∂d by `differences.slope_estimates` must equal Σ gradient · d.

    Outputs have rounding errors of 1e-14 times the largest of those that move, or 1: slopes below
    about 1e-9 of that, such as those of a function with values of 1e-10, are not told from errors.
    Bring a function with small values to the order of 1.

    Finite differences lie at kinks: at x = 0 of a ReLU, or where two values of a max-pooling window
    tie. Where the differences of two step sizes, or those to either side, disagree, steps of a
    tenth and of a hundredth are tried; where they disagree too, the direction is skipped and
    counted. This looks at values of the function alone, so a wrong gradient is never taken for a
    kink. An entry that is exactly at a kink puts every direction across it: choose x so that none
    is, for example with `spaced`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Layer
    >>> from tinyproto.losses import cross_entropy
    >>> from tinyproto.testing import check_gradients
    >>> class Square(Layer):
    ...     def __call__(self, x, train=False):
    ...         return x**2, lambda dy, grads=None: -2 * x * dy
    >>> x = np.array([[1.0, -2.0, 3.0]])
    >>> check_gradients(Square(), x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tinyproto.testing.GradientError: the gradient at x is wrong (eval mode): 3 of 3 ...
    >>> check_gradients(cross_entropy, x, np.array([1])).skipped
    0
    """
    x = _validate(x, directions, step)
    random = np.random.default_rng(seed)
    found: list[GradientCheck] = []
    with in_float64(layer_or_loss):
        others = tuple(_as_float64(array) for array in others)
        subject = Subject(layer_or_loss, x, others)
        modes = [bool(train)] if train is not None or not subject.has_modes else [False, True]
        for mode in modes:
            where = f" ({'train' if mode else 'eval'} mode)" if subject.has_modes else ""
            try:
                check_protocol(subject, mode, random)
            except GradientError as error:
                raise GradientError(f"{error}{where}") from None
            found.append(_check_mode(subject, mode, where, directions, step, random))
    return GradientCheck(
        sum(one.checked for one in found),
        sum(one.skipped for one in found),
        max(one.largest_error for one in found),
    )


def _validate(x: Any, directions: int, step: float) -> np.ndarray:
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiu" or x.ndim == 0 or not x.size:
        raise ValueError(f"x must be an array of numbers, (N, …), not {x!r:.60}")
    if not np.isfinite(x).all():
        raise ValueError("x must hold finite numbers")
    if not directions >= 1 or not step > 0:
        raise ValueError(
            f"directions must be 1 or more, and step above 0, not {directions} and {step}"
        )
    return x.astype(np.float64)


def _as_float64(array: Any) -> Any:
    """A copy in float64 of an array of floating-point numbers; anything else as it is."""
    floats = isinstance(array, np.ndarray) and array.dtype.kind == "f"
    return array.astype(np.float64) if floats else array


def _check_mode(
    subject: Subject,
    train: bool,
    where: str,
    directions: int,
    step: float,
    random: np.random.Generator,
) -> GradientCheck:
    y = subject.output(train)
    errors: dict[str, list[float]] = {name: [] for name in subject.arrays}
    for _ in range(directions):
        dy = random.normal(size=y.shape)
        gradients = subject.gradients(train, dy)
        for name, array in subject.arrays.items():
            gradient = gradients[name]
            check_shape(name, gradient, array.shape)
            direction = random.normal(size=array.shape)
            direction /= max(float(np.linalg.norm(direction)), 1e-300)
            slope = _slope(subject, train, array, direction, y, dy, step)
            if slope is None:
                continue
            value, scale, allowed = slope
            error = abs(float((gradient * direction).sum()) - value)
            if not error <= WRONG * allowed:
                located = describe_error(subject, train, array, gradient, dy)
                raise GradientError(f"the gradient at {name} is wrong{where}: {located}")
            errors[name].append(error / scale if scale else 0.0)
    for name, compared in errors.items():
        if not compared:
            raise GradientError(
                f"the gradient at {name} cannot be checked{where}: all of {directions} random "
                "directions cross a kink, such as x = 0 of a ReLU or a tie in max-pooling, or the "
                "function is not smooth within a step; take another x, without zeros and ties "
                "(`spaced` draws one), or a smaller step"
            )
    checked = sum(map(len, errors.values()))
    largest = max(max(compared) for compared in errors.values())
    return GradientCheck(checked, directions * len(errors) - checked, largest)


def _slope(
    subject: Subject,
    train: bool,
    array: np.ndarray,
    direction: np.ndarray,
    y: np.ndarray,
    dy: np.ndarray,
    step: float,
) -> tuple[float, float, float] | None:
    """The slope of Σ dy · y along a direction, the size of its terms, and how much two estimates of
    it may differ; None at a kink. The array is moved in place, and restored."""
    before = array.copy()

    def output(t: float) -> np.ndarray:
        array[...] = before + t * direction
        return subject.output(train)

    length = step * max(1.0, math.sqrt(float((array**2).mean())))
    try:
        for shorter in SHORTER:
            h = shorter * length
            estimates = slope_estimates(output, y, h)
            half, central, left, right = (float((dy * e).sum()) for e in estimates)
            scale = float(np.linalg.norm(dy * estimates[0]))
            largest = float(np.abs(y[estimates[0] != 0]).max(initial=0.0))
            rounding = ROUNDING * (1 + largest) / h
            allowed = AGREE * scale + rounding * float(np.linalg.norm(dy))
            if abs(half - central) <= allowed and abs(left - right) <= allowed:
                return half, scale, allowed
    finally:
        array[...] = before
    return None
