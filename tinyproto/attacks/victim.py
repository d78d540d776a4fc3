"""What an attack may ask of a model."""

import warnings
from collections.abc import Callable

from ..device import Array, array_module
from .ball import flat

SATURATED = 80.0
"""Of scores farther apart, exp(−difference) is subnormal in float32, or 0."""

Backward = Callable[[Array], Array]
Model = Callable[[Array], tuple[Array, Backward]]


class FlatGradientWarning(UserWarning):
    """The gradient is exactly 0 at many examples: attacks along it see nothing there."""


class Victim:
    """A model under attack: a layer with bounds, and counters of what it was asked.

    model: any function with `z, backward = model(x)`, where z (N, C) are class scores of x (N, …)
        and `dx = backward(dz)`, which may be called several times, is the gradient at the input.
        Every network of tinyproto is one.
    lo, hi: the bounds of an input; no attack leaves them.
    forward_passes, backward_passes: how many examples have gone through.
    flat_gradients: how many backward passes came back as exactly 0, of a loss that was not flat
        itself; the first time that they are a tenth of all, and ten or more, there is a
        FlatGradientWarning.

    Scores or gradients that are NaN or infinite raise ValueError: an attack would take them for an
    answer.
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
        z, backward = self.model(x)
        _check_finite(z, "scores")

        def counted(dz: Array) -> Array:
            dx = backward(dz)
            _check_finite(dx, "gradients")
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


def _check_finite(array: Array, what: str) -> None:
    if not bool(array_module(array).isfinite(array).all()):
        raise ValueError(f"the victim's {what} must be finite; there are NaN or infinite ones")
