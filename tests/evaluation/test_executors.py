"""Evaluations in workers: the bits of one process, whoever the workers are and whichever die."""

import importlib.util
import os
import re
import runpy
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

from tests import ROOT
from tests.evaluation.executors import (
    ATTACKS,
    dying,
    figures,
    flat,
    problem,
    refusing,
    run,
)
from tinyproto.attacks import Victim
from tinyproto.attacks.victim import FlatGradientWarning
from tinyproto.evaluation import evaluate, robustness
from tinyproto.evaluation.__main__ import main
from tinyproto.state import load_arrays
from tinyproto.workers import worker_processes

METHODS = ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)][: 1 + hasattr(os, "fork")]
MODEL = str(ROOT / "benchmarks" / "models" / "cifar10_pgd.npz")


@pytest.fixture(scope="module")
def expected():
    return figures(*run(None))


def assert_equal(found, expected):
    assert found[0].keys() == expected[0].keys()
    for name, array in expected[0].items():
        np.testing.assert_array_equal(found[0][name], array, err_msg=name)
    assert found[1] == expected[1]


def test_the_case_can_fail(expected):
    """Some examples are robust, some fall to the second attack only."""
    square, pgd = expected[0]["square robust"], expected[0]["pgd robust"]
    assert 0 < (square & pgd).sum() < square.sum() < 35


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_bits(workers, expected):
    with ThreadPoolExecutor(workers) as executor:
        assert_equal(figures(*run(executor)), expected)


@pytest.mark.parametrize("method", METHODS)
def test_processes_give_the_same_bits(method, expected):
    assert_equal(figures(*run(worker_processes(2, method))), expected)


def test_dask_gives_the_same_bits(expected):
    distributed = pytest.importorskip("distributed", reason='needs pip install -e ".[dask]"')
    with distributed.Client(
        n_workers=2, threads_per_worker=1, dashboard_address=None, set_as_default=False
    ) as client:
        assert_equal(figures(*run(client.get_executor())), expected)


