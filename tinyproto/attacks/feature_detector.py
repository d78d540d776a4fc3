"""An attack on a deep network together with its detector, by an attacker who knows both.

A point evades a `prototypes.FeatureDetector` if it is classified wrongly *and* accepted. For a
target class c let g = z_c − max_{j≠c} z_j be the lead of its score, s_c the outlier score that the
point would have if c were the answer, and τ the threshold. As in `tinyproto.attacks.detector`, the
attack is projected ascent, in the ball and the box, on

    L = min(g, κ) − λ max(s_c − τ, 0)

The gradients of both terms are known at the features h = f(x), where they are short vectors:
∇g = Wᵀ(e_c − e_j) through the head, ∇s_c of the score. Each is divided by its norm there, since the
units of the two have nothing to do with one another; their sum is taken back to the pixels by one
backward pass, so that a step costs what a step of PGD costs:

    u = [g < κ] (∇g/‖∇g‖ − λ [s_c > τ] ∇s_c/‖∇s_c‖) − [g ≥ κ] [s_c > τ] ∇s_c/‖∇s_c‖
    x ← P(x + step · direction of (∂h/∂x)ᵀ u)

λ = 0 is selective gradient descent (Bryniarski and others, arXiv 2106.15023): while the class is
not reached, a step for the class alone, then a step for acceptance alone. With λ > 0 the steps
towards the class go to where the score is low. κ is a small fraction of ‖∇g‖ ‖h‖, a distance in
feature space. The direction is the sign in L∞ and the normalized gradient in L2; the length of the
steps falls from eps/4 to 0 along half a cosine.

The targets are the classes, other than y, with the largest scores at the point of an attacker who
ignores the detector (PGD); the starts are that point, x and random points. What evades ends the
search for its image, x itself and that attacker's point among them: no image is evaded by the
ignoring attacker and not by this one.
"""

import math
from collections.abc import Iterator

from ..backend.device import Array, array_module
from ..layers import Backward
from ..prototypes import FeatureDetector, head_vectors
from ..validation import check_count
from .evasion import check_weights, ignoring_attack
from .inputs import Inputs, validate_inputs, validate_labels
from .region import Radius, Region, normalize_l2
from .victim import Victim

WEIGHTS = (0.0, 1.0)
CONFIDENCE = 1e-2  # κ, as a fraction of ‖∇g‖ ‖h‖
FIRST_STEP = 0.25  # of eps
IMAGES = 250  # attacked together


def attack_feature_detector(
    detector: FeatureDetector,
    x: Array,
    y: Array,
    *,
    eps: Radius,
    norm: str | float = "linf",
    lo: float = 0.0,
    hi: float = 1.0,
    steps: int = 40,
    targets: int = 2,
    weights: tuple[float, ...] = WEIGHTS,
    restarts: int = 1,
    seed: int = 0,
    index: Array | None = None,
) -> Array:
    """Look for images that a network classifies wrongly and its detector accepts.

    Parameters
    ----------
    detector : FeatureDetector
        A calibrated one; its `network_` is the classifier.
    x : array (N, …)
        Images in [lo, hi], float32 or float64, on the device of the network.
    y : array (N,)
        Their true labels, columns of the network's scores.
    eps : float or array (N,)
        The radius of the ball, in the units of x; ∞ is the box.
    norm : {"linf", "l2"}
        The norm of the ball. "L2", 2 and `np.inf` are understood too.
    lo, hi : float
        The range of valid inputs.
    steps : int
        The number of steps of each run.
    targets : int
        The number of target classes of each image, at most.
    weights : tuple of float
        The weights λ of the score while the class is not reached, 0 or more.
    restarts : int
        The number of random starts, 0 or more; the other two starts come first.
    seed : int
        The seed of the random starts.
    index : array (N,), optional
        The positions of the images in the data set, 0 … N − 1 by default: the random starts depend
        on seed and position alone, not on the batch.

    Returns
    -------
    array (N, …)
        For each image a point of the ball and the box that is classified wrongly and accepted, and
        the image itself where none was found: `evades` tells which.

    Raises
    ------
    ValueError
        For a detector that is not calibrated, and as `pgd` does.

    Notes
    -----
    Source: the objective is of the kind that Carlini and Wagner (arXiv 1705.07263) and Tramèr and
    others (arXiv 2002.08347) ask of every claim of detection; λ = 0 is selective gradient descent
    (arXiv 2106.15023). The derivation is in the docstring of
    `tinyproto.attacks.feature_detector`. An image takes at most
    `steps × targets × weights × (2 + restarts)` passes, after those of PGD.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import attack_feature_detector, evades
    >>> from tinyproto.layers import Flatten, Linear
    >>> from tinyproto.networks import Network
    >>> from tinyproto.prototypes import FeatureDetector
    >>> network = Network(Flatten(), Linear(2, 2))
    >>> network.head.params["weight"][...] = 2 * np.eye(2)
    >>> x, y = np.array([[0.7, 0.3], [0.3, 0.7]], np.float32), np.array([0, 1])
    >>> detector = FeatureDetector(network, "margin").fit(x)

    The features are the inputs, the lead of every training image is 0.8, and what leads by less is
    refused. So (0.3, 0.7) is the accepted input of class 1 that is nearest to (0.7, 0.3):

    >>> [evades(detector, attack_feature_detector(detector, x[:1], y[:1], eps=eps), y[:1]).tolist()
    ...  for eps in (0.39, 0.41)]
    [[False], [True]]
    """
    detector.check_is_fitted()
    victim = Victim(detector.network_, lo=lo, hi=hi)
    inputs = validate_inputs(
        victim, x, y, index, eps, norm, seed=seed, steps=steps, targets=targets
    )
    check_count("restarts", restarts, 0)
    check_weights(weights)
    found = inputs.x.copy()
    for first in range(0, len(found), IMAGES):
        part = slice(first, first + IMAGES)
        some = inputs._replace(
            x=inputs.x[part], y=inputs.y[part], index=inputs.index[part], eps=inputs.eps[part]
        )
        search = _Search(detector, victim, some, steps)
        search.attack(targets, weights, restarts, seed)
        found[part] = search.found
    return found


