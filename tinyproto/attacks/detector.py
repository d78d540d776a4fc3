"""An attack on a classifier together with its detector, by an attacker who knows both.

A point evades a `prototypes.Detector` if it is classified wrongly *and* accepted. For a target
class c let o_c be the score of its largest neuron, o_k that of the largest of all other neurons,
s_c the outlier score that x would have if c won, and τ the threshold. x evades if

    g = o_c − o_k ≥ 0     and     s_c ≤ τ.

So the attack is projected gradient ascent, in the ball and the box, on

    L = min(g, κ) − λ max(s_c − τ, 0)

for each class c ≠ y that is within reach, for several weights λ, and from several starts; a point
that evades ends the search for its image. Where both terms have a gradient they are ∇g = A_c − A_k
and ∇s_c (`Detector.score_gradient`; for `combined` that of a surrogate). The units of the two
scores have nothing to do with one another, so each gradient is divided by its norm: λ = 1 weighs a
step towards the class and a step towards acceptance equally. κ is a little above 0: beyond the
boundary there is nothing to be gained, and the step goes to the score alone, as in the selective
gradient descent of Bryniarski and others (arXiv 2106.15023). The steps go along the
gradient, also in L∞ and not along its sign: projected subgradients converge to a point that has to
satisfy several constraints at once, as here, and signs need not. Their length falls from eps/4 in
L2, and √d eps/2 in L∞, to 0 along half a cosine.

The starts: x; the target's prototype w⁺, projected onto the region, from where the score is low; a
random point; the points of an attacker who ignores the detector (PGD); and in L2 the nearest point
of another class (`exact_radius`, a little beyond the boundary), from where the search moves inwards
along the score's gradient.

A class c is within reach if no row of its polyhedra is farther than eps: for a neuron m of c,
(oₖ − o_m)/‖A_m − Aₖ‖ ≤ eps, in the dual norm, for every neuron k of class y. This skips nothing
that could succeed.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..backend.device import Array, select_device, to_device, to_host
from ..kernels.polyhedra import difference_sums
from ..layers.linear import rowwise
from ..prototypes import Detector, exact_radius
from ..prototypes.detection.scores import neuron_scores, winners
from ..prototypes.validation import encode_targets
from .evasion import check_weights, evades, ignoring_attack
from .inputs import Inputs, validate_inputs
from .region import Radius, Region, normalize_l2
from .victim import Victim

WEIGHTS = (0.3, 1.0, 3.0)
CONFIDENCE = 1e-3  # κ, as a fraction of ‖∇g‖ · eps
REACH = 1e-5  # for the rounding errors of the network's own scores
IMAGES = 256  # attacked together
BEYOND = 1e-3  # the overshoot of the boundary point, in the units of the scores


class _Pairs(NamedTuple):
    """Searches: the image (n,) of each, its target class (n,), and that class's best neuron at the
    image (n,)."""

    image: np.ndarray
    target: np.ndarray
    neuron: np.ndarray

    def take(self, which: np.ndarray) -> "_Pairs":
        return _Pairs(*(part[which] for part in self))


def attack_detector(
    detector: Detector,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    norm: str | float = "l2",
    lo: float = 0.0,
    hi: float = 1.0,
    steps: int = 40,
    weights: tuple[float, ...] = WEIGHTS,
    restarts: int = 1,
    seed: int = 0,
    index: Array | None = None,
) -> np.ndarray:
    """Look for points that the network classifies wrongly and the detector accepts.

    Parameters
    ----------
    detector : Detector
        A calibrated one; its `network_` is the classifier.
    x : array (N, …)
        Examples in [lo, hi], float32 or float64.
    y : array (N,)
        Their true labels, some of `detector.network_.classes_`.
    eps : float or array (N,)
        The radius of the ball, in the units of x; ∞ is the box.
    norm : {"l2", "linf"}
        The norm of the ball. "L2", 2 and `np.inf` are understood too.
    lo, hi : float
        The range of valid inputs.
    steps : int
        The number of steps of each run.
    weights : tuple of float
        The weights λ of the detector's term.
    restarts : int
        The number of random starts.
    seed : int
        The seed of the random starts.
    index : array (N,), optional
        The positions of the examples in the data set, 0 … N − 1 by default: the random starts
        depend on seed and position alone, not on the batch.

    Returns
    -------
    array (N, …)
        For each example a point of the ball and the box that is classified wrongly and accepted,
        and the example itself where none was found: `evades` tells which. On the host.

    Raises
    ------
    ValueError
        For a detector that is not calibrated, and as `pgd` does.

    Notes
    -----
    Source: the attack is one of a kind that Carlini and Wagner (arXiv 1705.07263) and Tramèr and
    others (arXiv 2002.08347) ask of every claim of detection. The derivation is in the docstring of
    `tinyproto.attacks.detector`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import attack_detector, evades
    >>> from tinyproto.prototypes import EDWTA, Detector
    >>> x, y = np.array([[0.2, 0.4], [0.2, 0.6], [0.8, 0.4], [0.8, 0.6]]), np.array([0, 0, 1, 1])
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="kmeans").fit(x, y)
    >>> detector = Detector(network, "distance").fit(x, y)

    The prototypes are (0.2, 0.5) and (0.8, 0.5). What is farther than 0.1 from that of its class is
    refused, so that an accepted input of class 1 is at least 0.508 away from (0.2, 0.4):

    >>> [evades(detector, attack_detector(detector, x[:1], y[:1], eps=eps), y[:1]).tolist()
    ...  for eps in (0.50, 0.52)]
    [[False], [True]]
    """
    detector.check_is_fitted()
    shape, x = np.shape(x), to_host(x)
    x = x.reshape(len(x), math.prod(shape[1:]))
    network = detector.network_
    label = encode_targets(y, len(x), network.classes_)[1]
    victim = Victim(network, lo=lo, hi=hi)
    inputs = validate_inputs(
        victim, x, label, index, eps, norm, seed=seed, steps=steps, restarts=restarts
    )
    check_weights(weights, zero=False)
    search = _Search(detector, victim, steps, inputs.norm)
    found = inputs.x.copy()
    for first in range(0, len(x), IMAGES):
        part = slice(first, first + IMAGES)
        some = inputs._replace(
            x=inputs.x[part], y=inputs.y[part], index=inputs.index[part], eps=inputs.eps[part]
        )
        found[part] = search.attack(some, weights, restarts, seed)
    return found.reshape(shape)


class _Search:
    """The searches for a detector; labels are indices of classes here."""

    def __init__(self, detector: Detector, victim: Victim, steps: int, norm: str):
        self.detector, self.victim, self.steps = detector, victim, steps
        self.network = detector.network_
        self.A, self.b = self.network.linear()
        self.per_class = len(self.b) // len(self.network.classes_)
        self.owner = np.arange(len(self.b)) // self.per_class
        # ‖Aₖ − A_m‖ (neurons, neurons) in the dual norm
        self.lengths = np.empty((len(self.A), len(self.A)))
        difference_sums(
            len(self.A), self.A, np.ascontiguousarray(self.A.T), norm == "l2", self.lengths
        )
        if norm == "l2":
            np.sqrt(self.lengths, out=self.lengths)

    def attack(
        self, inputs: Inputs, weights: tuple[float, ...], restarts: int, seed: int
    ) -> np.ndarray:
        """The points found (N, d), and x where there are none."""
        found, evading = inputs.x.copy(), self.evades(inputs.x, inputs.y)
        ignorant = self._ignoring(inputs, seed)
        new = ~evading & self.evades(ignorant, inputs.y)
        found[new], evading = ignorant[new], evading | new
        pairs = self._pairs(inputs)
        for start, which in self._starts(inputs, pairs, ignorant, restarts, seed):
            for weight in weights:
                some = which & ~evading[pairs.image]
                if some.any():
                    self._run(inputs, pairs.take(some), start[some], weight, found, evading)
        return found

    def evades(self, points: np.ndarray, label: np.ndarray) -> np.ndarray:
        return evades(self.detector, points, self.network.classes_[label])

    def _ignoring(self, inputs: Inputs, seed: int) -> np.ndarray:
        """The points of an attacker who ignores the detector."""
        xp = select_device(self.network.device)
        x, y, index = (to_device(a, xp) for a in inputs[:3])
        return to_host(
            ignoring_attack(self.victim, x, y, eps=to_device(inputs.eps, xp), norm=inputs.norm,
                            seed=seed, index=index)
        )  # fmt: skip

    def _pairs(self, inputs: Inputs) -> _Pairs:
        """Every image with every class that is within reach."""
        x = inputs.x.astype(np.float64)
        score = rowwise(x, self.A.T) + self.b
        farthest = np.full(score.shape, -np.inf)
        for k in range(len(self.b)):  # neurons of the true class
            own = np.flatnonzero(self.owner[k] == inputs.y)
            length = self.lengths[k]
            excess = score[own, k][:, None] - score[own]
            distance = excess / np.where(length > 0, length, 1.0)
            farthest[own] = np.maximum(farthest[own], distance)
        reached = farthest <= inputs.eps[:, None] * (1 + REACH) + REACH
        by_class = reached.reshape(len(x), -1, self.per_class).any(axis=2)
        by_class[np.arange(len(x)), inputs.y] = False
        image, target = np.nonzero(by_class)
        best = score.reshape(len(x), -1, self.per_class).argmax(axis=2)[image, target]
        return _Pairs(image, target, best + target * self.per_class)

    def _starts(
        self, inputs: Inputs, pairs: _Pairs, ignorant: np.ndarray, restarts: int, seed: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Starting points (n, d), and the pairs (n,) that use them."""
        x, region = inputs.x, self._region(inputs, pairs)
        every = np.ones(len(pairs.image), dtype=bool)
        if inputs.norm == "l2":
            y = self.network.classes_[inputs.y]
            lo, hi = self.victim.lo, self.victim.hi
            boundary = x + exact_radius(self.network, x, y, lo=lo, hi=hi, overshoot=BEYOND)[1]
            at = self._predicted(boundary.astype(x.dtype))
            start = boundary.astype(x.dtype)[pairs.image]
            yield region.project(slice(None), start), at[pairs.image] == pairs.target
        yield ignorant[pairs.image], self._predicted(ignorant)[pairs.image] == pairs.target
        yield x[pairs.image], every
        if hasattr(self.network, "positive_prototypes_"):
            w = to_host(self.network.positive_prototypes_).astype(x.dtype)[pairs.neuron]
            yield region.project(slice(None), w), every
        for restart in range(restarts):
            index = inputs.index[pairs.image]
            yield region.random_point(index, stream="detector", seed=seed, restart=restart), every

    def _region(self, inputs: Inputs, pairs: _Pairs) -> Region:
        return Region(inputs.x[pairs.image], inputs.eps[pairs.image], inputs.norm, self.victim)

    def _predicted(self, points: np.ndarray) -> np.ndarray:
        return self.owner[winners(self.network, points)]

    def _run(
        self, inputs: Inputs, pairs: _Pairs, points: np.ndarray, weight: float,
        found: np.ndarray, evading: np.ndarray,
    ) -> None:  # fmt: skip
        """Ascend from `points` for all pairs, and note in `found` and `evading` what evades."""
        region, active = self._region(inputs, pairs), np.arange(len(pairs.image))
        first_step = 0.25 if inputs.norm == "l2" else 0.5 * math.sqrt(points.shape[1])
        for step in range(self.steps + 1):
            image = pairs.image[active]
            gradient, wrong = self._gradient(points, inputs, pairs.take(active), weight)
            at = np.flatnonzero(wrong)
            if len(at):
                at = at[self.evades(points[at], inputs.y[image[at]])]
                found[image[at]], evading[image[at]] = points[at], True
            going = ~evading[image]
            active, points, gradient = active[going], points[going], gradient[going]
            if step == self.steps or not len(active):
                return
            factor = 0.5 * (1 + math.cos(math.pi * step / self.steps))
            length = (factor * first_step * region.eps[active])[:, None]
            moved = points + length * normalize_l2(gradient)
            points = region.project(active, moved.astype(points.dtype))

    def _gradient(
        self, points: np.ndarray, inputs: Inputs, pairs: _Pairs, weight: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of L (n, d), and whether each point is classified wrongly (n,)."""
        o = neuron_scores(self.network, points).astype(np.float64)
        same, rows = self.owner == pairs.target[:, None], np.arange(len(o))
        own = np.where(same, o, -np.inf).argmax(axis=1)
        other = np.where(same, -np.inf, o).argmax(axis=1)
        wrong = self.owner[o.argmax(axis=1)] != inputs.y[pairs.image]
        direction = self.A[own] - self.A[other]
        length = np.linalg.norm(direction, axis=1)
        confidence = CONFIDENCE * length * inputs.eps[pairs.image]
        missing = o[rows, own] - o[rows, other] < confidence
        gradient = np.where(missing[:, None], normalize_l2(direction), 0.0)
        refused = self.detector.score(points, own) > self.detector.threshold_
        if refused.any():
            slope = self.detector.score_gradient(points[refused], own[refused])
            gradient[refused] -= weight * normalize_l2(slope)
        return gradient, wrong
