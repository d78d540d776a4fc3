"""A border around images, which other layers than `Conv2D` need as a layer of its own."""

import math
from collections.abc import Sequence

from ..backend.device import Array, array_module
from ..parameters import Tree
from ..validation import check_count
from .base import Backward, Layer
from .checks import check_backward, check_input


class Pad2D(Layer):
    """A border of one value around images (N, H, W, C).

    dx is the part of dy inside the border.

    Parameters
    ----------
    padding : int or four of them
        Pixels on each side, or above, below, left and right.
    value : float
        The value of the border. −∞ is that of a max pooling with padding.

    Raises
    ------
    ValueError
        For a negative padding, and a value of NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import Pad2D
    >>> y, backward = Pad2D((1, 0, 2, 0), value=7.0)(np.ones((1, 1, 2, 1)))
    >>> y[0, :, :, 0]
    array([[7., 7., 7., 7.],
           [7., 7., 1., 1.]])
    >>> backward(y).shape
    (1, 1, 2, 1)
    """

    def __init__(self, padding: int | Sequence[int], value: float = 0.0):
        super().__init__()
        sides = [padding] * 4 if not isinstance(padding, Sequence) else list(padding)
        if len(sides) != 4:
            raise ValueError(f"Pad2D: padding must be one integer or four, not {padding!r}")
        if math.isnan(value):
            raise ValueError("Pad2D: value must be a number, not NaN")
        self.padding = tuple(check_count("Pad2D: padding", side, 0) for side in sides)
        self.value = float(value)

    def __repr__(self) -> str:
        value = f", value={self.value}" if self.value else ""
        same = len(set(self.padding)) == 1
        return f"{type(self).__name__}({self.padding[0] if same else self.padding}{value})"

    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Backward]:
        check_input("Pad2D", x, 4)
        xp, (above, below, left, right) = array_module(x), self.padding
        images, height, width, channels = x.shape
        shape = (images, above + height + below, left + width + right, channels)
        y = xp.full(shape, self.value, dtype=x.dtype)
        inside = slice(None), slice(above, above + height), slice(left, left + width)
        y[inside] = x

        def backward(dy: Array, grads: Tree | None = None) -> Array:
            check_backward(self, dy, shape, grads)
            return xp.ascontiguousarray(dy[inside])

        return y, backward
