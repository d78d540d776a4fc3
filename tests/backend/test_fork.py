"""Processes that fork and start others: right numbers, no hang, nothing on standard error."""

import os
import subprocess
import sys

import pytest

NOTICE = "tinyproto: compiling kernels"


def run(scenario, **environment):
    """Standard error of a scenario in `processes.py`, but for the notice that kernels compile."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.backend.processes", scenario],
        env={**os.environ, "NUMBA_NUM_THREADS": "2", **environment},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if not line.startswith(NOTICE)]


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")


@needs_fork
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
@pytest.mark.parametrize("scenario", ["forked", "forked_before"])
def test_a_forked_process_computes_the_same(scenario, layer):
    if layer == "omp":
        pytest.importorskip("numba.np.ufunc.omppool", exc_type=ImportError)
    assert run(scenario, NUMBA_THREADING_LAYER=layer) == []


@needs_fork
@pytest.mark.parametrize(
    "scenario", ["forked_while_compiling", "forked_inside", "forked_by_others"]
)
def test_forked_while(scenario):
    assert run(scenario) == []


@pytest.mark.parametrize("scenario", ["pools", "start_method"])
def test_processes_and_threads_of_the_standard_library(scenario):
    assert run(scenario) == []


def test_joblib():
    pytest.importorskip("joblib")
    run("joblib")


@pytest.mark.parametrize("scenario", ["layer_in_use", "layer_chosen", "threads_chosen"])
def test_what_the_user_chose_in_code_is_respected(scenario):
    """One loop of `workqueue` at a time, though the environment says nothing."""
    assert run(scenario) == []
