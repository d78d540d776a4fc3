"""Forward pass, PGD step and training step of two networks beside PyTorch at its best.

    python benchmarks/bench_network.py [--quick] [--no-compile] [--json FILE]

The same weights and images in float32, two threads each, the contenders in turn. PyTorch runs
eager on contiguous and on channels_last images, and compiled (torch.compile, where it works); its
fastest counts. It gets what helps it: no graph for a forward pass, no gradient but the input's for
a PGD step, none at the input for a training step, the faster of its fused and foreach SGD.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch_peer as peer
from common import medians, options, report
from torch_peer import torch

from tinyproto import networks
from tinyproto.attacks import ball
from tinyproto.losses import cross_entropy
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.parameters import zeros

THREADS = 2
EPS, STEP_SIZE, RATE, DECAY = 8 / 255, 2 / 255, 0.01, 5e-4
NETWORKS: dict[str, tuple[Callable[..., Network], int]] = {
    "compact_cnn": (networks.compact_cnn, 128),
    "resnet18": (networks.resnet18, 64),
}
F = torch.nn.functional
Run = Callable[[], Any]


def ours(network: Network, x: np.ndarray, y: np.ndarray) -> dict[str, Run]:
    """What is timed, by name. The point of the attack moves on and stays in its ball."""
    low, high = ball.limits(x, EPS, 0.0, 1.0)
    state = {"point": x}
    optimizer = SGD(weight_decay=DECAY)
    learner = networks.rebuild(network.settings, "the network")

    def forward() -> np.ndarray:
        z: np.ndarray = network(x)[0]
        return z

    def pgd_step() -> None:
        z, backward = network(state["point"])
        gradient = backward(cross_entropy(z, y)[1])
        moved = state["point"] + np.sign(gradient) * x.dtype.type(STEP_SIZE)
        state["point"] = np.clip(moved, low, high)

    def training_step() -> None:
        grads = zeros(learner.params)
        z, backward = learner(x, train=True)
        backward(cross_entropy(z, y)[1] / len(z), grads)
        optimizer.step(learner.params, grads, RATE)

    return {"forward": forward, "PGD step": pgd_step, "training step": training_step}


def theirs(network: Network, x: np.ndarray, y: np.ndarray, mode: str) -> dict[str, Run]:
    """The same in PyTorch, in one of its modes."""
    layout = torch.contiguous_format if mode == "contiguous" else torch.channels_last
    image, labels = peer.images(x).contiguous(memory_format=layout), torch.from_numpy(y)
    low, high = (peer.images(b).contiguous(memory_format=layout) for b in ball.limits(x, EPS, 0, 1))
    still = peer.module(network).to(memory_format=layout).eval().requires_grad_(False)
    learner = peer.module(network).to(memory_format=layout).train()
    optimizer = fastest_sgd(learner, network)
    if mode == "compiled":
        still, learner = torch.compile(still), torch.compile(learner)
    state = {"point": image}

    def forward() -> Any:
        with torch.no_grad():
            return still(image)

    def pgd_step() -> None:
        point = state["point"].detach().requires_grad_()
        loss = F.cross_entropy(still(point), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, point)
        with torch.no_grad():
            moved = torch.add(point, gradient.sign_(), alpha=STEP_SIZE)
            state["point"] = moved.clamp_(low, high)

    def training_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(learner(image), labels).backward()
        optimizer.step()

    return {"forward": forward, "PGD step": pgd_step, "training step": training_step}


def fastest_sgd(learner: Any, network: Network) -> Any:
    """PyTorch's SGD, fused or foreach: the one that is faster on these parameters."""

    def build(**kind: bool) -> Any:
        groups = peer.groups(learner, network.params, DECAY)
        return torch.optim.SGD(groups, lr=RATE, momentum=0.9, nesterov=True, **kind)

    try:
        rivals = {"fused": build(fused=True), "foreach": build(foreach=True)}
        for parameter in learner.parameters():
            parameter.grad = torch.zeros_like(parameter)
        weights = [parameter.clone() for parameter in learner.parameters()]
        seconds = medians({kind: rival.step for kind, rival in rivals.items()}, 5)
        with torch.no_grad():
            for parameter, weight in zip(learner.parameters(), weights, strict=True):
                parameter.copy_(weight)
        return build(**{min(seconds, key=lambda kind: seconds[kind]): True})
    except (TypeError, RuntimeError):  # an older PyTorch has no fused SGD on the CPU
        return build(foreach=True)


def compiled(network: Network, x: np.ndarray, y: np.ndarray) -> tuple[dict[str, Run], str]:
    """Those of the compiled contenders that work, and why others do not."""
    working, why = {}, ""
    try:
        for what, run in theirs(network, x, y, "compiled").items():
            run()
            working[what] = run
    except Exception as error:  # whatever the compiler may raise: it is only left out
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
    return working, why


def race(name: str, rounds: int, compile: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """A network's rows, and what to note beside them."""
    build, batch = NETWORKS[name]
    random = np.random.default_rng(0)
    x = random.random((batch, 32, 32, 3), dtype=np.float32)
    y = random.integers(0, 10, batch)
    network = build()
    runs = {"ours": ours(network, x, y)}
    runs |= {mode: theirs(network, x, y, mode) for mode in ("contiguous", "channels_last")}
    notes = []
    if compile:
        working, why = compiled(network, x, y)
        runs["compiled"] = working
        notes += [f"{name}: torch.compile left out: {why}"] if why else []
    scores = {mode: np.asarray(run["forward"]()) for mode, run in runs.items() if "forward" in run}
    for mode, z in scores.items():
        if not np.abs(z - scores["ours"]).max() <= 1e-3 * np.abs(z).max():
            raise SystemExit(f"{name}: {mode} computes other scores than ours")
    rows = []
    for what in runs["ours"]:
        seconds = medians({m: run[what] for m, run in runs.items() if what in run}, rounds)
        notes.append(f"{what}, {name}: " + ", ".join(f"{m} {s:.4g} s" for m, s in seconds.items()))
        mine = seconds.pop("ours")
        best = min(seconds, key=lambda mode: seconds[mode])
        rows.append(
            {
                "what": what,
                "network": f"{name}, {batch} images",
                "ours, s": mine,
                "PyTorch, s": seconds[best],
                "its best mode": best,
                "ours / PyTorch": mine / seconds[best],
            }
        )
    return rows, notes


def blas() -> str:
    """The kernel that NumPy's BLAS runs, as threadpoolctl tells it."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "BLAS kernel unknown (pip install threadpoolctl)"
    found = [
        f"{library['internal_api']} {library.get('version')} {library.get('architecture', '')}"
        for library in threadpool_info()
        if library["user_api"] == "blas" and "numpy" in library["filepath"]
    ]
    set_here = [f"{k}={v}" for k, v in os.environ.items() if k.startswith("OPENBLAS_")]
    return ", ".join([f"NumPy's BLAS: {'; '.join(found) or 'unknown'}", *set_here])


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    chosen = parser.parse_args()
    os.environ.setdefault("NUMBA_NUM_THREADS", str(THREADS))
    torch.set_num_threads(THREADS)
    rounds = 3 if chosen.quick else 9
    rows, notes = [], []
    for name in chosen.networks:
        some, remarks = race(name, rounds, not chosen.no_compile)
        rows += some
        notes += remarks
    notes.append(
        f"float32, {THREADS} threads, medians of {rounds} rounds, contenders in turn; PyTorch "
        f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}; {blas()}"
    )
    report(rows, chosen.json, "\n".join(notes))


if __name__ == "__main__":
    main()
