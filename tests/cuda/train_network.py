"""An epoch of each defence and a PGD attack through the GPU branch, against the CPU's.

    NUMBA_ENABLE_CUDASIM=1 python -m tests.cuda.train_network

All arrays are "on the device", by a stand-in as strict as CuPy; kernels run in the simulator.
Prints how far apart the two are, as JSON.
"""

import json
from functools import partial

import numpy as np

from tests.cuda import standin
from tinyproto.attacks import Victim, pgd
from tinyproto.backend import device
from tinyproto.data.augment import crop_and_flip
from tinyproto.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Flatten,
    GlobalAveragePool,
    Linear,
    MaxPool2D,
    Normalize,
    ReLU,
    Residual,
    Sequential,
    initialize,
)
from tinyproto.networks import Network
from tinyproto.optimizers import SGD, Adam
from tinyproto.parameters import flatten
from tinyproto.prototypes.dpnp import PrototypeHead
from tinyproto.schedules import one_cycle
from tinyproto.training import DEFENSES, PGDConfig, fit


def small(prototypes):
    """Every layer there is, once."""
    features = Sequential(
        Normalize([0.4] * 3, [0.2] * 3),
        Conv2D(3, 4, 3, padding=1, bias=False),
        BatchNorm(4),
        ReLU(),
        MaxPool2D(),
        Residual(Sequential(Conv2D(4, 4, 3, padding=1, bias=False), BatchNorm(4))),
        ReLU(),
        AveragePool2D(),
        Residual(Conv2D(4, 6, 1, stride=1), Conv2D(4, 6, 1)),
        Conv2D(6, 6, 1),
        ReLU(),
        GlobalAveragePool(),
        Flatten(),
        Linear(6, 4),
    )
    return initialize(Network(features, PrototypeHead(4, 3) if prototypes else Linear(4, 3)), 0)


def results(method, where):
    """Weights after two steps, the rows of the epoch, and attacked images, from one device."""
    random = np.random.default_rng(0)
    x = random.integers(0, 255, (4, 5, 4, 3)).astype(np.uint8)
    y = np.array([0, 1, 2, 0])
    xp = device.select_device(where)
    network = small("dpnp" in method).to(xp, np.float64)
    attack = PGDConfig(steps=1)
    options = {"attack": attack} if DEFENSES[method].adversarial else {}
    history = fit(
        network, partial(DEFENSES[method], **options), x, y, epochs=1, batch_size=2,
        optimizer=Adam() if method == "mart" else SGD(), average=0.9,
        schedule=partial(one_cycle, 0.01),  # at a larger rate so small a network diverges
        augment=partial(crop_and_flip, padding=1, cutout=1), validation=(x, y),
        validation_attack=attack, verbose=False,
    )  # fmt: skip
    images = xp.asarray(x / 255)
    found = [*flatten(network.params).values()]
    for norm in ("linf", "l2"):
        attacked = pgd(Victim(network), images, xp.asarray(y), eps=0.1, steps=2, norm=norm)
        found.append(attacked)
    assert (where == "cuda") == all(isinstance(f, standin.ndarray) for f in found)
    row = {name: value for name, value in history[0].items() if name != "seconds"}
    return [device.to_host(f) for f in found] + [np.array(list(row.values()))]


if __name__ == "__main__":
    standin.install()
    differences = {}
    for method in DEFENSES:
        cpu, cuda = (results(method, name) for name in ("cpu", "cuda"))
        differences[method] = max(
            float(np.abs(a - b).max()) for a, b in zip(cpu, cuda, strict=True)
        )
    print(json.dumps(differences))
