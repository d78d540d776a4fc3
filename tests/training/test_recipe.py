"""What the programs that train a network choose where nothing is said."""

import pytest

from tinyproto.training import batch_and_learning_rate


@pytest.mark.parametrize(
    ("count", "given", "expected"),
    [
        (50_000, {}, (128, 0.1)),
        (5000, {}, (128, 0.1)),
        (4999, {}, (32, 0.0125)),
        (50_000, {"batch": 16}, (16, 0.0125)),
        (50_000, {"batch": 512}, (512, 0.1)),
        (64, {"batch": 128}, (128, 0.05)),
        (64, {"learning_rate": 0.3}, (32, 0.3)),
        (64, {"batch": 8, "learning_rate": 0.3}, (8, 0.3)),
    ],
)
def test_a_small_batch_takes_a_rate_in_proportion_and_few_images_half_of_it(count, given, expected):
    assert batch_and_learning_rate(count, **given) == expected
