"""Layers made of layers. Their trees of parameters are made of the trees of their parts."""

import math
from collections.abc import Mapping
from typing import Any

from ..backend import memory
from ..backend.device import Array, array_module
from ..gradients import check_gradient_tree
from ..kernels.channels import add, relu_backward
from ..parameters import Tree
from .base import Backward, Layer
from .checks import check_backward, check_branches, refuse_branch
from .elementwise import ReLU


class Sequential(Layer):
    """Layers one after the other; the gradient goes back through them in reverse order.

    Where a plain ReLU follows a layer, that layer's `forward_relu` computes both.

    Parameters
    ----------
    *layers : Layer
        In the order in which they are applied.

    Attributes
    ----------
    layers : tuple of Layer
    params : dict
        The parameters of the third layer are `params["2"]`, if it has any.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Linear, ReLU, Sequential
    >>> network = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
    >>> y, backward = network(np.ones((2, 4), np.float32))
    >>> y.shape, backward(y).shape
    ((2, 3), (2, 4))
    >>> list(network.params)
    ['0', '2']
    """

    def __init__(self, *layers: Layer):
        check_layers("Sequential", *layers)
        self.layers = layers
        self.params = {str(i): layer.params for i, layer in enumerate(layers) if layer.params}

    def __repr__(self) -> str:
        return nested(self, {str(i): layer for i, layer in enumerate(self.layers)})

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        passes: list[tuple[str, Backward]] = []
        i = 0
        while i < len(self.layers):
            layer, name = self.layers[i], str(i)
            branch = self.params.get(name)
            if branch is not layer.params and (branch or layer.params):
                refuse_branch(self, name)
            with_relu = i + 1 < len(self.layers) and type(self.layers[i + 1]) is ReLU
            x, backward = layer.forward_relu(x, train) if with_relu else layer(x, train)
            passes.append((name, backward))
            i += 2 if with_relu else 1

        def backward_all(dy: Array, grads: Tree | None = None) -> Array:
            if grads:
                check_gradient_tree(self.params, grads)
            for name, backward in reversed(passes):
                dy = backward(dy, grads.get(name) if grads else None)
            return dy

        return x, backward_all


class Residual(Layer):
    """y = body(x) + shortcut(x), or body(x) + x: a residual connection.

    dx is the sum of the gradients of the two parts (He, Zhang, Ren and Sun, arXiv 1512.03385).

    Parameters
    ----------
    body : Layer
    shortcut : Layer, optional
        Where the body changes the shape, a layer that changes it likewise; the identity otherwise.

    Attributes
    ----------
    params : dict
        "body" and "shortcut", if they have parameters.

    Raises
    ------
    ValueError
        When called, if the two parts give different shapes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Residual, Sequential
    >>> double = Residual(Sequential())  # a body without layers is the identity
    >>> y, backward = double(np.array([[1.0, 2.0]]))
    >>> y
    array([[2., 4.]])
    >>> backward(np.ones((1, 2)))
    array([[2., 2.]])
    """

    def __init__(self, body: Layer, shortcut: Layer | None = None):
        check_layers("Residual", body, *[shortcut] * (shortcut is not None))
        self.body, self.shortcut = body, shortcut
        self.params = {name: part.params for name, part in self._parts().items() if part.params}

    def __repr__(self) -> str:
        return nested(self, self._parts())

    def _parts(self) -> dict[str, Layer]:
        return {"body": self.body, **({"shortcut": self.shortcut} if self.shortcut else {})}

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        return self._forward(x, train, minimum=-math.inf)

    def forward_relu(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """The layer and a ReLU after it in one pass over y."""
        return self._forward(x, train, minimum=0.0)

    def _forward(self, x: Array, train: bool, minimum: float) -> tuple[Array, Backward]:
        check_branches(self, self._parts())
        y_body, body = self.body(x, train)
        y_shortcut, shortcut = self.shortcut(x, train) if self.shortcut else (x, None)
        if y_body.shape != y_shortcut.shape:
            raise ValueError(f"Residual: body gives {y_body.shape}, shortcut {y_shortcut.shape}")
        y = add_values(y_body, y_shortcut, minimum)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, y.shape, grads)
            grads = grads or {}
            if minimum == 0:
                dy = _relu_gradient(y, dy)
            dx_body = body(dy, grads.get("body"))
            dx_shortcut = shortcut(dy, grads.get("shortcut")) if shortcut else dy
            return add_values(dx_body, dx_shortcut)

        return y, backward


def check_layers(owner: str, *layers: Any) -> None:
    """Raise ValueError for the first that is no layer."""
    for layer in layers:
        if not isinstance(layer, Layer):
            raise ValueError(f"{owner} is made of layers, not of type {type(layer).__name__}")


def nested(owner: Layer, parts: Mapping[str, Layer]) -> str:
    """The repr of a layer with the layers in it, each on lines of its own."""
    lines = [f"({name}): {part!r}".replace("\n", "\n  ") for name, part in parts.items()]
    inside = "\n  " + "\n  ".join(lines) + "\n" if lines else ""
    return f"{type(owner).__name__}({inside})"


def _rows(x: Array) -> Array:
    """x as (N, n), contiguous."""
    return array_module(x).ascontiguousarray(x).reshape(len(x), math.prod(x.shape[1:]))


def add_values(a: Array, b: Array, minimum: float = -math.inf) -> Array:
    """max(a + b, minimum), for a and b of one shape."""
    rows = _rows(a)
    y = memory.empty_like(rows)
    add(len(a), rows, _rows(b), a.dtype.type(minimum), y)
    return y.reshape(a.shape)


def _relu_gradient(y: Array, dy: Array) -> Array:
    """dy where y > 0, else 0."""
    rows = _rows(y)
    dx = memory.empty_like(rows)
    relu_backward(len(y), rows, _rows(dy), dx)
    return dx.reshape(y.shape)
