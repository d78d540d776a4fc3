"""Layers made of layers. The tree of their parameters is made of the parts' own."""

from ..device import Array
from ..parameters import Tree
from .base import Backward, Layer
from .elementwise import ReLU


class Sequential(Layer):
    """One layer after another; the gradient goes back through them in turn.

    A layer that can take the ReLU after it into its own pass (`rectified`) does.

    The parameters of the third layer are `params["2"]`, if it has any.
    """

    def __init__(self, *layers: Layer):
        self.layers = layers
        self.params = {str(i): layer.params for i, layer in enumerate(layers) if layer.params}

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        passes: list[tuple[str, Backward]] = []
        fused = False
        for i, layer in enumerate(self.layers):
            if fused:  # this ReLU was part of the layer before
                fused = False
                continue
            after = self.layers[i + 1] if i + 1 < len(self.layers) else None
            fused = isinstance(after, ReLU) and hasattr(layer, "rectified")
            x, backward = layer.rectified(x, train) if fused else layer(x, train)
            passes.append((str(i), backward))

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
        y, body = self.body(x, train)
        beside, shortcut = self.shortcut(x, train) if self.shortcut else (x, None)
        if beside.shape != y.shape:
            raise ValueError(f"Residual: body gives {y.shape}, shortcut {beside.shape}")

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            grads = grads or {}
            dx = body(dy, grads.get("body"))
            return dx + (shortcut(dy, grads.get("shortcut")) if shortcut else dy)

        return y + beside, backward
