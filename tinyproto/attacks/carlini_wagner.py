"""The attacks of Carlini and Wagner (arXiv 1608.04644).

L2 looks for the nearest wrong point: it minimizes, over all w,

    ‖x′ − x‖²/s² + c max(z_y(x′) − max_{k≠y} z_k(x′), −κ)        x′ = lo + s (tanh w + 1)/2

with Adam, s = hi − lo being the size of the box: whatever w is, x′ lies in it. With too small a c
the point stays right, with too large a one it goes too far: c, one for each example, grows tenfold
until the attack succeeds, and then the interval is halved. By the chain rule, with m the margin
(`losses.margin`),

    ∂x′/∂w = s/2 · (1 − tanh² w)        ∂/∂x′ = 2 (x′ − x)/s² − c [m < κ] ∇m.

L∞ is what papers on adversarial training report under the same name: PGD on the margin.
"""

import math

from ..backend.device import Array, array_module
from ..losses import margin
from .inputs import initially_correct, validate_inputs
from .pgd import pgd
from .region import Radius, clip_to_box, expand_like, norms
from .victim import Victim

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's


def carlini_wagner(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    steps: int = 1000,
    searches: int = 9,
    rate: float = 0.01,
    first: float = 1e-2,
    confidence: float = 0.0,
) -> Array:
    """The nearest wrong points found, in L2, for x (N, …) of the labels y (N,), columns of z; x
    itself where none was found, or it is wrong to begin with.

    steps: of Adam, with the learning rate `rate`, for each of the `searches` values of c, of which
    `first` is the first. confidence: κ, by how much the scores have to be wrong. There is nothing
    random in it. Raises ValueError as `pgd` does.
    """
    y, _ = validate_inputs(victim, x, y, None, 0.0, "l2", steps=steps, searches=searches)
    xp = array_module(x)
    found, left, _ = initially_correct(victim, x, y)
    if len(left) == 0:
        return found
    clean, labels = x[left].astype(xp.float64), y[left]
    half, middle = (victim.hi - victim.lo) / 2, (victim.hi + victim.lo) / 2
    origin = xp.arctanh(xp.clip((clean - middle) / half, -1, 1) * (1 - 1e-6))
    low, high = xp.zeros(len(left)), xp.full(len(left), math.inf)
    c = xp.full(len(left), float(first))
    best, nearest = x[left], xp.full(len(left), math.inf)
    for _ in range(searches):
        w, first_moment, second_moment = origin, 0.0, 0.0
        succeeded = xp.zeros(len(left), dtype=bool)
        for step in range(1, steps + 1):
            squashed = xp.tanh(w)
            exact = middle + half * squashed
            point = clip_to_box(exact, best, victim.lo, victim.hi)
            z, backward = victim(point)
            value, dz = margin(z, labels)
            wrong = (z.argmax(axis=1) != labels) & (value >= confidence)
            succeeded |= wrong
            distance = norms(point - clean)
            nearer = wrong & (distance < nearest)
            best[nearer], nearest[nearer] = point[nearer], distance[nearer]
            pull = expand_like(c * (value < confidence), x) * backward(dz)
            gradient = ((exact - clean) / (2 * half**2) - pull) * half * (1 - squashed**2)
            first_moment = BETA_1 * first_moment + (1 - BETA_1) * gradient
            second_moment = BETA_2 * second_moment + (1 - BETA_2) * gradient**2
            scale = rate * math.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)
            w = w - scale * first_moment / (xp.sqrt(second_moment) + EPSILON)
        high = xp.where(succeeded, c, high)
        low = xp.where(succeeded, low, c)
        c = xp.where(high < math.inf, (low + high) / 2, c * 10)
    found[left] = best
    return found


def carlini_wagner_linf(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    steps: int = 30,
    step_size: Radius | None = None,
    restarts: int = 1,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """PGD on the margin in the L∞ ball of radius eps. Arguments and result are those of `pgd`."""
    return pgd(
        victim, x, y, eps=eps, steps=steps, step_size=step_size, restarts=restarts, loss=margin,
        seed=seed, index=index,
    )  # fmt: skip
