"""Training in ranks: BatchNorm over all of them, one process up to rounding, resuming, failing."""

import json
import signal
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.test_executors import mpirun
from tests.training import ranks
from tests.training.ranks import in_ranks, train
from tests.training.test_loop import Halt, halt_after, images, rows
from tinyproto import communicator as communicators
from tinyproto.communicator import (
    ONE_PROCESS,
    Communicator,
    MPICommunicator,
    NCCLCommunicator,
    all_reduce_all,
    spreading,
    sum_in_order,
)
from tinyproto.layers import BatchNorm
from tinyproto.parameters import convert, zeros
from tinyproto.training import Stopped
from tinyproto.training.checkpoint import Checkpointer, Run


def passes(layer, x, dy):
    """y, dx, and the gradients of a pass in train mode."""
    grads = zeros(layer.params)
    y, backward = layer(x, train=True)
    return y, backward(dy, grads), grads


@given(data=st.data())
def test_batch_norm_over_ranks_is_that_of_the_whole_batch(data):
    """L is the mean over the examples of g·y, so that a rank of n_r has dy = g / n_r."""
    size = data.draw(st.integers(2, 4))
    count = data.draw(st.integers(size, 9))
    pixels = data.draw(st.sampled_from([(), (1, 1), (3, 2)]))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, g = random.normal(3, 2, size=(2, count, *pixels, 3))
    layer = BatchNorm(3)
    convert(layer.params, dtype=np.float64)
    layer.params["scale"][...], layer.params["shift"][...] = random.normal(size=(2, 3))
    y, dx, grads = passes(layer, x, g / count)

    def own(communicator):
        at = communicator.shard(np.arange(count))
        with spreading(communicator):
            return len(at), passes(layer, x[at], g[at] / len(at))

    found = in_ranks(size, own)
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(np.concatenate([part[0] for _, part in found]), y, **close)
    weighted = [n / count * part[1] for n, part in found]
    np.testing.assert_allclose(np.concatenate(weighted), dx, **close)
    for name in ("scale", "shift"):
        total = sum(n / count * part[2][name] for n, part in found)
        np.testing.assert_allclose(total, grads[name], **close)
    for name in ("running_mean", "running_variance"):
        for _, part in found:
            np.testing.assert_array_equal(part[2][name][0], found[0][1][2][name][0])
            np.testing.assert_allclose(part[2][name][0], grads[name][0], **close)


@pytest.fixture(scope="module")
def one_process():
    return train(ONE_PROCESS, np.float64)


def assert_close(found, expected):
    for row, other in zip(rows(found[0]), rows(expected[0]), strict=True):
        assert row == pytest.approx(other, rel=1e-9)
    assert found[1].keys() == expected[1].keys()
    for path, leaf in expected[1].items():
        np.testing.assert_allclose(found[1][path], leaf, rtol=1e-8, atol=1e-10, err_msg=path)


def assert_same_bits(found, expected):
    assert rows(found[0]) == rows(expected[0])
    for path, leaf in expected[1].items():
        np.testing.assert_array_equal(found[1][path], leaf, err_msg=path)


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_train_as_one_process_up_to_rounding(size, one_process):
    found = in_ranks(size, lambda communicator: train(communicator, np.float64))
    for each in found:
        assert_same_bits(each, found[0])
    assert_close(found[0], one_process)
    assert any((found[0][1][p] != leaf).any() for p, leaf in one_process[1].items())


def test_the_same_bits_from_run_to_run():
    first, second = (in_ranks(2, train)[0] for _ in range(2))
    assert_same_bits(first, second)


@pytest.mark.filterwarnings("ignore:resuming from")  # the schedule that raises is not described
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 3), (3, 1)])
def test_a_run_is_resumed_with_another_number_of_ranks(before, after, tmp_path, one_process):
    path = tmp_path / "checkpoint.npz"

    def halted(communicator):
        return train(communicator, np.float64, checkpoint=path, schedule=halt_after(8))

    def resumed(communicator):
        return train(communicator, np.float64, checkpoint=path, resume=True)

    with pytest.raises(Halt):
        in_ranks(before, halted)
    for found in in_ranks(after, resumed):
        assert_close(found, one_process)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_all_ranks_stop_where_one_is_asked_to():
    def stopped(communicator):
        def asked():
            return signal.SIGTERM if communicator.rank == 1 else 0

        run = Run(ranks.tiny(), ranks.SGD())
        checkpointer = Checkpointer(run, None, {}, 1, asked, communicator)
        with pytest.raises(Stopped, match="stopped after epoch 0") as raised:
            checkpointer.after_step(last=False)
        return raised.value.signal_number

    assert in_ranks(3, stopped) == [signal.SIGTERM] * 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"seed": 6}, "rank 1 has other seed than rank 0"),
     ({"x": images(seed=2)[0]}, "rank 1 has other images or labels than rank 0"),
     ({"y": images(seed=2)[1]}, "rank 1 has other images or labels than rank 0")],
)  # fmt: skip
def test_ranks_that_were_given_different_things_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        in_ranks(2, lambda c: train(c, **(changed if c.rank == 1 else {})))


