"""Train ±ED-WTA (arXiv 2008.08750) on MNIST, certify it, and look at what it learned.

    python examples/mnist_ed_wta.py

writes metrics.json, model.npz, prototypes.png, formation.gif and detection.png under --out. With
the authors' settings, which are the defaults, all of MNIST takes less than a minute on two cores;
--preset accurate takes some minutes, and makes fewer than half as many errors.
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinyproto.attacks import Victim, fgsm, pgd
from tinyproto.backend.device import DeviceError, select_device, to_host
from tinyproto.data import Dataset, load, load_outliers
from tinyproto.data.augment import elastic
from tinyproto.evaluation import pictures
from tinyproto.evaluation.metrics import format_table, write_metrics
from tinyproto.progress import progress
from tinyproto.prototypes import EDWTA, IPWTA, PlusMinusEDWTA, storage
from tinyproto.prototypes.base import WinnerTakeAll
from tinyproto.prototypes.certificate import exact_radius
from tinyproto.prototypes.detection import Detector, auroc, roc_curve
from tinyproto.prototypes.equivalence import centre_distances, inner_product_to_euclidean
from tinyproto.prototypes.presets import ACCURATE, AUTHORS
from tinyproto.random import permutation, uniform

MODELS = {"pm-ed-wta": PlusMinusEDWTA, "ed-wta": EDWTA, "ip-wta": IPWTA}
NAMES = {PlusMinusEDWTA: "±ED-WTA", EDWTA: "ED-WTA", IPWTA: "IP-WTA"}
PRESETS = {"authors": AUTHORS, "accurate": ACCURATE}
RADII = {"l2": (0.5, 1.0), "linf": (0.05, 0.1)}
ATTACK_EPS = (0.05, 0.1, 0.2)
CONVERTED = "centres with the same winners"
CERTIFIED, ATTACKED = 200, 1000  # the first so many test images

Scores = dict[str, np.ndarray]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DIR", help="folder with mnist.npz or the authors' files")
    add("--dataset", choices=["mnist", "fashion"], default="mnist")
    add("--model", choices=list(MODELS), default="pm-ed-wta")
    add("--preset", choices=list(PRESETS), default="authors", help="settings to start from")
    add("--prototypes", type=int, help="neurons of each class (6; accurate: 80)")
    add("--epochs", type=int, help="passes over the data (49; accurate: 80)")
    add("--batch", type=int, help="1 is the authors' online rule (1; accurate: 128)")
    add("--init", choices=["random", "kmeans"], help="start (random; accurate: kmeans)")
    add("--seed", type=int, default=0)
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--out", type=Path, default=Path("runs/mnist_ed_wta"), metavar="DIR")
    return parser.parse_args(arguments)


def build(options: argparse.Namespace) -> WinnerTakeAll:
    """The network of the chosen preset, with what the options change of it."""
    kind = MODELS[options.model]
    if options.preset == "accurate" and kind is not PlusMinusEDWTA:
        raise ValueError("--preset accurate is for --model pm-ed-wta, not " + options.model)
    network = kind(random_state=options.seed, device=options.device)
    chosen = {
        "prototypes_per_class": options.prototypes,
        "epochs": options.epochs,
        "batch_size": options.batch,
        "init": options.init,
    }
    settings = {**PRESETS[options.preset], **{k: v for k, v in chosen.items() if v is not None}}
    if options.init == "kmeans" and options.preset == "authors" and kind is not IPWTA:
        settings.update(beta=10.0, learning_rate=0.001, beta_learning_rate=1e-6)  # the authors'
    known = network.get_params()
    return network.set_params(**{k: v for k, v in settings.items() if k in known})


def train(
    network: WinnerTakeAll, data: Dataset, x: np.ndarray, x_test: np.ndarray, bend: bool
) -> tuple[float, list[tuple[str, np.ndarray]]]:
    """Fit; return the seconds of learning alone, and frames of the prototypes as they form."""
    shape = data.x_train.shape[1:]
    frames = first_epoch(network, data, x)
    watching = 0.0

    def augment(samples: Any, epoch: int) -> Any:
        images = samples.reshape(-1, *shape)
        return elastic(images, seed=network.random_state, epoch=epoch).reshape(samples.shape)

    with progress(network.epochs, "epoch") as advance:

        def after_epoch(model: WinnerTakeAll, epoch: int, loss: float) -> None:
            nonlocal watching
            begun = time.perf_counter()
            accuracy = model.score(x_test, data.y_test)
            frames.append((f"epoch {epoch}: {accuracy:.1%}", readable(model, shape)))
            advance(1, f"loss {loss:.4f}, test accuracy {accuracy:.2%}")
            watching += time.perf_counter() - begun

        begun = time.perf_counter()
        network.fit(x, data.y_train, augment=augment if bend else None, callback=after_epoch)
        return time.perf_counter() - begun - watching, frames


def first_epoch(
    network: WinnerTakeAll, data: Dataset, x: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    """Frames within the first epoch, where most of the forming is: a copy of the network sees the
    samples in the same order, and is stopped to be looked at ever more rarely."""
    copy = type(network)(**{**network.get_params(), "epochs": 0}).fit(x, data.y_train)
    order = permutation(len(x), seed=network.random_state, stream="shuffle")
    stops = np.unique(np.geomspace(10, len(x), 20).astype(int))
    frames = [("start", readable(copy, data.x_train.shape[1:]))]
    for start, stop in zip([0, *stops[:-1]], stops, strict=True):
        copy.partial_fit(x[order[start:stop]], data.y_train[order[start:stop]])
        frames.append((f"after {stop:,} images", readable(copy, data.x_train.shape[1:])))
    return frames


def readable(network: WinnerTakeAll, shape: tuple[int, ...]) -> np.ndarray:
    """What a neuron looks for, as images: its positive prototype, or its weights."""
    name = "weights_" if isinstance(network, IPWTA) else "positive_prototypes_"
    return to_host(getattr(network, name)).reshape(-1, *shape).copy()


def certify(network: WinnerTakeAll, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The share of images that no move within a radius can turn, exactly, inside [0, 1]."""
    robust = {}
    for norm, radii in RADII.items():
        try:
            radius, _ = exact_radius(network, x, y, norm=norm, lo=0.0, hi=1.0)
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        for eps in radii:
            robust[f"exact {norm} {eps}"] = float((radius > eps).mean())
    return robust


