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


def results(kind, init, batch_size, where, x, y):
    """The linear form, class scores and attacked samples of a network fitted on a device."""
    network = kind(
        2, epochs=1, dtype="float64", init=init, batch_size=batch_size, device=where
    ).fit(x, y)
    images = device.select_device(where).asarray(x)
    label = device.select_device(where).asarray(y)
    found = [*network.linear(), network.decision_function(x)]
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
        for init, batch_size in (("random", 1), ("kmeans", 4)):
            cpu, cuda = (results(kind, init, batch_size, name, x, y) for name in ("cpu", "cuda"))
            key = f"{kind.__name__} {init} {batch_size}"
            differences[key] = max(
                float(np.abs(a - b).max()) for a, b in zip(cpu, cuda, strict=True)
            )
    print(json.dumps(differences))
