"""Forward pass, PGD step and training step of two networks, compared with PyTorch at its best.

    python benchmarks/bench_network.py [--quick] [--no-compile] [--json FILE]

The same weights and images in float32, with equal numbers of threads, timed in turn; with
BatchNorm and without. PyTorch runs eager on contiguous and on channels_last images, and
compiled (torch.compile, where it works); its fastest counts. In eval mode BatchNorm is folded into
the convolutions, for both; PyTorch may also leave it where it is. It gets what helps it: no graph
for a forward pass, no gradient but the input's for a PGD step, none at the input for a training
step, the faster of its fused and foreach SGD.
"""

import copy
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import torch_peer as peer
from common import argument_parser, median_seconds, report
from threadpoolctl import threadpool_limits
from torch_peer import torch

from tinyproto import networks
from tinyproto.attacks.region import linf_bounds
from tinyproto.backend import cpu
from tinyproto.evaluation.command import run_command
from tinyproto.layers import Conv2D
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


def ours(trained: Network, folded: Network, x: np.ndarray, y: np.ndarray) -> dict[str, Run]:
    """The runs to be timed, by name; the attack continues from one step to the next."""
    low, high = linf_bounds(x, EPS, 0.0, 1.0)
    state = {"point": x}
    optimizer = SGD(weight_decay=DECAY)
    trained = copy.deepcopy(trained)

    def forward() -> np.ndarray:
        z: np.ndarray = folded(x)[0]
        return z

    def pgd_step() -> None:
        z, backward = folded(state["point"])
        gradient = backward(cross_entropy(z, y)[1])
        moved = state["point"] + np.sign(gradient) * x.dtype.type(STEP_SIZE)
        state["point"] = np.clip(moved, low, high)

    def training_step() -> None:
        grads = zeros(trained.params)
        z, backward = trained(x, train=True)
        backward(cross_entropy(z, y)[1] / len(z), grads)
        optimizer.step(trained.params, grads, RATE)

    return {"forward": forward, "PGD step": pgd_step, "training step": training_step}


def theirs(
    trained: Network, folded: Network, x: np.ndarray, y: np.ndarray, mode: str
) -> dict[str, Run]:
    """The same in PyTorch, in one of its modes."""
    layout = torch.contiguous_format if mode == "contiguous" else torch.channels_last
    image, labels = peer.images(x).contiguous(memory_format=layout), torch.from_numpy(y)
    low, high = (peer.images(b).contiguous(memory_format=layout) for b in linf_bounds(x, EPS, 0, 1))
    folded_module = peer.module(folded).to(memory_format=layout).eval().requires_grad_(False)
    trained_module = peer.module(trained).to(memory_format=layout).train()
    optimizer = fastest_sgd(trained_module, trained)
    if mode == "compiled":
        folded_module, trained_module = torch.compile(folded_module), torch.compile(trained_module)
    state = {"point": image}

    def forward() -> Any:
        with torch.no_grad():
            return folded_module(image)

    def pgd_step() -> None:
        point = state["point"].detach().requires_grad_()
        loss = F.cross_entropy(folded_module(point), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, point)
        with torch.no_grad():
            moved = torch.add(point, gradient.sign_(), alpha=STEP_SIZE)
            state["point"] = moved.clamp_(low, high)

    def training_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(trained_module(image), labels).backward()
        optimizer.step()

    return {"forward": forward, "PGD step": pgd_step, "training step": training_step}


def fastest_sgd(module: Any, network: Network) -> Any:
    """PyTorch's SGD, fused or foreach: the one that is faster on these parameters."""

    def build(**kind: bool) -> Any:
        groups = peer.groups(module, network.params, DECAY)
        return torch.optim.SGD(groups, lr=RATE, momentum=0.9, nesterov=True, **kind)

    try:
        candidates = {"fused": build(fused=True), "foreach": build(foreach=True)}
        for parameter in module.parameters():
            parameter.grad = torch.zeros_like(parameter)
        weights = [parameter.clone() for parameter in module.parameters()]
        steps = {kind: optimizer.step for kind, optimizer in candidates.items()}
        seconds = median_seconds(steps, 5)
        with torch.no_grad():
            for parameter, weight in zip(module.parameters(), weights, strict=True):
                parameter.copy_(weight)
        return build(**{min(seconds, key=lambda kind: seconds[kind]): True})
    except (TypeError, RuntimeError):  # an older PyTorch has no fused SGD on the CPU
        return build(foreach=True)


def compiled(
    trained: Network, folded: Network, x: np.ndarray, y: np.ndarray
) -> tuple[dict[str, Run], str]:
    """The runs that torch.compile can compile, and why not the others."""
    working, why = {}, ""
    try:
        for what, run in theirs(trained, folded, x, y, "compiled").items():
            run()
            working[what] = run
    except Exception as error:  # whatever the compiler may raise: it is only left out
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
    return working, why


def variants(network: Network) -> dict[str, tuple[Network, Network]]:
    """The network to be trained and the one to be attacked in eval mode, by normalization."""
    plain = networks.fold(network)
    return {"BatchNorm": (network, plain), "none": (plain, networks.fold(plain))}


