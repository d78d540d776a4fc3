"""Fast adaptive boundary attack (FAB): the nearest misclassified point, without a given radius.

At a point x′ the classifier is replaced by its linear approximation: the decision boundary towards
class t is the hyperplane

    π_t = {p : z_t(x′) − z_y(x′) + g·(p − x′) = 0}        g = ∇(z_t − z_y)(x′).

Both x′ and the original point x are projected onto it inside the box (`hyperplane`), by the steps
δ and δ_orig; x′ goes to a convex combination of the two, extrapolated by η = 1.05, which has the
more weight on x, up to α_max = 0.1, the farther x′ still is from the hyperplane,

    x′ ← (1 − α)(x′ + η δ) + α(x + η δ_orig)        α = min(‖δ‖/(‖δ‖ + ‖δ_orig‖), α_max).

Where the new x′ is misclassified it is a candidate, and a backward step with β = 0.9 follows,
x′ ← (1 − β) x + β x′.

Source: Croce and Hein, arXiv 1907.02044, algorithm 1.
"""

import math
from typing import Any

import numpy as np

from .. import losses
from ..backend.device import Array, array_module
from ..random import normal, uniform
from ..validation import check_count
from .box import clip_to_box, require_finite_box
from .hyperplane import projection_step
from .inputs import initially_correct, validate_inputs
from .region import NORMS, Radius, expand_like, flatten, norms
from .victim import Victim, varies

ALPHA_MAX, ETA, BETA = 0.1, 1.05, 0.9
DUAL_NORM = {"linf": "l1", "l2": "l2", "l1": "linf"}
DEFAULT_EPS = {"linf": 0.3, "l2": 1.0, "l1": 5.0}
"""How far from x a random start may be where no radius is given, in units of the box's size: the
authors' values."""


