"""What an attack may ask of a model."""

import warnings
from collections.abc import Callable
from typing import Any

from ..backend.device import Array, array_module
from .ball import flat

SATURATED = 80.0
"""Of scores farther apart, exp(−difference) is subnormal in float32, or 0."""

Backward = Callable[[Array], Array]
Model = Callable[[Array], tuple[Array, Backward]]


class FlatGradientWarning(UserWarning):
    """The gradient is exactly 0 at many examples: attacks along it see nothing there."""


class Victim:
    """A model under attack: a layer with bounds, and counters of what it was asked.

    model: any function `z, backward = model(x)` with class scores z (N, C) of x (N, …), where
        `dx = backward(dz)`, which may be called several times, is the gradient Σ_c dz_c ∂z_c/∂x of
        each example, shaped like x. It must leave x as it is. Every network of tinyproto is one;

            def model(x):  # x (N, d)
                return x @ W + b, lambda dz: dz @ W.T

        is another.
    lo, hi: the bounds of an input; no attack leaves them.
    forward_passes, backward_passes: how many examples have gone through.
    flat_gradients: how many backward passes came back as exactly 0, of a loss that was not flat
        itself; the first time that they are a tenth of all, and ten or more, there is a
        FlatGradientWarning.

    Calling it raises ValueError for scores and gradients of another shape, and for such as are NaN
    or infinite: an attack would take them for an answer.
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
        self.forward_passes += len(x)
        answer = self.model(x)
        if not (isinstance(answer, tuple) and len(answer) == 2 and callable(answer[1])):
            raise ValueError("the victim must return a pair: scores, and a function for gradients")
        z, backward = answer
        _check("scores", z, (len(x), "C"))

        def counted(dz: Array) -> Array:
            dx = backward(dz)
            _check("gradients", dx, x.shape)
            self.backward_passes += len(dz)
            self.flat_gradients += _count_flat(z, dz, dx)
            self._warn()
            return dx

        return z, counted

    def _warn(self) -> None:
        told = tell_flat(self.flat_gradients, self.backward_passes)
        if told and not self._warned:
            self._warned = True
            about = "attacks along it see nothing there; Square needs none"
            warnings.warn(f"{told}: {about}", FlatGradientWarning, stacklevel=4)


def tell_flat(flat_gradients: int, backward_passes: int) -> str | None:
    """What there is to say of so many flat gradients; None where they are few."""
    if flat_gradients < 10 or 10 * flat_gradients < backward_passes:
        return None
    return f"the gradient was exactly 0 in {flat_gradients} of {backward_passes} backward passes"


def _count_flat(z: Array, dz: Array, dx: Array) -> int:
    """How many gradients are 0 by the model's doing: dz is not, or the scores are so far apart that
    cross-entropy's exponentials are 0. (DLR is flat of its own where the label is third.)"""
    zero = ~flat(dx).any(axis=1)
    if not bool(zero.any()):
        return 0
    ordered = array_module(z).sort(z, axis=1)
    apart = ordered[:, -1] - ordered[:, -2] > SATURATED
    return int((zero & (dz.any(axis=1) | apart)).sum())


def _check(what: str, array: Array, shape: tuple[int | str, ...]) -> None:
    """Raises ValueError for what is no array of finite floating-point numbers of this shape, in
    which a letter stands for any length."""
    found = getattr(array, "shape", (None,))
    if len(found) != len(shape) or any(
        m not in ("C", n) for n, m in zip(found, shape, strict=True)
    ):
        expected = f"({', '.join(map(str, shape))})"
        raise ValueError(f"the victim's {what} must be an array {expected}, not {_name(array)}")
    if array.dtype.kind != "f":
        raise ValueError(f"the victim's {what} must be floating-point numbers, not {array.dtype}")
    if not bool(array_module(array).isfinite(array).all()):
        raise ValueError(f"the victim's {what} must be finite; there are NaN or infinite ones")


def _name(value: Any) -> str:
    return f"{value.shape}" if hasattr(value, "shape") else type(value).__name__
