"""Resuming: the checkpoint of another run, or one that is not whole, changes nothing."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ROOT
from tests.training.test_loop import ATTACK, bits, images, tiny
from tinyproto.data.augment import crop_and_flip
from tinyproto.optimizers import SGD, Adam
from tinyproto.parameters import flatten
from tinyproto.schedules import cosine, one_cycle
from tinyproto.state import load_arrays, save_arrays
from tinyproto.training import DEFENSES, PGDConfig, fit, standard
from tinyproto.training.description import checksum, describe, describe_schedule
from tinyproto.training.prototype_defenses import adv_dpnp

X, Y = images(30)
HELD_OUT = images(10, seed=1)
WEIGHT = 0.5


class Halt(Exception):
    pass


def halt_after(epochs):
    def callback(network, row):
        if row["epoch"] == epochs:
            raise Halt

    return callback


def train(network, path, **changed):
    options = {
        "defense": partial(standard, smoothing=0.1), "x": X, "y": Y, "epochs": 3, "batch_size": 13,
        "optimizer": SGD(), "schedule": partial(one_cycle, 0.05), "average": 0.9,
        "augment": partial(crop_and_flip, padding=1), "validation": HELD_OUT, "checkpoint": path,
        "checkpoint_every": 2, "verbose": False,
    }  # fmt: skip
    return fit(network, **{**options, **changed})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint in the middle of a run."""
    path = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    with pytest.raises(Halt):
        train(tiny(), path, callback=halt_after(2))
    return path


def refused(path, match, **changed):
    """Resuming raises ValueError, and leaves network, optimizer and file as they were."""
    network, optimizer = tiny(seed=4), changed.setdefault("optimizer", SGD())
    before, content = bits(network), path.read_bytes()
    with pytest.raises(ValueError, match=match) as raised:
        train(network, path, resume=True, **changed)
    assert "\n" not in str(raised.value)
    assert bits(network) == before
    assert not any(optimizer.state.values())
    assert path.read_bytes() == content


class Momentous(SGD):
    pass


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"x": 255 - X}, "training images="),
        ({"x": X[::-1]}, "training images="),
        ({"x": X / np.float32(255)}, "training images="),
        ({"y": Y[::-1]}, "training labels="),
        ({"optimizer": SGD(momentum=0.8)}, r"optimizer=.SGD\(.*momentum=0.9.*momentum=0.8"),
        ({"optimizer": SGD(weight_decay=0)}, "weight_decay=0.0005.*weight_decay=0"),
        ({"optimizer": SGD(nesterov=False)}, "nesterov=True.*nesterov=False"),
        ({"optimizer": SGD(decayed=())}, "decayed="),
        ({"optimizer": Adam()}, r"SGD\(.* not .Adam\("),
        ({"optimizer": Momentous()}, r" not .Momentous\("),
        ({"schedule": partial(one_cycle, 0.06)}, "schedule='learning rates 0.002 … 0.05 … 0"),
        ({"schedule": lambda steps: cosine(0.05, steps)}, "schedule="),
        ({"defense": standard}, "smoothing=0.1.*smoothing=0.0"),
        ({"defense": DEFENSES["dpnp"]}, "defense='standard"),
        ({"defense": partial(adv_dpnp, attack=ATTACK)}, "defense='standard"),
        ({"defense": lambda *args: standard(*args, smoothing=0.1)}, "defense='standard"),
        ({"augment": None}, "augment='crop_and_flip.* not 'None'"),
        ({"augment": partial(crop_and_flip, padding=2)}, "padding=1.*padding=2"),
        ({"validation": None}, "validation="),
        ({"validation": images(10, seed=2)}, "validation="),
        ({"validation_attack": ATTACK}, r"validation_attack='None', not .PGDConfig\("),
        ({"average": None}, "average=0.9, not None"),
        ({"average": 0.8}, "average=0.9, not 0.8"),
        ({"settings": {"method": "other"}}, "settings have other names .method"),
    ],
)
def test_another_run(saved, changed, match):
    refused(saved, match, **changed)


def test_a_folder_is_refused_before_the_first_step(tmp_path):
    network = tiny()
    before = bits(network)
    with pytest.raises(ValueError, match="is a folder: a file is needed"):
        train(network, tmp_path)
    assert bits(network) == before


def test_another_dtype(saved):
    with pytest.raises(ValueError, match="dtype='float32', not 'float64'"):
        train(tiny().to(dtype=np.float64), saved, resume=True)


def test_the_same_run_in_other_words(saved, tmp_path):
    """What only looks different is the same run."""
    path = tmp_path / "c.npz"
    path.write_bytes(saved.read_bytes())
    resumed, whole = tiny(), tiny()
    same = {
        "y": Y.astype(np.int8), "optimizer": SGD(momentum=0.9, nesterov=True),
        "schedule": lambda steps: one_cycle(0.05, steps), "settings": {},
        "augment": partial(partial(crop_and_flip, padding=3), padding=1),
        "x": np.asfortranarray(X),
    }  # fmt: skip
    train(resumed, path, resume=True, **same)
    train(whole, None)
    assert bits(resumed) == bits(whole)


