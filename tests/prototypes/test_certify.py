"""Radii of many inputs: the same for any number of workers, and after any interruption."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinyproto.prototypes import EDWTA, certify, exact_radius
from tinyproto.prototypes.certificate import parallel, radius_file, search
from tinyproto.state import load_arrays, save_arrays

METHODS = [m for m in ("fork", "spawn") if hasattr(os, "fork") or m == "spawn"]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")


def problem(samples=70, per_class=10, d=12, seed=0):
    """A network of three classes, inputs in [0, 1], and labels of which some are wrong."""
    random = np.random.default_rng(seed)
    x = random.random((3 * per_class, d))
    network = EDWTA(per_class, epochs=0, init="kmeans").fit(x, np.arange(len(x)) % 3)
    x = random.random((samples, d)).astype(np.float32)
    y = network.predict(x)
    y[::7] = (y[::7] + 1) % 3
    return network, x, y


BOX = {"lo": 0.0, "hi": 1.0}


@pytest.fixture
def start_method():
    before = multiprocessing.get_start_method(allow_none=True)
    yield lambda method: multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_any_number_of_workers_gives_the_bits_of_exact_radius(norm, method, start_method):
    network, x, y = problem()
    start_method(method)
    expected, delta = exact_radius(network, x, y, norm=norm, **BOX)
    for workers in (1, 3):
        radius, length = certify(network, x, y, norm=norm, workers=workers, **BOX)
        np.testing.assert_array_equal(radius, expected)
        np.testing.assert_array_equal(
            length, np.linalg.norm(delta, ord=2 if norm == "l2" else np.inf, axis=1)
        )
    assert (radius[::7] == 0).all()
    assert (radius[1::7] > 0).all()
    assert (length >= radius).all()


def test_a_radius_does_not_depend_on_the_other_inputs():
    network, x, _ = problem()
    expected, _ = certify(network, x)
    order = np.random.default_rng(1).permutation(len(x))[:31]
    np.testing.assert_array_equal(certify(network, x[order])[0], expected[order])


def interrupted(monkeypatch, tasks):
    """Let Ctrl-C come after some tasks."""
    radii, left = search.Search.radii, [tasks]

    def until_interrupted(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return radii(*arguments)

    monkeypatch.setattr(search.Search, "radii", until_interrupted)


def test_what_was_interrupted_goes_on(tmp_path, monkeypatch):
    network, x, y = problem()
    path = tmp_path / "radii.npz"
    expected = certify(network, x, y, **BOX)
    with monkeypatch.context() as patch:
        interrupted(patch, tasks=2)
        with pytest.raises(KeyboardInterrupt):
            certify(network, x, y, path=path, **BOX)
    missing = np.isnan(load_arrays(path)[0]["radius"]).sum()
    assert 0 < missing < len(x)
    computed = []
    radii = search.Search.radii
    with monkeypatch.context() as patch:
        patch.setattr(
            search.Search, "radii", lambda self, x, y: computed.extend(x) or radii(self, x, y)
        )
        found = certify(network, x, y, path=path, **BOX)
        assert len(computed) == missing
        again = certify(network, x, y, path=path, workers=2, **BOX)
        assert len(computed) == missing
    for result in (found, again):
        np.testing.assert_array_equal(result, expected)


def test_radii_are_saved_on_the_way(tmp_path, monkeypatch):
    network, x, y = problem()
    path, missing = tmp_path / "radii.npz", []
    save_radii = parallel.save_radii

    def watched(*arguments):
        save_radii(*arguments)
        missing.append(int(np.isnan(load_arrays(path)[0]["radius"]).sum()))

    monkeypatch.setattr(parallel, "SAVE_EVERY", -1)
    monkeypatch.setattr(parallel, "save_radii", watched)
    certify(network, x, y, path=path, **BOX)
    assert len(missing) > 2
    assert missing == sorted(missing, reverse=True)
    assert missing[0] < len(x)
    assert missing[-1] == 0


PROGRAM = """
import signal, sys
from tests.prototypes.test_certify import BOX, problem
from tinyproto.prototypes import certify
from tinyproto.prototypes.certificate import parallel

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    network, x, y = problem(samples=4000)
    parallel.SAVE_EVERY = 0.0
    certify(network, x, y, workers=2, path=sys.argv[1], **BOX)