def attack(network: WinnerTakeAll, x: np.ndarray, y: np.ndarray) -> tuple[dict[str, float], Scores]:
    """Accuracy under FGSM and PGD (L∞), and the attacked images that fooled the network."""
    victim, robust, fooling = Victim(network), {}, {}
    there = select_device(network.device)
    images, label = there.asarray(x), there.asarray(np.searchsorted(network.classes_, y))
    right = network.predict(x) == y
    for eps in ATTACK_EPS:
        for name, found in (
            (f"fgsm {eps}", fgsm(victim, images, label, eps=eps)),
            (f"pgd {eps}", pgd(victim, images, label, eps=eps, steps=20)),
        ):
            attacked = to_host(found)
            holds = network.predict(attacked) == y
            robust[name] = float(holds.mean())
            fooling[name] = attacked[right & ~holds]
    _, move = exact_radius(network, x[:CERTIFIED], y[:CERTIFIED], lo=0.0, hi=1.0, overshoot=1e-3)
    moved = (np.abs(move) > 0).any(axis=1)
    fooling["nearest in L2"] = (x[:CERTIFIED] + move)[moved].astype(np.float32)
    return robust, fooling


def strangers(data: Dataset, directory: str | None, count: int, features: int) -> Scores:
    """Outliers at hand: other data sets where they are found, and uniform noise always."""
    found = {} if data.name == "fashion" else load_outliers(directory)
    flat = {name: x.reshape(len(x), -1) / np.float32(255) for name, x in found.items()}
    noise = uniform(features, np.arange(count), seed=0, stream="noise").astype(np.float32)
    return {**flat, "uniform noise": noise}


def detect(
    network: WinnerTakeAll, x: np.ndarray, y: np.ndarray, x_test: np.ndarray, groups: list[Scores]
) -> tuple[dict[str, float], list[dict[str, tuple[np.ndarray, np.ndarray]]], str, float]:
    """AUROC and ROC curve of each group of strangers; the score and its share of test refused."""
    kind = "margin" if isinstance(network, IPWTA) else "profile"
    detector = Detector(network, kind).fit(x, y)
    known = detector.score(x_test)
    areas, curves = {}, []
    for group in groups:
        scores = {name: detector.score(images) for name, images in group.items() if len(images)}
        areas.update({name: auroc(known, strange) for name, strange in scores.items()})
        curves.append({f"{n}: {areas[n]:.3f}": roc_curve(known, s) for n, s in scores.items()})
    return areas, curves, kind, float((known > detector.threshold_).mean())


