"""Public functions take arrays that are not contiguous, which kernels refuse."""

import numpy as np
import pytest

from tinyproto.data.augment import crop_and_flip, elastic
from tinyproto.prototypes.kmeans import kmeans
from tinyproto.random import words


def every_second(array):
    """The same numbers, as every second element of a larger array."""
    wide = np.repeat(array, 2, axis=-1)
    return wide[..., ::2]


FUNCTIONS = {
    "k-means": (lambda x: kmeans(x, 3)[0], (20, 4)),
    "crop_and_flip": (lambda x: crop_and_flip(x, seed=0, epoch=1), (3, 8, 7, 3)),
    "elastic": (lambda x: elastic(x, seed=0, epoch=1), (3, 8, 7)),
    "words": (lambda x: words(5, x.view(np.uint32), seed=0, stream="test"), (6,)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("change", [every_second, np.asfortranarray])
def test_an_array_that_is_not_contiguous_gives_the_same(name, change):
    function, shape = FUNCTIONS[name]
    x = np.random.default_rng(0).random(shape, np.float32)
    np.testing.assert_array_equal(function(change(x)), function(x))
