"""Outlier scores of a network with features, and their gradients at the features.

A network has features h (N, d) and class scores z = W h + b, whose rows w_j are the class
prototypes of a `PrototypeHead` (then b = 0) or the weights of a `Linear` head. Each score depends
on the answer m, the class that is taken to be the network's: the largest z, or for an attacker the
class that is to be the largest. With ĥ = h/‖h‖, ŵ = w_m/‖w_m‖ and k = argmax_{j≠m} z_j, for a fixed
m the scores and their gradients at h are

    distance   s = ‖h − w_m‖           ∇s = (h − w_m)/‖h − w_m‖, and 0 at the prototype
    angle      s = arccos(ĥ·ŵ)         ∇s = −t/(‖t‖ ‖h‖)      t = ŵ − (ĥ·ŵ) ĥ
    margin     s = z_k − z_m           ∇s = w_k − w_m
    energy     s = −log Σ_j e^{z_j}    ∇s = −Σ_j p_j w_j      p = softmax(z)

The angle, in radians, is computed as atan2(‖t‖, ĥ·ŵ), which is exact where it is small: ‖t‖ is its
sine. Its gradient follows from ∂(ĥ·ŵ)/∂h = t/‖h‖ and d arccos(u) = −du/√(1 − u²); it is 0 where h
points along w_m, and where h = 0 the angle is taken to be π/2. The energy (Liu and others, 2020,
arXiv 2010.03759) is the same for every answer. If m wins, the margin is minus the lead of the
largest score; otherwise it is 0 or more.

A ±ED-WTA network that was fitted on the features, with the network's answers as labels, offers more
scores: those of its `Detector`, for the neuron of class m with the largest score. Its margin is 0
or more where it disagrees with the network.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ...backend.device import Array, array_module, to_device, to_host
from ...layers import Backward, Layer, Linear
from ...layers.linear import rowwise
from ..dpnp import PrototypeHead
from .detector import Detector
from .scores import neuron_scores

FEATURE_SCORES = ("distance", "angle", "margin", "energy")

FeatureScore = Callable[[Array, Array], tuple[Array, Array]]
"""score(h, answer): the score (N,) of features h (N, d) for an answer (N,), and its gradient at h
(N, d), both in float64."""


class FeatureNetwork(Protocol):
    """A network in two parts, as `tinyproto.networks.Network` is."""

    features: Layer
    head: Layer

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        """The class scores, and the backward pass."""


def head_vectors(head: Layer) -> tuple[Array, Array]:
    """The vectors of a head: W (C, d) and b (C,), with z = W h + b.

    Parameters
    ----------
    head : PrototypeHead or Linear
        The last layer of a network.

    Returns
    -------
    vectors : array (C, d)
        The class prototypes, or the weights of each class, in float64.
    bias : array (C,)
        0 for prototypes.

    Raises
    ------
    ValueError
        For another layer.

    Examples
    --------
    >>> from tinyproto.prototypes import PrototypeHead, head_vectors
    >>> vectors, bias = head_vectors(PrototypeHead(features=4, classes=3))
    >>> vectors.shape, bias.tolist()
    ((3, 4), [0.0, 0.0, 0.0])
    """
    if isinstance(head, PrototypeHead):
        vectors, bias = head.params["prototypes"], None
    elif isinstance(head, Linear):
        vectors, bias = head.params["weight"].T, head.params.get("bias")
    else:
        raise ValueError(f"the head must be a PrototypeHead or Linear, not {type(head).__name__}")
    xp = array_module(vectors)
    bias = xp.zeros(len(vectors)) if bias is None else bias.astype(xp.float64)
    return xp.ascontiguousarray(vectors, dtype=xp.float64), bias


def head_score(kind: str, head: Layer) -> FeatureScore:
    """One of `FEATURE_SCORES` for a head."""
    w, b = head_vectors(head)
    xp = array_module(w)

    def distance(h: Array, answer: Array) -> tuple[Array, Array]:
        difference = h - w[answer]
        length = _length(difference)
        return length[:, 0], difference / _not_zero(length)

    def angle(h: Array, answer: Array) -> tuple[Array, Array]:
        size, own = _length(h), w[answer]
        unit = h / _not_zero(size)  # w needs no unit length: atan2 takes a ratio
        cosine = (unit * own).sum(axis=1, keepdims=True)
        across = own - cosine * unit
        sine = _length(across)
        slope = -across / (_not_zero(sine) * _not_zero(size))
        return xp.arctan2(sine, cosine)[:, 0], xp.where(size > 0, slope, 0.0)

    def margin(h: Array, answer: Array) -> tuple[Array, Array]:
        z, rows = rowwise(h, w.T) + b, xp.arange(len(h))
        own = z[rows, answer]
        z[rows, answer] = -xp.inf
        rival = z.argmax(axis=1)
        return z[rows, rival] - own, w[rival] - w[answer]

    def energy(h: Array, answer: Array) -> tuple[Array, Array]:
        z = rowwise(h, w.T) + b
        largest = z.max(axis=1, keepdims=True)
        p = xp.exp(z - largest)
        total = p.sum(axis=1, keepdims=True)
        return -(largest + xp.log(total))[:, 0], -rowwise(p / total, w)

    scores: dict[str, FeatureScore] = {
        "distance": distance, "angle": angle, "margin": margin, "energy": energy,
    }  # fmt: skip

    def score(h: Array, answer: Array) -> tuple[Array, Array]:
        return scores[kind](h.astype(xp.float64), answer)

    return score


def winner_take_all_score(detector: Detector) -> FeatureScore:
    """The score of a detector that was calibrated on features, for the best neuron of a class."""
    network = detector.network_
    per_class = network._per_class

    def score(h: Array, answer: Array) -> tuple[Array, Array]:
        xp, found = array_module(h), to_host(h)
        o = neuron_scores(network, found)
        by_class = o.reshape(len(o), -1, per_class)
        own = np.searchsorted(network.classes_, to_host(answer))
        neuron = own * per_class + by_class[np.arange(len(o)), own].argmax(axis=1)
        values = detector.score(found, neuron), detector.score_gradient(found, neuron)
        return to_device(values[0], xp), to_device(values[1], xp)

    return score


def _length(vectors: Array) -> Array:
    """‖v‖ (N, 1) of vectors (N, d)."""
    length: Array = array_module(vectors).sqrt((vectors**2).sum(axis=1, keepdims=True))
    return length


def _not_zero(length: Array) -> Array:
    """Lengths to divide by: 1 for 0."""
    return array_module(length).where(length > 0, length, 1.0)
