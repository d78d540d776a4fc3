"""Every attack, and an evaluation, through the GPU branch: CuPy's stand-in, simulated kernels.

    NUMBA_ENABLE_CUDASIM=1 python -m tests.cuda.attack

prints, for each attack and norm, how far the result is from the CPU's, as JSON.
"""

import json
from functools import partial

import numpy as np

from tests.cuda import standin
from tinyproto.attacks import (
    Victim,
    apgd,
    apgd_targeted,
    autoattack,
    average,
    carlini_wagner,
    fab,
    hop_skip_jump,
    minimum_norm,
    per_feature,
    pgd,
    square,
    targeted,
)
from tinyproto.backend import device
from tinyproto.evaluation.robustness import evaluate
from tinyproto.prototypes import EDWTA


def cw(*a, norm, eps, **k):
    return carlini_wagner(*a, steps=4, binary_search_steps=2, learning_rate=0.5, initial_const=10.0)


def nearest(attack):
    return lambda *a, eps, **k: attack(*a, **k)


def towards_the_next(victim, x, y, **k):
    return targeted(partial(pgd, steps=2), victim, x, (y + 1) % 4, **k)


def features(victim, x, y, eps, **k):
    each = np.full(x.shape[1:], eps)
    each[0] = 0.0
    return per_feature(partial(pgd, steps=2), victim, x, y, eps=each, **k)


def bounded(attack):
    """The attack with a bound and a fate of its own for each feature."""

    def run(victim, x, y, **k):
        lo, hi = np.zeros(x.shape[1:]), np.linspace(1, 2, 6).reshape(x.shape[1:])
        keep = np.arange(6).reshape(x.shape[1:]) == 3
        return attack(Victim(victim.model, lo=lo, hi=hi, keep=keep), x, y, **k)

    return run


def averaged(victim, x, y, **k):
    return pgd(average(victim, 2), x, y, steps=2, **k)


def halved(*a, eps, **k):
    return minimum_norm(partial(pgd, steps=2), *a, halvings=3, **k)


jump = nearest(partial(hop_skip_jump, steps=1, probes=3))

RUNS = [
    ("apgd", "linf", partial(apgd, steps=4, restarts=2)),
    ("apgd", "l2", partial(apgd, steps=4)),
    ("apgd on dlr", "linf", partial(apgd, steps=2, loss="dlr", eot_iter=2)),
    ("apgd-t", "l2", partial(apgd_targeted, steps=2, targets=2)),
    ("fab", "linf", nearest(partial(fab, steps=2, restarts=2, bisections=2))),
    ("fab", "l1", nearest(partial(fab, steps=2))),
    ("fab-t", "l2", nearest(partial(fab, steps=2, targets=2))),
    ("square", "linf", partial(square, queries=3)),
    ("square", "l2", partial(square, queries=3)),
    ("cw", "l2", cw),
    ("apgd", "l1", partial(apgd, steps=5)),
    ("apgd-t", "l1", partial(apgd_targeted, steps=2, targets=1)),
    ("square", "l1", partial(square, queries=3)),
    ("targeted", "linf", towards_the_next),
    ("per feature", "linf", features),
    ("bounded apgd", "l2", bounded(partial(apgd, steps=2))),
    ("bounded apgd", "l1", bounded(partial(apgd, steps=2))),
    ("bounded fab", "linf", bounded(nearest(partial(fab, steps=2)))),
    ("bounded square", "l2", bounded(partial(square, queries=3))),
    ("bounded cw", "l2", bounded(cw)),
    ("average", "l2", averaged),
    ("minimum norm", "linf", halved),
    ("hop-skip-jump", "linf", bounded(jump)),
]


def network(where, x, y):
    return EDWTA(1, epochs=1, dtype="float64", device=where).fit(x, y)


if __name__ == "__main__":
    standin.install()
    random = np.random.default_rng(0)
    y = np.arange(4)
    x = np.clip(0.5 + random.normal(scale=0.1, size=(4, 3, 2, 1)), 0, 1)
    flat = x.reshape(4, -1)
    differences = {}
    victims = {where: Victim(network(where, flat, y)) for where in ("cpu", "cuda")}
    labels = device.to_host(victims["cpu"](x)[0]).argmax(axis=1)
    for name, norm, attack in RUNS:
        found = []
        for where, victim in victims.items():
            xp = device.select_device(where)
            options = {"eps": 0.05, "norm": norm}
            found.append(attack(victim, xp.asarray(x), xp.asarray(labels), **options))
        assert isinstance(found[1], standin.ndarray)
        found = [device.to_host(f) for f in found]
        assert (found[0] != x).any(), name
        differences[f"{name} {norm}"] = float(np.abs(found[0] - found[1]).max())
    few = {"apgd": partial(apgd, steps=2), "square": partial(square, queries=2)}
    for name, attacks in (("evaluate", few), ("autoattack", None)):
        rights = []
        for where, victim in victims.items():
            xp = device.select_device(where)
            there, truth = xp.asarray(x[:2]), xp.asarray(labels[:2])
            if attacks is None:
                stages = ("apgd-dlr",)
                found = autoattack(victim, there, truth, eps=1e-3, version=stages)
                rights.append(device.to_host(found))
            else:
                report = evaluate(victim, there, truth, attacks, eps=0.05, verbose=False)
                rights.append(np.array([r.robust for r in report.results.values()], float))
        differences[name] = float(np.abs(rights[0] - rights[1]).max())
    print(json.dumps(differences))
