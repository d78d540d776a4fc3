"""HopSkipJump compared with foolbox's, on the same networks, images, starting points and queries.

    python benchmarks/bench_hop_skip_jump.py [--networks NAME …] [--examples N] [--quick]
        [--json FILE]

Two networks that ship with the package: the ED-WTA of MNIST, whose exact radii in [0, 1] are known,
and the compact CNN that Adv-DPNP trained on CIFAR-10. Both implementations ask the same network
about one image at a time, from the same start: the next test image that has another answer. Their
random numbers differ. The figures are of the nearest misclassified point among the first so many
that an attack asked about; it is stopped there. Images whose answer is wrong are left out.
foolbox asks about one point at a time, which makes the most of the time; images that are finished
are kept in a file next to that of --json until all are, and the rows of networks that are not
chosen stay in it. Needs `pip install -e ".[peers]"`.
"""

import importlib.util
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from common import argument_parser, report, rows_of_others
from parts import Parts

import tinyproto
from tinyproto import networks
from tinyproto.attacks import hop_skip_jump
from tinyproto.attacks.region import norms
from tinyproto.data import load
from tinyproto.evaluation.command import run_command
from tinyproto.interop import from_scores
from tinyproto.networks import Network
from tinyproto.prototypes import exact_radius
from tinyproto.state import parameters_checksum

BUDGETS = (1_000, 5_000, 10_000)
MODELS = {"mnist-ed-wta-robust": "mnist", "cifar10-compact-adv-dpnp": "cifar10"}
NORMS = ("l2", "linf")
FIRST = 1_000  # test images, among which are those that are attacked, and the starting points
STEPS = 10_000  # more than are made before the queries are spent
Score = Callable[[np.ndarray], np.ndarray]


class Enough(Exception):
    """The queries are spent."""


