"""FAB (Croce and Hein, arXiv 1907.02044): the nearest wrong point, without a radius to search in.

At a point x′ the classifier is taken for linear: the boundary to class t is the hyperplane

    {p : z_t(x′) − z_y(x′) + g·(p − x′) = 0}        g = ∇(z_t − z_y)(x′).

Both x′ and the image x itself are moved to it by the shortest way inside the box (`hyperplane`),
d and d₀, with an overshoot η = 1.05; x′ goes to a mixture of the two, which leans towards x the
more, the farther x′ still is from the hyperplane,

    x′ ← (1 − α)(x′ + η d) + α(x + η d₀)        α = min(‖d‖/(‖d‖ + ‖d₀‖), 0.1).

Where this is wrong it is a candidate, and x′ steps back towards x, to x + 0.9 (x′ − x).
"""

import math
from typing import Any

from .. import losses
from ..backend.device import Array, array_module
from ..random import normal, uniform
from .hyperplane import step_to_hyperplane
from .inputs import initially_correct, validate_inputs
from .region import Radius, clip_to_box, expand_like, flatten, norms, per_example
from .victim import Victim

LEAN, OVERSHOOT, BACK = 0.1, 1.05, 0.9
DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
REACH = {"linf": 0.3, "l2": 1.0, "l1": 5.0}
"""How far a random start may be where no radius is given, in units of the box: the authors'."""


def fab(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    norm: str = "linf",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 0,
    eps: Radius = math.inf,
    bisections: int = 0,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """The nearest wrong points found for x (N, …) of the labels y (N,), columns of z; x itself
    where none was found, or it is wrong to begin with.

    norm: "linf", "l2" or "l1". targets: 0 goes to the nearest class at each step, one backward pass
    for each class; of n the n wrong classes of the highest scores are aimed at in turn, one
    backward pass a step. restarts: the second and later ones start at random near x. eps: later
    runs leave out an example of which a wrong point at most so far away is known, and random starts
    lie within it. bisections: halvings of the way from x to the point found, in search of a nearer
    wrong one. seed, index: as in `pgd`. Raises ValueError as `pgd` does, and for negative targets.
    """
    if targets < 0:
        raise ValueError(f"targets must be 0 or more, not {targets!r}")
    y, index = validate_inputs(
        victim, x, y, index, eps, norm, tuple(DUAL), steps=steps, restarts=restarts
    )
    xp = array_module(x)
    found, right, z = initially_correct(victim, x, y)
    order = xp.argsort(-z, axis=1, kind="stable")  # the label first, as long as it is right
    best, radii = xp.full(len(x), math.inf), per_example(eps, x)
    near = xp.where(radii < math.inf, radii, REACH[norm] * (victim.hi - victim.lo))
    for place in range(1, min(targets + 1, z.shape[1])) if targets else [0]:
        for restart in range(restarts):
            left = right[(best[right] > radii[right]) | (radii[right] == math.inf)]
            if len(left) == 0:
                break
            start = x[left]
            if restart:
                reach = xp.minimum(best[left], near[left])
                name = {"seed": seed, "restart": restart, "step": place}
                start = _near(victim, start, reach, norm, index[left], name)
            aim = order[left, place] if targets else None
            points, distances = _search(victim, x[left], start, y[left], aim, norm, steps)
            nearer = distances < best[left]
            found[left[nearer]], best[left[nearer]] = points[nearer], distances[nearer]
    if bisections:
        got = right[best[right] < math.inf]
        found[got] = _bisect(victim, x[got], found[got], y[got], bisections)
    return found


def _search(
    victim: Victim, x: Array, start: Array, y: Array, aim: Array | None, norm: str, steps: int
) -> tuple[Array, Array]:
    """The nearest wrong point of one run for each example, and its distance; ∞ where none is."""
    xp, origin, point = array_module(x), flatten(x), start
    found, best = x.copy(), xp.full(len(x), math.inf)
    box: dict[str, Any] = {"norm": norm, "lo": victim.lo, "hi": victim.hi}
    for _ in range(steps):
        difference, gradient = _boundary(victim, point, y, aim, norm)
        here = flatten(point).astype(xp.float64)
        plane = gradient, (gradient * here).sum(axis=1) - difference
        step = step_to_hyperplane(here, *plane, **box)
        from_origin = step_to_hyperplane(origin, *plane, **box)
        near, far = (xp.maximum(norms(d, norm), 1e-8) for d in (step, from_origin))
        lean = xp.minimum(near / (near + far), LEAN)[:, None]
        moved = (here + OVERSHOOT * step) * (1 - lean) + (origin + OVERSHOOT * from_origin) * lean
        point = clip_to_box(moved.reshape(x.shape), x, victim.lo, victim.hi)
        wrong = victim(point)[0].argmax(axis=1) != y
        distance = norms(point.astype(xp.float64) - x, norm)
        nearer = wrong & (distance < best)
        found[nearer], best[nearer] = point[nearer], distance[nearer]
        back = clip_to_box(x + (point - x) * x.dtype.type(BACK), x, victim.lo, victim.hi)
        point = xp.where(expand_like(wrong, x), back, point)
    return found, best


def _boundary(
    victim: Victim, point: Array, y: Array, aim: Array | None, norm: str
) -> tuple[Array, Array]:
    """z_t − z_y (N,) and its gradient (N, d), float64: for the class aimed at, or for the one whose
    hyperplane is nearest, |z_t − z_y| / ‖g‖ in the dual norm."""
    xp = array_module(point)
    z, backward = victim(point)

    def towards(target: Array) -> tuple[Array, Array]:
        value, dz = losses.difference(z.astype(xp.float64), y, target)
        return value, flatten(backward(dz.astype(z.dtype))).astype(xp.float64)

    if aim is not None:
        return towards(aim)
    least = xp.full(len(point), math.inf)
    for shift in range(1, z.shape[1]):
        difference, gradient = towards((y + shift) % z.shape[1])
        distance = xp.abs(difference) / (norms(gradient, DUAL[norm]) + 1e-12)
        nearer = distance < least
        least = xp.minimum(distance, least)
        if shift == 1:
            differences, gradients = difference, gradient
        else:
            differences = xp.where(nearer, difference, differences)
            gradients[nearer] = gradient[nearer]
    return differences, gradients


def _near(
    victim: Victim, x: Array, reach: Array, norm: str, index: Array, name: dict[str, int]
) -> Array:
    """A point half of `reach` away from x, in a random direction, clipped to the box."""
    xp, size = array_module(x), math.prod(x.shape[1:])
    if norm == "linf":
        drawn = 2 * uniform(size, index, stream="fab start", xp=xp, **name) - 1
    else:
        drawn = normal(size, index, stream="fab start", xp=xp, **name)
    moved = flatten(x) + drawn * (reach / (2 * norms(drawn, norm)))[:, None]
    return clip_to_box(moved.reshape(x.shape), x, victim.lo, victim.hi)


def _bisect(victim: Victim, x: Array, wrong: Array, y: Array, halvings: int) -> Array:
    """A wrong point between x, which is right, and the wrong point given, on the straight line."""
    xp = array_module(x)
    inner, outer = xp.zeros(len(x)), xp.ones(len(x))
    found, way = wrong.copy(), wrong.astype(xp.float64) - x
    for _ in range(halvings):
        middle = (inner + outer) / 2
        point = clip_to_box(x + way * expand_like(middle, x), x, victim.lo, victim.hi)
        bad = victim(point)[0].argmax(axis=1) != y
        found[bad] = point[bad]
        inner, outer = xp.where(bad, inner, middle), xp.where(bad, middle, outer)
    return found
