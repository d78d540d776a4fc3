"""Derivatives of a function by differences of its values: what a gradient is compared with.

With f_t the value at t steps of length h along a direction, and f smooth,

    central, 4th order:   (8 (f₁ − f₋₁) − (f₂ − f₋₂)) / 12h                     error h⁴ f⁗′/30
    to the right:         (16/3 (f_½ − f₀) − 2 (f₁ − f₀) + 1/6 (f₂ − f₀)) / h   error h³ f⁗/24

and to the left likewise. At a kink they part. One strictly inside (−2, 2) steps changes the central
difference of step h otherwise than that of step h/2, but for one at 8/9 of a step, where the two
changes are equal, and one at 0, where both differences are the mean of the two one-sided slopes at
every step. There the differences to the left and to the right part.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["derivative", "finite_difference", "slope_estimates"]

NODES = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)
ONE_SIDED = (16 / 3, -2.0, 1 / 6)  # the coefficients of f at ½, 1, 2, less f at 0


def derivative(
    function: Callable[[np.ndarray], Any],
    at: np.ndarray,
    direction: np.ndarray,
    step: float = 1e-3,
) -> Any:
    """The derivative of a function along a direction, by a central difference of fourth order.

    Parameters
    ----------
    function : callable
        Of an array like `at`; its value is a number or an array.
    at : array
        The point, in float64.
    direction : array
        Shaped like `at`.
    step : float
        The length of a step, in lengths of the direction. The error is of the order of step⁴ and of
        1e-16 / step.

    Returns
    -------
    float or array
        What `function` returns, as its change for each unit along the direction.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing import derivative
    >>> at, direction = np.array([1.0, 2.0]), np.array([1.0, 0.0])
    >>> round(float(derivative(lambda x: x[0] ** 3 * x[1], at, direction)), 9)
    6.0
    """
    near = function(at + step * direction) - function(at - step * direction)
    far = function(at + 2 * step * direction) - function(at - 2 * step * direction)
    return (8 * near - far) / (12 * step)


def finite_difference(
    function: Callable[[], float], array: np.ndarray, step: float = 1e-5
) -> np.ndarray:
    """The gradient of a function by central differences, entry by entry.

    Parameters
    ----------
    function : callable
        Without arguments; it reads `array` and returns a number.
    array : array
        In float64. It is changed in place, and restored.
    step : float
        How far each entry is moved to either side.

    Returns
    -------
    array
        ∂function/∂array, shaped like it.

    Raises
    ------
    ValueError
        For an array of another dtype, whose entries would be rounded.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing import finite_difference
    >>> x = np.array([1.0, 2.0])
    >>> np.round(finite_difference(lambda: (x**2).sum(), x), 6)
    array([2., 4.])
    """
    if array.dtype != np.float64:
        raise ValueError(f"array must hold float64, not {array.dtype}")
    gradient = np.empty_like(array)
    for at in np.ndindex(array.shape):
        value = array[at]
        try:
            array[at] = value + step
            above = function()
            array[at] = value - step
            below = function()
        finally:
            array[at] = value
        gradient[at] = (above - below) / (2 * step)
    return gradient


def slope_estimates(
    function: Callable[[float], np.ndarray], at_zero: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Four estimates of the derivative of function(t) at t = 0, whose value there is `at_zero`:
    central with half the step, central with the step, to the left and to the right."""
    f = {t: function(t * step) for t in NODES}
    outer, middle, inner = f[2.0] - f[-2.0], f[1.0] - f[-1.0], f[0.5] - f[-0.5]
    sides = [
        sum(c * (value - at_zero) for c, value in zip(ONE_SIDED, values, strict=True)) / size
        for size, values in (
            (-step, (f[-0.5], f[-1.0], f[-2.0])),
            (step, (f[0.5], f[1.0], f[2.0])),
        )
    ]
    return (8 * inner - middle) / (6 * step), (8 * middle - outer) / (12 * step), *sides
