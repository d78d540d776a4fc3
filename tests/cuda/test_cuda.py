"""Every kernel in the simulator, and built for real architectures; neither needs a device."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests import ROOT
from tests.conftest import keep_cuda_table
from tests.cuda.simulate import LANES
from tests.kernel_examples import EXAMPLES, all_kernels
from tinyproto.backend import device

KERNELS = sorted(all_kernels())


def script(name, *arguments, **environment):
    """What a script of this folder prints, as JSON."""
    out = subprocess.run(
        [sys.executable, "-m", f"tests.cuda.{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


@pytest.fixture(scope="module")
def simulated():
    return script("simulate", NUMBA_ENABLE_CUDASIM="1")


@pytest.mark.slow
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", KERNELS)
def test_simulated_kernel_equals_the_cpu(simulated, name, dtype, lanes):
    assert simulated[f"{name} {dtype} lanes={lanes}"] <= 100 * np.finfo(dtype).eps


@pytest.fixture(scope="module")
def built(request):
    reason = "needs numba-cuda's compiler and linker: pip install -e '.[cuda-check]'"
    pytest.importorskip("cuda.core", reason=reason)
    pytest.importorskip("numba_cuda", reason=reason)
    rows = script("build", "--json")
    from tests.cuda.build import table

    keep_cuda_table(request.config, table(rows))
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_builds_for_three_architectures_without_spills_or_float64(built, name):
    rows = [row for row in built if row["kernel"] == name]
    assert [row["architecture"] for row in rows] == ["sm_80", "sm_90", "sm_120"]
    for row in rows:
        assert row["bytes"] > 0
        assert row["spilled"] == 0
        assert row["float64"] == 0
        assert row["parameters fit"]


@pytest.mark.slow
def test_networks_and_attacks_through_the_gpu_branch_equal_the_cpu():
    """All arrays "on the device", by a stand-in as strict as CuPy; kernels in the simulator."""
    pytest.importorskip("cupy", reason="needs CuPy: pip install -e '.[cuda-check]'")
    differences = script("train", NUMBA_ENABLE_CUDASIM="1")
    assert len(differences) == 12
    assert max(differences.values()) < 1e-12, differences


@pytest.mark.slow
def test_training_and_attacking_a_network_through_the_gpu_branch_equals_the_cpu():
    """Two steps of every defence, Adv-DPNP among them, evaluation and PGD; every layer there is."""
    pytest.importorskip("cupy", reason="needs CuPy: pip install -e '.[cuda-check]'")
    differences = script("train_network", NUMBA_ENABLE_CUDASIM="1")
    assert set(differences) == {"standard", "pgd", "trades", "mart", "dpnp", "adv-dpnp"}
    assert max(differences.values()) < 1e-12, differences  # a GPU adds up parts of images


@pytest.mark.slow
def test_every_attack_through_the_gpu_branch_equals_the_cpu():
    pytest.importorskip("cupy", reason="needs CuPy: pip install -e '.[cuda-check]'")
    differences = script("attack", NUMBA_ENABLE_CUDASIM="1")
    assert len(differences) == 25
    assert max(differences.values()) < 1e-9, differences


@pytest.mark.slow
def test_detectors_in_feature_space_through_the_gpu_branch_equal_the_cpu():
    pytest.importorskip("cupy", reason="needs CuPy: pip install -e '.[cuda-check]'")
    differences = script("feature_detector", NUMBA_ENABLE_CUDASIM="1")
    assert len(differences) == 6
    assert max(differences.values()) < 1e-9, differences


def test_without_a_device_the_reason_is_one_line():
    reason = device.cuda_unavailable_reason()
    if reason is None:
        pytest.skip("this machine has a usable CUDA device")
    assert "\n" not in reason
    with pytest.raises(device.DeviceError, match="no CUDA device: CuPy is"):
        device.select_device("cuda")


def test_installed_but_unusable_is_another_reason_than_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reason = device.cuda_unavailable_reason()
    assert reason.endswith("in the checkout: pip install -e '.[cuda13]' (or cuda12)")
    monkeypatch.undo()
    if (
        device.cuda_unavailable_reason() is None
        or "not installed" in device.cuda_unavailable_reason()
    ):
        pytest.skip("needs CuPy installed and no usable device")
    assert "no CUDA device is usable" in device.cuda_unavailable_reason()


@pytest.mark.gpu
def test_networks_agree_on_a_real_device():
    from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA

    random = np.random.default_rng(0)
    y = np.arange(200) % 4
    x = random.normal(size=(200, 30)) + 3 * np.eye(4, 30)[y]
    for kind in (IPWTA, EDWTA, PlusMinusEDWTA):
        for batch_size in (1, 32):
            cpu, cuda = (
                kind(2, epochs=2, dtype="float64", batch_size=batch_size, device=name).fit(x, y)
                for name in ("cpu", "cuda")
            )
            np.testing.assert_allclose(cpu.linear()[0], cuda.linear()[0], rtol=1e-9, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_on_a_real_device_equals_the_cpu(name):
    cupy = device.select_device("cuda")
    kernel = all_kernels()[name]
    rows, *arguments = EXAMPLES[name](np.random.default_rng(0), np.float32)
    there = [cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    kernel(rows, *arguments)
    kernel(rows, *there)
    for here, copied in zip(arguments, there, strict=True):
        if isinstance(here, np.ndarray):
            np.testing.assert_allclose(device.to_host(copied), here, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_attacks_agree_on_a_real_device(norm):
    from functools import partial

    from tinyproto.attacks import Victim, apgd, apgd_targeted, carlini_wagner, fab, square
    from tinyproto.networks import compact_cnn

    attacks = {
        "apgd": partial(apgd, eps=0.01, steps=5, norm=norm),
        "apgd-t": partial(apgd_targeted, eps=0.01, steps=3, targets=2, norm=norm),
        "fab": partial(fab, steps=3, targets=1, norm=norm),
        "square": partial(square, eps=0.01, queries=20, norm=norm),
        "cw": partial(carlini_wagner, steps=5, binary_search_steps=2),
    }
    x = np.random.default_rng(0).random((6, 32, 32, 3))
    found: dict = {}
    for name in ("cpu", "cuda"):
        xp = device.select_device(name)
        victim, images = Victim(compact_cnn().to(xp, np.float64)), xp.asarray(x)
        labels = victim(images)[0].argmax(axis=1)
        for attack, run in attacks.items():
            found.setdefault(attack, []).append(device.to_host(run(victim, images, labels)))
    for attack, (here, there) in found.items():
        np.testing.assert_allclose(there, here, atol=1e-7, err_msg=attack)


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["standard", "pgd", "trades", "mart", "dpnp", "adv-dpnp"])
def test_training_agrees_on_a_real_device(method):
    from functools import partial

    from tinyproto.networks import compact_cnn
    from tinyproto.parameters import flatten
    from tinyproto.training import DEFENSES, PGDConfig, fit

    random = np.random.default_rng(0)
    x, y = random.integers(0, 255, (24, 32, 32, 3)).astype(np.uint8), np.arange(24) % 10
    options = {"attack": PGDConfig(steps=2)} if DEFENSES[method].adversarial else {}
    head = {"head": "prototypes"} if "dpnp" in method else {}
    networks = []
    for name in ("cpu", "cuda"):
        network = compact_cnn(**head).to(device.select_device(name), np.float64)
        defense = partial(DEFENSES[method], **options)
        fit(network, defense, x, y, epochs=1, batch_size=12, verbose=False)
        networks.append(flatten(network.params))
    for path, here in networks[0].items():
        there = device.to_host(networks[1][path])
        np.testing.assert_allclose(there, here, rtol=1e-7, atol=1e-9)
