"""Certified accuracy as a curve over radii, and how well a sample of inputs tells it.

An input counts as certified at r if it is classified correctly and no perturbation of norm r or
less changes that; its radius is 0 if it is not (`exact_radius` with labels). Of n inputs drawn at
random, the number of successes S is binomial with the unknown probability p. The interval of
Clopper and Pearson (Biometrika 26, 1934) holds all p for which neither tail is improbable,

    P(S ≥ s | lower) = α/2     P(S ≤ s | upper) = α/2     α = 1 − confidence

so that it contains p with at least that confidence, for every n and p. The tails of a binomial
distribution are those of beta distributions, P(S ≥ s | p) = I_p(s, n − s + 1), the regularized
incomplete beta function, of which the bounds are inverses.
"""

import numpy as np

from ...backend.device import Array, to_host
from ...optional import require_package
from ...validation import check_count, require


def certified_accuracy(radius: Array, radii: Array) -> np.ndarray:
    """The fraction of inputs whose class no perturbation of a norm changes, for each norm.

    Parameters
    ----------
    radius : array (N,)
        Proven radii, 0 for wrong predictions, of `exact_radius` or `certify`.
    radii : array (…)
        The norms r ≥ 0 of perturbations.

    Returns
    -------
    array (…)
        The fraction of inputs with a radius of r or more, and for r = 0 of those above 0.

    Raises
    ------
    ValueError
        If there are no radii, or some are negative or NaN, or some r is negative, NaN or infinite.

    Examples
    --------
    >>> from tinyproto.prototypes.certificate import certified_accuracy
    >>> certified_accuracy([0.0, 0.5, 1.0, 2.0], [0.0, 1.0, 1.5]).tolist()
    [0.75, 0.5, 0.25]
    """
    found = to_host(radius).astype(np.float64)
    if found.ndim != 1 or not len(found) or not (found >= 0).all():
        raise ValueError(f"radius must be one or more numbers ≥ 0, not {found!r:.80}")
    at = to_host(radii).astype(np.float64)
    if not ((at >= 0) & np.isfinite(at)).all():
        raise ValueError(f"radii must be finite numbers ≥ 0, not {at!r:.80}")
    below = np.searchsorted(np.sort(found), at.ravel(), side="left").reshape(at.shape)
    below = np.where(at == 0, (found == 0).sum(), below)
    return 1 - below / len(found)


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Clopper-Pearson interval of a probability, from successes in n independent trials.

    Parameters
    ----------
    successes : int
        How often it happened, 0 … n.
    n : int
        The number of trials.
    confidence : float, default 0.95
        Between 0 and 1: the interval contains the probability at least that often.

    Returns
    -------
    lower, upper : float
        The interval.

    Raises
    ------
    ValueError
        For numbers outside their ranges.
    ImportError
        Without SciPy, unless successes is 0 or n.

    Examples
    --------
    >>> from tinyproto.prototypes.certificate import clopper_pearson
    >>> lower, upper = clopper_pearson(580, 1000)
    >>> round(lower, 4), round(upper, 4)
    (0.5487, 0.6108)
    """
    check_count("n", n)
    check_count("successes", successes, 0, n)
    require(0 < confidence < 1, "confidence must be between 0 and 1", confidence)
    tail = (1 - confidence) / 2
    if successes in (0, n):  # I_p(1, n) = 1 − (1 − p)ⁿ and I_p(n, 1) = pⁿ
        bound = tail ** (1 / n)
        return (0.0, 1 - bound) if successes == 0 else (bound, 1.0)
    require_package("scipy", "a Clopper-Pearson interval")
    from scipy.special import betaincinv

    lower = betaincinv(successes, n - successes + 1, tail)
    upper = betaincinv(successes + 1, n - successes, 1 - tail)
    return float(lower), float(upper)
