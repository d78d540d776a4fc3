"""The mean of a layer over an image and its horizontal flip."""

from ..backend.device import Array, array_module
from ..parameters import Tree
from .base import Backward, Layer
from .checks import check_backward, check_input, refuse_branch
from .containers import check_layers, nested


class FlipAverage(Layer):
    """y = ½ (body(x) + body(flip(x))), where flip mirrors images left to right, for x (N, H, W, C).

    An image and its flip have the same y. There is one set of weights, through which both go, in
    one pass of 2 N images: in training, BatchNorm takes its statistics over both.

    Parameters
    ----------
    body : Layer
        It gives rows (N, features), which have no left and right.

    Attributes
    ----------
    params : dict
        Those of the body: its weights can be loaded with or without the average.

    Raises
    ------
    ValueError
        When called, for x that is no batch of images, and where the body does not give rows.

    Notes
    -----
    flip is linear and its own transpose. With J and J′ the Jacobians of the body at x and at
    flip(x), the chain rule gives

        dx = ½ Jᵀ dy + ½ flip(J′ᵀ dy).

    A gradient of a parameter is the sum of those of the two halves, each for ½ dy. Such
    test-time augmentation is that of Krizhevsky, Sutskever and Hinton (ImageNet classification with
    deep convolutional neural networks, 2012, section 4.1); here it is part of the network, so that
    an attack sees its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import FlipAverage, Flatten
    >>> x = np.array([[1.0, 2.0], [3.0, 7.0]]).reshape(1, 2, 2, 1)
    >>> y, backward = FlipAverage(Flatten())(x)
    >>> y
    array([[1.5, 1.5, 5. , 5. ]])
    >>> backward(np.array([[1.0, 0.0, 0.0, 0.0]])).ravel()
    array([0.5, 0.5, 0. , 0. ])
    """

    def __init__(self, body: Layer):
        check_layers("FlipAverage", body)
        self.body = body
        self.params = body.params

    def __repr__(self) -> str:
        return nested(self, {"body": self.body})

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        check_input("FlipAverage", x, 4)
        if self.params is not self.body.params:
            refuse_branch(self)
        xp, n = array_module(x), len(x)
        both, body = self.body(xp.concatenate([x, _flip(x)]), train)
        if both.ndim != 2:
            raise ValueError(f"FlipAverage: body must give rows (N, features), not {both.shape}")
        y = (both[:n] + both[n:]) / 2

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, y.shape, grads)
            half = dy / 2
            dx = body(xp.concatenate([half, half]), grads)
            return dx[:n] + _flip(dx[n:])

        return y, backward


def _flip(x: Array) -> Array:
    """Images (N, H, W, C), mirrored left to right."""
    return x[:, :, ::-1]
