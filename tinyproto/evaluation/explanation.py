"""Why a winner-take-all network chose a class: the two neurons that decided, pixel by pixel.

The class of an input is that of its best neuron, the winner. The margin is the winner's score minus
that of the rival, the best neuron of all other classes. The scores are sums over the features, and
so is the margin:

    EDWTA            oₖ = Σ_f −½ β (x_f − wₖf)²
    PlusMinusEDWTA   oₖ = Σ_f ½ β ((x_f − w⁻ₖf)² − (x_f − w⁺ₖf)²)
    IPWTA            oₖ = Σ_f Wₖf x_f + bₖ

The *share* of a feature is its term. The shares of all features, with the bias where there is one,
sum to the score: they are the decision itself, written out. A saliency map is not: a gradient says
how the score would change, and its products with the input sum to the score of linear networks
only.
"""

from typing import NamedTuple

import numpy as np

from ..backend.device import Array, to_host
from ..prototypes import EDWTA, IPWTA, PlusMinusEDWTA, WinnerTakeAll
from ..validation import check_shape

__all__ = ["Explanation", "explain", "score_shares"]


class Explanation(NamedTuple):
    """The decision of a winner-take-all network for N inputs of d features.

    Parameters
    ----------
    predicted : array (N,)
        The class of the winner.
    rival_class : array (N,)
        The class of the rival.
    winner, rival : array (N,)
        The best neuron of all, and the best of those of other classes.
    margin : array (N,)
        The winner's score minus the rival's, in float64: 0 or more up to the rounding of float32,
        in which the winner is found.
    shares : array (N, d)
        The share of each feature in the margin: positive where it speaks for the winner.
    bias : array (N,)
        What no feature has a share in: margin = shares.sum(axis=1) + bias. 0 but for IP-WTA.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.explanation import explain
    >>> from tinyproto.prototypes import EDWTA
    >>> x, y = np.array([[0.0, 0.5], [1.0, 0.5]]), np.array([3, 8])
    >>> found = explain(EDWTA(1, epochs=0, init="kmeans").fit(x, y), np.array([[0.25, 0.4]]))
    >>> found.predicted[0], found.rival_class[0], found.shares.round(3).tolist()
    (np.int64(3), np.int64(8), [[0.25, 0.0]])
    """

    predicted: np.ndarray
    rival_class: np.ndarray
    winner: np.ndarray
    rival: np.ndarray
    margin: np.ndarray
    shares: np.ndarray
    bias: np.ndarray


def explain(network: WinnerTakeAll, X: Array) -> Explanation:
    """The neurons that decided, and the share of each feature in the margin between them.

    Parameters
    ----------
    network : WinnerTakeAll
        A fitted network.
    X : array (N, d)
        The inputs.

    Returns
    -------
    Explanation
        On the host, in float64.

    Raises
    ------
    ValueError
        For inputs that the network does not take.

    Notes
    -----
    Source: that ±ED-WTA's decisions can be read from its prototypes is in arXiv 2008.08750; the
    exact shares follow from its score.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.explanation import explain
    >>> from tinyproto.prototypes import PlusMinusEDWTA
    >>> x, y = np.random.default_rng(0).random((40, 5)), np.arange(40) % 2
    >>> found = explain(PlusMinusEDWTA(3, epochs=1).fit(x, y), x)
    >>> bool(np.allclose(found.shares.sum(axis=1), found.margin))
    True
    """
    scores = to_host(network.neuron_scores(X))
    per_class = scores.shape[1] // len(network.classes_)
    winner = scores.argmax(axis=1)
    is_own = np.arange(scores.shape[1]) // per_class == winner[:, None] // per_class
    rival = np.where(is_own, -np.inf, scores).argmax(axis=1)
    for_winner, winner_bias = score_shares(network, X, winner)
    for_rival, rival_bias = score_shares(network, X, rival)
    shares, bias = for_winner - for_rival, winner_bias - rival_bias
    return Explanation(
        predicted=network.classes_[winner // per_class],
        rival_class=network.classes_[rival // per_class],
        winner=winner,
        rival=rival,
        margin=shares.sum(axis=1) + bias,
        shares=shares,
        bias=bias,
    )


def score_shares(network: WinnerTakeAll, X: Array, neuron: Array) -> tuple[np.ndarray, np.ndarray]:
    """What each feature adds to the score of one neuron for each input.

    Parameters
    ----------
    network : WinnerTakeAll
        A fitted network.
    X : array (N, d)
        The inputs.
    neuron : array (N,)
        The neuron whose score is shared out, for each input.

    Returns
    -------
    shares : array (N, d)
        In float64.
    bias : array (N,)
        What no feature has a share in; 0 but for IP-WTA.

    Raises
    ------
    ValueError
        For neurons that there are not, or of another number than the inputs, and inputs of another
        shape.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation.explanation import score_shares
    >>> from tinyproto.prototypes import EDWTA
    >>> x, y = np.array([[0.0, 0.5], [1.0, 0.5]]), np.array([3, 8])
    >>> network = EDWTA(1, epochs=0, init="kmeans").fit(x, y)
    >>> score_shares(network, np.array([[0.5, 0.3]]), np.array([1]))[0].round(3).tolist()
    [[-0.125, -0.02]]
    """
    x, neuron = to_host(X).astype(np.float64), to_host(neuron)
    check_shape("X", x, ("N", network.n_features_in_))
    check_shape("neuron", neuron, (len(x),))
    neurons = len(network.prototype_labels_)
    if neuron.dtype.kind not in "iu" or ((neuron < 0) | (neuron >= neurons)).any():
        raise ValueError(f"neuron must hold integers 0 … {neurons - 1}")
    none, half_beta = np.zeros(len(x)), 0.5 * network.beta_
    if isinstance(network, IPWTA):
        return x * _of(network, "weights_")[neuron], _of(network, "biases_")[neuron]
    near = (x - _of(network, "positive_prototypes_")[neuron]) ** 2
    if isinstance(network, EDWTA):
        return -half_beta * near, none
    if isinstance(network, PlusMinusEDWTA):
        far = (x - _of(network, "negative_prototypes_")[neuron]) ** 2
        return half_beta * (far - near), none
    raise ValueError(f"no shares are known for the scores of {type(network).__name__}")


def _of(network: WinnerTakeAll, name: str) -> np.ndarray:
    return to_host(getattr(network, name)).astype(np.float64)
