"""Put the weights of finished training runs, and a card about each, into the package.

    python benchmarks/ship_weights.py RUN [RUN ...] [--data DIR] [--device-name TEXT]
    python benchmarks/update_results.py

A RUN is a folder that examples/cifar10_adv_dpnp.py or examples/mnist_ed_wta.py has written: its
metrics.json says under which name the model ships. A run that went on from the weights of another
ships if it is a long row of `benchmarks/reproduce.py`; its earlier parts must be there. The second
command writes docs/models.md.

Large arrays are rounded to float16 unless that changes the test accuracy or the accuracy under
PGD-20 by more than `TOLERANCE`. Both accuracies, the certified ones, and those on the sample in the
package, which a test compares, are measured here, of the weights that ship. Further figures come
from judged.json, which `benchmarks/reproduce.py judge` writes into a run.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from model_descriptions import MODELS, Description
from reproduction import judge
from reproduction.rows import GROUPS, VIEWS, defense_of
from stored_weights import rounded, write

import tinyproto.pretrained.card as cards
from tinyproto import networks, parameters, state
from tinyproto.attacks import Victim, pgd
from tinyproto.attacks.victim import Model
from tinyproto.data import Dataset, load
from tinyproto.data.datasets import SAMPLES
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.saved_models import open_model
from tinyproto.networks import Network
from tinyproto.pretrained import Card, Figure
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA, WinnerTakeAll, preset_network
from tinyproto.prototypes.certificate import certify
from tinyproto.prototypes.storage import count_parameters

TOLERANCE = {"test accuracy": 0.1, "PGD-20": 0.5}  # percentage points that rounding may change
ATTACKED = 1000  # test images under PGD-20
SAMPLE_ATTACKED = 100  # images of the sample under PGD-20
BATCH = 250
BALLS = {"cifar10": (8 / 255, "L∞ 8/255"), "mnist": (0.1, "L∞ 0.1")}
RADII = (1.58, 1.0, 0.5)  # L2, certified
ATTACK_NAMES = {
    "fgsm": "FGSM", "pgd-20": "PGD-20", "cw-linf": "C&W", "autoattack": "AutoAttack",
}  # fmt: skip
MEASURES = {  # in judged.json: on the card, with the unit
    "corrupted %": ("mean accuracy under 19 corruptions", "%"),
    "usual corruptions %": ("mean accuracy under the usual 15 of them", "%"),
    "compactness / separation": ("compactness / separation of the classes", ""),
    "compactness / separation, attacked": ("the same of attacked images", ""),
    "least angle": ("least angle between two classes", "°"),
    "mean angle": ("mean angle between two classes", "°"),
    "greatest angle": ("greatest angle between two classes", "°"),
}
NOT_TRAINING = {"device", "ranks", "checkpoint_every", "start_from"}  # change no weight, or a path
KINDS = {"pm-ed-wta": PlusMinusEDWTA, "ed-wta": EDWTA, "ip-wta": IPWTA}
OPTIONS = {  # of examples/mnist_ed_wta.py, by the parameter of the network
    "prototypes_per_class": "prototypes", "epochs": "epochs", "batch_size": "batch", "init": "init",
}  # fmt: skip
DEVICES = {"cpu": "the CPU", "cuda": "a GPU"}


class Outcome(NamedTuple):
    """Which images a model classifies correctly."""

    clean: np.ndarray  # (N,)
    attacked: np.ndarray  # (n,), the first n of them under PGD-20


def classify(model: Model, data: Dataset, attacked: int) -> Outcome:
    """All test images clean, and the first `attacked` under PGD-20."""
    victim, eps = Victim(model), BALLS[data.name][0]
    x, y = data.x_test / np.float32(255), data.y_test
    if isinstance(model, WinnerTakeAll):
        x, y = x.reshape(len(x), -1), np.searchsorted(model.classes_, y)

    def right(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return victim(images)[0].argmax(axis=1) == labels

    clean, robust = [], []
    for start in range(0, len(y), BATCH):
        part = slice(start, start + BATCH)
        clean.append(right(x[part], y[part]))
    for start in range(0, attacked, BATCH):
        part = slice(start, min(start + BATCH, attacked))
        index = np.arange(part.start, part.stop)
        found = pgd(victim, x[part], y[part], eps=eps, steps=20, seed=0, index=index)
        robust.append(right(found, y[part]))
    return Outcome(np.concatenate(clean), np.concatenate(robust))


def sample_record(model: Model, dataset: str) -> dict[str, Any]:
    """What the card says of the sample in the package, and a test measures again."""
    found = classify(model, load(dataset, SAMPLES), SAMPLE_ATTACKED)
    return {
        "dataset": dataset,
        "images": len(found.clean),
        "correct": int(found.clean.sum()),
        "attacked": len(found.attacked),
        "correct under PGD-20": int(found.attacked.sum()),
        "radius": BALLS[dataset][1],
    }


def store(run: Path, target: Path, data: Dataset, xp: ModuleType = np) -> tuple[str, Outcome]:
    """Write the weights to `target` in the precision that they need; returns what that is, and the
    outcome."""
    arrays, metadata = state.load_arrays(run / "model.npz")
    before = classify(open_model(run / "model.npz", xp)[0], data, ATTACKED)
    in_file = write(rounded(arrays), target, metadata)
    after = classify(open_model(target, xp)[0], data, ATTACKED)
    lost = {
        measure: 100 * float(old.mean() - new.mean())
        for measure, old, new in zip(TOLERANCE, before, after, strict=True)
    }
    if any(abs(lost[measure]) > limit for measure, limit in TOLERANCE.items()):
        in_file = write(arrays, target, metadata)
        return f"float32{in_file}: rounding to float16 would change what it answers", before
    unattacked, attacked = (int((a != b).sum()) for a, b in zip(before, after, strict=True))
    return (
        f"float16{in_file}, loaded as float32; the rounding changed whether the answer is right "
        f"for {unattacked} of {len(after.clean):,} test images, and under PGD-20 for {attacked} of "
        f"{len(after.attacked):,}"
    ), after


def measured(model: Model, outcome: Outcome, data: Dataset) -> list[Figure]:
    """The figures of the weights that ship."""
    ball = BALLS[data.name][1]
    clean, robust = (100 * float(part.mean()) for part in outcome)
    figures = [
        Figure("test accuracy", clean, images=len(outcome.clean)),
        Figure("PGD-20", robust, ball=ball, images=len(outcome.attacked)),
    ]
    if isinstance(model, WinnerTakeAll):
        x = data.x_test.reshape(len(data.x_test), -1) / np.float32(255)
        radius, _ = certify(model, x, data.y_test, lo=0.0, hi=1.0, verbose=sys.stderr.isatty())
        figures += [
            Figure("certified", 100 * float((radius > eps).mean()), "%", f"L2 {eps}", len(x))
            for eps in RADII
        ]
    return figures


def judged(content: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """What `benchmarks/reproduce.py judge` found on test images: numbers of correct ones under each
    attack, mean accuracies under corruption, and the geometry of the latent space."""
    found = {}
    for name in ("attacks", "autoattack", "autoattack_all", "corruption", "geometry"):
        measured = content.get(name, {})
        for key, value in measured.items():
            images = measured["images"]
            if key in ATTACK_NAMES:
                ball = BALLS["cifar10"][1]
                figure = Figure(ATTACK_NAMES[key], 100 * value / images, "%", ball, images)
            elif key in MEASURES:
                figure = Figure(MEASURES[key][0], value, MEASURES[key][1], "", images)
            else:
                continue  # seconds, warnings, and what is not said of a model
            found[figure.measure] = figure  # AutoAttack on all images goes before that on some
    return list(found.values())


def other_figures(run: Path, metrics: Mapping[str, Any]) -> list[Figure]:
    """FGSM of metrics.json and what judged.json has, each once."""
    figures = [
        Figure("FGSM", 100 * value, "%", f"L∞ {name.split()[1]}", metrics.get("attacked", ATTACKED))
        for name, value in metrics["robust_accuracy"].items()
        if name.startswith("fgsm ")
    ]
    figures += judged(judge.read(run))
    return list({(figure.measure, figure.ball): figure for figure in figures}.values())


def name_of(metrics: Mapping[str, Any]) -> str:
    """The name under which the model of a run ships."""
    settings = metrics["settings"]
    if "preset" in settings:
        name = "mnist-ed-wta" + {"authors": ""}.get(settings["preset"], f"-{settings['preset']}")
    else:
        single = settings["method"] == "pgd" and settings.get("inner_attack") == "n-fgsm"
        name = f"{settings['dataset']}-{settings['network']}-"
        name += "n-fgsm" if single else settings["method"]
        name += VIEWS * bool(settings.get("flip_average"))
    if name not in MODELS:
        raise ValueError(f"no model ships as {name}; there are {', '.join(MODELS)}")
    return name


def lineage(run: Path) -> list[dict[str, Any]]:
    """What the runs have written that the weights come from, the first one first. Raises ValueError
    for weights whose run is not there."""
    if not (run / "metrics.json").exists():
        raise ValueError(f"{run} has no metrics.json: the run has not finished, or is not there")
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    start = metrics["settings"].get("start_from")
    return [*(lineage(Path(start).parent) if start else []), metrics]


def command_of(settings: Mapping[str, Any], row: str = "") -> str:
    """The command that repeats the training. Weights that go on from others must be those of a long
    row of the comparison."""
    if settings.get("start_from"):
        if row not in GROUPS["long"].rows:
            raise ValueError(f"{row} starts from other weights, and is no long row: see --help")
        epochs = f"--epochs {settings['epochs']}"
        return (
            f"python benchmarks/reproduce.py train compare --rows {defense_of(row)} "
            f"{epochs} && python benchmarks/reproduce.py train long --rows {row} {epochs}"
        )
    if "preset" in settings:
        own = preset_network(KINDS[settings["model"]], settings["preset"]).get_params()
        given = [
            f" --{option} {settings[name]}"
            for name, option in OPTIONS.items()
            if settings.get(name, own[name]) != own[name]
        ]
        return (
            f"python examples/mnist_ed_wta.py --preset {settings['preset']} "
            f"--model {settings['model']} --seed {settings['random_state']}{''.join(given)}"
        )
    options = {k: v for k, v in settings.items() if k not in NOT_TRAINING and v is not None}
    words = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in options.items()
        if value is not False
    ]
    return " ".join(["python examples/cifar10_adv_dpnp.py", *words])


def card_of(
    name: str, metrics: Mapping[str, Any], about: Description, model: Model, **more: Any
) -> Card:
    """The card of one model."""
    settings = {
        name: value
        for name, value in metrics["settings"].items()
        if value is not None and name not in NOT_TRAINING
    }
    if metrics["settings"].get("start_from"):
        settings["epochs"] = metrics["epochs"]  # of all parts; the rest is that of the last
    if isinstance(model, WinnerTakeAll):
        network, weights = type(model).__name__, count_parameters(model)
    else:
        assert isinstance(model, Network)
        network, weights = model.settings["kind"], parameters.count(model.params)
    trained_on = metrics.get("trained_on", metrics["data"]["train"])
    return Card(
        name=name,
        description=about.description,
        source=about.source,
        data=f"{trained_on:,} training images of {about.data}",
        data_licence=about.data_licence,
        network=network,
        weights=weights,
        training=settings,
        limits=about.limits,
        **more,
    )


def ship(run: Path, data_folder: str | None, device_name: str | None) -> Card:
    """Write the weights and the card of one run."""
    metrics = json.loads((run / "metrics.json").read_text())
    name = name_of(metrics)
    data = load(metrics["data"]["name"], data_folder)
    if not data.complete:
        raise ValueError(f"all test images of {data.name} are needed: choose their folder, --data")
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / f"{name}.npz"
        storage, outcome = store(run, small, data)
        card = _card(run, small, storage, outcome, data, device_name)
        target = cards.FOLDER / small.name  # the weights and their card together, when all is known
        with state.atomic_write(target) as temporary:
            shutil.copyfile(small, temporary)
    with state.atomic_write(target.with_suffix(".json")) as temporary:
        text = json.dumps(asdict(card), indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return card


def _card(
    run: Path, stored: Path, storage: str, outcome: Outcome, data: Dataset, device: str | None
) -> Card:
    """The card of the weights that will ship."""
    runs = lineage(run)
    metrics = runs[-1]
    name = name_of(metrics)
    model, dataset, _ = open_model(stored, np)
    unfolded = model if isinstance(model, WinnerTakeAll) else networks.load(stored)
    figures = measured(model, outcome, data)
    known = {(figure.measure, figure.ball) for figure in figures}
    others = [f for f in other_figures(run, metrics) if (f.measure, f.ball) not in known]
    if others and storage.startswith("float16"):
        names = ", ".join(dict.fromkeys(figure.measure for figure in others))
        storage += f"; measured before the rounding: {names}"
    return card_of(
        name, metrics, MODELS[name], unfolded, storage=storage, figures=(*figures, *others),
        device=device or DEVICES[metrics["device"]], sample=sample_record(model, dataset),
        command=command_of(metrics["settings"], run.name),
        seconds=sum(found["seconds"] for found in runs),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="folder of a finished run")
    add("--data", metavar="DIR", help="folder with the data sets")
    add("--device-name", metavar="TEXT", help="what the runs were trained on, such as 'two cores'")
    options = parser.parse_args()
    for run in options.runs:
        print(ship(run, options.data, options.device_name), end="\n\n")
    print("now run benchmarks/update_results.py, which writes docs/models.md")


if __name__ == "__main__":
    run_command(main)
