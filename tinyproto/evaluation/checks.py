"""What an evaluation refuses: arguments that cannot be right, and points that no attack returns."""

import hashlib
import math
from typing import Any

import numpy as np

from ..attacks import Victim
from ..attacks.box import box_size, require_finite_box, widened
from ..attacks.checks import is_array
from ..attacks.inputs import Inputs, validate_inputs
from ..attacks.region import NORMS, norms
from ..attacks.victim import varies
from ..backend.device import Array, array_module, to_device, to_host

ROUNDING = 1e-6  # relative to hi − lo: how far outside ball and box float32 may round an attack
TINY = float(np.finfo(np.float64).tiny)  # where that is 0: divided by, 0 stays 0


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


def check_attacked(attacked: Any, x: Array, victim: Victim) -> None:
    """Refuse what an attack must not return; it may leave the box by rounding, or where x does.

    Raises
    ------
    ValueError
        For another shape, for NaN, and for points outside the box.
    """
    if not is_array(attacked) or attacked.shape != x.shape:
        raise ValueError(f"an attack must return points of shape {x.shape}")
    lo, hi = widened(x, victim.lo, victim.hi)
    slack = _slack(x, victim)
    if not bool(((attacked >= lo - slack) & (attacked <= hi + slack)).all()):
        box = "" if varies(victim.lo, victim.hi) else f" [{victim.lo}, {victim.hi}]"
        least = float(attacked.min())
        what = "returned NaN" if math.isnan(least) else f"left the box{box}"
        raise ValueError(f"an attack {what}")


def in_ball(attacked: Array, x: Array, victim: Victim, eps: float, norm: str) -> Array:
    """Whether each point lies in the ball, whose half-axis in each feature is eps and the slack of
    that feature (N,)."""
    delta = attacked.astype(np.float64) - x
    inside: Array = norms(delta / (eps + _slack(x, victim)), norm) <= 1
    return inside


def _slack(x: Array, victim: Victim) -> Any:
    """How far outside ball and box rounding may take a point: a number, or one of each feature. A
    feature that is kept has no width; it is rounded as a number of its size is."""
    if not varies(victim.lo, victim.hi):
        return ROUNDING * victim.width
    xp = array_module(x)
    lo, hi = (to_device(np.asarray(bound), xp) for bound in (victim.lo, victim.hi))
    return ROUNDING * xp.where(lo < hi, hi - lo, xp.abs(x)) + TINY
