"""Layers made of layers. The tree of their parameters is made of the parts' own."""

import math

from ..backend import memory
from ..backend.device import Array, array_module
from ..kernels.channels import add, relu_backward
from ..parameters import Tree
from .base import Backward, Layer
from .elementwise import ReLU


class Sequential(Layer):
    """One layer after another; the gradient goes back through them in reverse order.

    A layer followed by a ReLU computes both (`forward_relu`).

    The parameters of the third layer are `params["2"]`, if it has any.
    """

    def __init__(self, *layers: Layer):
        self.layers = layers
        self.params = {str(i): layer.params for i, layer in enumerate(layers) if layer.params}

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        passes: list[tuple[str, Backward]] = []
        i = 0
        while i < len(self.layers):
            layer = self.layers[i]
            with_relu = i + 1 < len(self.layers) and type(self.layers[i + 1]) is ReLU
            x, backward = layer.forward_relu(x, train) if with_relu else layer(x, train)
            passes.append((str(i), backward))
            i += 2 if with_relu else 1

        def backward_all(dy: Array, grads: Tree | None = None) -> Array:
            for name, backward in reversed(passes):
                dy = backward(dy, grads.get(name) if grads else None)
            return dy

        return x, backward_all


class Residual(Layer):
    """y = body(x) + shortcut(x) (He and others, arXiv 1512.03385), so dx is the sum of the two
    parts' gradients; without a shortcut it is x itself. Parameters: "body", "shortcut"."""

    def __init__(self, body: Layer, shortcut: Layer | None = None):
        self.body, self.shortcut = body, shortcut
        parts = {"body": body, **({"shortcut": shortcut} if shortcut else {})}
        self.params = {name: part.params for name, part in parts.items() if part.params}

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        return self._forward(x, train, minimum=-math.inf)

    def forward_relu(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """max(y, 0): the layer and a ReLU after it, in one pass over y."""
        return self._forward(x, train, minimum=0.0)

    def _forward(self, x: Array, train: bool, minimum: float) -> tuple[Array, Backward]:
        through, body = self.body(x, train)
        beside, shortcut = self.shortcut(x, train) if self.shortcut else (x, None)
        if beside.shape != through.shape:
            raise ValueError(f"Residual: body gives {through.shape}, shortcut {beside.shape}")
        y = _sum(through, beside, minimum)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            grads = grads or {}
            if minimum == 0:
                dy = _masked(y, dy)
            dx = body(dy, grads.get("body"))
            beside = shortcut(dy, grads.get("shortcut")) if shortcut else dy
            return _sum(dx, beside, -math.inf)

        return y, backward


def _rows(x: Array) -> Array:
    return array_module(x).ascontiguousarray(x).reshape(len(x), math.prod(x.shape[1:]))


def _sum(a: Array, b: Array, minimum: float) -> Array:
    """max(a + b, minimum)."""
    rows = _rows(a)
    y = memory.empty_like(rows)
    add(len(a), rows, _rows(b), a.dtype.type(minimum), y)
    return y.reshape(a.shape)


def _masked(y: Array, dy: Array) -> Array:
    """dy where y > 0, else 0."""
    rows = _rows(y)
    dx = memory.empty_like(rows)
    relu_backward(len(y), rows, _rows(dy).reshape(rows.shape), dx)
    return dx.reshape(y.shape)
