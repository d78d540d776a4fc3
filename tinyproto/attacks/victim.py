"""The victim: a model under attack, with the bounds of its inputs and counters of its passes."""

import math
import warnings
from collections.abc import Callable
from typing import Any

from ..backend.device import Array, array_module

SATURATION = 80.0
"""For scores that differ by more, e^(−difference) is subnormal in float32, or 0."""

Backward = Callable[[Array], Array]
Model = Callable[[Array], tuple[Array, Backward]]


class FlatGradientWarning(UserWarning):
    """The gradient is exactly 0 at many examples: gradient-based attacks cannot make progress."""


class Victim:
    """A model under attack: a function with bounds on its input and counters of its passes.

    Parameters
    ----------
    model : callable
        A function `z, backward = model(x)` with class scores z (N, C) of x (N, …), where
        `dx = backward(dz)`, which may be called several times, is the gradient Σ_c dz_c ∂z_c/∂x of
        each example, shaped like x. It must not change x. Every network of tinyproto is one.
    lo, hi : float
        The bounds of an input: no attack returns a value outside them.

    Attributes
    ----------
    forward_passes, backward_passes : int
        How many examples have gone through the model.
    flat_gradients : int
        How many gradients came back as exactly 0 although the loss was not flat itself. The first
        time that they are ten or more and a tenth of all, a FlatGradientWarning is issued.

    Raises
    ------
    ValueError
        If lo is not below hi. Calling a victim raises ValueError for scores and gradients of the
        wrong shape, and for NaN or infinite ones, which an attack would mistake for a success.

    Examples
    --------
    Your own model, here a linear one, becomes a victim with a single function:

    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> def model(x):
    ...     return x @ W, lambda dz: dz @ W.T
    >>> victim = Victim(model, lo=0.0, hi=1.0)
    >>> z, backward = victim(np.array([[1.0, 0.5]]))
    >>> z
    array([[ 0.5, -0.5]])
    >>> backward(np.array([[0.0, 1.0]]))
    array([[-1.,  1.]])
    >>> victim.forward_passes, victim.backward_passes
    (1, 1)
    """

    def __init__(self, model: Model, *, lo: float = 0.0, hi: float = 1.0):
        if not lo < hi:
            raise ValueError(f"lo must be below hi, not lo={lo!r}, hi={hi!r}")
        self.model = model
        self.lo, self.hi = lo, hi
        self.forward_passes = 0
        self.backward_passes = 0
        self.flat_gradients = 0
        self._warned = False

    def __call__(self, x: Array) -> tuple[Array, Backward]:
        """The scores z (N, C) of x (N, …), and the function that returns gradients at x."""
        self.forward_passes += len(x)
        output = self.model(x)
        if not (isinstance(output, tuple) and len(output) == 2 and callable(output[1])):
            raise ValueError("the victim must return a pair: scores, and a function for gradients")
        z, backward = output
        _check_array("scores", z, (len(x), "C"))

        def counted_backward(dz: Array) -> Array:
            dx = backward(dz)
            _check_array("gradients", dx, x.shape)
            self.backward_passes += len(dz)
            self.flat_gradients += _count_flat_gradients(z, dz, dx)
            self._warn_if_flat()
            return dx

        return z, counted_backward

    def _warn_if_flat(self) -> None:
        message = flat_gradient_message(self.flat_gradients, self.backward_passes)
        if message and not self._warned:
            self._warned = True
            advice = "gradient-based attacks cannot make progress there; Square needs no gradient"
            warnings.warn(f"{message}: {advice}", FlatGradientWarning, stacklevel=4)


def flat_gradient_message(flat_gradients: int, backward_passes: int) -> str | None:
    """What to report of flat gradients; None where they are fewer than ten or a tenth of all."""
    if flat_gradients < 10 or 10 * flat_gradients < backward_passes:
        return None
    return f"the gradient was exactly 0 in {flat_gradients} of {backward_passes} backward passes"


def _count_flat_gradients(z: Array, dz: Array, dx: Array) -> int:
    """How many gradients dx are 0 because of the model: either dz is not 0, or the scores differ so
    much that the exponentials of cross-entropy are 0. (DLR itself is flat where the label has the
    third-largest score.)"""
    zero = ~dx.reshape(len(dx), math.prod(dx.shape[1:])).any(axis=1)
    if not bool(zero.any()):
        return 0
    ordered = array_module(z).sort(z, axis=1)
    saturated = ordered[:, -1] - ordered[:, -2] > SATURATION
    return int((zero & (dz.any(axis=1) | saturated)).sum())


def _check_array(what: str, array: Any, shape: tuple[int | str, ...]) -> None:
    """Raise ValueError unless this is an array of finite floating-point numbers of this shape;
    "C" means any length."""
    found = getattr(array, "shape", (None,))
    if len(found) != len(shape) or any(
        m not in ("C", n) for n, m in zip(found, shape, strict=True)
    ):
        expected = f"({', '.join(map(str, shape))})"
        given = f"{array.shape}" if hasattr(array, "shape") else type(array).__name__
        raise ValueError(f"the victim's {what} must be an array {expected}, not {given}")
    if array.dtype.kind != "f":
        raise ValueError(f"the victim's {what} must be floating-point numbers, not {array.dtype}")
    if not bool(array_module(array).isfinite(array).all()):
        raise ValueError(f"the victim's {what} must be finite, not NaN or infinite")
