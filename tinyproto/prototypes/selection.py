"""How many prototypes a class needs, chosen by held-out samples.

More prototypes fit the training samples better, so the accuracy there cannot choose K, the number
of prototypes of a class. `select_prototypes_per_class` trains the network once for each candidate
on one part of the samples, and measures the accuracy p on the n samples held out, whose standard
error is √(p(1 − p)/n).

Accuracies that differ by less than that are not told apart by these samples. Hence the
*one-standard-error rule* (Breiman, Friedman, Olshen and Stone, "Classification and Regression
Trees", 1984, section 3.4.3; Hastie, Tibshirani and Friedman, "The Elements of Statistical
Learning", 2009, section 7.10): the smallest K whose accuracy is within one standard error of the
best one's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backend.device import Array, array_module, to_host
from ..random import permutation
from ..validation import check_count, check_number
from .base import WinnerTakeAll
from .validation import check_samples, encode_targets


@dataclass(frozen=True)
class Selection:
    """What `select_prototypes_per_class` found.

    Parameters
    ----------
    prototypes_per_class : int
        The chosen K.
    candidates : tuple of int
        The candidates, in ascending order.
    accuracies : tuple of float
        The accuracy of each on the samples held out, in [0, 1].
    standard_errors : tuple of float
        √(p(1 − p)/n) of each.

    Examples
    --------
    >>> from tinyproto.prototypes import Selection
    >>> Selection(2, (1, 2, 4), (0.90, 0.95, 0.96), (0.02, 0.015, 0.014)).prototypes_per_class
    2
    """

    prototypes_per_class: int
    candidates: tuple[int, ...]
    accuracies: tuple[float, ...]
    standard_errors: tuple[float, ...]


def select_prototypes_per_class(
    network: WinnerTakeAll,
    X: Array,
    y: Array,
    candidates: Sequence[int] = (1, 2, 4, 6, 10, 20),
    *,
    held_out: float = 0.2,
    seed: int = 0,
) -> Selection:
    """Choose K, the number of prototypes of a class, by the one-standard-error rule.

    Parameters
    ----------
    network : IPWTA, EDWTA or PlusMinusEDWTA
        Its parameters, except `prototypes_per_class`, are those of the networks that are trained.
        It is not changed: fit the network of your choice on all samples afterwards.
    X : array (N, d)
        The samples.
    y : array (N,)
        Their labels.
    candidates : sequence of int
        The values of K to try.
    held_out : float, default 0.2
        The fraction of each class's samples that is held out, above 0 and below 1; of every class
        at least one sample is held out and one is not.
    seed : int, default 0
        Of the split; that of the training is the network's `random_state`.

    Returns
    -------
    Selection
        The chosen K, and the accuracy of each candidate with its standard error.

    Raises
    ------
    ValueError
        For no candidates, one that is below 1 or no integer, a fraction out of range, a class with
        fewer than two samples, and whatever `fit` refuses.

    Examples
    --------
    Two clusters in each class:

    >>> import numpy as np
    >>> from tinyproto.prototypes import EDWTA, select_prototypes_per_class
    >>> corner = np.arange(200) % 4
    >>> x = np.random.default_rng(0).normal(size=(200, 2)) * 0.1
    >>> x += np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])[corner]
    >>> network = EDWTA(epochs=5, init="kmeans")
    >>> found = select_prototypes_per_class(network, x, corner % 2, (1, 2, 3))
    >>> found.prototypes_per_class, found.accuracies[1]
    (2, 1.0)
    """
    if not len(candidates):
        raise ValueError("candidates must hold at least one number of prototypes, but it is empty")
    for candidate in candidates:
        check_count("candidates", candidate, 1)
    if not 0 < check_number("held_out", held_out, zero=False) < 1:
        raise ValueError(f"held_out must be above 0 and below 1, not {held_out!r}")
    check_count("seed", seed, 0, (1 << 32) - 1)
    x = check_samples(X)
    classes, label = encode_targets(y, len(x))
    tested = stratified_split(label, held_out, seed)
    for c, name in enumerate(classes):
        if (label == c).sum() < 2:
            raise ValueError(f"class {name} has one sample, too few to hold one out")
    ordered = tuple(sorted({int(candidate) for candidate in candidates}))
    in_test = array_module(x).asarray(tested)
    accuracies = []
    for candidate in ordered:
        parameters = {**network.get_params(), "prototypes_per_class": candidate}
        fitted = type(network)(**parameters).fit(x[~in_test], classes[label[~tested]])
        accuracies.append(fitted.score(x[in_test], classes[label[tested]]))
    chosen, errors = choose(ordered, accuracies, int(tested.sum()))
    return Selection(chosen, ordered, tuple(accuracies), errors)


def choose(
    candidates: Sequence[int], accuracies: Sequence[float], samples: int
) -> tuple[int, tuple[float, ...]]:
    """The first candidate within one standard error of the best accuracy, and all standard errors
    of accuracies that were measured on so many samples."""
    errors = tuple(math.sqrt(p * (1 - p) / samples) for p in accuracies)
    best = int(np.argmax(accuracies))
    within = np.asarray(accuracies) >= accuracies[best] - errors[best]
    return candidates[int(within.argmax())], errors


def stratified_split(label: np.ndarray, held_out: float, seed: int) -> np.ndarray:
    """Which samples are held out: (N,) bool, the same fraction of each class, rounded, but at least
    one and not all. `label` (N,) holds the classes from 0."""
    tested = np.zeros(len(label), dtype=bool)
    for c in range(int(label.max()) + 1):
        members = np.flatnonzero(label == c)
        count = min(max(round(held_out * len(members)), 1), len(members) - 1)
        order = permutation(len(members), seed=seed, stream="held out", epoch=c)
        tested[members[to_host(order)[: max(count, 0)]]] = True
    return tested
