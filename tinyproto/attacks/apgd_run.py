"""What the runs of APGD share in all norms: the loss at their points, and what they have found."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ..backend.device import Array, array_module
from .inputs import Loss
from .victim import Victim

State = TypeVar("State")


def take(state: State, mask: Array) -> State:
    """The state, a dataclass of arrays (n, …), of those examples for which `mask` (n,) is true."""
    kept: list[Any] = [getattr(state, field.name)[mask] for field in fields(state)]  # type: ignore[arg-type]
    return type(state)(*kept)


@dataclass
class Objective:
    """The loss that a run raises, averaged over passes; it stores the misclassified points.

    `labels` are (N,) or, for a targeted loss, labels and target classes (N, 2)."""

    victim: Victim
    loss: Loss
    labels: Array
    passes: int
    result: Array  # (N, …): the last misclassified point of each example
    fooled: Array  # (N,): whether there is one

    @classmethod
    def of(cls, victim: Victim, loss: Loss, labels: Array, passes: int, x: Array) -> "Objective":
        no = array_module(x).zeros(len(x), dtype=bool)
        return cls(victim, loss, labels, passes, x.copy(), no)

    def __call__(self, example: Array, point: Array, store: bool = True) -> tuple[Array, Array]:
        """Loss (n,) and gradient at the points of these examples, n indices."""
        labels, values, gradients = self.labels[example], 0.0, 0.0
        for _ in range(self.passes):
            z, backward = self.victim(point)
            value, dz = self.loss(z, labels)
            values, gradients = values + value, gradients + backward(dz)
        wrong = z.argmax(axis=1) != (labels if labels.ndim == 1 else labels[:, 0])
        if store:
            self.result[example[wrong]], self.fooled[example[wrong]] = point[wrong], True
        return values / self.passes, gradients / self.passes
