"""Neurons that win nothing, and how they are put to use again.

The neurons of a class compete for its samples: τₖ, the part of a sample that neuron k gets, is the
softmax of the scores of that class (see `base.py`). A neuron whose score is never the largest of
its class gets nearly nothing, hardly moves, and stays as it is: it is *dead*, and the network has
one neuron less than it pays for.

`revive` puts a dead neuron beside the busiest neuron k of its class, the one that wins the most
samples, and splits these samples between the two, as Linde, Buzo and Gray (1980) split a code
vector. Let m be their mean, and u a unit vector. Both neurons get k's parameters, moved apart:

    IPWTA             W = Wₖ ± εu, b = bₖ ∓ εu·m          score oₖ ± εu·(x − m)
    EDWTA             w = wₖ ± εu                         score oₖ ± βεu·(x − wₖ) − ½βε²
    PlusMinusEDWTA    w⁺ = w⁺ₖ ± εu, w⁻ = w⁻ₖ             the same, with w⁺ₖ for wₖ

The second line follows from −½‖x − w ∓ εu‖² = −½‖x − w‖² ± εu·(x − w) − ½ε². (Moving w⁻ by the same
±εu would leave A = β(w⁺ − w⁻) as it is and change b alone: one of the two neurons would win
everywhere, the other would still be dead.) So the plane between the two goes through m for IP-WTA,
and through the prototype for the others. It has samples on both sides if it goes through m, too,
hence u is the direction in which the samples spread most, among those that are orthogonal to m − wₖ
where there is a prototype. With σ the standard deviation of the samples along u, ε = 0.1 σ: scores,
and so predictions, change little, and the two neurons are trained apart. Samples on one line
through the prototype, such as those with one feature, have no such direction and are not split.
"""

import numpy as np

from ..backend.device import Array, to_host
from .base import WinnerTakeAll
from .validation import LEARNED, check_samples, encode_targets
from .winner_take_all import IPWTA

RELATIVE_STEP = 0.1  # ε / σ
POWER_ITERATIONS = 20  # the direction need not be exact


def count_wins(network: WinnerTakeAll, X: Array, y: Array | None = None) -> np.ndarray:
    """How many samples each neuron wins.

    Parameters
    ----------
    network : WinnerTakeAll
        A fitted network.
    X : array (N, d)
        The samples.
    y : array (N,), optional
        Their labels. With labels, a sample is won by a neuron of its own class: the one with the
        largest score among these. Without, by the neuron with the largest score of all.

    Returns
    -------
    array (C K,)
        The number of samples, int64. Of equal scores the first neuron wins.

    Raises
    ------
    ValueError
        If the network is not fitted, for samples or labels that it refuses, and for a label that is
        not one of its classes.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA, count_wins
    >>> x = np.array([[0.0], [0.1], [5.0], [9.0]])
    >>> y = np.array([0, 0, 0, 1])
    >>> network = EDWTA(prototypes_per_class=1, epochs=0, init="class-mean").fit(x, y)
    >>> count_wins(network, x), count_wins(network, x, y)
    (array([3, 1]), array([3, 1]))
    """
    score = to_host(network.neuron_scores(X))
    if y is None:
        winner = score.argmax(axis=1)
    else:
        _, label = encode_targets(y, len(score), network.classes_)
        own = score.reshape(len(score), len(network.classes_), -1)[np.arange(len(score)), label]
        winner = label * own.shape[1] + own.argmax(axis=1)
    return np.bincount(winner, minlength=score.shape[1])


def dead_neurons(network: WinnerTakeAll, X: Array, y: Array) -> np.ndarray:
    """The neurons that win no sample of their own class.

    Parameters
    ----------
    network : WinnerTakeAll
        A fitted network.
    X : array (N, d)
        Samples, with some of each class: the training data.
    y : array (N,)
        Their labels.

    Returns
    -------
    array (dead neurons,)
        Their positions among the C K neurons, in ascending order: those k with
        `count_wins(network, X, y)[k] == 0`.

    Raises
    ------
    ValueError
        As `count_wins`, and for a class without samples, of which nothing could be said.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA, dead_neurons
    >>> x, y = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 4.0], [5.0, 4.0]]), np.array([0, 0, 1, 1])
    >>> network = EDWTA(prototypes_per_class=2, epochs=0, init="kmeans").fit(x, y)
    >>> dead_neurons(network, x, y)
    array([], dtype=int64)
    >>> network.positive_prototypes_[2] = 100
    >>> dead_neurons(network, x, y)
    array([2])
    """
    wins = count_wins(network, X, y)
    _check_every_class(network, wins)
    return np.flatnonzero(wins == 0)


