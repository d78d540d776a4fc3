"""The loop: resuming to the bit, stopping, whole checkpoints, the best epoch, wrong arguments."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import warnings
from functools import partial

import numpy as np
import pytest

from tests import ROOT
from tinyproto.attacks import fgsm, pgd
from tinyproto.data.augment import crop_and_flip
from tinyproto.layers import BatchNorm, Conv2D, GlobalAveragePool, Linear, ReLU, Sequential
from tinyproto.networks import Network
from tinyproto.optimizers import SGD, Adam
from tinyproto.parameters import flatten
from tinyproto.prototypes.dpnp import PrototypeHead
from tinyproto.schedules import one_cycle
from tinyproto.state import load_arrays, save_arrays
from tinyproto.training import NotFinite, PGDConfig, Stopped, accuracy, fit
from tinyproto.training.defenses import adv_dpnp, standard

ATTACK = PGDConfig(steps=2, step_size=4 / 255)


def images(count=60, seed=0):
    """Coloured noise of three classes, uint8."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, count)
    x = random.integers(0, 120, (count, 8, 8, 3)) + 100 * np.eye(3, dtype=int)[y][:, None, None]
    return x.astype(np.uint8), y


def tiny(seed=0):
    layers = Conv2D(3, 6, 3, padding=1), BatchNorm(6), ReLU(), GlobalAveragePool(), Linear(6, 4)
    network = Network(Sequential(*layers), PrototypeHead(4, 3, seed=seed), {"kind": "tiny"})
    return network


def train(network, checkpoint=None, resume=False, epochs=4, callback=None, **changed):
    x, y = images()
    options = {
        "epochs": epochs, "batch_size": 13, "schedule": partial(one_cycle, 0.05), "average": 0.9,
        "augment": partial(crop_and_flip, padding=1), "validation": images(20, seed=1),
        "validation_attack": ATTACK, "monitor": "robust", "seed": 5, "checkpoint": checkpoint,
        "checkpoint_every": 2, "resume": resume, "verbose": False, "callback": callback,
    }  # fmt: skip
    return fit(network, partial(adv_dpnp, attack=ATTACK), x, y, **{**options, **changed})


def bits(network):
    return {path: leaf.tobytes() for path, leaf in flatten(network.params).items()}


def digest(network):
    return hashlib.sha256(b"".join(bits(network).values())).hexdigest()


def rows(history):
    """Without the seconds, which differ from run to run."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


class Halt(Exception):
    pass


def halt_after(steps):
    """A schedule that raises when so many steps are done: a run that ends without warning."""

    def schedule(total):
        rate = one_cycle(0.05, total)

        def at(step):
            if step == steps:
                raise Halt
            return rate(step)

        return at

    return schedule


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 6, 11, 19])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_run_cut_off_and_resumed_equals_one_that_was_not(tmp_path, steps, kind):
    whole = tiny()
    expected = rows(train(whole, optimizer=kind()))
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(Halt):
        train(tiny(), path, schedule=halt_after(steps), optimizer=kind())
    resumed = tiny(seed=9)  # its initial weights do not matter
    if not path.exists():
        assert steps < 2
        resumed = tiny()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "resuming from .* whether its schedule")  # it raises Halt
        history = train(resumed, path, resume=True, optimizer=kind())
    assert bits(resumed) == bits(whole)
    assert rows(history) == expected


def test_resuming_a_run_that_is_over_changes_nothing(tmp_path):
    first, second = tiny(), tiny(seed=3)
    history = train(first, tmp_path / "c.npz")
    assert rows(train(second, tmp_path / "c.npz", resume=True)) == rows(history)
    assert bits(first) == bits(second)


def test_another_seed_gives_other_weights():
    first, second = tiny(), tiny()
    train(first, epochs=1)
    train(second, epochs=1, seed=6)
    assert bits(first) != bits(second)


PROGRAM = """
import sys
from pathlib import Path
from tests.training.test_loop import digest, tiny, train
def callback(network, row):
    print(row["epoch"], flush=True)
