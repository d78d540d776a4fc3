"""Our attacks compared with those of torchattacks and of AutoAttack's authors, on the same weights.

    python benchmarks/bench_autoattack.py [--norm l2|l1] [--eps E] [--examples N] [--quick]
    python benchmarks/bench_autoattack.py --timing [--norm l2|l1] [--json FILE]

A network (--model, an adversarially trained compact_cnn) as ours and as a torch module, test images
of CIFAR-10, two threads each. Attacks without random numbers (FGSM, PGD without a random start, FAB
towards one class) and APGD from the same start are compared image by image. The others are compared
in robust accuracy: alone, on the first 200 images (--alone N; 0 for none), and as AutoAttack's
stages, each side on the images that its own earlier stages did not fool. --timing gives both sides
the same images at each stage and lets neither stop early, so that both make the same passes;
BatchNorm is folded for both. Needs `pip install -e ".[peers]"`. Finished stages and tables are kept
in a file next to that of --json until all are done.
"""

import time
from collections.abc import Callable
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import torch_peer as peer
from common import argument_parser, report
from parts import Parts
from torch_peer import torch

from tinyproto import networks
from tinyproto.attacks import Victim, apgd, fab, pgd_inner, square
from tinyproto.attacks.autoattack import attacks_to_run, fab_in_ball
from tinyproto.attacks.region import Region, norms
from tinyproto.backend.cpu import load_numba
from tinyproto.data import load
from tinyproto.evaluation.command import run_command
from tinyproto.pretrained import find_model
from tinyproto.state import parameters_checksum

MODEL = Path(__file__).parent / "models" / "cifar10_pgd.npz"
EPS = {"linf": 8 / 255, "l2": 0.5, "l1": 12.0}
THEIR_NORM = {"linf": "Linf", "l2": "L2", "l1": "L1"}
STAGES = {"apgd-ce": "apgd", "apgd-t": "apgd_targeted", "fab-t": "fab", "square": "square"}
EXAMPLES = {"linf": 1000, "l2": 500, "l1": 500}
BATCH, ALONE, TIMED = 250, 200, 200
Attack = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class ChannelsLast(torch.autograd.Function):
    """The images in the layout that the module is fast in; their gradient in the plain layout, the
    only one that AutoAttack takes."""

    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        return x.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(context: Any, gradient: Any) -> Any:
        return gradient.contiguous()


class Counted(torch.nn.Module):
    """A module that counts the images which go through it, forward and backward."""

    def __init__(self, module: Any):
        super().__init__()
        self.module, self.passes = module.to(memory_format=torch.channels_last), 0

    def forward(self, x: Any) -> Any:
        self.passes += len(x)
        z = self.module(ChannelsLast.apply(x))
        if z.requires_grad:
            z.register_hook(self._backward)
        return z

    def _backward(self, gradient: Any) -> None:
        self.passes += len(gradient)


