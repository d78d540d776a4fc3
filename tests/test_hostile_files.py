"""Files made to take all memory, all time or the process: each is refused, in little memory."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests import ROOT
from tests.hostile_files import FILES
from tinyproto import networks, prototypes
from tinyproto.state import load_arrays, save_arrays

MOST = 700  # MB that reading may take; the largest file has 150 MB

PROGRAM = """
import json, resource, sys
from pathlib import Path
from tinyproto import networks, prototypes
from tinyproto.data import load
from tinyproto.data.formats import read_idx, read_npz, read_pickled_cifar, read_svhn
from tinyproto.state import load_arrays

def mnist(path):
    path.rename(path.with_name("mnist.npz"))
    load("mnist", path.parent)

READERS = {
    "state": load_arrays, "idx": read_idx, "svhn": read_svhn, "cifar10": read_pickled_cifar,
    "cifar100": lambda path: read_pickled_cifar(path, 100),
    "npz": lambda path: read_npz(path, ["x"]), "mnist": mnist,
    "network": networks.load, "prototypes": prototypes.load,
}
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
read, wrong = 0, []
for path in sorted(Path(sys.argv[1]).iterdir()):
    read += 1
    try:
        READERS[path.name.partition(":")[0]](path)
    except ValueError as error:
        if "\\n" in str(error):
            wrong.append((path.name, "more than one line"))
    except BaseException as error:
        wrong.append((path.name, repr(error)))
    else:
        wrong.append((path.name, "accepted"))
status = Path("/proc/self/status")  # ru_maxrss includes what the parent of this process had
lines = status.read_text().splitlines() if status.exists() else []
peak = [int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")]
print(json.dumps({"read": read, "wrong": wrong, "MB": peak}))
"""


def assert_all_refused(folder, count):
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr[-2000:]
    found = json.loads(out.stdout)
    print(found)
    assert found["wrong"] == []
    assert found["read"] == count
    assert max(found["MB"], default=0) < MOST


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it cannot limit memory")


@pytest.mark.parametrize("svhn", [False, True])
def test_files_of_arrays_and_data(svhn, tmp_path):
    if svhn:
        pytest.importorskip("scipy.io")
    files = {name: content for name, content in FILES.items() if name.startswith("svhn") == svhn}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert_all_refused(tmp_path, len(files))


NETWORK_SETTINGS = [
    {"classes": 10**9}, {"feature_width": 10**9}, {"width": 10**5}, {"depth": 6 * 10**8 + 4},
    {"classes": "4"}, {"classes": 4.0}, {"classes": True}, {"classes": None}, {"classes": -4},
    {"classes": 10**400}, {"seed": "a"}, {"seed": -1}, {"mean": [float("nan")] * 3},
    {"mean": "abc"}, {"mean": {"a": 1}}, {"std": [0, 0, 0]}, {"radius": "3"}, {"radius": -1},
    {"head": []}, {"head": "deep"}, {"kind": []}, {"kind": "compact_cnn", "width": 3}, {"new": 1},
    {"init": "zeros"}, {"depth": 11}, {"kind": "compact_cnn", "depth": 10}, {"mean": [0.5]},
    {"padding": -1}, {"padding": "2"}, {"padding": 2.0}, {"padding": [1, 2]},
    {"padding": None}, {"flip_average": 1}, {"flip_average": "no"},
    {"classes": 3_000_000}, {"feature_width": 600_000}, {"width": 60},
]  # fmt: skip


def test_networks(tmp_path):
    path = tmp_path / "network: NaN"
    networks.save(networks.wide_resnet(10, 1, 4, head="prototypes"), path)
    arrays, metadata = load_arrays(path)
    for number, changed in enumerate(NETWORK_SETTINGS):
        settings = {**metadata["network"], **changed}
        save_arrays(arrays, tmp_path / f"network: {number}", {"network": settings})
    save_arrays({**arrays, "head/prototypes": np.full((4, 64), np.nan)}, path, metadata)
    assert_all_refused(tmp_path, len(NETWORK_SETTINGS) + 1)


ARRAYS = [
    ("_beta", np.full(1, np.nan)), ("_beta", np.zeros(1)), ("_beta", np.array(["a"])),
    ("positive_prototypes_", np.full((4, 4), np.inf)), ("classes_", np.array([1, 1])),
    ("classes_", np.array(3)), ("classes_", np.zeros((2, 2))), ("classes_", np.array([1])),
    ("positive_prototypes_", np.zeros((4, 4), np.int64)), ("classes_", np.array([2, 1])),
    ("positive_prototypes_", np.array(3.0)), ("negative_prototypes_", np.zeros((4, 0))),
]  # fmt: skip
PARAMETERS = [
    ("prototypes_per_class", 10**9), ("prototypes_per_class", "2"), ("init", ["a"]),
    ("learning_rate", "x"), ("dtype", "float16"), ("dtype", 3), ("decay", None), ("unknown", 1),
    ("schedule", {}), ("random_state", -1), ("init_spread", "1"), ("init_spread", float("nan")),
]  # fmt: skip
METADATA = [
    {"parameters": [1]}, {"epochs": "2"}, {"epochs": -1}, {"kind": ["EDWTA"]}, {"epochs": None},
    {"parameters": None}, {"kind": "WinnerTakeAll"},
]  # fmt: skip


def test_prototypes(tmp_path):
    model = tmp_path.parent / "prototypes.npz"
    fitted = prototypes.PlusMinusEDWTA(2, epochs=1).fit(np.eye(4), [0, 1, 0, 1])
    prototypes.save(fitted, model)
    arrays, metadata = load_arrays(model)
    changed = [({**arrays, name: array}, metadata) for name, array in ARRAYS]
    for name, value in PARAMETERS:
        parameters = {**metadata["parameters"], name: value}
        changed.append((arrays, {**metadata, "parameters": parameters}))
    changed += [(arrays, {**metadata, **change}) for change in METADATA]
    for number, (arrays, metadata) in enumerate(changed):
        save_arrays(arrays, tmp_path / f"prototypes: {number}", metadata)
    assert_all_refused(tmp_path, len(changed))
