"""What a layer is, and how its weights are initialized."""

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import numpy as np

from ..backend.device import Array, array_module
from ..parameters import Tree, leaves
from ..random import normal


class Backward(Protocol):
    """dy ↦ dx; with a tree of gradients, those of the parameters are added into it too."""

    def __call__(self, dy: Array, grads: Tree | None = None) -> Array: ...


class Layer:
    """A function with parameters, the base class of all layers.

    A subclass computes y and the function `backward` in `__call__`. One whose pass can include a
    ReLU also overrides `forward_relu`.

    Attributes
    ----------
    params : dict
        Tree of arrays (see `tinyproto.parameters`), empty for a layer without parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Layer
    >>> class Scale(Layer):
    ...     def __init__(self):
    ...         self.params = {"scale": np.ones(1)}
    ...
    ...     def __call__(self, x, train=False):
    ...         def backward(dy, grads=None):
    ...             if grads and "scale" in grads:
    ...                 grads["scale"] += (x * dy).sum()
    ...             return self.params["scale"] * dy
    ...
    ...         return self.params["scale"] * x, backward
    >>> y, backward = Scale()(np.array([[1.0, 2.0]]))
    >>> grads = {"scale": np.zeros(1)}
    >>> backward(np.array([[3.0, 3.0]]), grads)
    array([[3., 3.]])
    >>> grads["scale"]
    array([9.])
    """

    params: Tree

    def __init__(self) -> None:
        self.params = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Restore the default `forward_relu` where a subclass inherits a fused one, but overrides
        another method of the class that defines it, its own or inherited: the fused pass may ignore
        the new one."""
        super().__init_subclass__(**options)
        owner = next(base for base in cls.__mro__ if "forward_relu" in vars(base))
        methods = inspect.getmembers(owner, inspect.isfunction)
        changed = [name for name, method in methods if getattr(cls, name) is not method]
        if owner is not cls and set(changed) - {"__init__", "__repr__"}:
            cls.forward_relu = Layer.forward_relu  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """As the layer is built, in PyTorch's manner: Conv2D(3, 32, kernel_size=3, padding=1)."""
        return f"{type(self).__name__}()"

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        raise NotImplementedError

    def forward_relu(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """Compute the layer and a ReLU after it; `Sequential` calls this where a ReLU follows.

        The default computes one after the other. A layer that can do both in one pass over y
        overrides it, with the same result. A subclass of such a layer that overrides `__call__`,
        or a method that `__call__` uses, gets the default back.
        """
        from .elementwise import ReLU  # which imports this module

        y, backward = self(x, train)
        y, relu_backward = ReLU()(y)

        def backward_both(dy: Array, grads: Tree | None = None) -> Array:
            return backward(relu_backward(dy), grads)

        return y, backward_both


_draws = ContextVar("draws", default=True)


@contextmanager
def without_initialization() -> Iterator[None]:
    """In the block `initialize` draws nothing: for weights that are about to be replaced, of which
    millions take seconds to draw."""
    token = _draws.set(False)
    try:
        yield
    finally:
        _draws.reset(token)


def initialize(layer: Any, seed: int) -> Any:
    """Draw the weights of a layer at random, in place: Kaiming initialization.

    Parameters
    ----------
    layer : Layer
        Its weights are the leaves of `layer.params` called "weight", whose last axis is that of the
        outputs. All other parameters (biases, BatchNorm, prototypes) stay as they are.
    seed : int
        Seed of the random numbers. Each weight has a stream of its own, named by its path: it does
        not depend on what other layers there are.

    Returns
    -------
    Layer
        The layer itself.

    Notes
    -----
    Normal with mean 0 and variance 2 / fan-in, where fan-in is the number of inputs to one output.
    That keeps the variance of the activations constant through layers with ReLUs (He, Zhang, Ren
    and Sun, arXiv 1502.01852, section 2.2).

    Examples
    --------
    >>> from tinyproto.layers import Linear, initialize
    >>> layer = initialize(Linear(1000, 50), seed=1)
    >>> round(float(layer.params["weight"].var() * 1000), 1)
    2.0
    """
    if not _draws.get():
        return layer
    for path, leaf in leaves(layer.params):
        if path.rpartition("/")[2] == "weight":
            fan_in = math.prod(leaf.shape[:-1])
            drawn = normal(leaf.size, np.arange(1), seed=seed, stream=f"weight {path}")
            drawn = (drawn * math.sqrt(2 / fan_in)).reshape(leaf.shape)
            leaf[...] = array_module(leaf).asarray(drawn.astype(leaf.dtype))
    return layer