"""


@needs_fork
def test_ctrl_c_leaves_a_file_and_no_process(tmp_path):
    """Ctrl-C reaches all processes of a terminal."""
    (tmp_path / "program.py").write_text(PROGRAM)
    path = tmp_path / "radii.npz"
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py", path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert errors.count("KeyboardInterrupt") == 1, errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    network, x, y = problem(samples=4000)
    part = load_arrays(path)[0]["radius"]
    done = np.flatnonzero(~np.isnan(part))[:20]
    np.testing.assert_array_equal(part[done], exact_radius(network, x[done], y[done], **BOX)[0])


@needs_fork
def test_workers_that_die_again_and_again_are_one_error_and_what_was_found_stays(
    tmp_path, monkeypatch, start_method
):
    network, x, y = problem()
    start_method("fork")
    monkeypatch.setattr(search.Search, "radii", lambda *arguments: os._exit(1))
    with pytest.raises(RuntimeError, match="a worker process ended before its task was done, 3"):
        certify(network, x, y, workers=2, path=tmp_path / "radii.npz")
    assert np.isnan(load_arrays(tmp_path / "radii.npz")[0]["radius"]).all()


@needs_fork
def test_a_worker_that_dies_is_replaced(tmp_path, monkeypatch, start_method):
    network, x, y = problem()
    expected = certify(network, x, y, **BOX)
    start_method("fork")
    monkeypatch.setattr(search.Search, "radii", dying_once(search.Search.radii, tmp_path / "died"))
    np.testing.assert_array_equal(certify(network, x, y, workers=2, **BOX), expected)
    assert (tmp_path / "died").exists()


def dying_once(function, marker):
    """A function that ends its process the first time that it is called in any."""

    def once(*arguments):
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            return function(*arguments)
        os._exit(1)

    return once


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_an_executor_gives_the_same_bits(norm):
    network, x, y = problem()
    expected = exact_radius(network, x, y, norm=norm, **BOX)
    with ThreadPoolExecutor(3) as executor:
        found = exact_radius(network, x, y, norm=norm, executor=executor, **BOX)
        lower, _ = certify(network, x, y, norm=norm, executor=executor, **BOX)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(lower, expected[0])


@needs_fork
def test_an_error_in_a_worker_is_that_error(start_method, monkeypatch):
    network, x, y = problem()
    start_method("fork")

    def refuse(*arguments):
        raise ValueError("no such radius")

    monkeypatch.setattr(search.Search, "radii", refuse)
    with pytest.raises(ValueError, match="no such radius"):
        certify(network, x, y, workers=2)


@pytest.mark.parametrize(
    ("change", "named"),
    [("network", "network"), ("x", "inputs"), ("y", "labels"), ("no y", "labels"),
     ("norm", "norm"), ("box", "box"), ("overshoot", "overshoot")],
)  # fmt: skip
def test_a_file_of_something_else_is_refused_and_kept(tmp_path, change, named):
    network, x, y = problem(samples=3)
    path = tmp_path / "radii.npz"
    options = {"path": path, "norm": "l2", "overshoot": 0.0, **BOX}
    certify(network, x, y, **options)
    before = path.read_bytes()
    if change == "network":
        network.positive_prototypes_[3, 2] += np.float32(1e-6)
    elif change == "x":
        x[1, 1] += np.float32(1e-6)
    elif change == "y":
        y[0] += 1
    elif change == "no y":
        y = None
    else:
        options |= {"norm": {"norm": "linf"}, "box": {"hi": 2.0}, "overshoot": {"overshoot": 0.1}}[
            change
        ]
    with pytest.raises(ValueError, match=f"holds radii for other values of {named}; delete it"):
        certify(network, x, y, **options)
    assert path.read_bytes() == before


def test_a_file_that_is_none_is_refused(tmp_path):
    network, x, _ = problem(samples=3)
    path = tmp_path / "radii.npz"
    save_arrays({"radius": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="is no file of radii"):
        certify(network, x, path=path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not a file that tinyproto saved"):
        certify(network, x, path=path)


def test_checksums_tell_arrays_apart():
    a, b = np.arange(6.0), np.arange(3.0)
    sums = {
        radius_file.checksums(*arrays)
        for arrays in ((a,), (a, b), (b, a), (a.reshape(2, 3),), (a.astype("f4"),), ())
    }
    assert len(sums) == 6


def test_wrong_options_are_refused():
    network, x, _ = problem(samples=3)
    with pytest.raises(ValueError, match="workers must be"):
        certify(network, x, workers=0)
    with pytest.raises(ValueError, match="the box needs both"):
        certify(network, x, lo=0.0)


def test_no_inputs_have_no_radii():
    network, x, _ = problem(samples=3)
    radius, length = certify(network, x[:0], workers=2)
    assert radius.shape == length.shape == (0,)
