"""A function of inputs that returns scores alone, as a victim."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..attacks import Victim
from ..attacks.checks import check_model
from ..backend.device import Array


def from_scores(function: Callable[[Array], Any], *, lo: float = 0.0, hi: float = 1.0) -> Victim:
    """A victim without gradients of a function that returns scores: Square can attack it.

    Parameters
    ----------
    function : callable
        Scores (N, C) = function(x) of inputs x (N, …): an array of numbers, or nested lists. Of a
        model that returns `z, backward`, such as a network of tinyproto, the scores alone are
        used: that is an attacker who does not know the weights. Probabilities are fine, too, such
        as those of an estimator's `predict_proba`.
    lo, hi : float
        The bounds of an input.

    Returns
    -------
    Victim
        An attack that needs gradients refuses it with one sentence.

    Raises
    ------
    TypeError
        For what cannot be called, a module of PyTorch and an estimator of scikit-learn.
    ValueError
        Where the victim is called, for scores that are not (N, C) finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import square
    >>> from tinyproto.interop import from_scores
    >>> def brightness(x):
    ...     s = x.mean(axis=(1, 2, 3)) - 0.5
    ...     return np.stack([-s, s], axis=1)
    >>> victim = from_scores(brightness)
    >>> dark = np.full((1, 4, 4, 1), 0.48)
    >>> attacked = square(victim, dark, np.array([0]), eps=0.1, queries=50)
    >>> victim(attacked)[0].argmax(axis=1)
    array([1])
    """
    check_model(function)

    def scores(x: Array) -> Array:
        z = function(x)
        if isinstance(z, tuple) and len(z) == 2 and (z[1] is None or callable(z[1])):
            z = z[0]
        if isinstance(z, list | tuple):
            z = np.array(z, dtype=np.float64)
        return z.astype(np.float64) if getattr(z, "dtype", np.dtype(float)).kind in "iu" else z

    scores.__qualname__ = getattr(function, "__qualname__", type(function).__name__)
    victim = Victim(scores, lo=lo, hi=hi)
    victim.warned.add("scores")  # probabilities are fine where no gradient is asked for
    return victim
