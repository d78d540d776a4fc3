"""The exact distance from an input to the decision boundary of a winner-take-all network.

For prediction all three networks are linear: neuron k has the score oₖ = Aₖ·x + bₖ, up to a term
that all neurons share, and the score of a class is the largest of its neurons'. A rival neuron m,
one of another class, wins at x + δ where its score is at least that of every neuron k of the
predicted class. These points form a polyhedron, with one row for each k:

    G δ ≥ h     Gₖ = A_m − Aₖ     hₖ = −(Gₖ·x + b_m − bₖ)

The distance to it, inside the box l ≤ δ ≤ u with l = lo − x and u = hi − x, is the solution of a
convex problem. Its dual has one multiplier λₖ ≥ 0 for each row. Any λ replaces all rows by the
single row a·δ ≥ λ·h with a = Gᵀλ, which the polyhedron satisfies too; so the distance to this half-
space is a lower bound, and for the best λ it equals the distance to the polyhedron:

    L2   δ(λ) = clip(Gᵀλ, l, u),  ½‖δ‖² ≥ D(λ) = λ·(h − Gδ(λ)) + ½‖δ(λ)‖²,  ∇D = h − Gδ(λ)
         Without the box D is quadratic, h·λ − ½λᵀGGᵀλ, and its maximum a non-negative least-squares
         problem. With the box D is piecewise quadratic, and each piece is such a problem in the
         coordinates that are not clipped.
    L∞   r(λ) = the least r with Σⱼ |aⱼ| min(r, sⱼ) ≥ λ·h, where sⱼ = uⱼ if aⱼ > 0, else −lⱼ. The
         best λ is the solution of a linear program, found by Newton's steps (`projection.py`).

If λ·h > a·δ in the whole box, the polyhedron has no point in it (Farkas), and its distance is ∞.

The radius is the smallest of these distances over all rivals. Each single row gives a bound, which
costs little without the box and not much more inside it. Rivals whose bound exceeds the smallest
distance so far are skipped (`search.py`).

**Why the radius is a proof.** λ comes from float64 solvers and is taken as it is: a lower bound
needs no best λ. Three steps then make the number that is returned a bound in real arithmetic.

1. Each row, with its h, is multiplied by a power of two that brings its norm to about 1, and δ by
   one that brings the distance to about 1. Neither changes the polyhedron or rounds anything, and
   the solvers' tolerances mean the same for all weights and inputs.
2. `lower_bound.py` evaluates the bound of λ in float64 and subtracts all rounding errors, those of
   A, b and h among them. The same errors are subtracted from the bounds of rivals that are skipped.
3. Where this costs more than one part in 10⁹, as it does if a rival nearly equals a neuron of the
   predicted class, h and G are computed again from the parameters of the network in integers,
   rounded once, solved again, and `exact_bound.py` evaluates the bound of λ without any rounding.
"""

import math

import numpy as np

from ...backend.device import Array, to_host
from ...validation import resolve_norm
from ...workers import ExecutorLike
from ..base import WinnerTakeAll
from ..validation import check_same_type, check_targets
from .real_network import RealNetwork
from .search import Search
from .share import radii_in_parts


