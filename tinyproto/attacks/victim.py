"""The victim: a model under attack, with the bounds of its inputs and counters of its passes."""

import copy
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..backend.device import Array, array_module, to_device
from ..validation import check_shape
from .checks import (
    check_bound,
    check_keep,
    check_model,
    check_numbers,
    check_output,
    check_shapes,
)

SATURATION = 80.0
"""For scores that differ by more, e^(−difference) is subnormal in float32, or 0."""

PROBABILITIES = "the scores look like probabilities, whose gradients vanish: return logits"

Backward = Callable[[Array], Array]
Model = Callable[[Array], tuple[Array, Backward]]
Bound = float | np.ndarray
"""A bound of the box: one for all features, or an array of one for each."""
Warned = tuple[str, str, type[Warning]]
"""What a warning is about, its message, and its category."""


def varies(*bounds: Any) -> bool:
    """Whether one of these bounds is an array, with a bound for each feature."""
    return any(getattr(bound, "ndim", 0) for bound in bounds)


class FlatGradientWarning(UserWarning):
    """The gradient is exactly 0 at many examples: gradient-based attacks cannot make progress."""


class Victim:
    """A model under attack: a function with bounds on its input and counters of its passes.

    Parameters
    ----------
    model : callable
        A function `z, backward = model(x)` with class scores z (N, C) of x (N, …), where
        `dx = backward(dz)`, which may be called several times, is the gradient Σ_c dz_c ∂z_c/∂x of
        each example, shaped like x. Every network of tinyproto is one. A model without gradients
        returns z alone, and can be attacked by `square`.
    lo, hi : float or array
        The bounds of an input: no attack returns a value outside them. An array, which broadcasts
        with one example, has a bound for each feature.
    keep : array of bool, optional
        Like one example: the features that no attack changes, whatever its eps.

    Attributes
    ----------
    width : float
        The largest hi − lo.
    passes : int
        How many passes of the model one call costs an example: 1, or more where it is averaged.
    forward_passes, backward_passes : int
        How many examples have gone through the model.
    flat_gradients : int
        How many gradients came back as exactly 0 although the loss was not flat itself. The first
        time that they are ten or more and a tenth of all, a FlatGradientWarning is issued.

    Raises
    ------
    ValueError
        If lo is not below hi, for each feature, or if lo, hi and keep do not broadcast. Calling a
        victim raises ValueError for scores and gradients of the wrong shape, and for NaN or
        infinite ones, which an attack would mistake for a success.
    TypeError
        For a model of another library, which is no such function: the message says what to write,
        such as `tinyproto.interop.from_torch(model)`.

    Notes
    -----
    A model of your own gets a copy of x, and the victim returns a copy of the scores: one that
    writes to its input, or returns the same memory at each call, does not disturb an attack.

    Scores that look like probabilities are warned of, once.

    Examples
    --------
    Your own model, here a linear one, becomes a victim with a single function:

    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> def model(x):
    ...     return x @ W, lambda dz: dz @ W.T
    >>> victim = Victim(model, lo=0.0, hi=1.0)
    >>> z, backward = victim(np.array([[1.0, 0.5]]))
    >>> z
    array([[ 0.5, -0.5]])
    >>> backward(np.array([[0.0, 1.0]]))
    array([[-1.,  1.]])
    >>> victim
    Victim(model, lo=0.0, hi=1.0, forward_passes=1, backward_passes=1)
    """

    def __init__(
        self, model: Model, *, lo: Bound = 0.0, hi: Bound = 1.0, keep: np.ndarray | None = None
    ):
        check_model(model)
        self.lo: Any = check_bound("lo", lo)
        self.hi: Any = check_bound("hi", hi)
        self.keep = check_keep(keep)
        check_shapes(lo=self.lo, hi=self.hi, keep=self.keep)
        if self.keep is not None:  # an empty interval: `attacks.box` says why
            self.lo = np.where(self.keep, math.inf, self.lo)
            self.hi = np.where(self.keep, -math.inf, self.hi)
        kept = False if self.keep is None else self.keep
        if not (np.asarray(self.lo < self.hi) | kept).all():
            which = "" if varies(self.lo, self.hi) else f", not lo={lo!r}, hi={hi!r}"
            raise ValueError(f"lo must be below hi{which or ' for each feature'}")
        self.width = float(np.max(self.hi - self.lo, initial=0.0))
        self.model = model
        self.passes = 1
        self.forward_passes = 0
        self.backward_passes = 0
        self.flat_gradients = 0
        # A network of tinyproto does not write to x.
        self._copies = not type(model).__module__.startswith("tinyproto.")
        self.warned: set[str] = set()  # what it has been warned of, or is not to be
        self.pending_warnings: list[Warned] | None = None  # warnings of a detached victim

    def __repr__(self) -> str:
        name = getattr(self.model, "__qualname__", type(self.model).__name__).rpartition(".")[2]
        counters = ("forward_passes", "backward_passes", "flat_gradients")
        counts = [f"{c}={getattr(self, c)}" for c in counters if getattr(self, c)]
        box = [f"{b}={_describe_bound(getattr(self, b))}" for b in ("lo", "hi")]
        return f"Victim({', '.join([name, *box, *counts])})"

    def __call__(self, x: Array) -> tuple[Array, Backward]:
        """The scores z (N, C) of x (N, …), and the function that returns gradients at x."""
        self.forward_passes += self.passes * len(x)
        z, backward = check_output(self.model(x.copy() if self._copies else x), len(x))
        z = z.copy()
        if len(z) and "scores" not in self.warned:
            self.warned.add("scores")  # a look at the first ones is enough
            if look_like_probabilities(z):
                self.warn_once("probabilities", PROBABILITIES)

        def counted_backward(dz: Array) -> Array:
            check_shape("dz, the gradient of the loss at the scores,", dz, z.shape)
            dx = backward(dz.copy())
            check_numbers("gradients", dx, x.shape)
            self.backward_passes += self.passes * len(dz)
            self.flat_gradients += self.passes * _count_flat_gradients(z, dz, dx)
            self._warn_if_flat()
            return dx if self.keep is None else dx * to_device(~self.keep, array_module(dx))

        return z, counted_backward

    def uncounted(self) -> "Victim":
        """A victim of the same model and box with counters of its own; it repeats no warning."""
        victim = Victim(self.model, lo=self.lo, hi=self.hi, keep=self.keep)
        victim.warned, victim.pending_warnings = self.warned, self.pending_warnings
        return victim

    def detached(self) -> "Victim":
        """A copy for a task in another process: its counters begin at 0, and its warnings are kept
        in `pending_warnings`; `absorb` takes both over."""
        victim = copy.copy(self)
        victim.forward_passes = victim.backward_passes = victim.flat_gradients = 0
        victim.warned, victim.pending_warnings = {*self.warned, "flat"}, []
        return victim

    def absorb(self, counts: Mapping[str, int], pending_warnings: Sequence[Warned]) -> None:
        """Add the counts of a `detached` copy, and give its warnings."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)
        for about, message, category in pending_warnings:
            self.warn_once(about, message, category)
        self._warn_if_flat()

    def warn_once(self, about: str, message: str, category: type[Warning] = UserWarning) -> None:
        """Give a warning, unless this victim has given one about the same."""
        if about not in self.warned:
            self.warned.add(about)
            if self.pending_warnings is not None:
                self.pending_warnings.append((about, message, category))
            else:
                warnings.warn(message, category, stacklevel=_stack_level_of_the_caller())

    @contextmanager
    def unquestioned(self, about: str) -> Iterator[None]:
        """Within the block no warning about this is given, and afterwards it is as it was."""
        known = about in self.warned
        self.warned.add(about)
        try:
            yield
        finally:
            if not known:
                self.warned.discard(about)

    def _warn_if_flat(self) -> None:
        message = flat_gradient_message(self.flat_gradients, self.backward_passes)
        if message:
            advice = "gradient-based attacks cannot make progress there; Square needs no gradient"
            self.warn_once("flat", f"{message}: {advice}", FlatGradientWarning)


def flat_gradient_message(flat_gradients: int, backward_passes: int) -> str | None:
    """What to report of flat gradients; None where they are fewer than ten or a tenth of all."""
    if flat_gradients < 10 or 10 * flat_gradients < backward_passes:
        return None
    return f"the gradient was exactly 0 in {flat_gradients} of {backward_passes} backward passes"


def _count_flat_gradients(z: Array, dz: Array, dx: Array) -> int:
    """How many gradients dx are 0 because of the model: either dz is not 0, or the scores differ so
    much that the exponentials of cross-entropy are 0. (DLR itself is flat where the label has the
    third-largest score.)"""
    zero = ~dx.reshape(len(dx), math.prod(dx.shape[1:])).any(axis=1)
    if not bool(zero.any()):
        return 0
    ordered = array_module(z).sort(z, axis=1)
    saturated = ordered[:, -1] - ordered[:, -2] > SATURATION
    return int((zero & (dz.any(axis=1) | saturated)).sum())


def _describe_bound(bound: Bound) -> str:
    return f"array {bound.shape}" if isinstance(bound, np.ndarray) else str(bound)


def _stack_level_of_the_caller() -> int:
    """Where a warning points to: the first line outside the package that led to it."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith("tinyproto."):
        frame, level = frame.f_back, level + 1
    return level


def look_like_probabilities(z: Array) -> bool:
    """Whether each row of the scores z (N, C), for two or more classes, is 0 or more and has the
    sum 1."""
    sums = z.sum(axis=1)
    return z.shape[1] > 1 and bool((z >= 0).all()) and bool((abs(sums - 1) < 1e-5).all())
