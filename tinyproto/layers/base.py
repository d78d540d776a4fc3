"""What a layer is, and how its weights start."""

import inspect
import math
from typing import Any, Protocol

import numpy as np

from ..backend.device import Array, array_module
from ..parameters import Tree, leaves
from ..random import normal


class Backward(Protocol):
    """dy ↦ dx; with a tree of gradients, the parameters' are added into it too."""

    def __call__(self, dy: Array, grads: Tree | None = None) -> Array: ...


class Layer:
    """A function with parameters. `params` is a tree of arrays, empty for a layer without."""

    params: Tree

    def __init__(self) -> None:
        self.params = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Restore the default `forward_relu` where a subclass inherits a fused one, but overrides
        another method of the class that defines it: the fused pass may ignore the new method."""
        super().__init_subclass__(**options)
        owner = next(base for base in cls.__mro__ if "forward_relu" in vars(base))
        methods = [name for name, value in vars(owner).items() if inspect.isfunction(value)]
        changed = [name for name in methods if getattr(cls, name) is not vars(owner)[name]]
        if owner is not cls and set(changed) - {"__init__", "__repr__"}:
            cls.forward_relu = Layer.forward_relu  # type: ignore[method-assign]

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        raise NotImplementedError

    def forward_relu(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """The layer and a ReLU after it: what `Sequential` calls where a ReLU follows. A layer that
        can compute both in one pass over y overrides this."""
        from .elementwise import ReLU  # which imports this module

        y, backward = self(x, train)
        y, relu_backward = ReLU()(y)

        def backward_both(dy: Array, grads: Tree | None = None) -> Array:
            return backward(relu_backward(dy), grads)

        return y, backward_both


def initialize(layer: Any, seed: int) -> Any:
    """Draw the weights of a layer anew, each by its path: Kaiming's start (He and others,
    arXiv 1502.01852), normal with variance 2 / fan-in, which keeps the variance of what passes
    through ReLUs. Returns the layer.

    Weights are the leaves called "weight", whose last axis is that of the outputs. What else there
    is (biases, BatchNorm, prototypes) is left as it was constructed.
    """
    for path, leaf in leaves(layer.params):
        if path.rpartition("/")[2] == "weight":
            fan_in = math.prod(leaf.shape[:-1])
            drawn = normal(leaf.size, np.arange(1), seed=seed, stream=f"weight {path}")
            drawn = (drawn * math.sqrt(2 / fan_in)).reshape(leaf.shape)
            leaf[...] = array_module(leaf).asarray(drawn.astype(leaf.dtype))
    return layer


def positive_integers(owner: str, **values: Any) -> None:
    """Raise ValueError for the first value that is not an integer of 1 or more."""
    for name, value in values.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{owner}: {name} must be an integer of 1 or more, not {value!r}")


def check_input(owner: str, x: Array, dimensions: int, features: int | None = None) -> None:
    """Raise ValueError unless x is of floating-point numbers, has so many axes and, at the last,
    so many features."""
    if x.dtype.kind != "f":
        raise ValueError(f"{owner} expects floating-point numbers, not {x.dtype}")
    if x.ndim != dimensions or (features is not None and x.shape[-1] != features):
        form = "(N, H, W, C)" if dimensions == 4 else "(N, d)"
        wanted = (
            form
            if features is None
            else form.replace("C", f"{features}").replace("d", f"{features}")
        )
        raise ValueError(f"{owner} expects x of shape {wanted}, not {x.shape}")
