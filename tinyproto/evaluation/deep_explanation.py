"""Explaining a deep network by prototypes of its features.

A deep network computes features h and class scores from them. A ±ED-WTA network that is fitted on
the features, with the *answers* of the deep network as labels, says by positive and negative
prototypes what the answers depend on; arXiv 2008.08750 explains neurons so. Its *fidelity* is how
often it gives the answer of the deep network. A prototype is a point of the feature space and no
image: the training images whose features are nearest to it, and farthest from it, show what it
stands for. The prototypes of a `PrototypeHead`, or the weights of a `Linear` head
(`prototypes.head_vectors`), can be shown in the same way.

The settings do not depend on the scale of the features. With V = mean ‖h − h̄‖², the rule
w ← w + α β (…)(x − w), and scores β ½(‖h − w⁻‖² − ‖h − w⁺‖²), they are β = B/V, α = A/β, and for
β's own rate α_β = A_β β/V: features that are k times as large give prototypes that are, too, and
the same scores. (Beyond V = B/10⁻³ they are not: `PlusMinusEDWTA` keeps β above 10⁻³.)
"""

from typing import Any, NamedTuple

import numpy as np

from ..backend.device import Array, to_host
from ..networks import Network
from ..prototypes import PlusMinusEDWTA
from ..prototypes.validation import check_rows
from ..validation import check_count, check_labels
from .report import fraction

__all__ = [
    "Neighbours",
    "NetworkExplanation",
    "collect_features",
    "explain_network",
    "nearest_and_farthest",
]

# Chosen by the fidelity on training images that were held out.
SHARPNESS = 800.0  # B
RATE = 0.03  # A
SHARPNESS_RATE = 0.005  # A_β
DECAY = 0.9  # of all rates, after each epoch


class Neighbours(NamedTuple):
    """The images that are nearest to each prototype, and farthest from it.

    Parameters
    ----------
    nearest, farthest : array (P, k)
        Indices of images, from the nearest and from the farthest on.
    nearest_distance, farthest_distance : array (P, k)
        Their distances ‖h − w‖, in the units of the features.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.deep_explanation import nearest_and_farthest
    >>> nearest_and_farthest(np.array([[0.0], [3.0], [4.0]]), np.array([[1.0]]), 1).nearest
    array([[0]])
    """

    nearest: np.ndarray
    farthest: np.ndarray
    nearest_distance: np.ndarray
    farthest_distance: np.ndarray


class NetworkExplanation(NamedTuple):
    """What `explain_network` found; shares are fractions in [0, 1].

    Parameters
    ----------
    network : PlusMinusEDWTA
        The winner-take-all network, fitted on the features of the training images.
    fidelity : float
        How often it gives the answer of the deep network, on the test images.
    fidelity_attacked : float or None
        The same on the attacked images; None where none were given.
    accuracy : float
        How often it gives the true label of a test image.
    deep_accuracy : float
        How often the deep network does.
    answers : array (N,)
        The answers of the deep network for the training images.
    positive, negative : Neighbours
        The training images nearest to the positive and the negative prototype of each neuron, and
        farthest from it.

    Examples
    --------
    >>> from tinyproto.evaluation.deep_explanation import NetworkExplanation
    >>> NetworkExplanation._fields[1:3]
    ('fidelity', 'fidelity_attacked')
    """

    network: PlusMinusEDWTA
    fidelity: float
    fidelity_attacked: float | None
    accuracy: float
    deep_accuracy: float
    answers: np.ndarray
    positive: Neighbours
    negative: Neighbours


def collect_features(
    network: Network, x: Array, *, batch_size: int = 250
) -> tuple[np.ndarray, np.ndarray]:
    """The features of images, and the network's answers.

    Parameters
    ----------
    network : Network
        A trained network.
    x : array (N, …)
        Images, as the network takes them, on its device.
    batch_size : int
        The number of images per pass.

    Returns
    -------
    features : array (N, d)
        On the host, as `answers`.
    answers : array (N,)
        The columns of the largest scores.

    Raises
    ------
    ValueError
        For no images, and for features that are no rows of finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto import networks
    >>> from tinyproto.evaluation.deep_explanation import collect_features
    >>> features, answers = collect_features(
    ...     networks.compact_cnn(), np.zeros((3, 8, 8, 3), np.float32))
    >>> features.shape, answers.shape
    ((3, 64), (3,))
    """
    check_count("batch_size", batch_size)
    if not len(x):
        raise ValueError("features need at least one image")
    parts = []
    for start in range(0, len(x), batch_size):
        h, _ = network.features(x[start : start + batch_size])
        z, _ = network.head(h)
        parts.append((to_host(h), to_host(z.argmax(axis=1))))
    features, answers = (np.concatenate(part) for part in zip(*parts, strict=True))
    check_rows(features, "features")
    return features, answers


