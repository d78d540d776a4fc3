"""A network: features and a head."""

import copy
from types import ModuleType
from typing import Any

import numpy as np

from .. import layers, parameters
from ..backend.device import Array
from ..gradients import check_gradient_tree
from ..layers import Backward, Layer, Sequential
from ..layers.checks import check_branches
from ..parameters import Tree
from ..prototypes.dpnp import PrototypeHead
from .summary import summarize


class Network(Layer):
    """Class scores z (N, classes) of images x: `features`, and then `head`.

    In eval mode it is a model that can be attacked: `Victim(network)`.

    Parameters
    ----------
    features : Layer
        x ↦ h (N, feature_width).
    head : Layer
        h ↦ z, for example `Linear` or `PrototypeHead`.
    settings : dict, optional
        The builder ("kind") and its arguments, which `save` writes and `from_settings` reads.

    Attributes
    ----------
    params : dict
        "features" and "head".

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Flatten, Linear
    >>> from tinyproto.networks import Network
    >>> network = Network(Flatten(), Linear(4 * 4 * 3, 10))
    >>> z, backward = network(np.zeros((2, 4, 4, 3), np.float32))
    >>> z.shape, backward(z).shape
    ((2, 10), (2, 4, 4, 3))
    >>> network
    Network(490 parameters)
    """

    def __init__(self, features: Layer, head: Layer, settings: dict[str, Any] | None = None):
        self.features, self.head = features, head
        self.settings = settings or {}
        self.params = {"features": features.params, "head": head.params}

    def __repr__(self) -> str:
        numbers = f"{parameters.count(self.params):,} parameters"
        about = self.settings.get("kind"), self.settings.get("classes")
        known = f"{about[0]}, {about[1]} classes, " if all(about) else ""
        return f"{type(self).__name__}({known}{numbers})"

    def summary(self, input_shape: tuple[int, ...] = (32, 32, 3)) -> str:
        """The layers, the shapes of their outputs and the numbers of their parameters, as a table.

        Parameters
        ----------
        input_shape : tuple of int
            The shape of one image. One image of zeros is passed through the network.

        Returns
        -------
        str
            To be printed; an interactive session shows it as `print` does.

        Raises
        ------
        ValueError
            For a shape that the network cannot take.

        Examples
        --------
        >>> from tinyproto.layers import Flatten, Linear
        >>> from tinyproto.networks import Network
        >>> network = Network(Flatten(), Linear(4 * 4 * 3, 10))
        >>> print(network.summary((4, 4, 3)))
        Network(490 parameters)
        ----------------------------------------
        layer           output        parameters
        ----------------------------------------
        input           (N, 4, 4, 3)
        Flatten()       (N, 48)
        Linear(48, 10)  (N, 10)              490
        ----------------------------------------
        total                                490
        """
        parts = Sequential(self.features, self.head)
        return summarize(parts, repr(self), input_shape)

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        check_branches(self, {"features": self.features, "head": self.head})
        h, features = self.features(x, train)
        z, head = self.head(h, train)

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            if grads:
                check_gradient_tree(self.params, grads)
            grads = grads or {}
            return features(head(dy, grads.get("head")), grads.get("features"))

        return z, backward

    def project(self) -> None:
        """Put the prototypes of the head, if it has any, back on their sphere: after each step of
        an optimizer."""
        if isinstance(self.head, PrototypeHead):
            self.head.project()

    def folded(self) -> "Network":
        """The copy that `tinyproto.layers.fold` makes; of a subclass with a pass of its own, one in
        which nothing is folded."""
        if type(self).__call__ is not Network.__call__:
            return copy.deepcopy(self)
        return Network(layers.fold(self.features), layers.fold(self.head))

    def to(self, xp: ModuleType = np, dtype: Any = None) -> "Network":
        """Move the parameters to an array module (NumPy or CuPy) and a dtype, in place; returns the
        network."""
        parameters.convert(self.params, xp, dtype)
        return self


def fold(network: Network) -> Network:
    """Copy a network for eval mode, with each BatchNorm folded into the convolution before it.

    Parameters
    ----------
    network : Network

    Returns
    -------
    Network
        It gives the same scores up to rounding, faster. It does not follow further training of
        `network`, is not meant to be trained, and cannot be saved. See `tinyproto.layers.fold`.

    Raises
    ------
    ValueError
        For what is no network; `tinyproto.layers.fold` folds any layer.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto import networks
    >>> network = networks.compact_cnn()
    >>> x = np.zeros((2, 8, 8, 3), np.float32)
    >>> z, _ = networks.fold(network)(x)
    >>> bool(np.allclose(z, network(x)[0], atol=1e-4))
    True
    """
    if not isinstance(network, Network):
        kind = type(network).__name__
        raise ValueError(f"network must be a Network, not {kind}; layers.fold folds any layer")
    return network.folded()