def test_settings_are_compared_as_they_are_read(tmp_path):
    settings = {"pair": (1, 2), "number": np.int64(3), "function": standard}
    with pytest.raises(Halt):
        train(tiny(), tmp_path / "c.npz", settings=settings, callback=halt_after(1))
    train(tiny(), tmp_path / "c.npz", settings=settings, resume=True)


def rewritten(path, tmp_path, change):
    """A copy of a checkpoint whose arrays and metadata were changed."""
    arrays, metadata = load_arrays(path)
    change(arrays, metadata)
    save_arrays(arrays, tmp_path / "changed.npz", metadata)
    return tmp_path / "changed.npz"


def drop(part):
    def change(arrays, metadata):
        for name in [name for name in arrays if name.startswith(part)]:
            del arrays[name]

    return change


def drop_listed(part):
    """Also from the list of entries."""

    def change(arrays, metadata):
        drop(part)(arrays, metadata)
        metadata["entries"] = sorted(arrays)

    return change


def place(**fields):
    return lambda arrays, metadata: metadata["place"].update(fields)


def value(name, number):
    def change(arrays, metadata):
        arrays[name] = np.full_like(arrays[name], number)

    return change


PARAMETER = "parameters/features/1/running_variance"
ROW = {"epoch": 2, "loss": 1.0}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (drop("optimizer/"), "is not whole"),
        (drop("best/"), "is not whole"),
        (drop("average/"), "is not whole"),
        (drop("parameters/head"), "is not whole"),
        (drop_listed("optimizer/"), "misses the state of the optimizer"),
        (drop_listed("best/"), "the best weights misses entries"),
        (drop_listed("best/head"), "the best weights misses entries: head/prototypes"),
        (drop_listed("average/"), "the average misses entries"),
        (drop_listed("average/updates"), "the average misses entries: updates"),
        (drop_listed("parameters/"), "misses entries"),
        (value(PARAMETER, np.nan), "running_variance holds values that are infinite or NaN"),
        (value(PARAMETER, -1), "running_variance holds negative values"),
        (value("best/head/prototypes", np.inf), "the best weights: head/prototypes holds values"),
        (value("average/average/features/1/running_variance", -1), "negative values"),
        (value("average/updates", -1), "updates must be 0 or more"),
        (value("optimizer/velocity/head/prototypes", np.nan), "infinite or NaN"),
        (lambda a, m: a.update({PARAMETER: np.array(["a"] * 6)}), "holds no real numbers"),
        (lambda a, m: m["place"].pop("best_score"), "another version .* differs in best_score"),
        (place(plateau=0), "another version .* differs in plateau"),
        (place(epoch=9), "says epoch 9"),
        (place(epoch=-1), "says epoch -1"),
        (place(epoch="2"), "epoch must be a number, not '2'"),
        (place(epoch=2.0), "epoch must be a number, not 2.0"),
        (place(epoch=True), "epoch must be a number, not True"),
        (place(epoch=3, step=1), "says epoch 3"),
        (place(step=4), "step 4"),
        (place(seen=5), "5 images"),
        (place(correct=5), "says epoch"),
        (place(loss=float("nan")), "loss must be a number, not nan"),
        (place(best_score=7.0), "says epoch"),
        (place(best_epoch=0), "says epoch"),
        (place(best_epoch=3), "best epoch 3"),
        (place(history=[]), "0 rows"),
        (place(history=None), "0 rows"),
        (place(history=[1, ROW]), "1 rows"),
        (place(history=[ROW, ROW]), "says epoch"),
        (place(history=[{**ROW, "epoch": 1}, {**ROW, "loss": "low"}]), "says epoch"),
        (lambda a, m: m.update(place=[1]), "is not the checkpoint of a training run"),
        (lambda a, m: m.update(settings="all"), "is not the checkpoint of a training run"),
        (lambda a, m: m.pop("entries"), "is not whole"),
        (lambda a, m: m.update(settings={}), "settings have other names"),
    ],
)
def test_a_checkpoint_that_is_not_whole(saved, tmp_path, change, match):
    refused(rewritten(saved, tmp_path, change), match)


def test_the_message_names_the_version_that_wrote_the_file(saved, tmp_path):
    path = rewritten(saved, tmp_path, lambda arrays, metadata: metadata.update(version="9.9"))
    refused(path, r"\(tinyproto 9\.9 wrote it, this is ", x=255 - X)
    train(tiny(), path, resume=True)  # the same run can be resumed


