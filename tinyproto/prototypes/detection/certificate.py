"""A certified radius of detection: within it, no wrong input is accepted.

The network with its detector fails at a point that is classified wrongly *and* accepted. What an
input has to be for that, with the true class y, a winning neuron m of another class, and the
threshold τ of the detector:

    margin     the largest other class is at least −τ lower: o_m ≥ oₖ − τ for every neuron k of
               another class than m's, those of class y among them
    distance   o_m ≥ oₖ for every neuron k, and ‖x + δ − w⁺ₘ‖ ≤ τ

For each m this is a convex set, a polyhedron and for the distance a ball, in the box of valid
inputs. The radius is a lower bound of the distance to the nearest of these sets. It is the largest
of

  - `exact_radius` with the overshoot −τ (or 0), whose polyhedra have only the rows of the neurons
    of class y, where x is classified correctly; it is proved to the last bit
  - the least over m of the bound of `dual.py`, with all these rows and the ball

The rivals are sorted by a bound in closed form, ‖x − w⁺ₘ‖ − τ or what a single row gives, for which
the norms of all pairs are computed once; and those that cannot be nearest are skipped.

An input that is refused at x itself can be classified wrongly and still has a radius above 0. For
the scores profile and combined no certificate is offered: the set of profiles that are accepted is
no convex set of inputs.
"""

import math

import numpy as np

from ...backend.device import Array, to_host
from ...validation import resolve_norm
from ..base import WinnerTakeAll
from ..certificate import exact_radius
from ..radius_objective import inverse_norms
from ..validation import encode_targets
from .detector import Detector
from .dual import SLACK, AcceptedSet, l2_lower_bound, linf_lower_bound
from .scores import positive_prototypes

CERTIFIED = ("margin", "distance")
RIVALS = 256  # whose rows are bounded at once
SIMILAR = 1e-6  # ‖Aₘ − Aₖ‖² / (‖Aₘ‖² + ‖Aₖ‖²) at least, for the distance from a Gram matrix
ROUNDING = 1e-6  # relative, of such a distance: 1e-16 / SIMILAR for each of d products, and more
ROWS = 16  # that bind most at x: any rows give a bound, and these nearly always the best one


def certified_detection_radius(
    detector: Detector,
    x: Array,
    y: Array,
    *,
    norm: str | float = "l2",
    lo: float | None = None,
    hi: float | None = None,
) -> np.ndarray:
    """A radius within which the detector refuses every input that is classified wrongly.

    Parameters
    ----------
    detector : Detector
        A calibrated one, with the score "margin" or "distance".
    x : array (N, …)
        The inputs.
    y : array (N,)
        Their true labels.
    norm : str or float
        "l2" or "linf", in any of the ways of `validation.resolve_norm`. "linf" needs SciPy.
    lo, hi : float, optional
        The range of valid inputs, both or neither: only x + δ inside it counts.

    Returns
    -------
    array (N,)
        In float64. Every x + δ in the box with ‖δ‖ below this radius is classified correctly or
        refused. ∞ if no wrong input in the box is accepted; 0 where x itself is one.

    Raises
    ------
    ValueError
        For a score without a certificate, a detector that is not calibrated, and as `exact_radius`
        does.
    ImportError
        For "linf" without SciPy.

    Notes
    -----
    The derivation is in the docstring of `tinyproto.prototypes.detection.certificate`. As that of
    `exact_radius`, the radius is one of real arithmetic; the network rounds its own scores.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA, Detector, certified_detection_radius, exact_radius
    >>> x, y = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]]), np.array([0, 0, 1, 1])
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="kmeans").fit(x, y)
    >>> detector = Detector(network, "distance").fit(x, y)

    The prototypes are (0, 1) and (4, 1), the boundary is the line x₀ = 2, and what is farther than
    1 from the prototype of its class is refused. So the nearest accepted input of class 1 is (3, 1)
    for an input (0, 1):

    >>> point, label = np.array([[0.0, 1.0]]), np.array([0])
    >>> round(float(exact_radius(network, point, label)[0][0]), 4)
    2.0
    >>> round(float(certified_detection_radius(detector, point, label)[0]), 4)
    3.0
    """
    detector.check_is_fitted()
    if detector.kind not in CERTIFIED:
        raise ValueError(
            f"a certified radius is known for the scores {' and '.join(CERTIFIED)} only, not for "
            f"{detector.kind!r}"
        )
    norm, network = resolve_norm(norm), detector.network_
    t = -detector.threshold_ if detector.kind == "margin" else 0.0
    exact, _ = exact_radius(network, x, y, norm=norm, lo=lo, hi=hi, overshoot=t)
    x = to_host(x)
    x = x.reshape(len(x), math.prod(x.shape[1:]))
    label = encode_targets(y, len(x), network.classes_)[1]
    rivals = _Rivals(detector, norm, (lo, hi), t)
    fails = detector.accepts(x) & (network.predict(x) != network.classes_[label])
    radius = np.zeros(len(x))
    for i in np.flatnonzero(~fails):
        radius[i] = max(exact[i], rivals.nearest(x[i].astype(np.float64), int(label[i])))
    return radius


