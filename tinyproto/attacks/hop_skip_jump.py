"""HopSkipJump: the nearest misclassified point, from predicted labels alone.

Let φ(x′) = 1 where x′ is misclassified and −1 where it is not. From a misclassified point x̃, each
step goes

1. to the boundary: bisection between x and x̃ for a point x_t, misclassified, so near to one that
   is not that their distance is the fraction θ of ‖x̃ − x‖, d^(−3/2) in L2 and d^(−2) in L∞;
2. along the gradient of φ at x_t, which is estimated by B_t = B₀ √t probes u_b of norm 1, δ_t
   away. With φ_b = φ(x_t + δ_t u_b) and its mean φ̄, which lowers the variance,

       ∇φ ≈ 1/(B − 1) Σ_b (φ_b − φ̄) u_b          or ± Σ u_b where all φ_b are the same.

   The direction v is ∇φ/‖∇φ‖₂ in L2, with normal probes, and sign ∇φ in L∞, with uniform ones;
3. by the length ‖x_t − x‖ / √t along v, halved until x̃ = x_t + length · v is misclassified.

For the few features of a table, where that is no small fraction, θ is 10^(−3). The length
δ_t is √d θ ‖x̃ − x‖₂ in L2 and d θ ‖x̃ − x‖_∞ in L∞, and a tenth of the box in the first step. A
probe is clipped to the box, and u_b is what is left of it.

Source: Chen, Jordan and Wainwright, arXiv 1904.02144, algorithm 2, with the settings of its
appendix and of the authors' code.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend.device import Array, array_module, to_device
from ..random import normal, uniform
from ..validation import check_count, check_labels, check_shape
from .box import clip_to_box, require_finite_box, widened
from .checks import require_array
from .inputs import check_examples, initially_correct, validate_inputs
from .region import expand_like, flatten, normalize_l2, norms
from .victim import Victim

PROBES = 10
"""How many probes of an example are looked at together: their sums do not depend on the batch."""

LARGEST_THETA = 1e-3

HALVINGS = 60
"""Of a step that finds no misclassified point: then it is 0, to rounding."""


def hop_skip_jump(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    norm: str | float = "l2",
    steps: int = 40,
    probes: int = 100,
    most_probes: int = 10_000,
    starts: int = 100,
    start: Array | None = None,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """The nearest misclassified points that HopSkipJump finds; it looks at labels alone.

    Parameters
    ----------
    victim : Victim
        The model under attack: of its scores only the largest of each example is used. A function
        that returns labels becomes a victim by `from_labels`.
    x : array (N, …)
        Examples in [victim.lo, victim.hi], float32 or float64.
    y : array (N,)
        Labels: columns of the scores z.
    norm : {"l2", "linf"}
        The norm in which the distance is measured. "L2", 2 and `np.inf` are understood too.
    steps : int
        The number of steps.
    probes : int
        B₀, the number of probes of the first step.
    most_probes : int
        The largest number of probes of a step.
    starts : int
        How many random points of the box are tried, until one is misclassified. They are drawn one
        after the other, each uniformly.
    start : array (N, …), optional
        Points to start from instead, such as images of another class, in the box as x is; where one
        is not misclassified, random points are tried.
    seed : int
        The seed of the random numbers.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default; as in `pgd`.

    Returns
    -------
    array (N, …)
        The points, in the box but at any distance; x itself where no misclassified one was found to
        start from, or where it is misclassified to begin with.

    Raises
    ------
    ValueError
        As `pgd` does, and for an unbounded box.

    Notes
    -----
    `victim.forward_passes` counts the queries: about 25,000 an example for 40 steps. A victim whose
    answers are random is attacked, but what is returned may be classified correctly another time.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, hop_skip_jump
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: x @ W)
    >>> x, y = np.array([[0.6, 0.5]]), np.array([0])
    >>> found = hop_skip_jump(victim, x, y, steps=10)
    >>> victim(found)[0].argmax(axis=1)
    array([1])
    >>> float(np.linalg.norm(found - x).round(2))  # the exact distance is 0.1 / √2
    0.07
    """
    x, y, index, _, norm = validate_inputs(
        victim, x, y, index, 0.0, norm,
        seed=seed, steps=steps, probes=probes, most_probes=most_probes, starts=starts,
    )  # fmt: skip
    require_finite_box(victim, "HopSkipJump")
    if start is not None:
        require_array("start", start)
        check_shape("start", start, x.shape)
        start = check_examples("start", to_device(start, array_module(x)), victim)
    adversarial, remaining, _ = initially_correct(victim, x, y)
    search = _Search(victim, x[remaining], y[remaining], norm, seed, index[remaining])
    first = None if start is None else start[remaining]
    point, found = search.first_points(starts, first)
    search, point, remaining = search.take(found), point[found], remaining[found]
    if not len(remaining):
        return adversarial
    distance = search.distance(point)
    point = search.boundary(point)
    nearest, least = point.copy(), search.distance(point)
    for step in range(1, steps + 1):
        count = min(int(probes * math.sqrt(step)), most_probes)
        direction = search.direction(point, search.probe_length(distance, step), count, step)
        point = search.jump(point, direction, step)
        distance = search.distance(point)
        point = search.boundary(point)
        reached = search.distance(point)
        nearer = reached < least
        nearest[nearer], least[nearer] = point[nearer], reached[nearer]
    adversarial[remaining] = nearest
    return adversarial


class _Search:
    """The steps of the search, for examples x (n, …) that are classified correctly."""

    def __init__(self, victim: Victim, x: Array, y: Array, norm: str, seed: int, index: Array):
        self.victim, self.x, self.y, self.norm = victim, x, y, norm
        self.seed, self.index, self.xp = seed, index, array_module(x)
        self.size = math.prod(x.shape[1:])
        theta = float(max(self.size, 1)) ** (-1.5 if norm == "l2" else -2.0)
        self.theta = min(theta, LARGEST_THETA)

    def take(self, which: Array) -> "_Search":
        return _Search(
            self.victim, self.x[which], self.y[which], self.norm, self.seed, self.index[which]
        )

    def wrong(self, points: Array, which: Any = slice(None)) -> Array:
        """Whether points (n, …) of these examples are misclassified."""
        if not len(points):
            return self.xp.zeros(0, dtype=bool)
        return self.victim(points)[0].argmax(axis=1) != self.y[which]

    def clip(self, moved: Array, which: Any = slice(None)) -> Array:
        return clip_to_box(moved, self.x[which], self.victim.lo, self.victim.hi)

    def distance(self, points: Array) -> Array:
        return norms(points.astype(self.xp.float64) - self.x, self.norm)

    def first_points(self, starts: int, given: Array | None) -> tuple[Array, Array]:
        """Points (n, …), and which of them are misclassified (n,)."""
        xp, point, found = self.xp, self.x.copy(), self.xp.zeros(len(self.x), dtype=bool)
        if given is not None:
            point = self.clip(given)
            found = self.wrong(point)
        for draw in range(starts):
            left = xp.flatnonzero(~found)
            if not len(left):
                break
            key: dict[str, Any] = {"seed": self.seed, "stream": "hop-skip-jump start"}
            drawn = uniform(self.size, self.index[left], epoch=draw, xp=xp, **key)
            x = self.x[left]
            lo, hi = widened(x.astype(xp.float64), self.victim.lo, self.victim.hi)
            moved = self.clip(lo + (hi - lo) * drawn.reshape(x.shape), left)
            point[left] = moved
            found[left] = self.wrong(moved, left)
        return point, found

    def boundary(self, point: Array) -> Array:
        """Misclassified points near the boundary, between x and the misclassified `point`."""
        xp, x = self.xp, self.x.astype(self.xp.float64)
        delta = point.astype(xp.float64) - x
        length = self.distance(point)
        low, high, nearest = xp.zeros(len(x)), xp.ones(len(x)), point.copy()
        for _ in range(math.ceil(-math.log2(self.theta))):
            middle = (low + high) / 2
            if self.norm == "l2":
                moved = x + delta * expand_like(middle, delta)
            else:
                bound = expand_like(middle * length, delta)
                moved = x + xp.clip(delta, -bound, bound)
            tried = self.clip(moved)
            wrong = self.wrong(tried)
            nearest[wrong] = tried[wrong]
            low, high = xp.where(wrong, low, middle), xp.where(wrong, middle, high)
        return nearest

    def probe_length(self, distance: Array, step: int) -> Array:
        """δ_t (n,), from the distance before the last bisection."""
        if step == 1:
            return 0.1 * self.victim.width * self.xp.ones(len(self.x))
        root = math.sqrt(self.size) if self.norm == "l2" else float(self.size)
        return root * self.theta * distance

    def direction(self, point: Array, length: Array, count: int, step: int) -> Array:
        """v (n, …) at these points, from `count` probes at distances `length` (n,)."""
        xp, shape = self.xp, self.x.shape
        draw = normal if self.norm == "l2" else uniform
        key: dict[str, Any] = {"seed": self.seed, "stream": "hop-skip-jump probe", "step": step}
        weighted = xp.zeros((len(point), self.size))
        plain, total = xp.zeros((len(point), self.size)), xp.zeros(len(point))
        centre = flatten(point).astype(xp.float64)[:, None]
        for chunk, first in enumerate(range(0, count, PROBES)):
            size = min(PROBES, count - first)
            drawn = draw(size * self.size, self.index, epoch=chunk, xp=xp, **key)
            u = normalize_l2((drawn if self.norm == "l2" else 2 * drawn - 1).reshape(-1, self.size))
            moved = centre + u.reshape(len(point), size, -1) * length[:, None, None]
            which = xp.arange(len(point)).repeat(size)
            probed = self.clip(moved.reshape(-1, *shape[1:]), which)
            phi = xp.where(self.wrong(probed, which), 1.0, -1.0).reshape(len(point), size)
            u = (flatten(probed).astype(xp.float64).reshape(moved.shape) - centre) / xp.where(
                length > 0, length, 1.0
            )[:, None, None]
            weighted += (phi[:, :, None] * u).sum(axis=1)
            plain += u.sum(axis=1)
            total += phi.sum(axis=1)
        mean = total / count
        same = xp.abs(mean) == 1
        gradient = xp.where(same[:, None], mean[:, None] * plain, weighted - mean[:, None] * plain)
        v = normalize_l2(gradient) if self.norm == "l2" else xp.sign(gradient)
        return v.reshape(shape)

    def jump(self, point: Array, direction: Array, step: int) -> Array:
        """The misclassified points that a step along the direction leads to."""
        xp, result = self.xp, point.copy()
        length = self.distance(point) / math.sqrt(step)
        left = xp.arange(len(point))
        for _ in range(HALVINGS):
            if not len(left):
                break
            move = expand_like(length[left], point) * direction[left]
            moved = self.clip(point[left].astype(xp.float64) + move, left)
            wrong = self.wrong(moved, left)
            result[left[wrong]] = moved[wrong]
            left = left[~wrong]
            length = length / 2
        return result


def from_labels(predict: Callable[[Array], Array], classes: int) -> Callable[[Array], Array]:
    """A model of scores, for a victim, from a function that returns labels.

    Parameters
    ----------
    predict : callable
        labels = predict(x), integers 0 … C − 1 of shape (N,) for examples x (N, …).
    classes : int
        The number of classes C.

    Returns
    -------
    callable
        A function of x that returns scores (N, C): 1 for the label and −1 for the others. They have
        no gradient, and Square sees no margin in them: `hop_skip_jump` is the attack for them.

    Raises
    ------
    ValueError
        For fewer than two classes. The model raises it for labels that are none of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, from_labels, hop_skip_jump
    >>> victim = Victim(from_labels(lambda x: (x[:, 0] > 0.5).astype(int), classes=2))
    >>> hop_skip_jump(victim, np.array([[0.75, 0.5]]), np.array([1]), steps=5).round(2)
    array([[0.5, 0.5]])
    """
    check_count("classes", classes, 2)

    def scores(x: Array) -> Array:
        xp = array_module(x)
        labels = predict(x)
        label = check_labels(to_device(labels, xp), len(x), classes, name="what predict returns")
        z = xp.full((len(x), classes), -1.0, dtype=np.float32)
        z[xp.arange(len(x)), label] = 1.0
        return z

    return scores