@given(st.data())
def test_a_state_with_any_field_replaced_is_refused_or_the_same(saved, tmp_path_factory, data):
    _, metadata = load_arrays(saved)
    name = data.draw(st.sampled_from(sorted(metadata["place"])))
    json = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    new = data.draw(
        json | st.lists(json, max_size=3) | st.dictionaries(st.text(), json, max_size=2)
    )
    path = rewritten(saved, tmp_path_factory.mktemp("state"), place(**{name: new}))
    network = tiny(seed=4)
    before = bits(network)
    try:
        train(network, path, resume=True)
    except ValueError:
        assert bits(network) == before
    else:  # a sum may have any value
        assert name in ("loss", "seconds", "correct") or new == metadata["place"][name]


# Descriptions


def bound_in_a_closure(weight, seen):
    def defense(network, batch, grads):
        seen.append(weight)
        return standard(network, batch, grads)

    return defense


def with_a_constant(network, batch, grads):
    return standard(network, batch, grads, smoothing=WEIGHT)


class Scaled:
    def __init__(self, factor, generator=None):
        self.factor, self.generator = factor, generator

    def __call__(self, images, **options):
        return images * self.factor


VALUES = {
    "number": 0.1, "set": {"b", "a", "c"}, "dict": {"b": 1, "a": (2, None)}, "array": np.eye(3),
    "partial": partial(standard, smoothing=0.1), "defense": DEFENSES["trades"],
    "closure": bound_in_a_closure(2.0, []), "global": with_a_constant,
    "lambda": lambda x: {x, "a", "b"} & {"a", "b", 3.0}, "object": Scaled(2, generator=len),
    "method": Scaled(3).__call__, "config": PGDConfig(steps=3), "optimizer": Adam(), "type": SGD,
    "generator": np.random.default_rng(0), "module": np,
}  # fmt: skip

PROGRAM = """
from tests.training.test_resume import VALUES
from tinyproto.training.description import describe
print([describe(value) for value in VALUES.values()])
"""


def test_descriptions_are_the_same_in_every_process():
    found = set()
    for seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        found.add(out.stdout)
    assert len(found) == 1
    assert " at 0x" not in found.pop()


def test_descriptions_differ_where_the_values_do():
    different = [
        standard, partial(standard, smoothing=0.1), partial(standard, smoothing=0.2),
        lambda: 1, lambda: 2, bound_in_a_closure(1, []), bound_in_a_closure(2, []),
        Scaled(1), Scaled(2), Scaled(1).__call__, SGD(), SGD(momentum=0.5), Adam(), Momentous(),
        PGDConfig(), PGDConfig(steps=3), np.eye(2), np.eye(3), np.eye(2, dtype=np.float32),
        np.ones((2, 3)), np.ones((3, 2)), (1, 2), [1, 2], (2, 1), {1: 2}, {2: 1}, 1, 1.0, "1", None,
    ]  # fmt: skip
    assert len({describe(value) for value in different}) == len(different)


def test_a_global_constant_is_part_of_the_description(monkeypatch):
    before = describe(with_a_constant)
    monkeypatch.setattr(sys.modules[__name__], "WEIGHT", 0.25)
    assert describe(with_a_constant) != before


def test_an_optimizers_state_is_no_part_of_its_description():
    optimizer = SGD()
    before = describe(optimizer)
    network = tiny()
    optimizer.step(network.params, {"head": {"prototypes": np.ones((3, 4), np.float32)}}, 0.1)
    assert flatten(optimizer.state)
    assert describe(optimizer) == before


def test_what_cannot_be_described_is_said(tmp_path):
    augment = Scaled(1, np.random.default_rng(0))
    assert "<Generator not described>" in describe(augment)
    itself = Scaled(2)
    itself.factor = itself
    assert "not described" in describe(itself)
    with pytest.raises(Halt):
        train(tiny(), tmp_path / "c.npz", augment=augment, callback=halt_after(1))
    with pytest.warns(UserWarning, match="whether its augment was the same: .*Generator not desc"):
        train(tiny(), tmp_path / "c.npz", augment=augment, resume=True)


@given(st.integers(1, 50), st.integers(0, 7))
def test_a_checksum_sees_every_bit_and_not_the_layout(size, bit):
    x = np.random.default_rng(size).integers(0, 256, (size, 3, 2), dtype=np.uint8)
    assert checksum(x) == checksum(np.asfortranarray(x))
    changed = x.copy()
    changed[size // 2, 1, 1] ^= 1 << bit
    assert checksum(x) != checksum(changed)
    assert checksum(x) != checksum(x.reshape(size, 2, 3))


def test_a_schedule_is_described_by_its_rates():
    rates = [describe_schedule(one_cycle(peak, 100), 100) for peak in (0.1, 0.1, 0.1001)]
    assert rates[0] == rates[1] != rates[2]
    later = describe_schedule(one_cycle(0.1, 100, warmup=0.5), 100)  # of the same ends and peak
    assert rates[0] != later
    assert rates[0].partition(" (")[0] == later.partition(" (")[0]
    assert describe_schedule(lambda step: 1 / 0, 10) == "<schedule not described>"
