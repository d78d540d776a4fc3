"""What a layer promises besides its numbers: a call changes nothing, and returns a backward pass
that keeps its own memory, can be called again, and adds to the gradients it is given."""

from typing import Any

import numpy as np

from .. import parameters
from .subject import GradientError, Subject, check_shape


def check_protocol(subject: Subject, train: bool, random: np.random.Generator) -> None:
    """Raise GradientError where a call of the layer or its backward pass breaks a promise."""
    inputs = [a for a in (subject.x, *subject.others) if isinstance(a, np.ndarray)]
    before = [a.copy() for a in inputs]
    params = _copies(subject)
    kept = subject.output(train)
    y, *rest = subject.call(train)
    _require(_same(y, kept), "two calls with the same x return different y")
    subject.call(train)
    _require(_same(y, kept), "a call changes the y that an earlier one returned")
    dx = rest[0] if subject.is_loss else _check_backward(subject, rest[0], kept, train, random)
    check_shape("x", dx, subject.x.shape)
    unchanged = all(map(_same, inputs, before))
    _require(unchanged, "a call or its backward pass changes its input in place")
    after = _copies(subject)
    for path in params:
        _require(_same(after[path], params[path]), f"a pass changes params[{path!r}] in place")


def _check_backward(
    subject: Subject, backward: Any, y: np.ndarray, train: bool, random: np.random.Generator
) -> np.ndarray:
    """Call the backward pass with and without gradients, twice, and after another forward pass."""
    dy, other = random.normal(size=y.shape), random.normal(size=y.shape)
    given = dy.copy()
    dx = backward(dy)
    check_shape("x", dx, subject.x.shape)
    kept = dx.copy()
    _require(_same(dy, given), "the backward pass changes dy in place")
    backward(other)
    _require(_same(dx, kept), "a second backward pass changes the dx that the first returned")
    _require(
        _same(backward(dy), kept), "a second backward pass with the same dy returns another dx"
    )
    x, subject.x = subject.x, random.permuted(subject.x, axis=None)
    subject.call(train)
    subject.x = x
    _require(
        _same(backward(dy), kept),
        "after another call of the layer the backward pass returns another dx: it must keep its "
        "own memory, not one on the layer",
    )
    if subject.has_modes:
        _check_grads(subject, backward, dy, kept, random)
    return kept


def _check_grads(
    subject: Subject, backward: Any, dy: np.ndarray, dx: np.ndarray, random: np.random.Generator
) -> None:
    """Gradients are added, and a withheld slot is left out."""
    params = subject.function.params
    zeros = parameters.zeros(params)
    _require(_same(backward(dy, zeros), dx), "with grads, the backward pass returns another dx")
    alone, grads = parameters.flatten(zeros), parameters.zeros(params)
    flat = parameters.flatten(grads)
    start = {path: random.normal(size=a.shape) for path, a in subject.params.items()}
    for path, value in start.items():
        check_shape(f"params[{path!r}]", alone[path], value.shape)
        flat[path][...] = value
    backward(dy, grads)
    backward(dy, grads)
    for path, value in start.items():
        sums = (value + 2 * alone[path], flat[path])
        _require(
            parameters.flatten(grads)[path] is flat[path] and np.allclose(*sums, 1e-9, 1e-9),
            f"the gradient of params[{path!r}] must be added into its slot of grads, once a call",
        )
    for path in start:
        one: parameters.Tree = {}
        _put(one, path, np.zeros_like(start[path]))
        try:
            backward(dy, one)
        except KeyError as error:
            raise GradientError(f"grads without the slot {error} must leave it out") from error
        found = parameters.flatten(one)[path]
        _require(
            np.allclose(found, alone[path], 1e-9, 1e-9),
            f"the gradient of params[{path!r}] is another one where the other slots are withheld",
        )


def _put(tree: parameters.Tree, path: str, leaf: np.ndarray) -> None:
    *branches, name = path.split("/")
    for branch in branches:
        tree = tree.setdefault(branch, {})
    tree[name] = leaf


def _copies(subject: Subject) -> dict[str, np.ndarray]:
    """All leaves, the running averages too."""
    params = subject.function.params if subject.has_modes else {}
    return {path: leaf.copy() for path, leaf in parameters.leaves(params)}


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise GradientError(otherwise)
