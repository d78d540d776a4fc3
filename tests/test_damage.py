"""Every kind of file, with a bit flipped or its end cut off: a ValueError, or the same content.

Zip, gzip and MATLAB's compressed variables have checksums. The others (idx and tar as they are when
decompressed, and MATLAB's uncompressed variables) have none, so that there a pixel may differ, but
what is read has its types and shapes.
"""

import gzip
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.data_files import cifar_files, idx_bytes, tar_gz_bytes
from tests.training.test_loop import images, tiny
from tinyproto import networks, prototypes
from tinyproto.attacks import Victim, pgd
from tinyproto.data.formats import read_idx, read_npz, read_pickled_cifar, read_svhn
from tinyproto.evaluation import evaluate
from tinyproto.optimizers import Adam, Average
from tinyproto.parameters import flatten
from tinyproto.state import load_arrays, save_arrays
from tinyproto.training import fit, standard

FLIPS, TRUNCATIONS = 134, 14  # of each of 15 kinds: 2,010 and 210


class Kind(NamedTuple):
    """How a file is written, and how it is read into arrays by name."""

    write: Callable[[Path], Any]
    read: Callable[[Path], dict[str, Any]]
    checksum: bool = True


def contents(arrays):
    return {name: np.asarray(array) for name, array in arrays.items()}


def read_network(path):
    network = networks.load(path)
    return {**contents(flatten(network.params)), "settings": network.settings}


def write_prototypes(path, kind):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 5)), np.repeat(["a", "b", "c"], 10)
    prototypes.save(kind(2, epochs=1).fit(x, y), path)


def read_prototypes(path):
    network = prototypes.load(path)
    probe = np.random.default_rng(1).normal(size=(4, 5))
    scores, labels = network.decision_function(probe), network.predict(probe)
    return {"scores": scores, "labels": labels, "parameters": network.get_params()}


X, Y = images(26)
RUN = {"x": X, "y": Y, "epochs": 2, "batch_size": 13, "average": 0.9, "verbose": False}


def write_checkpoint(path):
    fit(tiny(), standard, optimizer=Adam(), checkpoint=path, **RUN)


def read_checkpoint(path):
    network = tiny(seed=1)
    before = contents({name: leaf.copy() for name, leaf in flatten(network.params).items()})
    try:
        history = fit(network, standard, optimizer=Adam(), checkpoint=path, resume=True, **RUN)
    except ValueError:
        assert same(contents(flatten(network.params)), before)
        raise
    return {**contents(flatten(network.params)), "history": history}


def optimizer_and_average():
    params = tiny().params
    grads = {"head": {"prototypes": np.ones((3, 4), np.float32)}}
    optimizer, average = Adam(), Average(params)
    for _ in range(2):
        optimizer.step(params, grads, 0.1)
        average.update(params)
    return params, optimizer, average


def write_optimizer(path):
    _, optimizer, average = optimizer_and_average()
    parts = {"optimizer": optimizer.state_dict(), "average": average.state_dict()}
    save_arrays({f"{p}:{n}": a for p, arrays in parts.items() for n, a in arrays.items()}, path)


def read_optimizer(path):
    params, optimizer, average = optimizer_and_average()
    optimizer = Adam()
    arrays, _ = load_arrays(path)
    split = {part: {} for part in ("optimizer", "average")}
    for name, array in arrays.items():
        split[name.partition(":")[0]][name.partition(":")[2]] = array
    optimizer.load_state_dict(split["optimizer"], params)
    average.load_state_dict(split["average"])
    return contents({**optimizer.state_dict(), **average.state_dict()})


W = np.random.default_rng(2).normal(size=(6, 3))
POINTS = np.random.default_rng(3).random((20, 6))


def evaluation(path):
    victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    labels = (POINTS @ W).argmax(axis=1)
    attacks = {f"pgd-{steps}": partial(pgd, steps=steps) for steps in (1, 2)}
    report = evaluate(victim, POINTS, labels, attacks, eps=0.1, state_path=path, verbose=False)
    return {"rows": report.rows(), "warnings": report.warnings, "settings": report.settings}


def data_arrays(shape, count=10):
    random = np.random.default_rng(4)
    arrays = {}
    for split in ("train", "test"):
        arrays[f"x_{split}"] = random.integers(0, 256, (count, *shape), dtype=np.uint8)
        arrays[f"x_{split}"][:, :20] = 0  # some of it can be compressed
        arrays[f"y_{split}"] = random.integers(0, 10, count)
    return arrays


def cifar_archive():
    return tar_gz_bytes(cifar_files(data_arrays((32, 32, 3))))