def test_a_batch_has_an_image_for_each_rank():
    with pytest.raises(ValueError, match="the last of 60 images in batches of 59 has 1; choose"):
        in_ranks(2, lambda communicator: train(communicator, batch_size=59))


def test_arrays_that_travel_together_are_summed_each():
    arrays = [np.full((2, 3), 1.0), np.arange(4.0), np.zeros((0, 2)), np.array([7.0])]
    for found in in_ranks(3, lambda c: all_reduce_all(c, [(c.rank + 1) * a for a in arrays])):
        for summed, array in zip(found, arrays, strict=True):
            np.testing.assert_array_equal(summed, 6 * array)
    assert all_reduce_all(ONE_PROCESS, arrays) is arrays


def test_one_process_is_a_communicator():
    one, x = Communicator(), np.arange(3.0)
    assert one.all_gather(x).shape == (1, 3)
    assert one.all_reduce(x) is one.broadcast(x) is x
    assert one.barrier() is None
    np.testing.assert_array_equal(one.shard(x), x)


def test_sums_are_rounded_once():
    small = np.float32(2**-24)
    arrays = np.array([[1], [small], [small]], np.float32)
    assert sum_in_order(arrays)[0] == np.float32(1 + 2 * small) > 1


def test_mpi_trains_with_the_bits_of_ranks_in_threads(tmp_path):
    done = mpirun("-m", "tests.training.ranks", "train", tmp_path)
    assert done.returncode == 0, done.stderr
    expected = in_ranks(2, train)[0][1]
    for rank in range(2):
        found = np.load(tmp_path / f"rank{rank}.npz")
        for path, leaf in expected.items():
            np.testing.assert_array_equal(found[path], leaf, err_msg=path)
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.npz", "rank0.npz", "rank1.npz"}


@pytest.mark.slow
def test_mpi_sums_in_the_order_of_the_ranks(tmp_path):
    done = mpirun("-m", "tests.training.ranks", "sums", tmp_path, ranks=3)
    assert done.returncode == 0, done.stderr


def test_a_rank_that_fails_ends_all_with_one_line(tmp_path):
    done = mpirun("-m", "tests.training.ranks", "fail", tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("rank 1 of 2: error: no disk at all") == 1
    assert "Traceback" not in done.stderr


def test_without_mpi4py_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"needs mpi4py and an MPI .*: pip install mpi4py mpich"):
        MPICommunicator()


def test_sums_of_a_gpu_go_through_nccl(monkeypatch):
    """A stand-in for CuPy and its NCCL: what is called, with which arguments."""
    calls = []

    class Group:
        def all_reduce(self, array, out, op="sum"):
            calls.append(op)
            out[...] = 2 * array

    def init_process_group(n_devices, rank, *, backend="nccl", host=None, port=None, use_mpi=False):
        calls.append((n_devices, rank, backend, use_mpi))
        return Group()

    fake = types.SimpleNamespace(init_process_group=init_process_group)
    monkeypatch.setitem(sys.modules, "cupyx.distributed", fake)
    monkeypatch.setattr(MPICommunicator, "__init__", lambda self, comm: None)
    monkeypatch.setattr(MPICommunicator, "all_reduce", lambda self, array: "on the host")
    communicator = NCCLCommunicator()
    assert communicator.all_reduce(np.ones(2)) == "on the host"
    xp = types.SimpleNamespace(empty_like=np.empty_like, ascontiguousarray=np.ascontiguousarray)
    monkeypatch.setattr(communicators, "array_module", lambda array: xp)
    np.testing.assert_array_equal(communicator.all_reduce(np.ones(2)), [2, 2])
    assert calls == [(1, 0, "nccl", True), "sum"]


def test_a_message_is_given_time_before_all_ranks_end(monkeypatch, capsys):
    """MPICH's mpirun drops what it has not read by then."""
    calls = []
    one = object.__new__(MPICommunicator)
    one.rank, one.size = 1, 3
    one.comm = types.SimpleNamespace(Abort=lambda code: calls.append(("Abort", code)))
    monkeypatch.setattr(communicators.time, "sleep", lambda s: calls.append(capsys.readouterr()[1]))
    monkeypatch.setattr(communicators.os, "_exit", lambda code: calls.append(("exit", code)))
    one.abort("error: no room")
    assert calls == ["rank 1 of 3: error: no room\n", ("Abort", 1), ("exit", 1)]


@pytest.mark.slow
@pytest.mark.usefixtures("samples_only")
def test_the_example_trains_in_two_ranks(tmp_path, monkeypatch):
    script = [
        "examples/cifar10_adv_dpnp.py", "--mpi", "--limit", "24", "--batch", "12", "--epochs", "1",
        "--evaluate", "4", "--attack-steps", "1", "--out", tmp_path,
    ]  # fmt: skip
    done = mpirun(*script)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["settings"]["ranks"] == 2
    assert {"model.npz", "checkpoint.npz"} <= {p.name for p in tmp_path.iterdir()}
    assert done.stdout.count("written to") == 1
    refused = mpirun(*script)
    assert refused.returncode != 0
    assert "rank 0 of 2: error: " in refused.stderr