def exact_radius(
    network: WinnerTakeAll,
    x: Array,
    y: Array | None = None,
    *,
    norm: str | float = "l2",
    lo: float | None = None,
    hi: float | None = None,
    overshoot: float = 0.0,
    executor: ExecutorLike | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The exact robustness radius: the distance to the nearest point of another class.

    No attack can change the prediction with a perturbation of that size or a smaller one. This is
    proved for each radius, whatever the scale of weights and inputs, and however close a neuron is
    to one of another class.

    Parameters
    ----------
    network : IPWTA, EDWTA or PlusMinusEDWTA
        A fitted network.
    x : array (N, …)
        The inputs.
    y : array (N,), optional
        The true labels; an input that is classified wrongly then has radius 0.
    norm : str or float
        "l2" or "linf", in any of the ways of `validation.resolve_norm`. "linf" needs SciPy for
        polyhedra that are empty, or far from all their rows, without a box.
    lo, hi : float, optional
        The range of valid inputs, both or neither: x + δ stays inside.
    overshoot : float, default 0.0
        By how much the score of the other class has to be larger at x + δ. A small positive number
        gives points beyond the boundary, where a network in float32 changes its answer too; a
        negative one leaves a margin (see the notes).
    executor : Executor or callable, optional
        Whose workers share the inputs: any `concurrent.futures.Executor`, such as that of mpi4py or
        Dask, or a function that makes one (see `tinyproto.workers`). The results have the same
        bits.

    Returns
    -------
    radius : array (N,)
        In float64, a lower bound: no δ in the box with ‖δ‖ ≤ radius gives another class the score
        of the predicted one, or a larger one. ∞ if no δ does; 0 for a tie or a wrong prediction.
    delta : array (N, d)
        Perturbations to another class, in float64: its score at the float x + δ is proved to be at
        least that of the predicted class. So ‖δ‖ is an upper bound, up to the rounding of x + δ. 0
        where the radius is 0 or ∞.

    Raises
    ------
    ValueError
        For an unknown norm, only one of lo and hi, x outside [lo, hi] or not finite, labels that
        do not belong to x or are strings where the classes are numbers (or the reverse), or
        parameters and scores that overflow float64.
    ImportError
        Where SciPy is needed and not installed.

    See Also
    --------
    certify : the same for many inputs, in several processes and with a file to go on from.

    Notes
    -----
    The derivation is in the docstring of `tinyproto.prototypes.certificate.radius`. The two bounds
    agree to about 1e-9 in L2 and 1e-6 in L∞. Exceptions are inputs whose radius changes much if
    planes move by 1e-10 of the radius, such as a rival that wins in a corner of the box only:
    the lower bound may then be smaller than it could be, and where no float reaches the other
    class, δ is the nearest point found.

    The radius is that of the real numbers that the parameters stand for. The network rounds its own
    scores. With n = d + 6 and the unit roundoff u of its dtype (2⁻²⁴ in float32), they are wrong by
    at most e = nu/(1 − nu) times Σⱼ |Wₖⱼxⱼ| + |bₖ| for IPWTA, ½β‖x − wₖ‖² for EDWTA, and
    ½β Σⱼ |w⁺ₖⱼ − w⁻ₖⱼ| (2|xⱼ| + |w⁺ₖⱼ| + |w⁻ₖⱼ|) for PlusMinusEDWTA. If e is the largest of these
    for all neurons and all x + δ, `overshoot=-2 * e` gives a radius within which the rounded scores
    have the same winner, for every x + δ that is a number of the network's dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA, exact_radius
    >>> x, y = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]]), [0, 0, 1, 1]
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="kmeans").fit(x, y)

    The prototypes are (0, 1) and (4, 1), so that the boundary is the line x₀ = 2:

    >>> radius, delta = exact_radius(network, np.array([[0.5, 0.0]]))
    >>> radius.round(3).tolist()
    [1.5]
    >>> network.predict(np.array([[0.5, 0.0]]) + 1.01 * delta)
    array([1])
    """
    search, x, label = prepare(network, x, y, norm=norm, lo=lo, hi=hi, overshoot=overshoot)
    radius, delta = np.zeros(len(x)), np.zeros_like(x)
    for at, radii, nearest in radii_in_parts(search, x, label, np.arange(len(x)), executor):
        radius[at], delta[at] = radii, nearest
    return radius, delta


def prepare(
    network: WinnerTakeAll,
    x: Array,
    y: Array | None,
    *,
    norm: str | float,
    lo: float | None,
    hi: float | None,
    overshoot: float,
) -> tuple[Search, np.ndarray, np.ndarray | None]:
    """The search, x (N, d) in float64, and for each label its class index, −1 for an unknown one.
    Raises the ValueErrors of `exact_radius`."""
    norm = resolve_norm(norm)
    if (lo is None) != (hi is None):
        raise ValueError(f"the box needs both lo and hi, not lo={lo!r}, hi={hi!r}")
    if not math.isfinite(overshoot):
        raise ValueError(f"overshoot must be a finite number, not {overshoot!r}")
    real = RealNetwork(network)
    x = to_host(x).astype(np.float64)
    x = x.reshape(len(x), math.prod(x.shape[1:]))
    if x.shape[1] != real.A.shape[1] or not np.isfinite(x).all():
        raise ValueError(
            f"x must hold {real.A.shape[1]} finite features for each input, not shape {x.shape}"
            + (" with NaN or infinity" if not np.isfinite(x).all() else "")
        )
    box = (-np.inf if lo is None else float(lo), np.inf if hi is None else float(hi))
    if not ((x >= box[0]).all() and (x <= box[1]).all()):
        raise ValueError(f"x must lie in [{lo}, {hi}], not [{x.min()}, {x.max()}]")
    label = None
    if y is not None:
        y = check_targets(y, len(x))
        check_same_type(y, network.classes_)
        is_class = y[:, None] == network.classes_
        label = np.where(is_class.any(axis=1), is_class.argmax(axis=1), -1)
    owner = np.arange(len(real.b)) // network._per_class
    return Search(real, owner, norm, box, overshoot), x, label
