"""Random parameters and inputs at which a gradient shows: no term is 0, and no kink is near."""

from typing import Any

import numpy as np

from .. import parameters
from ..networks import Network

__all__ = ["randomize", "spaced"]


def randomize(layer: Any, random: np.random.Generator, dtype: Any = np.float64) -> Any:
    """Give every parameter of a layer random values, so that no term of a gradient is 0 because of
    an initial value.

    Parameters
    ----------
    layer : Layer
        Its parameters are changed in place; a network is projected onto its constraints after that.
    random : numpy.random.Generator
        Where the values come from.
    dtype : dtype
        float32 or float64, of the parameters afterwards.

    Returns
    -------
    Layer
        The layer itself.

    Notes
    -----
    Weights are normal with the variance 1/fan-in, scales in ±[0.5, 1.5], running variances in
    [0.5, 2], everything else normal with the standard deviation 1/2.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.layers import BatchNorm
    >>> from tinyproto.testing import randomize
    >>> layer = randomize(BatchNorm(2), np.random.default_rng(0))
    >>> bool((layer.params["running_variance"] != 1).all())
    True
    """
    for path, leaf in parameters.leaves(layer.params):
        name = path.rpartition("/")[2]
        if name == "running_variance":
            leaf[...] = random.uniform(0.5, 2, leaf.shape)
        elif name == "scale":
            leaf[...] = random.uniform(0.5, 1.5, leaf.shape) * random.choice([-1, 1], leaf.shape)
        elif name == "weight":
            leaf[...] = random.normal(size=leaf.shape) / np.sqrt(leaf[..., 0].size)
        else:
            leaf[...] = random.normal(size=leaf.shape) / 2
    parameters.convert(layer.params, dtype=dtype)
    if isinstance(layer, Network):
        layer.project()
    return layer


def spaced(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw an input without kinks: n values in ±2.5, in random order, no two of them near each
    other and none near 0.

    Parameters
    ----------
    random : numpy.random.Generator
        Where the order comes from.
    shape : tuple of int
        The shape of the array, of n numbers.

    Returns
    -------
    array
        In float64, at least 3 / n apart and 1.5 / n from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.testing import spaced
    >>> np.round(np.sort(spaced(np.random.default_rng(0), (4,))), 1)
    array([-1.5, -0.5,  0.4,  1.4])
    """
    n = int(np.prod(shape))
    levels = np.arange(n) - (n - 1) // 2 + random.uniform(-0.1, 0.1, n) - 0.5
    sign = random.choice([-1, 1]) if n % 2 else 1  # an odd number of levels is not symmetric
    return sign * random.permutation(4 * levels / max(n, 1)).reshape(shape)
