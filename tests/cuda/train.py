"""Fit and attack all networks through the GPU branch: the stand-in for CuPy, simulated kernels.

    NUMBA_ENABLE_CUDASIM=1 python -m tests.cuda.train

prints, for each network and batch size, how far the result is from the CPU's, as JSON.
"""

import json

import numpy as np

from tests.cuda import standin
from tinyproto.attacks import Victim, pgd
from tinyproto.backend import device
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA

SETTINGS = (
    {"init": "random"},
    {"init": "kmeans", "batch_size": 4},
    {"init": "samples", "batch_size": 4, "objective": "radius", "lo": -9.0, "hi": 9.0},
    {"init": "samples", "batch_size": 4, "objective": "radius", "norm": "linf", "temperature": 0.1},
)


def results(kind, settings, where, x, y):
    """The linear form, class scores and attacked samples of a network fitted on a device."""
    network = kind(2, epochs=1, dtype="float64", device=where, **settings).fit(x, y)
    images = device.select_device(where).asarray(x)
    label = device.select_device(where).asarray(y)
    found = [*network.linear(), network.decision_function(x)]
    found += [network.radius_bound(images, y, norm=norm) for norm in ("linf", "l2")]
    for norm in ("linf", "l2"):
        victim = Victim(network, lo=-9.0, hi=9.0)
        found.append(pgd(victim, images, label, eps=0.5, steps=2, norm=norm))
    assert (where == "cuda") == isinstance(found[-1], standin.ndarray)
    return [device.to_host(f) for f in found] + [network.predict(images)]


if __name__ == "__main__":
    standin.install()
    random = np.random.default_rng(0)
    y = np.arange(6) % 2
    x = random.normal(size=(6, 3)) + 2 * np.eye(2, 3)[y]
    differences = {}
    for kind in (IPWTA, EDWTA, PlusMinusEDWTA):
        for settings in SETTINGS:
            cpu, cuda = (results(kind, settings, name, x, y) for name in ("cpu", "cuda"))
            differences[f"{kind.__name__} {settings}"] = max(
                float(np.abs(a - b).max()) for a, b in zip(cpu, cuda, strict=True)
            )
    print(json.dumps(differences))
