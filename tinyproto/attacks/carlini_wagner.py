"""The attacks of Carlini and Wagner (arXiv 1608.04644).

L2 looks for the nearest misclassified point: it minimizes, over all w,

    ‖x′ − x‖²/s² + c max(z_y(x′) − max_{k≠y} z_k(x′), −κ)        x′ = lo + s (tanh w + 1)/2

with Adam, s = hi − lo being the size of the box, of each feature in the formula for x′, the largest
of them below ‖x′ − x‖: whatever w is, x′ lies in the box. With too small a
constant c the point stays correctly classified, with too large a one it goes too far: c, one for
each example, is found by a binary search. It grows tenfold until the attack succeeds, and then the
interval is halved. By the chain rule, with m the margin (`losses.margin`),

    ∂x′/∂w = s/2 · (1 − tanh² w)        ∂/∂x′ = 2 (x′ − x)/s² − c [m < κ] ∇m.

L∞ is what papers on adversarial training report under the same name: PGD on the margin.
"""

import math

from ..backend.device import Array, array_module
from ..losses import margin
from ..validation import check_number
from .box import clip_to_box, require_finite_box, widened
from .inputs import initially_correct, validate_inputs
from .pgd import pgd
from .region import Radius, expand_like, norms
from .victim import Victim, varies

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's


def carlini_wagner(
    victim: Victim,
    x: Array,
    y: Array,
    *,
    steps: int = 1000,
    binary_search_steps: int = 9,
    learning_rate: float = 0.01,
    initial_const: float = 1e-2,
    confidence: float = 0.0,
) -> Array:
    """The nearest misclassified points in L2 that the attack of Carlini and Wagner finds.

    Parameters
    ----------
    victim : Victim
        The model under attack.
    x : array (N, …)
        Examples in [victim.lo, victim.hi].
    y : array (N,)
        Labels: columns of the scores z.
    steps : int
        The number of steps of Adam for each value of c.
    binary_search_steps : int
        The number of values of c.
    learning_rate : float
        Of Adam.
    initial_const : float
        The first value of c.
    confidence : float
        κ, by how much the largest wrong score has to exceed the score of the label.

    Returns
    -------
    array (N, …)
        The points, in the box but at any distance; x itself where none was found, or where it is
        misclassified to begin with. The attack is deterministic.

    Raises
    ------
    ValueError
        As `pgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, carlini_wagner
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.6, 0.5]]), np.array([0])
    >>> found = carlini_wagner(victim, x, y, steps=100, initial_const=1.0)
    >>> victim(found)[0].argmax(axis=1)
    array([1])
    >>> float(np.linalg.norm(found - x).round(2))  # the exact distance is 0.1 / √2
    0.07
    """
    x, y, *_ = validate_inputs(
        victim, x, y, None, 0.0, "l2", steps=steps, binary_search_steps=binary_search_steps
    )
    check_number("learning_rate", learning_rate, zero=False)
    check_number("initial_const", initial_const, zero=False)
    check_number("confidence", confidence)
    require_finite_box(victim, "the tanh of Carlini and Wagner")
    xp = array_module(x)
    adversarial, remaining, _ = initially_correct(victim, x, y)
    if len(remaining) == 0:
        return adversarial
    examples, labels = x[remaining], y[remaining]
    clean = examples.astype(xp.float64)
    lo, hi = victim.lo, victim.hi
    if varies(lo, hi):
        lo, hi = widened(clean, lo, hi)
    half, middle = (hi - lo) / 2, (hi + lo) / 2
    divisor = xp.where(half > 0, half, 1.0) if varies(half) else half
    w_start = xp.arctanh(xp.clip((clean - middle) / divisor, -1, 1) * (1 - 1e-6))
    lower, upper = xp.zeros(len(remaining)), xp.full(len(remaining), math.inf)
    c = xp.full(len(remaining), float(initial_const))
    best, best_distance = examples.copy(), xp.full(len(remaining), math.inf)
    for _ in range(binary_search_steps):
        w, first_moment, second_moment = w_start, 0.0, 0.0
        succeeded = xp.zeros(len(remaining), dtype=bool)
        for step in range(1, steps + 1):
            tanh = xp.tanh(w)
            exact = middle + half * tanh
            point = clip_to_box(exact, examples, victim.lo, victim.hi)
            z, backward = victim(point)
            value, dz = margin(z, labels)
            wrong = (z.argmax(axis=1) != labels) & (value >= confidence)
            succeeded |= wrong
            distance = norms(point - clean)
            nearer = wrong & (distance < best_distance)
            best[nearer], best_distance[nearer] = point[nearer], distance[nearer]
            margin_term = expand_like(c * (value < confidence), x) * backward(dz)
            away = (exact - clean) / (victim.width**2 / 2)
            gradient = (away - margin_term) * half * (1 - tanh**2)
            first_moment = BETA_1 * first_moment + (1 - BETA_1) * gradient
            second_moment = BETA_2 * second_moment + (1 - BETA_2) * gradient**2
            scale = learning_rate * math.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)
            w = w - scale * first_moment / (xp.sqrt(second_moment) + EPSILON)
        upper = xp.where(succeeded, c, upper)
        lower = xp.where(succeeded, lower, c)
        c = xp.where(upper < math.inf, (lower + upper) / 2, c * 10)
    adversarial[remaining] = best
    return adversarial


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
    """PGD on the margin in the L∞ ball of radius eps.

    Parameters
    ----------
    victim, x, y, eps, steps, step_size, restarts, seed, index
        As in `pgd`.

    Returns
    -------
    array (N, …)
        As `pgd` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim, carlini_wagner_linf
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> found = carlini_wagner_linf(victim, np.array([[0.6, 0.5]]), np.array([0]), eps=0.125)
    >>> victim(found)[0].argmax(axis=1)
    array([1])
    """
    return pgd(
        victim, x, y, eps=eps, steps=steps, step_size=step_size, restarts=restarts, loss=margin,
        seed=seed, index=index,
    )  # fmt: skip