def revive(network: WinnerTakeAll, X: Array, y: Array) -> np.ndarray:
    """Move the dead neurons of each class beside the busiest neuron of the class.

    Best called between two calls of `partial_fit`, which train the two neurons apart. Of several
    dead neurons of a class, each splits the neuron that is the busiest when its turn comes. A split
    after which the class would have no fewer dead neurons is not made; the next busiest neuron is
    tried then. All other neurons keep their parameters, and a network without dead neurons all.

    Parameters
    ----------
    network : WinnerTakeAll
        A fitted network, which is changed.
    X : array (N, d)
        Samples, with some of each class: the training data.
    y : array (N,)
        Their labels.

    Returns
    -------
    array (revived neurons,)
        Those of `dead_neurons` that were moved, in ascending order. Nothing is random.

    Raises
    ------
    ValueError
        As `dead_neurons`; the network is unchanged then.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA, dead_neurons, revive
    >>> random = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> x = random.normal(size=(40, 3)) + 4 * y[:, None]
    >>> network = EDWTA(prototypes_per_class=2, epochs=0, init="kmeans").fit(x, y)
    >>> network.positive_prototypes_[2] = 100
    >>> revive(network, x, y), dead_neurons(network, x, y)
    (array([2]), array([], dtype=int64))
    """
    dead = dead_neurons(network, X, y)
    x = to_host(check_samples(X))
    _, label = encode_targets(y, len(x), network.classes_)
    revived = [
        k
        for c in np.unique(dead // network._per_class).tolist()
        for k in _revive_class(network, c, x[label == c].astype(np.float64))
    ]
    return np.array(revived, dtype=np.int64)


def _check_every_class(network: WinnerTakeAll, wins: np.ndarray) -> None:
    empty = wins.reshape(len(network.classes_), -1).sum(axis=1) == 0
    if empty.any():
        raise ValueError(f"y holds no sample of class {network.classes_[empty.argmax()]}")


def _revive_class(network: WinnerTakeAll, c: int, own: np.ndarray) -> list[int]:
    """The neurons of class c that were revived, from its samples `own` (n, d)."""
    first, revived = c * network._per_class, []
    A, b = (array[first : first + network._per_class] for array in network.linear())
    score = own @ A.T + b
    for dead in range(network._per_class):
        wins = _wins(score)
        if wins[dead]:
            continue
        busiest = np.argsort(-wins, kind="stable")[: np.count_nonzero(wins)]
        if not any(_split(network, first, int(k), dead, own, score) for k in busiest):
            break  # nothing has changed: another dead neuron would not do better
        revived.append(first + dead)
    return revived


def _wins(score: np.ndarray) -> np.ndarray:
    return np.bincount(score.argmax(axis=1), minlength=score.shape[1])


def _split(
    network: WinnerTakeAll, first: int, busiest: int, dead: int, own: np.ndarray, score: np.ndarray
) -> bool:
    """Split neuron `busiest` between itself and neuron `dead`, both counted from `first`, the first
    of their class. The scores (n, K) of its samples `own` (n, d) are kept up to date. False, and
    nothing has changed, where that leaves as many dead neurons."""
    pair = [busiest, dead]
    rows = [first + busiest, first + dead]
    won = own[score.argmax(axis=1) == busiest]
    mean, inner = won.mean(axis=0), isinstance(network, IPWTA)
    moved = "weights_" if inner else "positive_prototypes_"
    orthogonal = None if inner else mean - to_host(vars(network)[moved][rows[0]])
    step = _step(won - mean, orthogonal)

    arrays = {name: a for name, a in vars(network).items() if name in LEARNED and name != "_beta"}
    before = {name: a[rows].copy() for name, a in arrays.items()}
    shifts = {moved: step, "biases_": -step @ mean}
    for name in before:
        shift = np.asarray(shifts.get(name, 0.0)) + np.zeros(before[name].shape[1:])
        for neuron, sign in zip(rows, (1, -1), strict=True):
            row = to_host(before[name][0]).astype(np.float64) + sign * shift
            arrays[name][neuron] = network._xp.asarray(row, dtype=arrays[name].dtype)
    A, b = (array[rows] for array in network.linear())
    changed = score.copy()
    changed[:, pair] = own @ A.T + b
    if np.count_nonzero(_wins(changed)) > np.count_nonzero(_wins(score)):
        score[...] = changed
        return True
    for name, values in before.items():
        arrays[name][rows] = values
    return False


def _step(deviations: np.ndarray, orthogonal: np.ndarray | None) -> np.ndarray:
    """εu (d,) for samples (n, d) about their mean, by power iteration; 0 where they do not spread
    in any direction orthogonal to the one given."""
    if orthogonal is not None and (norm := np.linalg.norm(orthogonal)) > 0:
        unit = orthogonal / norm
        deviations = deviations - np.outer(deviations @ unit, unit)
    squares = (deviations**2).sum(axis=1)
    u = deviations[squares.argmax()]
    for _ in range(POWER_ITERATIONS):
        if (norm := np.linalg.norm(u)) == 0:
            return np.zeros_like(u)
        u = (u / norm @ deviations.T) @ deviations
    u /= np.linalg.norm(u)
    return RELATIVE_STEP * float(np.sqrt(((deviations @ u) ** 2).mean())) * u