def idx(path, compress=bytes):
    path.write_bytes(compress(idx_bytes(data_arrays((28, 28))["x_train"])))


def write_svhn(path, compress):
    savemat = pytest.importorskip("scipy.io").savemat
    arrays = data_arrays((32, 32, 3))
    x, y = arrays["x_train"].transpose(1, 2, 3, 0), arrays["y_train"].astype(np.uint8)
    savemat(path, {"X": x, "y": y[:, None]}, do_compression=compress, appendmat=False)


KINDS = {
    "network": Kind(
        lambda path: networks.save(networks.wide_resnet(10, 1, 3, head="prototypes"), path),
        read_network,
    ),
    **{
        kind.__name__: Kind(partial(write_prototypes, kind=kind), read_prototypes)
        for kind in (prototypes.IPWTA, prototypes.EDWTA, prototypes.PlusMinusEDWTA)
    },
    "checkpoint": Kind(write_checkpoint, read_checkpoint),
    "optimizer": Kind(write_optimizer, read_optimizer),
    "evaluation": Kind(evaluation, evaluation),
    "cifar.tar.gz": Kind(lambda path: path.write_bytes(cifar_archive()), read_pickled_cifar),
    "cifar.tar": Kind(
        lambda path: path.write_bytes(gzip.decompress(cifar_archive())), read_pickled_cifar, False
    ),
    "idx.gz": Kind(partial(idx, compress=gzip.compress), lambda path: {"x": read_idx(path)}),
    "idx": Kind(idx, lambda path: {"x": read_idx(path)}, False),
    "npz": Kind(lambda path: np.savez(path, **data_arrays((28, 28))), read_npz),
    "compressed npz": Kind(
        lambda path: np.savez_compressed(path, **data_arrays((28, 28))), read_npz
    ),
    "compressed mat": Kind(
        partial(write_svhn, compress=True), lambda path: dict(enumerate(read_svhn(path)))
    ),
    "mat": Kind(
        partial(write_svhn, compress=False), lambda path: dict(enumerate(read_svhn(path))), False
    ),
}


def same(found, expected):
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name]) and type(found[name]) is type(expected[name])
        for name in expected
    )


def of_the_same_form(found, expected):
    return found.keys() == expected.keys() and all(
        found[name].shape == expected[name].shape and found[name].dtype.kind in "iu"
        for name in expected
    )


def damaged(content, flips, truncations, seed):
    """Copies with one bit flipped, half of them near the beginning or the end, where the structure
    of a file is; and copies that are cut off."""
    random = np.random.default_rng(seed)
    edge = min(len(content) // 2, 4000)
    for number in range(flips):
        place = int(random.integers(0, len(content)))
        if number % 2:
            place = int(random.integers(-edge, edge)) % len(content)
        changed = bytearray(content)
        changed[place] ^= 1 << int(random.integers(0, 8))
        yield bytes(changed)
    for _ in range(truncations):
        yield content[: int(random.integers(0, len(content)))]


def count(kind, folder, seed, flips=FLIPS, truncations=TRUNCATIONS):
    """How many damaged files are refused, read with the same content, and read with another."""
    path, counts = folder / "file.npz", {"refused": 0, "same": 0, "other": 0}
    kind.write(path)
    content, expected = path.read_bytes(), kind.read(path)
    assert same(kind.read(path), expected)
    for changed in damaged(content, flips, truncations, seed):
        path.write_bytes(changed)
        try:
            found = kind.read(path)
        except ValueError as error:
            counts["refused"] += "\n" not in str(error)
            continue
        if same(found, expected):
            counts["same"] += 1
        else:
            counts["other"] += of_the_same_form(found, expected)
    assert [entry.name for entry in folder.iterdir()] == [path.name]
    return counts


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_refused_or_changes_nothing(name, tmp_path):
    kind = KINDS[name]
    counts = count(kind, tmp_path, seed=zlib.crc32(name.encode()))
    print(name, counts)
    assert sum(counts.values()) == FLIPS + TRUNCATIONS
    assert counts["refused"] >= TRUNCATIONS
    if kind.checksum:
        assert counts["other"] == 0


@pytest.mark.parametrize("name", ["npz", "optimizer"])
def test_the_test_above_can_fail(name, tmp_path, monkeypatch):
    monkeypatch.setattr("zipfile.ZipExtFile._update_crc", lambda self, data: None)
    counts = count(KINDS[name], tmp_path, seed=0)
    assert counts["refused"] + counts["same"] < FLIPS + TRUNCATIONS
