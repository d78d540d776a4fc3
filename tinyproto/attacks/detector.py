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
gradient descent of Bryniarski and others (arXiv 2106.15023). The step size falls from eps/4
to 0 along half a cosine.

The starts: x; the target's prototype w⁺, projected onto the region, from where the score is low; a
random point; the points of an attacker who ignores the detector (PGD); and in L2 the nearest point
of another class (`exact_radius`, a little beyond the boundary), from where the search moves inwards
along the score's gradient.

A class c is within reach if no row of its polyhedra is farther than eps: for a neuron m of c,
(oₖ − o_m)/‖A_m − Aₖ‖ ≤ eps, in the dual norm, for every neuron k of class y. This skips nothing
that could succeed.
"""

import math
from typing import NamedTuple

import numpy as np

from ..backend.device import Array, to_device, to_host
from ..prototypes import Detector, exact_radius
from ..prototypes.validation import encode_targets
from ..validation import check_number
from .inputs import Inputs, validate_inputs
from .pgd import pgd
from .region import Radius, Region, normalize_l2
from .victim import Victim

WEIGHTS = (0.3, 1.0, 3.0)
CONFIDENCE = 1e-3  # κ, as a fraction of ‖∇g‖ · eps
BEYOND = 1e-3  # the overshoot of the boundary point, in the units of the scores


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
    >>> from tinyproto.attacks import attack_detector
    >>> from tinyproto.prototypes import EDWTA, Detector
    >>> x, y = np.array([[0.1, 0.4], [0.1, 0.6], [0.9, 0.4], [0.9, 0.6]]), np.array([0, 0, 1, 1])
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="kmeans").fit(x, y)
    >>> detector = Detector(network, "distance").fit(x, y)

    The prototypes are (0.1, 0.5) and (0.9, 0.5). What is farther than 0.1 from its own is refused,
    so that (0.1, 0.4) becomes an accepted input of class 1 at (0.8, 0.5), and none nearer:

    >>> [evades(detector, attack_detector(detector, x[:1], y[:1], eps=eps), y[:1]).tolist()
    ...  for eps in (0.70, 0.72)]
    [[False], [True]]
    """