class _Search:
    """The searches for some images; `found` and `evading` hold what they found."""

    def __init__(self, detector: FeatureDetector, victim: Victim, inputs: Inputs, steps: int):
        self.detector, self.network, self.victim = detector, detector.network_, victim
        self.inputs, self.steps, self.xp = inputs, steps, array_module(inputs.x)
        self.region = Region(inputs.x, inputs.eps, inputs.norm, victim)
        self.vectors, _ = head_vectors(self.network.head)
        self.found = inputs.x.copy()
        self.evading = self.xp.zeros(len(inputs.x), dtype=bool)

    def attack(self, targets: int, weights: tuple[float, ...], restarts: int, seed: int) -> None:
        xp, (x, y, index, eps, norm) = self.xp, self.inputs
        every = xp.arange(len(x))
        validate_labels(self.victim(x)[0], y)
        self._features(every, x)
        ignorant = ignoring_attack(self.victim, x, y, eps=eps, norm=norm, seed=seed, index=index)
        _, z, _ = self._features(every, ignorant)
        z = z.copy()
        z[every, y] = -xp.inf
        ranked = xp.argsort(-z, axis=1)[:, : min(targets, z.shape[1] - 1)]
        for start in self._starts(ignorant, restarts, seed):
            for target in ranked.T:
                for weight in weights:
                    self._run(start, target, weight)

    def _starts(self, ignorant: Array, restarts: int, seed: int) -> Iterator[Array]:
        yield ignorant
        yield self.inputs.x
        for restart in range(restarts):
            yield self.region.random_point(
                self.inputs.index, stream="feature detector", seed=seed, restart=restart
            )

    def _features(self, images: Array, points: Array) -> tuple[Array, Array, Backward]:
        """The features of points (n, …) of some images (n,), their class scores, and the backward
        pass of the features; what evades is noted."""
        h, backward = self.network.features(points)
        z, _ = self.network.head(h)
        answer = z.argmax(axis=1)
        wrong = self.xp.flatnonzero(answer != self.inputs.y[images])
        if len(wrong):
            score, _ = self.detector.feature_score(h[wrong], answer[wrong])
            wrong = wrong[(score <= self.detector.threshold_) & ~self.evading[images[wrong]]]
            self.found[images[wrong]], self.evading[images[wrong]] = points[wrong], True
        return h, z, backward

    def _run(self, start: Array, target: Array, weight: float) -> None:
        """Ascend from `start` (N, …) towards target classes (N,), for what does not evade yet."""
        active = self.xp.flatnonzero(~self.evading)
        points = start[active]
        for step in range(self.steps + 1):
            if not len(active):
                return
            h, z, backward = self._features(active, points)
            going = self.xp.flatnonzero(~self.evading[active])
            if step == self.steps or not len(going):
                return
            direction = self._direction(h, z, target[active], weight)
            gradient = backward(direction.astype(h.dtype))[going]
            active, points = active[going], points[going]
            factor = FIRST_STEP * 0.5 * (1 + math.cos(math.pi * step / self.steps))
            points = self.region.step(active, points, gradient, factor * self.region.eps[active])

    def _direction(self, h: Array, z: Array, target: Array, weight: float) -> Array:
        """u (n, d), the gradient at the features; the scores z (n, C) are those of the network."""
        xp, rows = self.xp, self.xp.arange(len(h))
        own, others = z[rows, target], z.copy()
        others[rows, target] = -xp.inf
        lead = self.vectors[target] - self.vectors[others.argmax(axis=1)]
        length = xp.sqrt((lead**2).sum(axis=1) * (h.astype(xp.float64) ** 2).sum(axis=1))
        missing = own - others.max(axis=1) < CONFIDENCE * length
        score, slope = self.detector.feature_score(h, target)
        refused = score > self.detector.threshold_
        towards = xp.where(missing, 1.0, 0.0)[:, None] * normalize_l2(lead)
        share = xp.where(missing, weight, 1.0) * refused
        return towards - share[:, None] * normalize_l2(slope)
