"""What an attack may ask of a model."""

from collections.abc import Callable

from ..device import Array

Backward = Callable[[Array], Array]
Model = Callable[[Array], tuple[Array, Backward]]


class Victim:
    """A model under attack: a layer with bounds, and counters of what it was asked.

    model: any function with `z, backward = model(x)`, where z (N, C) are class scores of x (N, …)
        and `dx = backward(dz)`, which may be called several times, is the gradient at the input.
        Every network of tinyproto is one.
    lo, hi: the bounds of an input; no attack leaves them.
    forward_passes, backward_passes: how many examples have gone through.
    """

    def __init__(self, model: Model, *, lo: float = 0.0, hi: float = 1.0):
        if not lo < hi:
            raise ValueError(f"lo must be below hi, not lo={lo!r}, hi={hi!r}")
        self.model = model
        self.lo, self.hi = lo, hi
        self.forward_passes = 0
        self.backward_passes = 0

    def __call__(self, x: Array) -> tuple[Array, Backward]:
        self.forward_passes += len(x)
        z, backward = self.model(x)

        def counted(dz: Array) -> Array:
            self.backward_passes += len(dz)
            return backward(dz)

        return z, counted