def fab(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    norm: str | float = "linf",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 0,
    eps: Radius = math.inf,
    bisections: int = 0,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """The nearest misclassified points that FAB finds.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in [victim.lo, victim.hi], float32 or float64.
    y : array (N,)
        Labels: columns of the scores z.
    norm : {"linf", "l2", "l1"}
        The norm in which the distance is measured. "L2", 2 and `np.inf` are understood too.
    steps : int
        The number of steps of a run.
    restarts : int
        The number of runs; the second and later ones start at a random point near x.
    targets : int
        0: each step goes towards the nearest hyperplane, with a backward pass for each wrong class.
        n: the n wrong classes of the largest scores at x are the targets of n runs (for each
        restart), with one backward pass a step.
    eps : float or array (N,)
        Later runs leave out an example of which a misclassified point at most this far away is
        known, and random starts lie within it.
    bisections : int
        The number of bisections of the segment from x to the point found, in search of a nearer
        misclassified one.
    seed : int
        The seed of the random starts.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default; as in `pgd`.

    Returns
    -------
    array (N, …)
        The points, in the box but at any distance; x itself where none was found, or where it is
        misclassified to begin with.

    Raises
    ------
    ValueError
        As `pgd` does, and for negative targets.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, fab
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> found = fab(victim, np.array([[0.6, 0.5]]), np.array([0]), bisections=20)
    >>> found.round(3)  # the boundary is x_0 = x_1, at the distance 0.05
    array([[0.55, 0.55]])
    >>> victim(found)[0].argmax(axis=1)
    array([1])
    """
    check_count("targets", targets, 0)
    check_count("bisections", bisections, 0)
    x, y, index, radii, norm = validate_inputs(
        victim, x, y, index, eps, norm, NORMS,
        seed=seed, no_radius=True, steps=steps, restarts=restarts,
    )  # fmt: skip
    if restarts > 1:
        require_finite_box(victim, "a random start of FAB")
    xp = array_module(x)
    adversarial, correct, z = initially_correct(victim, x, y)
    order = xp.argsort(-z, axis=1, kind="stable")  # column 0 is the label where that is correct
    best = xp.full(len(x), math.inf)
    start_eps = xp.where(radii < math.inf, radii, DEFAULT_EPS[norm] * victim.width)
    for rank in range(1, min(targets + 1, z.shape[1])) if targets else [0]:
        for restart in range(restarts):
            active = correct[(best[correct] > radii[correct]) | (radii[correct] == math.inf)]
            if len(active) == 0:
                break
            start = x[active]
            if restart:
                distance = xp.minimum(best[active], start_eps[active])
                key = {"seed": seed, "restart": restart, "step": rank}
                start = _random_start(victim, start, distance, norm, index[active], key)
            target = order[active, rank] if targets else None
            points, distances = _single_run(
                victim, x[active], start, y[active], target, norm, steps
            )
            nearer = distances < best[active]
            adversarial[active[nearer]] = points[nearer]
            best[active[nearer]] = distances[nearer]
    if bisections:
        found = correct[best[correct] < math.inf]
        adversarial[found] = _bisect(victim, x[found], adversarial[found], y[found], bisections)
    return adversarial


def _single_run(
    victim: Victim, x: Array, start: Array, y: Array, target: Array | None, norm: str, steps: int
) -> tuple[Array, Array]:
    """The nearest misclassified point of one run for each example, and its distance; ∞ for none."""
    xp, x_orig, point = array_module(x), flatten(x), start
    adversarial, best = x.copy(), xp.full(len(x), math.inf)
    box: dict[str, Any] = {"norm": norm}
    for name, bound in (("lo", victim.lo), ("hi", victim.hi)):
        flat = varies(bound)
        box[name] = np.broadcast_to(bound, x.shape[1:]).ravel() if flat else bound
    for _ in range(steps):  # as in the authors' code, a misclassified start is no candidate
        difference, gradient = _linearize(victim, point, y, target, norm)
        current = flatten(point).astype(xp.float64)
        plane = gradient, (gradient * current).sum(axis=1) - difference
        delta = projection_step(current, *plane, **box)
        delta_orig = projection_step(x_orig, *plane, **box)
        length, length_orig = (xp.maximum(norms(d, norm), 1e-8) for d in (delta, delta_orig))
        alpha = xp.minimum(length / (length + length_orig), ALPHA_MAX)[:, None]
        moved = (current + ETA * delta) * (1 - alpha) + (x_orig + ETA * delta_orig) * alpha
        point = clip_to_box(moved.reshape(x.shape), x, victim.lo, victim.hi)
        wrong = victim(point)[0].argmax(axis=1) != y
        distance = norms(point.astype(xp.float64) - x, norm)
        nearer = wrong & (distance < best)
        adversarial[nearer], best[nearer] = point[nearer], distance[nearer]
        backward = clip_to_box(x + (point - x) * x.dtype.type(BETA), x, victim.lo, victim.hi)
        point = xp.where(expand_like(wrong, x), backward, point)
    return adversarial, best


def _linearize(
    victim: Victim, point: Array, y: Array, target: Array | None, norm: str
) -> tuple[Array, Array]:
    """z_t − z_y (N,) and its gradient (N, d), float64: for the target class t or, without one, for
    the class whose hyperplane is nearest, at the distance |z_t − z_y| / ‖g‖ in the dual norm."""
    xp = array_module(point)
    z, backward = victim(point)

    def towards(t: Array) -> tuple[Array, Array]:
        value, dz = losses.difference(z.astype(xp.float64), y, t)
        return value, flatten(backward(dz.astype(z.dtype))).astype(xp.float64)

    if target is not None:
        return towards(target)
    least = xp.full(len(point), math.inf)
    for shift in range(1, z.shape[1]):
        difference, gradient = towards((y + shift) % z.shape[1])
        distance = xp.abs(difference) / (norms(gradient, DUAL_NORM[norm]) + 1e-12)
        nearer = distance < least
        least = xp.minimum(distance, least)
        if shift == 1:
            differences, gradients = difference, gradient
        else:
            differences = xp.where(nearer, difference, differences)
            gradients[nearer] = gradient[nearer]
    return differences, gradients


def _random_start(
    victim: Victim, x: Array, distance: Array, norm: str, index: Array, key: dict[str, int]
) -> Array:
    """The point half of `distance` (N,) away from x in a random direction, clipped to the box."""
    xp, size = array_module(x), math.prod(x.shape[1:])
    if norm == "linf":
        drawn = 2 * uniform(size, index, stream="fab start", xp=xp, **key) - 1
    else:
        drawn = normal(size, index, stream="fab start", xp=xp, **key)
    moved = flatten(x) + drawn * (distance / (2 * norms(drawn, norm)))[:, None]
    return clip_to_box(moved.reshape(x.shape), x, victim.lo, victim.hi)


def _bisect(victim: Victim, x: Array, wrong: Array, y: Array, bisections: int) -> Array:
    """A misclassified point on the segment from x, which is classified correctly, to `wrong`."""
    xp = array_module(x)
    inner, outer = xp.zeros(len(x)), xp.ones(len(x))
    adversarial, segment = wrong.copy(), wrong.astype(xp.float64) - x
    for _ in range(bisections):
        middle = (inner + outer) / 2
        point = clip_to_box(x + segment * expand_like(middle, x), x, victim.lo, victim.hi)
        fooled = victim(point)[0].argmax(axis=1) != y
        adversarial[fooled] = point[fooled]
        inner, outer = xp.where(fooled, inner, middle), xp.where(fooled, middle, outer)
    return adversarial