class Sides:
    """The same network twice, and attacks on it: (x, y, their indices) → attacked images."""

    def __init__(self, path: Path, norm: str, eps: float):
        self.network = networks.fold(networks.load(find_model(path)))
        self.victim = Victim(self.network)
        self.twin = Counted(peer.module(self.network)).eval().requires_grad_(False)
        self.name, self.norm, self.eps = path.name, norm, eps

    def right(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which images our network classifies correctly."""
        parts = range(0, max(1, len(x)), BATCH)
        scores = [self.network(np.ascontiguousarray(x[at : at + BATCH]))[0] for at in parts]
        return np.concatenate(scores).argmax(axis=1) == y

    def passes(self, who: str) -> int:
        ours = self.victim.forward_passes + self.victim.backward_passes
        return ours if who == "ours" else self.twin.passes

    def ours(self, attack: Callable[..., np.ndarray]) -> Attack:
        def run(x: np.ndarray, y: np.ndarray, index: np.ndarray) -> np.ndarray:
            found = [
                attack(self.victim, x[part], y[part], eps=self.eps, norm=self.norm,
                       seed=0, index=index[part])
                for part in np.array_split(np.arange(len(x)), max(1, -(-len(x) // BATCH)))
            ]  # fmt: skip
            return np.concatenate(found)

        return run

    def torchattacks(self, name: str, **settings: Any) -> Attack:
        import torchattacks

        attack = getattr(torchattacks, name)(self.twin, eps=self.eps, **settings)
        return lambda x, y, _: peer.array(attack(plain(x), torch.from_numpy(y)))

    def official(self, stage: str) -> Attack:
        """A stage of the authors' AutoAttack, as its standard version runs it."""
        from pyautoattack import AutoAttack

        attack = AutoAttack(self.twin, norm=THEIR_NORM[self.norm], eps=self.eps, seed=0)
        attack.attacks_to_run = [stage]

        def run(x: np.ndarray, y: np.ndarray, _: np.ndarray) -> np.ndarray:
            labels = torch.from_numpy(y)
            found, _ = attack.run_standard_evaluation(plain(x), labels, batch_size=BATCH)
            return peer.array(found)

        return run

    def stage(self, name: str) -> Attack:
        """The same without what the authors' driver asks of the model besides."""
        from pyautoattack import AutoAttack

        all_of_them = AutoAttack(self.twin, norm=THEIR_NORM[self.norm], eps=self.eps, seed=0)
        all_of_them.apgd.loss, all_of_them.fab.targeted = "ce", True
        attack = getattr(all_of_them, STAGES[name])
        attack.seed = 0

        def run(x: np.ndarray, y: np.ndarray, _: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return peer.array(attack.perturb(plain(x), torch.from_numpy(y)))

        return run


def plain(x: np.ndarray) -> Any:
    """Images (N, H, W, C) as a tensor (N, C, H, W) in the plain layout."""
    return peer.images(x).contiguous()


def without_start(sides: Sides, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Nothing is drawn: the same examples have to be fooled. Ours is `pgd_inner`, which moves every
    image all its steps, as torchattacks does; `pgd` leaves alone what is wrong."""

    def ours(steps: int, size: float) -> Attack:
        attack = partial(pgd_inner, steps=steps, step_size=size, initial_noise=0.0)
        return sides.ours(attack)

    if sides.norm == "l1":  # torchattacks has none
        return []
    if sides.norm == "linf":
        pairs = {
            "FGSM": (ours(1, sides.eps), sides.torchattacks("FGSM")),
            "PGD-10, no random start": (ours(10, 2 / 255), torch_pgd(sides, "PGD", 2 / 255)),
        }
    else:
        pairs = {"PGD-10, no random start": (ours(10, 0.1), torch_pgd(sides, "PGDL2", 0.1))}
    rows = []
    for name, attacks in pairs.items():
        mine, their = (sides.right(run(x, y, np.arange(len(x))), y) for run in attacks)
        rows.append(
            {
                "deterministic": f"{name}, {sides.norm}",
                "images": len(x),
                "ours, accuracy %": 100 * float(mine.mean()),
                "torchattacks, accuracy %": 100 * float(their.mean()),
                "images that differ": int((mine != their).sum()),
            }
        )
    return rows


def torch_pgd(sides: Sides, name: str, size: float) -> Attack:
    return sides.torchattacks(name, alpha=size, steps=10, random_start=False)


def same_start(sides: Sides, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """The authors' APGD from our random starts (in L1 it draws its own), and FAB from the images
    themselves, on those that are classified correctly to begin with."""
    from pyautoattack.autopgd_base import APGDAttack
    from pyautoattack.fab_pt import FABAttack_PT

    clean = sides.right(x, y)
    x, y = x[clean], y[clean]
    images, labels = plain(x), torch.from_numpy(y)
    region = Region(x, sides.eps, sides.norm, sides.victim)
    start = region.random_point(np.arange(len(x)), stream="apgd", seed=0, restart=0)
    settings: dict[str, Any] = {"norm": THEIR_NORM[sides.norm], "eps": sides.eps, "device": "cpu"}
    rows = []
    losses = {"cross-entropy": "ce", "DLR": "dlr"} if sides.norm != "l1" else {}
    for name, loss in losses.items():
        attack = APGDAttack(sides.twin, loss=loss, logger=getLogger("peer"), **settings)
        attack.init_hyperparam(images)
        _, holds, _, _ = attack.attack_single_run(images, labels, x_init=plain(start))
        mine = apgd(sides.victim, x, y, eps=sides.eps, norm=sides.norm, loss=loss, seed=0)
        rows.append((f"APGD, {name}, the same start", sides.right(mine, y), holds.numpy() > 0))
    attack = FABAttack_PT(sides.twin, n_iter=100, **settings)
    attack.target_class = 2  # the second of the sorted scores
    theirs = attack.attack_single_run(images, labels, is_targeted=True)
    mine = fab(sides.victim, x, y, norm=sides.norm, targets=1)
    far = [norms(a.astype(np.float64) - x, sides.norm) for a in (mine, peer.array(theirs))]
    apart = np.median(np.abs(far[0] / far[1] - 1))
    name = f"FAB towards one class (distances differ by {100 * apart:.1g} % in the median)"
    rows.append((name, far[0] > sides.eps, far[1] > sides.eps))
    return [
        {
            "deterministic": f"{name}, {sides.norm}",
            "images": len(clean),
            "ours, accuracy %": 100 * float(mine.sum()) / len(clean),
            "authors, accuracy %": 100 * float(their.sum()) / len(clean),
            "images that differ": int((mine != their).sum()),
        }
        for name, mine, their in rows
    ]


def alone(sides: Sides, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Single attacks on all of these images, beside torchattacks' and the authors'."""
    norm = THEIR_NORM[sides.norm]
    restarts = 5 if sides.norm == "l1" else 1  # as in the authors' standard version
    own = partial(apgd, restarts=restarts)
    single: dict[str, tuple[Callable[..., np.ndarray], str, tuple[str, dict[str, Any]]]] = {
        "APGD, cross-entropy": (own, "apgd-ce", ("APGD", {"loss": "ce", "steps": 100})),
        "APGD, DLR": (partial(own, loss="dlr"), "apgd-dlr",
                      ("APGD", {"loss": "dlr", "steps": 100})),
        "FAB, 100 steps": (fab_in_ball, "fab",
                ("FAB", {"steps": 100, "n_classes": 10, "multi_targeted": False})),
        "Square, 5,000 queries": (square, "square", 
                                  ("Square", {"n_queries": 5000, "resc_schedule": False})),
    }  # fmt: skip
    rows = []
    for name, (attack, stage, (their_name, settings)) in single.items():
        three = {"ours": sides.ours(attack), "authors": sides.official(stage)}
        if sides.norm != "l1":
            three["torchattacks"] = sides.torchattacks(their_name, norm=norm, seed=0, **settings)
        row: dict[str, Any] = {"single attack": f"{name}, {sides.norm}", "images": len(x)}
        for who, run in three.items():
            begun = time.perf_counter()
            attacked = run(x, y, np.arange(len(x)))
            seconds = time.perf_counter() - begun
            distance = norms(attacked.astype(np.float64) - x, sides.norm)
            inside = distance <= sides.eps * (1 + 1e-5)  # theirs are rounded in float32
            right = ~(inside & ~sides.right(attacked, y)) & sides.right(x, y)
            row |= {f"{who}, accuracy %": 100 * float(right.mean()), f"{who}, s": seconds}
        rows.append(row)
        print(row, flush=True)
    return rows


def stage_by_stage(
    sides: Sides, x: np.ndarray, y: np.ndarray, parts: Parts
) -> list[dict[str, Any]]:
    """AutoAttack, each side on its own survivors."""
    left = {who: sides.right(x, y) for who in ("ours", "authors")}

    def stage(name: str, attack: Callable[..., np.ndarray]) -> dict[str, Any]:
        """The row of a stage, and which images are left after it."""
        row: dict[str, Any] = {"AutoAttack stage": f"{name}, {sides.norm}", "images": len(x)}
        for who, run in (("ours", sides.ours(attack)), ("authors", sides.official(name))):
            at = np.flatnonzero(left[who])
            before, begun = sides.passes(who), time.perf_counter()
            attacked = run(x[at], y[at], at) if len(at) else x[at]
            seconds = time.perf_counter() - begun
            passes = sides.passes(who) - before
            left[who][at] &= sides.right(attacked, y[at])
            row[f"{who}, accuracy %"] = 100 * float(left[who].mean())
            row |= {f"{who}, passes": passes, f"{who}, s": seconds}
        print(row, flush=True)
        return {"row": row, "left": {who: mask.tolist() for who, mask in left.items()}}

    rows = []
    for name, attack in attacks_to_run("standard", sides.norm).items():
        found = parts.get(name, partial(stage, name, attack))
        left = {who: np.array(mask) for who, mask in found["left"].items()}
        rows.append(found["row"])
    differ = int((left["ours"] != left["authors"]).sum())
    note = {"AutoAttack stage": f"all, {sides.norm}", "images": len(x)}
    for who in left:
        note[f"{who}, accuracy %"] = rows[-1][f"{who}, accuracy %"]
        note |= {
            f"{who}, {what}": sum(r[f"{who}, {what}"] for r in rows) for what in ("passes", "s")
        }
    return [*rows, note, {"images on which the two AutoAttacks differ": differ, "norm": sides.norm}]


def timing(sides: Sides, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """The same images for both at each stage, and no early exit: the same passes."""
    left = sides.right(x, y)
    rows = []
    for name, attack in attacks_to_run("standard", sides.norm).items():
        at = np.flatnonzero(left)
        every = attack if name in ("fab-t", "square") else partial(attack, early_exit=False)
        row: dict[str, Any] = {"stage": f"{name}, {sides.norm}", "images": len(at)}
        for who, run in (("ours", sides.ours(every)), ("authors", sides.stage(name))):
            before, begun = sides.passes(who), time.perf_counter()
            attacked = run(x[at], y[at], at)
            row[f"{who}, s"] = time.perf_counter() - begun
            row[f"{who}, passes"] = sides.passes(who) - before
            if who == "ours":
                left[at] &= sides.right(attacked, y[at])
        row["ours / authors"] = row["ours, s"] / row["authors, s"]
        rows.append(row)
        print(row, flush=True)
    total: dict[str, Any] = {"stage": f"all, {sides.norm}", "images": len(x)}
    total |= {k: sum(row[k] for row in rows) for k in rows[0] if ", " in k}
    return [*rows, total | {"ours / authors": total["ours, s"] / total["authors, s"]}]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="a file, or a name that ships")
    parser.add_argument("--norm", choices=list(EPS), default="linf")
    parser.add_argument("--eps", type=float, help="8/255; in L2 0.5, in L1 12")
    parser.add_argument("--examples", type=int, help="1000; in L2 and L1 500")
    parser.add_argument(
        "--alone", type=int, default=ALONE, help=f"images of single attacks ({ALONE})"
    )
    parser.add_argument("--timing", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    load_numba().set_num_threads(min(2, load_numba().config.NUMBA_NUM_THREADS))
    count = chosen.examples or (40 if chosen.quick else EXAMPLES[chosen.norm])
    data = load("cifar10", chosen.data)
    count = min(count, TIMED) if chosen.timing else count
    x, y = data.x_test[:count] / np.float32(255), data.y_test[:count].astype(np.int64)
    sides = Sides(chosen.model, chosen.norm, chosen.eps or EPS[chosen.norm])
    note = f"{chosen.model.name}, the first {count} test images, eps {sides.eps:.4g}"
    if chosen.timing:
        report(timing(sides, x, y), chosen.json, note)
        return
    scores = sides.network(x[:BATCH])[0]
    about = {
        "scores and images": parameters_checksum({"scores": scores, "images": x}),
        "norm": sides.norm, "eps": sides.eps, "images": len(x), "alone": chosen.alone,
    }  # fmt: skip
    parts = Parts(chosen.json.with_suffix(".part") if chosen.json else None, about)
    rows = stage_by_stage(sides, x, y, parts)
    if chosen.alone:
        few = sides, x[: chosen.alone], y[: chosen.alone]
        same = parts.get("same start", partial(same_start, *few))
        rows = [*same, *parts.get("alone", partial(alone, *few)), *rows]
    rows = [*parts.get("without start", partial(without_start, sides, x, y)), *rows]
    report(rows, chosen.json, note)
    parts.remove()


if __name__ == "__main__":
    run_command(main)