def contenders(
    trained: Network, folded: Network, x: np.ndarray, y: np.ndarray, compile: bool
) -> Any:
    """The runs by contender, and notes; PyTorch in eval mode with BatchNorm folded, and without."""
    runs = {"ours": ours(trained, folded, x, y)}
    notes = []
    for mode in ("contiguous", "channels_last"):
        runs[mode] = theirs(trained, folded, x, y, mode)
    runs["channels_last, not folded"] = theirs(trained, trained, x, y, "channels_last")
    if compile:
        runs["compiled"], why = compiled(trained, folded, x, y)
        notes += [f"torch.compile left out: {why}"] if why else []
    scores = {mode: np.asarray(run["forward"]()) for mode, run in runs.items() if "forward" in run}
    for mode, z in scores.items():
        if not np.abs(z - scores["ours"]).max() <= 1e-3 * np.abs(z).max():
            raise SystemExit(f"{mode} computes other scores than ours")
    return runs, notes


def compare(name: str, rounds: int, compile: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the table for one network, and notes."""
    build, batch = NETWORKS[name]
    random = np.random.default_rng(0)
    x = random.random((batch, 32, 32, 3), dtype=np.float32)
    y = random.integers(0, 10, batch)
    network = build()
    operations = 2 * batch * multiplications(network, x[:1])
    rows, notes = [], []
    for norm, (trained, folded) in variants(network).items():
        runs, more_notes = contenders(trained, folded, x, y, compile)
        notes += [f"{name}, {norm}: {text}" for text in more_notes]
        single, _ = contenders(trained, folded, x[:1], y[:1], compile)
        single = {mode: {"forward, batch 1": run["forward"]} for mode, run in single.items() if run}
        for threads in (1, 2) if norm == "BatchNorm" else (2,):
            set_threads(threads)
            peak = sgemm()
            notes.append(f"{threads} threads: sgemm {peak / 1e9:.0f} GFLOP/s")
            for group, counts in ((runs, (1, 2, 3)), (single, (0,))):
                for what, passes in zip(group["ours"], counts, strict=True):
                    running = {m: run[what] for m, run in group.items() if what in run}
                    seconds = median_seconds(running, rounds if passes else 30 * rounds)
                    note = ", ".join(f"{m} {s:.4g} s" for m, s in seconds.items())
                    notes.append(f"{what}, {name}, {norm}, {threads} threads: {note}")
                    own_seconds = seconds.pop("ours")
                    best = min(seconds, key=lambda mode: seconds[mode])
                    speed = passes * operations / own_seconds / peak
                    rows.append(
                        {
                            "pass": what,
                            "network": f"{name}, {batch} images" if passes else name,
                            "normalization": norm,
                            "threads": threads,
                            "ours, s": own_seconds,
                            "PyTorch, s": seconds[best],
                            "PyTorch's best mode": best,
                            "ours / PyTorch": own_seconds / seconds[best],
                            "% of sgemm's speed": 100 * speed if passes else "",
                        }
                    )
    return rows, notes


def multiplications(network: Network, x: np.ndarray) -> int:
    """In a forward pass of x, with convolutions computed by their definition."""
    count = 0
    passed = Conv2D._forward

    def counted(self: Conv2D, x: Any, train: bool, relu: bool) -> Any:
        nonlocal count
        y, backward = passed(self, x, train, relu)
        count += y[..., 0].size * self.params["weight"].size
        return y, backward

    with mock.patch.object(Conv2D, "_forward", counted):
        network(x)
    return count


def set_threads(count: int) -> None:
    cpu.load_numba().set_num_threads(count)
    torch.set_num_threads(count)


def sgemm(size: int = 2048) -> float:
    """Operations a second of the faster of NumPy's and PyTorch's product of float32 matrices, with
    as many threads as were set."""
    a = np.random.default_rng(0).random((size, size), dtype=np.float32)
    b = torch.from_numpy(a)
    with threadpool_limits(torch.get_num_threads(), "blas"):
        seconds = median_seconds({"NumPy": lambda: a @ a, "PyTorch": lambda: b @ b}, 5)
    return 2 * size**3 / min(seconds.values())


def blas() -> str:
    """The kernel that NumPy's BLAS runs, as threadpoolctl reports it."""
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
    parser = argument_parser(__doc__, data=False)
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    chosen = parser.parse_args()
    os.environ.setdefault("NUMBA_NUM_THREADS", str(THREADS))
    # All contenders share a module's code; past its limit the compiler would give up on the rest.
    torch._dynamo.config.recompile_limit = 256
    rounds = 3 if chosen.quick else 9
    rows, notes = [], []
    for name in chosen.networks:
        some, more_notes = compare(name, rounds, not chosen.no_compile)
        rows += some
        notes += more_notes
    notes.append(
        f"float32, medians of {rounds} rounds, contenders in turn; PyTorch "
        f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}; {blas()}"
    )
    report(rows, chosen.json, "\n".join(notes))


if __name__ == "__main__":
    run_command(main)