def mpirun(*arguments, ranks=2, **options):
    """Run Python in several ranks."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip('needs pip install -e ".[mpi]"')
    from shutil import which

    found = which("mpirun", path=os.pathsep.join([os.path.dirname(sys.executable), os.defpath]))
    if found is None:
        pytest.skip("needs mpirun, as of the package mpich")
    return subprocess.run(
        [found, "-n", str(ranks), sys.executable, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, **options,
    )  # fmt: skip


@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_mpi_gives_the_same_bits(ranks, expected, tmp_path):
    """One rank hands out the work, so there are one or two workers."""
    path = tmp_path / "found.npz"
    done = mpirun("-m", "mpi4py.futures", "-m", "tests.evaluation.executors", path, ranks=ranks)
    assert done.returncode == 0, done.stderr
    assert_equal((dict(np.load(path)), expected[1]), expected)
    assert path.with_suffix(".txt").read_text() == repr(expected[1])


def killing(tmp_path, **options):
    """Attacks of which one kills the process of a worker."""
    (tmp_path / "caller").write_text(str(os.getpid()))
    return ATTACKS | {"pgd": partial(dying, marker=tmp_path / "killed", **options)}


def test_a_worker_that_is_killed_is_replaced(tmp_path, expected, recwarn):
    assert_equal(figures(*run(worker_processes(2, "spawn"), killing(tmp_path))), expected)
    assert (tmp_path / "killed").exists()
    assert not recwarn.list


def test_where_an_executor_is_broken_the_rest_is_done_here(tmp_path, expected):
    with (
        ProcessPoolExecutor(2, get_context("spawn")) as executor,
        pytest.warns(RuntimeWarning, match="a worker process ended, and with it the executor"),
    ):
        assert_equal(figures(*run(executor, killing(tmp_path))), expected)


@pytest.mark.slow
def test_workers_that_are_always_killed_are_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="3 times in a row: it was killed, or is short of"):
        run(worker_processes(1, "spawn"), killing(tmp_path, always=True))


def test_what_was_interrupted_goes_on_with_another_number_of_workers(
    tmp_path, expected, monkeypatch
):
    path = tmp_path / "state.npz"
    saved, left = robustness._save, [4]

    def until_interrupted(*arguments):
        saved(*arguments)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as executor:
        patch.setattr(robustness, "_save", until_interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(executor, state_path=path)
    assert load_arrays(path)[0]["square/attacked"].sum() in (26, 27, 28)  # a batch has five or more
    with ThreadPoolExecutor(3) as executor:
        report, _ = run(executor, state_path=path)
    assert_equal((figures(report, Victim(flat))[0], ()), (expected[0], ()))
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


def test_an_error_in_a_worker_is_that_error():
    with ThreadPoolExecutor(2) as executor, pytest.raises(ValueError, match="no such attack"):
        run(executor, {"mine": refusing})


def test_warnings_and_counters_of_a_victim_arrive():
    x, y = np.full((24, 2, 2, 1), 0.5), np.zeros(24, dtype=int)
    found = []
    for executor in (None, ThreadPoolExecutor(2)):
        victim = Victim(flat)
        with pytest.warns(FlatGradientWarning, match="the gradient was exactly 0 in") as caught:
            evaluate(
                victim, x, y, ["fgsm"], eps=0.1, batch_size=5, executor=executor, verbose=False
            )
        assert len(caught) == 1
        found.append((victim.forward_passes, victim.backward_passes, victim.flat_gradients))
    assert found[0] == found[1]
    assert found[0][2] == 24


@pytest.mark.parametrize("what", ["model", "attack"])
def test_what_cannot_be_sent_is_named_in_one_line(what):
    lock = threading.Lock()

    def unsent(*arguments, **options):
        raise AssertionError(lock)

    victim, x, y = problem()
    attacks, name = ATTACKS, "the model, a function,"
    if what == "model":
        network = victim.model
        victim = Victim(lambda x: (lock, network(x))[1])
    else:
        attacks, name = {"mine": unsent}, "the attack 'mine'"
    with pytest.raises(ValueError, match=f"executor: {name} cannot be sent to another") as raised:
        evaluate(victim, x, y, attacks, eps=0.1, executor=worker_processes(2), verbose=False)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("executor", [2, "processes", lambda: 3])
def test_an_executor_that_is_none_is_refused(executor):
    with pytest.raises(ValueError, match=r"executor(\(\))? must (be|return) an?"):
        run(executor)


@pytest.mark.usefixtures("samples_only")
def test_the_command_gives_the_same_table(tmp_path):
    tables = []
    for workers in ("1", "2"):
        out = tmp_path / f"{workers}.csv"
        main([MODEL, "--attack", "fgsm", "pgd-20", "--examples", "6", "--batch", "2",
              "--workers", workers, "--out", str(out)])  # fmt: skip
        tables.append([line.rpartition(",")[0] for line in out.read_text().splitlines()])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 5


def example(engine):
    """The table of the example, but for the time that it took."""
    script = ["examples/evaluate_in_workers.py", engine, "--examples", "6", "--batch", "2"]
    if engine == "mpi":
        done = mpirun("-m", "mpi4py.futures", *script)
    else:
        done = subprocess.run([sys.executable, *script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [re.sub(r" +[\d.]+$", "", line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "package"), [("processes", "numpy"), ("mpi", "mpi4py"), ("dask", "distributed")]
)
def test_the_example_prints_the_same_table(engine, package):
    pytest.importorskip(package)
    table = example(engine)
    assert table == example("none")
    assert any(line.startswith("pgd-20") for line in table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--workers", "0"], "--workers must be 1 or more, not 0"),
     (["--workers", "2", "--device", "cuda"], "--workers shares out the cores of a CPU")],
)  # fmt: skip
def test_a_wrong_number_of_workers_is_one_line(arguments, message):
    with pytest.raises(SystemExit, match=message):
        main([MODEL, *arguments])


def test_a_scheduler_is_refused_where_it_has_no_effect():
    program = runpy.run_path(str(ROOT / "examples" / "evaluate_in_workers.py"))
    options = program["parse"](["none", "--scheduler", "tcp://node1:8786"])
    with pytest.raises(ValueError, match="--scheduler is Dask's: it has no effect with none"):
        program["run"](options)