def nearest_and_farthest(features: Array, prototypes: Array, count: int = 8) -> Neighbours:
    """The images whose features are nearest to each prototype, and farthest from it.

    Parameters
    ----------
    features : array (N, d)
        The features of images.
    prototypes : array (P, d)
        Points of the feature space.
    count : int
        k, how many images of each kind; N at most.

    Returns
    -------
    Neighbours
        On the host. Of equal distances the lower index comes first.

    Raises
    ------
    ValueError
        For other shapes, numbers that are not finite, and a count that is not from 1 to N.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.deep_explanation import nearest_and_farthest
    >>> features = np.array([[0.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    >>> found = nearest_and_farthest(features, np.array([[0.0, 0.9]]), 2)
    >>> found.nearest.tolist(), found.farthest.tolist()
    ([[1, 0]], [[2, 0]])
    """
    h, w = check_rows(features, "features"), check_rows(prototypes, "prototypes")
    if h.shape[1] != w.shape[1]:
        raise ValueError(f"prototypes must be (P, {h.shape[1]}) as the features, not {w.shape}")
    check_count("count", count, 1, len(h))
    distance = np.stack([np.linalg.norm(h - row, axis=1) for row in w])
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :count]
    farthest = np.argsort(-distance, axis=1, kind="stable")[:, :count]
    return Neighbours(
        nearest,
        farthest,
        np.take_along_axis(distance, nearest, axis=1),
        np.take_along_axis(distance, farthest, axis=1),
    )


def explain_network(
    network: Network,
    x: Array,
    x_test: Array,
    y_test: Array,
    *,
    attacked: Array | None = None,
    prototypes_per_class: int = 1,
    epochs: int = 30,
    count: int = 8,
    batch_size: int = 250,
    seed: int = 0,
) -> NetworkExplanation:
    """Fit a ±ED-WTA network on the features of a deep network, with its answers as labels.

    Parameters
    ----------
    network : Network
        A trained network.
    x : array (N, …)
        Training images, as the network takes them, on its device; 1,000 to 5,000 are enough.
    x_test : array (M, …)
        Test images.
    y_test : array (M,)
        Their true labels, from 0.
    attacked : array (M′, …), optional
        Attacked images, for the fidelity under attack.
    prototypes_per_class : int
        The number of neurons of each class. Each class must be the answer for so many of x.
    epochs : int
        Passes over the features.
    count : int
        How many nearest and farthest images of each prototype are looked for.
    batch_size : int
        The number of images per pass through the network.
    seed : int
        The seed of k-means and of the order of the samples.

    Returns
    -------
    NetworkExplanation
        On the host.

    Raises
    ------
    ValueError
        For images that the network refuses, labels that are no classes, one answer for all training
        images, and too few training images of an answer.

    Notes
    -----
    Source: ±ED-WTA is that of arXiv 2008.08750; the settings, which do not depend on the scale of
    the features, are ours and derived in the docstring of the module. They start from the k-means
    centres of each class.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.deep_explanation import explain_network
    >>> from tinyproto.layers import Flatten, Linear
    >>> from tinyproto.networks import Network
    >>> network = Network(Flatten(), Linear(4, 3))
    >>> x = np.random.default_rng(0).random((600, 2, 2)).astype(np.float32)
    >>> y_test = network(x[500:])[0].argmax(axis=1)
    >>> found = explain_network(network, x[:500], x[500:], y_test)
    >>> found.fidelity > 0.9, found.deep_accuracy
    (True, 1.0)
    """
    check_count("count", count, 1, len(x))
    features, answers = collect_features(network, x, batch_size=batch_size)
    fitted = PlusMinusEDWTA(
        prototypes_per_class,
        epochs=epochs,
        init="kmeans",
        random_state=seed,
        **_settings(features),
    ).fit(features, answers)
    test_features, test_answers = collect_features(network, x_test, batch_size=batch_size)
    labels = to_host(check_labels(y_test, len(x_test), name="y_test"))
    given = fitted.predict(test_features)
    fidelity_attacked = None
    if attacked is not None:
        attacked_features, attacked_answers = collect_features(
            network, attacked, batch_size=batch_size
        )
        fidelity_attacked = fraction(fitted.predict(attacked_features) == attacked_answers)
    return NetworkExplanation(
        network=fitted,
        fidelity=fraction(given == test_answers),
        fidelity_attacked=fidelity_attacked,
        accuracy=fraction(given == labels),
        deep_accuracy=fraction(test_answers == labels),
        answers=answers,
        positive=nearest_and_farthest(features, fitted.positive_prototypes_, count),
        negative=nearest_and_farthest(features, fitted.negative_prototypes_, count),
    )


def _settings(features: np.ndarray) -> dict[str, Any]:
    """β, α, α_β and their decay for features (N, d)."""
    h = features.astype(np.float64)
    variance = float(((h - h.mean(axis=0)) ** 2).sum(axis=1).mean())
    variance = variance or 1.0  # equal features have one answer, which `fit` refuses
    beta = SHARPNESS / variance
    return {
        "beta": beta,
        "learning_rate": RATE / beta,
        "beta_learning_rate": SHARPNESS_RATE * beta / variance,
        "decay": DECAY,
    }
