"""Why a device cannot be used is said in one line."""

import sys
from types import SimpleNamespace

import pytest

from tinyproto.backend import device


@pytest.mark.parametrize("forked", [False, True])
@pytest.mark.parametrize("error", ["initialization error", "no CUDA-capable device"])
def test_a_forked_process_that_cannot_use_cuda(monkeypatch, error, forked):
    def refuse():
        raise RuntimeError(error)

    runtime = SimpleNamespace(getDeviceCount=refuse)
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), ndarray=())
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: cupy)
    monkeypatch.setattr(device, "was_forked", lambda: forked)
    reason = device.cuda_unavailable_reason()
    assert f"no CUDA device is usable: RuntimeError: {error}" in reason
    assert reason.endswith("start it by spawn") == (forked and "initialization" in error)