class Asked:
    """A classifier that is asked about one image x, of label y: the distances of the nearest
    misclassified points among the first so many that it was asked about."""

    def __init__(self, score: Score, x: np.ndarray, y: int, norm: str, budgets: tuple[int, ...]):
        self.score, self.x, self.y, self.norm, self.queries = score, x, y, norm, 0
        self.nearest = dict.fromkeys(budgets, np.inf)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The scores of points (n, …); raises Enough when all budgets are spent."""
        left = max(self.nearest) - self.queries
        if left <= 0:
            raise Enough
        z = self.score(points)
        distance = norms(points.astype(np.float64) - self.x, self.norm)
        distance[z.argmax(axis=1) == self.y] = np.inf
        for budget, nearest in self.nearest.items():
            among = distance[: max(0, budget - self.queries)]
            self.nearest[budget] = float(among.min(initial=nearest))
        self.queries += len(points)
        return z


def ours(asked: Asked, start: np.ndarray, place: int) -> None:
    hop_skip_jump(
        from_scores(asked), asked.x[None], np.array([asked.y]), norm=asked.norm, steps=STEPS,
        start=start[None], index=np.array([place]),
    )  # fmt: skip


def foolbox(asked: Asked, start: np.ndarray, place: int) -> None:
    import eagerpy
    from foolbox import Misclassification
    from foolbox.attacks import HopSkipJumpAttack
    from foolbox.models import Model
    from foolbox.types import Bounds

    class AskedByFoolbox(Model):
        bounds = Bounds(0, 1)

        def __call__(self, inputs: Any) -> Any:
            points, restore = eagerpy.astensor_(inputs)
            return restore(eagerpy.astensor(asked(points.numpy())))

    np.random.seed(place)  # noqa: NPY002 – foolbox draws from NumPy's own generator
    labels = Misclassification(eagerpy.astensor(np.array([asked.y])))
    attack = HopSkipJumpAttack(steps=STEPS, constraint=asked.norm)
    attack.run(
        AskedByFoolbox(), eagerpy.astensor(asked.x[None]), labels,
        starting_points=eagerpy.astensor(start[None]),
    )  # fmt: skip


ATTACKS = {"ours": ours, "foolbox": foolbox}


def distances(
    score: Score, x: np.ndarray, y: int, start: np.ndarray, norm: str, budgets: tuple[int, ...],
    place: int,
) -> dict[str, list[float]]:  # fmt: skip
    """How near each attack comes to an image with each budget."""
    found = {}
    for name, attack in ATTACKS.items():
        asked = Asked(score, x, y, norm, budgets)
        try:
            attack(asked, start, place)
            raise RuntimeError(f"{name} ended after {asked.queries} queries")
        except Enough:
            found[name] = [asked.nearest[budget] for budget in budgets]
    return found


def next_other(answers: np.ndarray, place: int) -> int:
    """The place of the next image, after the last the first, that has another answer."""
    order = (place + np.arange(len(answers))) % len(answers)
    others = order[answers[order] != answers[place]]
    if not len(others):
        raise ValueError("all images have the same answer: attack more of them")
    return int(others[0])


def rows(
    model: str, norm: str, budgets: tuple[int, ...], found: list[dict[str, Any]], exact: Any = None
) -> list[dict[str, Any]]:
    """A row for each budget, of what `distances` found; `exact` are the radii of these images."""
    a, b = (np.array([image[name] for image in found]) for name in ATTACKS)
    table = []
    for column, budget in enumerate(budgets):
        mine, their = a[:, column], b[:, column]
        row: dict[str, Any] = {
            "network": model, "norm": norm, "images": len(mine), "queries": budget,
            "ours, median distance": float(np.median(mine)),
            "foolbox, median distance": float(np.median(their)),
            "ours nearer, images": int((mine < their).sum()),
        }  # fmt: skip
        for name, distance in zip(ATTACKS, (mine, their), strict=True):
            ratio = "" if exact is None else float(np.median(distance / exact))
            row[f"{name} / exact radius, median"] = ratio
        table.append(row)
    return table


def classifier(name: str) -> tuple[Any, Score]:
    """A model of the package, and its scores."""
    model = tinyproto.load(name)
    fast = networks.fold(model) if isinstance(model, Network) else model
    return model, lambda x: fast(np.ascontiguousarray(x))[0]


def images(name: str, directory: str | None) -> tuple[np.ndarray, np.ndarray]:
    """The first test images for a model, as it takes them, and their labels."""
    data = load(MODELS[name], directory)
    x, y = data.x_test[:FIRST] / np.float32(255), data.y_test[:FIRST]
    return (x if MODELS[name] == "cifar10" else x.reshape(len(x), -1)), y


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--networks", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--examples", type=int, metavar="N", help="images of each network (50)")
    chosen = parser.parse_args()
    if importlib.util.find_spec("foolbox") is None:
        raise SystemExit("this compares with foolbox, which is not installed: pip install foolbox")
    count = chosen.examples or (3 if chosen.quick else 50)
    budgets = (100, 500) if chosen.quick else BUDGETS
    kept = chosen.json.with_suffix(".part") if chosen.json else None
    table: list[dict[str, Any]] = []
    networks_asked = {name: (*classifier(name), *images(name, chosen.data))
                      for name in chosen.networks}  # fmt: skip
    scores = {name: score(x) for name, (_, score, x, _) in networks_asked.items()}
    digests = {name: parameters_checksum({"scores": z}) for name, z in scores.items()}
    parts = Parts(kept, {"budgets": budgets, **digests})
    for name, (model, score, x, y) in networks_asked.items():
        answers = scores[name].argmax(axis=1)
        at = np.flatnonzero(answers == y)[:count]
        for norm in NORMS:
            found, exact = [], None
            for i in map(int, at):
                start = x[next_other(answers, i)]
                arguments = (score, x[i], int(y[i]), start, norm, budgets, i)
                found.append(parts.get(f"{name}, {norm}, {i}", partial(distances, *arguments)))
            if not isinstance(model, Network):
                exact, _ = exact_radius(model, x[at], y[at], norm=norm, lo=0.0, hi=1.0)
            table += rows(name, norm, budgets, found, exact)
            print(table[-1], flush=True)
    others, _ = rows_of_others(chosen.json, "network", chosen.networks)
    note = f"foolbox {version('foolbox')}; the first test images, in order"
    report([*others, *table], chosen.json, note)
    parts.remove()


if __name__ == "__main__":
    run_command(main)
