"""What a layer promises besides its numbers: a call changes nothing, and returns a backward pass
that keeps its own memory, can be called again, and adds to the gradients it is given."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import parameters
from ..layers import Layer
from .subject import GradientError, Subject, check_shape


def check_protocol(subject: Subject, train: bool, random: np.random.Generator) -> None:
    """Raise GradientError where a call of the layer or its backward pass breaks a promise."""
    inputs = [a for a in (subject.x, *subject.others) if isinstance(a, np.ndarray)]
    before = [a.copy() for a in inputs]
    params = _copies(subject)
    kept = subject.output(train)
    y, *rest = subject.call(train)
    _require(_same(y, kept), "two calls with the same x return different y")
    returned = [y, *rest] if subject.is_loss else [y]
    earlier = [a.copy() for a in returned if isinstance(a, np.ndarray)]
    with _other_x(subject, random):
        subject.call(train)
    _require(_same(y, kept), "a call changes the y that an earlier one returned")
    _require(
        all(map(_same, returned, earlier)),
        "a call changes the gradient that an earlier one returned",
    )
    _, *rest = subject.call(train)  # memory that is on the layer is that of the other x by now
    dx = rest[0] if subject.is_loss else _check_backward(subject, rest[0], kept, train, random)
    check_shape("x", dx, subject.x.shape)
    if isinstance(subject.function, Layer):
        _check_forward_relu(subject, train)
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
    with _other_x(subject, random):
        subject.call(train)
    _require(
        _same(backward(dy), kept),
        "after another call of the layer the backward pass returns another dx: it must keep its "
        "own memory, not one on the layer",
    )
    if subject.has_modes:
        _check_grads(subject, backward, dy, kept, random)
    return kept


@contextmanager
def _other_x(subject: Subject, random: np.random.Generator) -> Iterator[None]:
    """In the block, the subject has its numbers in another order, or halved."""
    x, permuted = subject.x, random.permuted(subject.x, axis=None)
    subject.x = x / 2 if _same(permuted, x) else permuted
    try:
        yield
    finally:
        subject.x = x


def _check_forward_relu(subject: Subject, train: bool) -> None:
    """What `Sequential` calls where a ReLU follows gives what the layer and a ReLU give."""
    layer, x = subject.function, subject.x
    if type(layer).forward_relu is Layer.forward_relu:
        return
    found = []
    for forward in (layer.forward_relu, functools.partial(Layer.forward_relu, layer)):
        grads = parameters.zeros(layer.params)
        y, backward = forward(x, train)
        dx = backward(np.random.default_rng(0).normal(size=y.shape), grads)
        found.append({"y": y, "dx": dx, **parameters.flatten(parameters.without_running(grads))})
    fused, plain = found
    for name, expected in plain.items():
        scale = max(float(np.abs(expected).max(initial=0.0)), 1.0)
        _require(
            np.allclose(fused[name], expected, rtol=1e-9, atol=1e-9 * scale, equal_nan=True),
            f"forward_relu gives another {name} than the layer and a ReLU after it",
        )


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
