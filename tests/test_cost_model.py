"""The cost model: what is known without it, at its ends."""

import math

import cost_model
import pytest
from cost_model import Cost, Link

COST = Cost(
    forward=0.004, backward=0.004, fixed=0.1, image=0.05, sum=0.01, task=0.0, network=40_000_000,
    exchanges=80, exchanged=100_000,
)  # fmt: skip
FREE = Link(0.0, math.inf)


def test_one_worker_exchanges_nothing():
    seconds, exchange = cost_model.step_seconds(COST, Link(1.0, 1.0), 1, 128)
    assert (seconds, exchange) == (pytest.approx(0.1 + 128 * 0.05), 0.0)


def test_a_step_of_two_ranks_by_hand():
    link = Link(1e-3, 1e9)
    seconds, exchange = cost_model.step_seconds(COST, link, 2, 128)
    assert exchange == pytest.approx(2 * (1e-3 + 0.02) + 0.01 + 80 * 1e-3 + 1e-4)
    assert seconds == pytest.approx(0.1 + 64 * 0.05 + exchange)


def test_a_free_network_leaves_whole_batches_only():
    """One image a batch, and all of it is shared out."""
    alone = cost_model.autoattack_seconds(COST, FREE, 1, 1)
    for workers in (2, 8):
        speed_up = alone / cost_model.autoattack_seconds(COST, FREE, workers, 1)
        assert workers * 0.99 < speed_up <= workers
    few = cost_model.autoattack_seconds(COST, FREE, 10_000, 5000)
    assert few > alone / 5


def test_the_calling_process_is_a_limit():
    slow = COST._replace(task=1e3)
    seconds = [cost_model.autoattack_seconds(slow, FREE, workers, 100) for workers in (64, 128)]
    assert seconds[0] == seconds[1]


def test_a_fixed_batch_ends_sooner_than_one_that_grows():
    rows = [row for row in cost_model.tables(COST, Link(2e-5, 3e9)) if cost_model.TRAINED in row]
    assert max(row[cost_model.TRAINED] for row in rows) == 256
    by_size = {(row[cost_model.TRAINED], row["images in a batch"]): row["speed-up"] for row in rows}
    for ranks in (2, 16, 128):
        assert by_size[ranks, 128] < by_size[ranks, 128 * ranks] <= ranks