def draw(
    out: Path,
    network: WinnerTakeAll,
    data: Dataset,
    frames: list[tuple[str, np.ndarray]],
    curves: list[dict[str, tuple[np.ndarray, np.ndarray]]],
    score: str,
    accuracy: float,
) -> None:
    """The three pictures, or one line that says which are missing and what to install."""
    absent = [n for n in ("matplotlib", "PIL") if importlib.util.find_spec(n) is None]
    if absent:
        print(
            "left out: prototypes.png, formation.gif, detection.png; "
            "to draw them: pip install matplotlib pillow",
            file=sys.stderr,
        )
        return
    shape, signed = data.x_train.shape[1:], ["difference w⁺ − w⁻", "weights", CONVERTED]
    if isinstance(network, PlusMinusEDWTA):
        positive = readable(network, shape)
        negative = to_host(network.negative_prototypes_).reshape(-1, *shape)
        panels = {"positive w⁺": positive, "negative w⁻": negative, signed[0]: positive - negative}
    elif isinstance(network, EDWTA):
        panels = {"prototypes": readable(network, shape)}
    else:
        centres = inner_product_to_euclidean(*network.linear())[:, : int(np.prod(shape))]
        panels = {"weights": readable(network, shape), CONVERTED: centres.reshape(-1, *shape)}
    title = f"{NAMES[type(network)]} on {data.name}: {accuracy:.2%} of the test images"
    pictures.plot_prototypes(
        panels, out / "prototypes.png", class_names=data.class_names, signed=signed, title=title
    )
    pictures.animate_prototypes(frames, out / "formation.gif", classes=len(data.class_names))
    outliers, attacked = curves
    stronger = {name: curve for name, curve in attacked.items() if not name.startswith("fgsm")}
    pictures.plot_roc_curves(
        {"outliers": outliers, "attacked images": stronger},
        out / "detection.png",
        title=f'refusing strangers by the score "{score}" (AUROC after each name)',
    )


def describe(network: WinnerTakeAll, x: np.ndarray) -> dict[str, float]:
    """How far the centres lie from the data, and w⁺ from w⁻."""
    if isinstance(network, IPWTA):
        centres = inner_product_to_euclidean(*network.linear())
        return {"centre_distance": float(centre_distances(centres, x).mean())}
    centres = readable(network, (x.shape[1],))
    found = {"centre_distance": float(centre_distances(centres, x).mean())}
    if isinstance(network, PlusMinusEDWTA):
        gap = network.positive_prototypes_ - network.negative_prototypes_
        share = float((gap**2).sum() ** 0.5) / float((network.positive_prototypes_**2).sum() ** 0.5)
        found["prototype_difference"] = share
    return found


def run(options: argparse.Namespace) -> None:
    network = build(options)
    network.check_parameters()
    options.out.mkdir(parents=True, exist_ok=True)
    data = load(options.dataset, options.data)
    x, x_test = (
        images.reshape(len(images), -1) / np.float32(255) for images in (data.x_train, data.x_test)
    )
    print(f"{data.name}: {len(x)} training and {len(x_test)} test images from {data.source}")

    seconds, frames = train(network, data, x, x_test, bend=options.preset == "accurate")
    storage.save(network, options.out / "model.npz")
    accuracy = network.score(x_test, data.y_test)
    shown = describe(network, x)

    certified = certify(network, x_test[:CERTIFIED], data.y_test[:CERTIFIED])
    attacked, fooling = attack(network, x_test[:ATTACKED], data.y_test[:ATTACKED])
    outliers = strangers(data, options.data, len(x_test), x.shape[1])
    areas, curves, score, refused = detect(network, x, data.y_train, x_test, [outliers, fooling])
    draw(options.out, network, data, frames, curves, score, accuracy)

    speed = network.epochs * len(x) / max(seconds, 1e-9)
    write_metrics(
        options.out / "metrics.json",
        data=data,
        clean_accuracy=accuracy,
        robust_accuracy={**certified, **attacked},
        seconds=seconds,
        images_per_second=speed,
        seed=options.seed,
        device=options.device,
        settings={"model": options.model, "preset": options.preset, **network.get_params()},
        **shown,
        beta=network.beta_,
        detection={"score": score, "test_refused": refused, "auroc": areas},
    )
    distance = "mean distance of a centre to its nearest image"
    rows = {"test accuracy": f"{accuracy:.2%}", distance: f"{shown['centre_distance']:.2f}"}
    if "prototype_difference" in shown:
        rows["‖w⁺ − w⁻‖ / ‖w⁺‖"] = f"{shown['prototype_difference']:.3f}"
    rows |= {f"robust, {name} ({CERTIFIED} images)": f"{v:.1%}" for name, v in certified.items()}
    rows |= {f"accuracy under {name} ({ATTACKED})": f"{v:.1%}" for name, v in attacked.items()}
    rows |= {f"AUROC of {name}": f"{area:.4f}" for name, area in areas.items()}
    rows["test images refused"] = f"{refused:.1%}"
    rows["training"] = f"{seconds:.1f} s, {speed:,.0f} images a second"
    print(format_table(rows))
    if not data.complete:
        print("These figures mean little: they come from the small sample the package carries.")
    print(f"written to {options.out}")


def main() -> None:
    try:
        run(parse())
    except (ValueError, OSError, ImportError, DeviceError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
