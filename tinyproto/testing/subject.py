"""What is checked, in one form: a layer, a model or a loss as arrays that are moved, the outputs y
at them, and the gradients of Σ dy · y at each of the arrays.

A loss of values v (N,) and gradients dz is a layer whose backward pass is dw ↦ dw · dz, row by row:
with random dw, Σ dw · v has this gradient only if the value of each example depends on its own row.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import parameters

Gradients = dict[str, np.ndarray]


class GradientError(AssertionError):
    """A gradient is wrong, or a backward pass does not keep to what a layer promises."""

    __module__ = "tinyproto.testing"  # as messages name it


class Subject:
    """A layer, model or loss at x; `arrays` are those that are moved, by the names of messages."""

    def __init__(self, function: Any, x: np.ndarray, others: Sequence[Any]):
        self.function, self.x, self.others = function, x, others
        self.has_modes = hasattr(function, "params")
        params = parameters.flatten(function.params) if self.has_modes else {}
        self.params = {path: a for path, a in params.items() if not parameters.is_running(path)}
        result = self.call(False)
        self.is_loss = not callable(result[1])
        if self.is_loss:
            moved = [x, *others][: len(result) - 1]
            names = ["x"] if len(moved) == 1 else [f"argument {i}" for i in range(1, len(result))]
            self.arrays = dict(zip(names, moved, strict=True))
            self._check_loss(result)
        else:
            self.arrays = {"x": x} | {f"params[{path!r}]": a for path, a in self.params.items()}

    def call(self, train: bool) -> tuple[Any, ...]:
        """What the function returns: (y, backward), or (value, dz, …) of a loss."""
        result = self.function(self.x, *self.others, *([train] if self.has_modes else []))
        if not isinstance(result, tuple) or len(result) < 2:
            found = type(result).__name__
            raise TypeError(
                f"a layer returns (y, backward) and a loss (value, dz), in a tuple, not {found}"
            )
        return result

    def output(self, train: bool) -> np.ndarray:
        """y, or the values of a loss: a copy, since a layer may return a view of x."""
        y = self.call(train)[0]
        if not isinstance(y, np.ndarray) or y.dtype != np.float64:
            found = getattr(y, "dtype", type(y).__name__)
            raise TypeError(
                f"for x in float64 the output must be an array of float64, not {found}: finite "
                "differences need its digits (keep the dtype of x in all that is computed)"
            )
        if not np.isfinite(y).all():
            raise GradientError("the output holds values that are infinite or NaN")
        return y.copy()

    def gradients(self, train: bool, dy: np.ndarray) -> Gradients:
        """The gradients of Σ dy · y at all arrays, by one backward pass."""
        _, *rest = self.call(train)
        if self.is_loss:
            return {name: by_row(dy, dz) * dz for name, dz in zip(self.arrays, rest, strict=True)}
        if not self.has_modes:
            return {"x": rest[0](dy)}
        grads = parameters.zeros(self.function.params)
        dx, slots = rest[0](dy, grads), parameters.flatten(grads)
        return {"x": dx} | {f"params[{path!r}]": slots[path] for path in self.params}

    def _check_loss(self, result: tuple[Any, ...]) -> None:
        value, *gradients = result
        if np.shape(value) != self.x.shape[:1]:
            raise GradientError(
                f"a loss returns one value for each of {len(self.x)} examples, in the shape "
                f"{self.x.shape[:1]}, not {np.shape(value)}: nobody divides by the batch but the "
                "one who sums"
            )
        for (name, array), dz in zip(self.arrays.items(), gradients, strict=True):
            check_shape(name, dz, np.shape(array))
            if len(dz) != len(self.x):
                raise TypeError(
                    f"{name} has {len(dz)} rows for {len(self.x)} examples, so its gradient is a "
                    "sum over them: check it by itself, as a model that returns the values and "
                    "their backward pass"
                )


def by_row(dw: np.ndarray, dz: np.ndarray) -> np.ndarray:
    """dw (N,) in a shape that multiplies the rows of dz (N, …)."""
    return dw.reshape(-1, *[1] * (dz.ndim - 1))


def check_shape(name: str, gradient: Any, shape: tuple[int, ...]) -> None:
    """Raise GradientError for a gradient of another shape."""
    found = getattr(gradient, "shape", None)
    if found != shape:
        raise GradientError(f"the gradient at {name} has the shape {found}, not {shape}")


@contextmanager
def in_float64(function: Any) -> Iterator[None]:
    """In the block, the parameters are copies in float64; after it, the layer has its own arrays
    again, with the values that they had."""
    if not hasattr(function, "params"):
        yield
        return
    trees = [(tree, dict(tree)) for tree in _trees(function.params)]
    try:
        parameters.convert(function.params, dtype=np.float64)
        yield
    finally:
        for tree, original in trees:
            tree.update(original)


def _trees(tree: parameters.Tree) -> Iterator[parameters.Tree]:
    yield tree
    for value in tree.values():
        if isinstance(value, dict):
            yield from _trees(value)
