"""What the names in an ONNX graph stand for while it is read, and what an operator is given.

ONNX has images as (N, C, H, W), this package as (N, H, W, C). So a value has a form:

    form            in the file     here
    row             (N, d)          (N, d)
    image           (N, C, H, W)    (N, H, W, C)
    channels last   (N, H, W, C)    (N, H, W, C)
    pooled          (N, C, 1, 1)    (N, C)

Flattened images hold the same numbers in two orders: column j here is column order[j] in the file.
Whoever meets such a row permutes its own weights; what follows a linear layer is as in the file.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..layers import Layer

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Value:
    """The output of a node: its name among ours, its shape in the file without the batch (None
    where it is left open), its form, and the order of a flattened image."""

    node: str
    shape: Shape
    form: str
    order: np.ndarray | None = None

    @property
    def channels(self) -> int | None:
        return self.shape[-1 if self.form in ("row", "channels last") else 0]

    def same_kind(self, other: "Value") -> bool:
        """Whether the two can be added, here as in the file."""
        orders = [None if v.order is None else v.order.tolist() for v in (self, other)]
        return (self.form, self.shape) == (other.form, other.shape) and orders[0] == orders[1]

    @property
    def size(self) -> int | None:
        """How many numbers an example has; None where its shape is left open."""
        known = [length for length in self.shape if length is not None]
        return math.prod(known) if len(known) == len(self.shape) else None


def decimal(number: Any) -> np.ndarray:
    """Numbers in float64, those of float32 as they are written: 0.1, not 0.10000000149."""
    number = np.asarray(number)
    if number.dtype == np.float32:
        number = number.astype(str)
    return number.astype(np.float64)


class Operator:
    """A node of the file: its attributes and inputs, and the nodes of ours that it adds to.

    inputs: a Value, an array for a constant, None for one that is left out. batch: the number of
    examples that the file is for, None for any. last: whether its output is that of the file.
    """

    def __init__(
        self,
        node: Any,
        attributes: Mapping[str, Any],
        inputs: list[Any],
        nodes: dict[str, tuple[Layer, list[str]]],
        *,
        batch: int | None,
        last: bool,
    ):
        self.kind, self.inputs, self.batch, self.last = node.op_type, inputs, batch, last
        self.name = node.name or (node.output[0] if node.output else "")
        self._attributes, self._nodes = attributes, nodes

    def refuse(self, reason: str) -> ValueError:
        """The error to raise, which names this node."""
        return ValueError(f"node {self.name!r} ({self.kind}): {reason}")

    def attribute(self, name: str, default: Any = None) -> Any:
        return self._attributes.get(name, default)

    def require(self, **expected: Any) -> None:
        """Refuse the node if an attribute that it has is another than the expected one."""
        for name, value in expected.items():
            if (found := self.attribute(name, value)) != value:
                raise self.refuse(f"{name} must be {value!r}, not {found!r}")

    def input(self, place: int) -> Any:
        return self.inputs[place] if place < len(self.inputs) else None

    def value(self, place: int = 0, *forms: str) -> Value:
        """An input that is computed of x, of one of these forms if any are given."""
        value = self.input(place)
        if not isinstance(value, Value):
            raise self.refuse(f"its input {place} must be computed from the network's, no constant")
        if forms and value.form not in forms:
            raise self.refuse(
                f"its input must be of the form {' or '.join(forms)}, not {value.form}"
            )
        return value

    def constant(self, place: int, what: str) -> np.ndarray:
        """An input that must be constant."""
        constant = self.input(place)
        if not isinstance(constant, np.ndarray):
            raise self.refuse(f"its {what} must be constant")
        return constant

    def integers(self, name: str, place: int) -> list[int] | None:
        """Integers that are an attribute in older files, and a constant input in newer ones."""
        if self.input(place) is not None:
            return [int(i) for i in self.constant(place, name).ravel()]
        found = self.attribute(name)
        return None if found is None else [int(i) for i in np.ravel(found)]

    def apply(self, layer: Layer, *values: Value, **changes: Any) -> Value:
        """The output of a new node, a layer of the sum of values: like the first, with changes."""
        base = "".join(c if c.isalnum() else "_" for c in self.name).strip("_") or self.kind
        name, number = base, 2
        while name in self._nodes or name == "input":
            name, number = f"{base}_{number}", number + 1
        self._nodes[name] = layer, [value.node for value in values]
        return replace(values[0], node=name, **changes)
