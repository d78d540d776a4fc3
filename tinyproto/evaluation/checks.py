"""What an evaluation refuses: arguments that cannot be right, and points that no attack returns."""

import hashlib
import math
from typing import Any

import numpy as np

from ..attacks import Victim
from ..attacks.box import box_size, require_finite_box, widened
from ..attacks.checks import is_array
from ..attacks.inputs import Inputs, validate_inputs
from ..attacks.region import NORMS
from ..attacks.victim import varies
from ..backend.device import Array, to_host


def validate_evaluation(
    victim: Victim, x: Array, y: Array, index: Array | None, eps: Any, norm: Any, **counts: Any
) -> Inputs:
    """The arguments of an evaluation, checked as those of an attack, with one radius for all
    examples: that of the box for ∞ and anything larger.

    Raises
    ------
    ValueError
        For an argument that an evaluation cannot work with.
    """
    if getattr(eps, "shape", ()) != ():
        raise ValueError(f"eps must be one number for all examples, not an array {eps.shape}")
    inputs = validate_inputs(victim, x, y, index, eps, norm, NORMS, **counts)
    require_finite_box(victim, "an evaluation, which rounds images to 256 levels,")
    radius = min(float(eps), box_size(inputs.x.shape, inputs.norm, victim))
    return inputs._replace(eps=radius)


def examples_checksum(x: Array, y: Array, index: Array) -> str:
    """A checksum of examples, labels and indices, of any kind of integers: a state file belongs
    to these only."""
    x, y, index = to_host(x), to_host(y).astype(np.int64), to_host(index).astype(np.int64)
    digest = hashlib.sha256()
    for array in (x.astype(x.dtype.newbyteorder("="), copy=False), y, index):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def check_attacked(attacked: Any, x: Array, victim: Victim, slack: float) -> None:
    """Refuse what an attack must not return; it may leave the box by `slack`, or where x does.

    Raises
    ------
    ValueError
        For another shape, for NaN, and for points outside the box.
    """
    if not is_array(attacked) or attacked.shape != x.shape:
        raise ValueError(f"an attack must return points of shape {x.shape}")
    lo, hi = widened(x, victim.lo, victim.hi)
    if not bool(((attacked >= lo - slack) & (attacked <= hi + slack)).all()):
        box = "" if varies(victim.lo, victim.hi) else f" [{victim.lo}, {victim.hi}]"
        least = float(attacked.min())
        what = "returned NaN" if math.isnan(least) else f"left the box{box}"
        raise ValueError(f"an attack {what}")