class _Rivals:
    """The sets of accepted points of all neurons, for a norm and a box."""

    def __init__(
        self, detector: Detector, norm: str, box: tuple[float | None, float | None], t: float
    ):  # fmt: skip
        network: WinnerTakeAll = detector.network_
        self.A, self.b = network.linear()
        self.owner = np.arange(len(self.b)) // network._per_class
        self.norm, self.t = norm, t
        self.lo, self.hi = (-np.inf, np.inf) if box[0] is None or box[1] is None else box
        self.w, self.R = None, np.inf
        if detector.kind == "distance":
            self.w, self.R = positive_prototypes(network), detector.threshold_
        self.absolute = np.abs(self.A), np.abs(self.b)
        self.inverse = self._inverse_norms("l2")
        self.dual = self.inverse if norm == "l2" else self._inverse_norms(norm)

    def _inverse_norms(self, norm: str) -> np.ndarray:
        """1 / ‖Aₘ − Aₖ‖ (neurons, neurons) in the dual norm; 0, which bounds nothing, within a
        class and where A is so similar that the norm is lost in rounding."""
        inverse = inverse_norms(self.A, norm)
        square = (self.A**2).sum(axis=1)
        inverse[inverse**2 * (square + square[:, None]) > 1 / SIMILAR] = 0
        inverse[self.owner[:, None] == self.owner] = 0
        return inverse

    def nearest(self, x: np.ndarray, label: int) -> float:
        """A lower bound of the distance to the nearest set of a neuron of another class."""
        score = self.A @ x + self.b
        size = self.absolute[0] @ np.abs(x) + self.absolute[1]
        rivals = np.flatnonzero(self.owner != label)
        bounds = self._row_bounds(x, score, size, rivals)
        best = np.inf
        for i in np.argsort(bounds, kind="stable"):
            if bounds[i] >= best:
                break
            accepted = self._accepted(x, score, size, int(rivals[i]))
            single = max(float(bounds[i]), self._single_bound(accepted))
            if single < best:
                best = min(best, self._bound(accepted, single, best))
        return best

    def _row_bounds(
        self, x: np.ndarray, score: np.ndarray, size: np.ndarray, rivals: np.ndarray
    ) -> np.ndarray:
        """A lower bound of the distance to each rival's set, by its farthest row or its ball."""
        bounds = np.empty(len(rivals))
        for start in range(0, len(rivals), RIVALS):
            part = slice(start, start + RIVALS)
            m = rivals[part, None]
            least = (score - SLACK * size) - (score[m] + SLACK * size[m])
            least += self.t - SLACK * abs(self.t)
            least *= self.dual[rivals[part]]
            bounds[part] = (1 - ROUNDING) * least.max(axis=1).clip(min=0)
        if self.w is not None and self.norm == "l2":
            distance = np.linalg.norm(self.w[rivals] - x, axis=1)
            bounds = np.maximum(bounds, distance * (1 - SLACK) - self.R)
        return bounds

    def _accepted(
        self, x: np.ndarray, score: np.ndarray, size: np.ndarray, m: int
    ) -> AcceptedSet:  # fmt: skip
        others = np.flatnonzero(self.owner != self.owner[m])
        ratio = (score[others] - score[m] + self.t) * self.inverse[m, others]
        others = others[np.argsort(-ratio, kind="stable")[:ROWS]]
        h = score[others] - score[m] + self.t
        G = self.A[m] - self.A[others]
        length = np.linalg.norm(G, axis=1)
        length = np.where(length > 0, length, 1.0)
        v = np.zeros_like(x) if self.w is None else self.w[m] - x
        terms = (size[others] + size[m] + abs(self.t)) / length
        return AcceptedSet(
            G / length[:, None], h / length, terms, v, self.R, self.lo - x, self.hi - x
        )

    def _single_bound(self, accepted: AcceptedSet) -> float:
        """The largest distance to the half-space of one of its rows."""
        order = 2 if self.norm == "l2" else 1
        dual = np.linalg.norm(accepted.G, ord=order, axis=1)
        least = accepted.h - SLACK * accepted.size
        return float((least / np.where(dual > 0, dual, 1.0)).max(initial=0.0))

    def _bound(self, accepted: AcceptedSet, least: float, limit: float) -> float:
        if self.norm == "l2":
            return max(least, l2_lower_bound(accepted, limit))
        return linf_lower_bound(accepted, least, limit)