network = tiny()
train(network, Path(sys.argv[1]), resume=True, epochs=int(sys.argv[2]), callback=callback)
print(digest(network))
"""


def start(path, epochs):
    command = [sys.executable, "-c", PROGRAM, str(path), str(epochs)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_kill_9_ten_times_in_a_row_loses_no_more_than_since_the_last_checkpoint(tmp_path):
    """Killed at random moments. Each time the file is whole and not older than before, and the last
    run ends with the bits of one that was not killed."""
    epochs, path = 60, tmp_path / "checkpoint.npz"
    random, reached = np.random.default_rng(0), (-1, -1)
    for _ in range(10):
        process = start(path, epochs)
        process.stdout.readline()  # the first epoch is over
        time.sleep(random.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        _, metadata = load_arrays(path)  # readable, whole
        position = metadata["place"]["epoch"], metadata["place"]["step"]
        assert position >= reached
        reached = position
        assert position[1] % 2 == 0  # written every second step: no more than those are lost
    assert reached[0] > 0
    process = start(path, epochs)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    whole = tiny()
    train(whole, epochs=epochs)
    assert out.split()[-1].decode() == digest(whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_asked_to_stop_writes_its_checkpoint_first(tmp_path, number):
    path, done = tmp_path / "c.npz", []

    def ask(network, row):
        done.append(row["epoch"])
        if len(done) == 2:
            os.kill(os.getpid(), number)

    with pytest.raises(Stopped, match="stopped after epoch 3, step 1") as stop:
        train(tiny(), path, callback=ask, checkpoint_every=100)
    assert stop.value.signal_number == number
    state = load_arrays(path)[1]["place"]
    assert (state["epoch"], state["step"]) == (2, 1)
    whole, resumed = tiny(), tiny()
    train(whole)
    train(resumed, path, resume=True, checkpoint_every=100)
    assert bits(whole) == bits(resumed)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_stopped_at_the_last_step_of_an_epoch_can_be_resumed(tmp_path):
    path, batches = tmp_path / "c.npz", []

    def ask(network, batch, grads):
        batches.append(batch)
        if len(batches) == 10:  # the last of five steps of the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return standard(network, batch, grads)

    x, y = images()
    options = {"epochs": 3, "batch_size": 13, "checkpoint": path, "verbose": False}
    with pytest.raises(Stopped, match="stopped after epoch 2, step 5"):
        fit(tiny(), ask, x, y, **options)
    whole, resumed = tiny(), tiny()
    with pytest.warns(UserWarning, match="whether its defense was the same: .*ask.*list not desc"):
        history = fit(resumed, ask, x, y, resume=True, **options)
    assert rows(history) == rows(fit(whole, standard, x, y, **options))
    assert bits(whole) == bits(resumed)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    path, calls = tmp_path / "c.npz", []

    def breaks(network, batch, grads):
        loss, z = standard(network, batch, grads)
        calls.append(1)
        return (loss * np.nan if len(calls) == 8 else loss), z

    x, y = images()
    with pytest.raises(NotFinite, match=r"the loss is not finite \(nan\) in epoch 2"):
        fit(
            tiny(),
            breaks,
            x,
            y,
            epochs=3,
            batch_size=13,
            checkpoint=path,
            checkpoint_every=1,
            verbose=False,
        )
    arrays, metadata = load_arrays(path)
    assert (metadata["place"]["epoch"], metadata["place"]["step"]) == (1, 2)
    assert all(np.isfinite(a).all() for a in arrays.values())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["c.npz", None])
def test_weights_that_are_not_finite_are_neither_written_nor_returned(tmp_path, name):
    def explodes(network, batch, grads):
        loss, z = standard(network, batch, grads)
        grads["features"]["4"]["bias"][...] = np.inf
        return loss, z

    x, y = images()
    with pytest.raises(NotFinite, match="features/4/bias is not finite"):
        fit(
            tiny(), explodes, x, y, epochs=1, batch_size=60, checkpoint_every=1, verbose=False,
            checkpoint=name and tmp_path / name,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_there_are_validation_images_or_no_validation():
    x, y = images()
    with pytest.raises(ValueError, match="there are no validation images: leave validation out"):
        fit(tiny(), standard, x, y, epochs=1, validation=(x[:0], y[:0]), verbose=False)


def test_the_best_epoch_is_chosen_on_held_out_images():
    network, seen = tiny(), []
    history = train(network, callback=lambda n, row: seen.append(row["robust"]), average=None)
    assert [row["robust"] for row in history] == seen
    chosen = accuracy(
        network, *images(20, seed=1),
        lambda v, x, y, index: pgd(
            v, x, y, eps=ATTACK.eps, steps=2, step_size=4 / 255, index=index
        ),
    )  # fmt: skip
    assert chosen == max(seen)


def test_evaluate_does_not_depend_on_the_batch_size():
    x, y = images(37)
    network = tiny()
    train(network, epochs=2)
    attack = lambda v, x, y, index: fgsm(v, x, y, eps=0.05)  # noqa: E731
    found = {accuracy(network, x, y, attack, batch_size=size) for size in (1, 5, 37, 100)}
    assert len(found) == 1


def test_learning_lowers_the_loss_for_floats_as_for_uint8():
    x, y = images()
    for pixels in (x, x / np.float32(255)):
        history = fit(tiny(), standard, pixels, y, epochs=8, batch_size=20, verbose=False)
        assert history[-1]["loss"] < 0.8 * history[0]["loss"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    train(tiny(), path, epochs=1)
    with pytest.raises(ValueError, match="is of a run with seed=5, not 6; to resume, give the"):
        train(tiny(), path, epochs=1, resume=True, seed=6)
    with pytest.raises(ValueError, match="epochs=1, not 2"):
        train(tiny(), path, epochs=2, resume=True)
    arrays, metadata = load_arrays(path)
    metadata["settings"]["select"] = metadata["settings"].pop("monitor")  # as it was called before
    save_arrays(arrays, path, metadata)
    other_names = r"is of another kind of run or of an earlier version .* \(monitor, select\)"
    with pytest.raises(ValueError, match=other_names):
        train(tiny(), path, epochs=1, resume=True)
    save_arrays({"a": np.zeros(1)}, path, {})
    with pytest.raises(ValueError, match="is not the checkpoint of a training run"):
        train(tiny(), path, epochs=1, resume=True)
    path.write_bytes(b"half a file")
    with pytest.raises(ValueError, match="is not a file that tinyproto saved"):
        train(tiny(), path, epochs=1, resume=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, not 0"),
        ({"epochs": 2.5}, "epochs must be a whole number, 1 or more, not 2.5"),
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        ({"checkpoint_every": -1}, "checkpoint_every must be .* not -1"),
        ({"seed": 1.5}, "seed must be a whole number, 0 … 4294967295, not 1.5"),
        ({"seed": 2**32}, "seed must be 0 … 4294967295, not 4294967296"),
        ({"average": 1.0}, r"decay must be in \[0, 1\)"),
        ({"validation": None}, r"a validation_attack needs validation=\(images, labels\)"),
        ({"validation": images()[0]}, "validation must be a pair"),
        (
            {"monitor": "luck"},
            "monitor must be 'clean', or 'robust' with a validation_attack, not 'luck'",
        ),
        ({"validation_attack": None}, "'robust' with a validation_attack, not 'robust'"),
    ],
)
def test_wrong_arguments_get_one_line(changed, message, tmp_path):
    network = tiny()
    before = bits(network)
    with pytest.raises(ValueError, match=message):
        train(network, **{"checkpoint": tmp_path / "c.npz", **changed})
    assert bits(network) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": SGD}, r"optimizer must be an Optimizer, such as SGD\(\), not <class"),
        ({"schedule": 0.1}, "schedule must be a function that takes the number of steps, not 0.1"),
        ({"augment": "flip"}, "augment must be a function, such as crop_and_flip, not 'flip'"),
        ({"validation_attack": pgd}, "validation_attack must be a PGDConfig, not <function"),
    ],
)
def test_arguments_of_another_type_get_one_line(changed, message):
    with pytest.raises(TypeError, match=message):
        train(tiny(), **changed)
    x, y = images()
    with pytest.raises(TypeError, match=r"defense must be a function, such as DEFENSES\['stan"):
        fit(tiny(), "standard", x, y, epochs=1)
    with pytest.raises(TypeError, match="network must be a Network, such as"):
        fit(Linear(2, 2), standard, x, y, epochs=1)


def test_what_a_defence_returns_is_one_loss_and_one_row_of_scores_for_each_image():
    x, y = images()
    for change, message in (
        (lambda loss, z: (loss.mean(), z), "the loss that the defense returns must have the shape"),
        (lambda loss, z: (loss[:, None], z), r"\(60,\), not \(60, 1\)"),
        (lambda loss, z: (loss, z[:-1]), r"the scores .* \(60, C\), not \(59, 3\)"),
    ):
        network = tiny()
        before = bits(network)
        with pytest.raises(ValueError, match=message):
            fit(
                network, lambda *a, change=change: change(*standard(*a)), x, y, epochs=1,
                batch_size=60, verbose=False,
            )  # fmt: skip
        assert bits(network) == before
