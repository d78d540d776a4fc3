"""Checks of your own layers, losses and models, which this package's tests use too.

- `check_gradients`: gradients against finite differences, and what a backward pass promises
- `derivative`, `finite_difference`: derivatives of any function by differences of its values
- `randomize`, `spaced`: parameters and inputs at which a wrong gradient shows
- `tinyproto.testing.layers`, `networks`, `losses`, `prototypes` and `victims`: strategies of
  Hypothesis, which need it installed (the extra `test` brings it; this module does without)
"""

from .check import GradientCheck, check_gradients
from .differences import derivative, finite_difference
from .inputs import randomize, spaced
from .subject import GradientError

__all__ = [
    "GradientCheck",
    "GradientError",
    "check_gradients",
    "derivative",
    "finite_difference",
    "randomize",
    "spaced",
]
