"""Train ±ED-WTA (arXiv 2008.08750) on MNIST, certify and attack it, and draw what it learned.

    python examples/mnist_ed_wta.py

writes metrics.json, model.npz, prototypes.png, formation.gif and detection.png to the folder --out,
which must not have the results of another run: --overwrite replaces them.
With the default settings, which are those of the paper, all of MNIST takes less than a minute on
two cores; --preset accurate takes some minutes, and makes fewer than half as many errors. --preset
robust and robust-linf train the radius that is certified, of ED-WTA unless --model is given.
"""

import argparse
import sys
import time
from typing import Any, NamedTuple

import numpy as np

from tinyproto.attacks import Victim, fgsm, pgd
from tinyproto.backend.device import select_device, to_host
from tinyproto.data import Dataset, load, load_outliers
from tinyproto.evaluation import DetectionReport, detection_report, pictures
from tinyproto.evaluation.command import add_run_options, can_draw, run_command
from tinyproto.evaluation.figures import FORMATS
from tinyproto.evaluation.metrics import format_table, write_metrics
from tinyproto.evaluation.result_folder import remove_results, result_folder
from tinyproto.progress import progress
from tinyproto.prototypes import (
    EDWTA,
    IPWTA,
    PRESETS,
    Detector,
    PlusMinusEDWTA,
    WinnerTakeAll,
    auroc,
    centre_distances,
    exact_radius,
    inner_product_to_euclidean,
    preset_augmentation,
    preset_network,
    roc_curve,
    save,
)
from tinyproto.random import permutation, uniform

MODELS = {"pm-ed-wta": PlusMinusEDWTA, "ed-wta": EDWTA, "ip-wta": IPWTA}
NAMES = {PlusMinusEDWTA: "±ED-WTA", EDWTA: "ED-WTA", IPWTA: "IP-WTA"}
NORMS = {"l2": "L2", "linf": "L∞"}
RADII = {"l2": (0.5, 1.0, 1.58), "linf": (0.05, 0.1)}
ATTACK_EPS = (0.05, 0.1, 0.2)
CERTIFIED, ATTACKED = 200, 1000  # test images, from the first on
DETECTED, DETECTION_EPS = 200, {"l2": 1.0, "linf": 0.1}  # attacked together with the detector
PICTURES = [f"{name}.{end}" for name in ("prototypes", "detection") for end in FORMATS]
FILES = ["metrics.json", "model.npz", "formation.gif", *PICTURES, "checkpoint.npz"]
"""What a run leaves; the last is that of the other example, which must not share the folder."""
CONVERTED, DIFFERENCE, WEIGHTS = "centres with the same winners", "difference w⁺ − w⁻", "weights"
SIGNED = {  # panel of prototypes.png: what blue and red mean
    CONVERTED: ("blue: below 0, as no image is", "red: above 0"),
    DIFFERENCE: ("blue: w⁻ is darker", "red: w⁺ is darker"),
    WEIGHTS: ("blue: darkness here speaks against the class", "red: for it"),
}

Images = dict[str, np.ndarray]  # name → images (N, d)
Frames = list[tuple[str, np.ndarray]]  # (caption, images (neurons, height, width))


class Detection(NamedTuple):
    """How well an outlier score separates test images from each set of outliers, and how far an
    attacker gets who knows it."""

    score: str
    rejected: float  # the fraction of the test images
    auroc: dict[str, float]
    curves: list[dict[str, tuple[np.ndarray, np.ndarray]]]  # ROC, one dict for each group of sets
    attacks: list[DetectionReport]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DIR", help="folder with mnist.npz or the authors' files")
    add("--dataset", choices=["mnist", "fashion"], default="mnist", help="data set (mnist)")
    add("--model", choices=list(MODELS), help="network (pm-ed-wta; robust: ed-wta)")
    add("--preset", choices=list(PRESETS), default="authors",
        help="settings to begin with (authors)")  # fmt: skip
    add(
        "--prototypes",
        type=int,
        metavar="K",
        help="neurons of each class (6; accurate: 80; robust: 200)",
    )
    add(
        "--epochs",
        type=int,
        metavar="N",
        help="passes over the data (49; accurate: 80; robust: 40)",
    )
    add("--batch", type=int, metavar="N",
        help="samples of a mini-batch; 1 is online (1; accurate: 128; robust: 500)")  # fmt: skip
    add("--init", choices=["random", "kmeans"], help="first prototypes (random; others: kmeans)")
    add_run_options(parser, out="runs/mnist_ed_wta")
    options = parser.parse_args(arguments)
    if options.model is None:
        options.model = "ed-wta" if options.preset.startswith("robust") else "pm-ed-wta"
    return options


def build(options: argparse.Namespace) -> WinnerTakeAll:
    """A network with the parameters of the preset, except those that the options set."""
    kind = MODELS[options.model]
    if options.preset == "accurate" and kind is not PlusMinusEDWTA:
        raise ValueError("--preset accurate is for --model pm-ed-wta, not " + options.model)
    chosen = {
        "prototypes_per_class": options.prototypes,
        "epochs": options.epochs,
        "batch_size": options.batch,
        "init": options.init,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    return preset_network(kind, options.preset, seed=options.seed, device=options.device, **given)


def train(
    network: WinnerTakeAll, data: Dataset, x: np.ndarray, x_test: np.ndarray, preset: str
) -> tuple[float, Frames]:
    """Fit. Returns the seconds of training, without the evaluation after each epoch, and pictures
    of the prototypes as they form."""
    shape = data.x_train.shape[1:]
    seed = network.random_state
    augment = preset_augmentation(preset, shape, epochs=network.epochs, seed=seed)
    same = augment is None and network.batch_size == 1  # a copy learns what the network does
    frames = first_epoch_frames(network, data, x) if same else []
    evaluation_seconds = 0.0

    with progress(network.epochs, "epoch") as advance:

        def after_epoch(model: WinnerTakeAll, epoch: int, loss: float) -> None:
            nonlocal evaluation_seconds
            started = time.perf_counter()
            accuracy = model.score(x_test, data.y_test)
            frames.append((f"epoch {epoch}: {accuracy:.1%}", prototype_images(model, shape)))
            advance(1, f"loss {loss:.4f}, test accuracy {accuracy:.2%}")
            evaluation_seconds += time.perf_counter() - started

        started = time.perf_counter()
        network.fit(x, data.y_train, augment=augment, callback=after_epoch)
        return time.perf_counter() - started - evaluation_seconds, frames


def first_epoch_frames(network: WinnerTakeAll, data: Dataset, x: np.ndarray) -> Frames:
    """Pictures from within the first epoch, in which the prototypes change most: a copy of the
    network is trained on the samples in the same order, and drawn at growing intervals."""
    copy = type(network)(**{**network.get_params(), "epochs": 0}).fit(x, data.y_train)
    order = permutation(len(x), seed=network.random_state, stream="shuffle")
    stops = np.unique(np.geomspace(10, len(x), 20).astype(int))
    frames = [("start", prototype_images(copy, data.x_train.shape[1:]))]
    for start, stop in zip([0, *stops[:-1]], stops, strict=True):
        copy.partial_fit(x[order[start:stop]], data.y_train[order[start:stop]])
        frames.append((f"after {stop:,} images", prototype_images(copy, data.x_train.shape[1:])))
    return frames


def prototype_images(network: WinnerTakeAll, shape: tuple[int, ...]) -> np.ndarray:
    """The positive prototypes, or the weights of IP-WTA, as images."""
    name = "weights_" if isinstance(network, IPWTA) else "positive_prototypes_"
    return to_host(getattr(network, name)).reshape(-1, *shape).copy()


def certify(network: WinnerTakeAll, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The exact fraction of images whose class no perturbation of that size changes, in [0, 1]."""
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


def attack(network: WinnerTakeAll, x: np.ndarray, y: np.ndarray) -> tuple[dict[str, float], Images]:
    """Accuracy under FGSM and PGD (L∞), and the attacked images that are misclassified."""
    victim, robust, adversarial = Victim(network), {}, {}
    xp = select_device(network.device)
    images, label = xp.asarray(x), xp.asarray(np.searchsorted(network.classes_, y))
    correct = network.predict(x) == y
    for eps in ATTACK_EPS:
        for name, found in (
            (f"fgsm {eps}", fgsm(victim, images, label, eps=eps)),
            (f"pgd {eps}", pgd(victim, images, label, eps=eps, steps=20)),
        ):
            attacked = to_host(found)
            still_correct = network.predict(attacked) == y
            robust[name] = float(still_correct.mean())
            adversarial[name] = attacked[correct & ~still_correct]
    _, delta = exact_radius(network, x[:CERTIFIED], y[:CERTIFIED], lo=0.0, hi=1.0, overshoot=1e-3)
    moved = (np.abs(delta) > 0).any(axis=1)
    adversarial["nearest in L2"] = (x[:CERTIFIED] + delta)[moved].astype(np.float32)
    return robust, adversarial


def outlier_sets(data: Dataset, directory: str | None, count: int, features: int) -> Images:
    """Uniform noise, and the test images of other data sets that are available."""
    found = {} if data.name == "fashion" else load_outliers(directory)
    flat = {name: x.reshape(len(x), -1) / np.float32(255) for name, x in found.items()}
    noise = uniform(features, np.arange(count), seed=0, stream="noise").astype(np.float32)
    return {**flat, "uniform noise": noise}


def detect(
    network: WinnerTakeAll, x: np.ndarray, data: Dataset, x_test: np.ndarray, groups: list[Images]
) -> Detection:
    """Calibrate a detector on the training images x, compare the scores of x_test with those of
    each group, and attack classifier and detector together."""
    # The profile costs as much as its M × M matrices: too much for thousands of neurons.
    by_margin = isinstance(network, IPWTA) or network.objective == "radius"
    kind = "margin" if by_margin else "profile"
    detector = Detector(network, kind).fit(x, data.y_train)
    inliers = detector.score(x_test)
    areas, curves = {}, []
    for group in groups:
        scores = {name: detector.score(images) for name, images in group.items() if len(images)}
        areas.update({name: auroc(inliers, outliers) for name, outliers in scores.items()})
        curves.append({f"{n}: {areas[n]:.3f}": roc_curve(inliers, s) for n, s in scores.items()})
    few = x_test[:DETECTED], data.y_test[:DETECTED]
    attacks = [
        detection_report(detector, *few, eps=eps, norm=norm, steps=20, weights=(1.0,))
        for norm, eps in DETECTION_EPS.items()
    ]
    return Detection(kind, float((inliers > detector.threshold_).mean()), areas, curves, attacks)


def draw(
    options: argparse.Namespace,
    network: WinnerTakeAll,
    data: Dataset,
    frames: Frames,
    detection: Detection,
    accuracy: float,
) -> None:
    """The three pictures, or one line that says which are missing and what to install."""
    end, out = options.format, options.out
    names = (f"prototypes.{end}", "formation.gif", f"detection.{end}")
    if not can_draw({"matplotlib": "matplotlib", "PIL": "pillow"}, *names):
        return
    shape = data.x_train.shape[1:]
    if isinstance(network, PlusMinusEDWTA):
        positive = prototype_images(network, shape)
        negative = to_host(network.negative_prototypes_).reshape(-1, *shape)
        panels = {"positive prototypes w⁺": positive, "negative prototypes w⁻": negative}
        panels[DIFFERENCE] = positive - negative
    elif isinstance(network, EDWTA):
        panels = {"prototypes": prototype_images(network, shape)}
    else:
        centres = inner_product_to_euclidean(*network.linear())[:, : int(np.prod(shape))]
        panels = {
            WEIGHTS: prototype_images(network, shape),
            CONVERTED: centres.reshape(-1, *shape),
        }
    pictures.plot_prototypes(
        panels,
        out / names[0],
        class_names=data.class_names,
        signed=SIGNED,
        title=f"{NAMES[type(network)]} classifies {accuracy:.2%} of {data.name}'s test images "
        "correctly with these prototypes.",
    )
    pictures.animate_prototypes(frames, out / names[1], classes=len(data.class_names))
    outliers, attacked = detection.curves
    stronger = {name: curve for name, curve in attacked.items() if not name.startswith("fgsm")}
    pictures.plot_roc_curves(
        {"outliers": outliers, "attacked images, detector unknown to the attacker": stronger},
        out / names[2],
        title=f"How well the detector's {detection.score} score tells test images from others: "
        "each name with its AUROC.",
    )


def distances(network: WinnerTakeAll, x: np.ndarray) -> dict[str, float]:
    """The mean distance of a centre to its nearest image, and ‖w⁺ − w⁻‖ / ‖w⁺‖."""
    if isinstance(network, IPWTA):
        centres = inner_product_to_euclidean(*network.linear())
        return {"centre_distance": float(centre_distances(centres, x).mean())}
    centres = prototype_images(network, (x.shape[1],))
    found = {"centre_distance": float(centre_distances(centres, x).mean())}
    if isinstance(network, PlusMinusEDWTA):
        positive = network.positive_prototypes_
        difference = positive - network.negative_prototypes_
        ratio = float((difference**2).sum() ** 0.5) / float((positive**2).sum() ** 0.5)
        found["prototype_difference"] = ratio
    return found


def run(options: argparse.Namespace) -> None:
    """Check the options, and train in the folder --out."""
    network = build(options)
    network.check_parameters()
    with result_folder(options.out, FILES, overwrite=options.overwrite):
        train_and_evaluate(options, network)


def train_and_evaluate(options: argparse.Namespace, network: WinnerTakeAll) -> None:
    """Train, evaluate, draw, and write the results."""
    data = load(options.dataset, options.data)
    x, x_test = (
        images.reshape(len(images), -1) / np.float32(255) for images in (data.x_train, data.x_test)
    )
    print(f"{data.name}: {len(x)} training and {len(x_test)} test images from {data.source}")

    seconds, frames = train(network, data, x, x_test, options.preset)
    remove_results(options.out, FILES)  # not before there is something in their place
    save(network, options.out / "model.npz", dataset=data.name)
    accuracy = network.score(x_test, data.y_test)
    certified = certify(network, x_test[:CERTIFIED], data.y_test[:CERTIFIED])
    attacked, adversarial = attack(network, x_test[:ATTACKED], data.y_test[:ATTACKED])
    outliers = outlier_sets(data, options.data, len(x_test), x.shape[1])
    detection = detect(network, x, data, x_test, [outliers, adversarial])
    metrics = write_metrics(
        options.out / "metrics.json",
        data=data,
        clean_accuracy=accuracy,
        robust_accuracy={**certified, **attacked},
        seconds=seconds,
        images_per_second=network.epochs * len(x) / max(seconds, 1e-9),
        seed=options.seed,
        device=options.device,
        settings={"model": options.model, "preset": options.preset, **network.get_params()},
        **distances(network, x),
        beta=network.beta_,
        detection={
            "score": detection.score,
            "test_refused": detection.rejected,
            "auroc": detection.auroc,
            "attacks": [report._asdict() for report in detection.attacks],
        },
    )
    draw(options, network, data, frames, detection, accuracy)
    print(summary(metrics))
    if not data.complete:
        print(
            f"These figures are rough: {len(x):,} training and {len(x_test):,} test images are not "
            f"all of {data.name}."
        )
    print(f"written to {options.out}")


def summary(metrics: dict[str, Any]) -> str:
    """The figures of metrics.json as a table."""
    distance = "mean distance of a centre to its nearest image"
    certified, attacked = (min(n, metrics["data"]["test"]) for n in (CERTIFIED, ATTACKED))
    rows = {
        "test accuracy": f"{metrics['clean_accuracy']:.2%}",
        distance: f"{metrics['centre_distance']:.2f}",
    }
    if "prototype_difference" in metrics:
        rows["‖w⁺ − w⁻‖ / ‖w⁺‖"] = f"{metrics['prototype_difference']:.3f}"
    for name, value in metrics["robust_accuracy"].items():
        kind, *norm, radius = name.split()
        if kind == "exact":
            label = f"certified accuracy, {NORMS[norm[0]]} radius {radius} ({certified} images)"
        else:
            label = f"accuracy under {kind.upper()}, L∞ radius {radius} ({attacked:,} images)"
        rows[label] = f"{value:.1%}"
    detection = metrics["detection"]
    for name, area in detection["auroc"].items():
        rows[f"test images against {name}: AUROC"] = f"{area:.4f}"
    rows["test images rejected as outliers"] = f"{detection['test_refused']:.1%}"
    for found in detection["attacks"]:
        at = f"{NORMS[found['norm']]} radius {found['eps']} ({found['images']} images)"
        ignoring, adaptive = found["ignoring_evasion"], found["adaptive_evasion"]
        rows[f"wrong and not rejected, attacker ignores the detector, {at}"] = f"{ignoring:.1%}"
        rows[f"wrong and not rejected, attacker knows the detector, {at}"] = f"{adaptive:.1%}"
        if found["certified"] is not None:
            rows[f"right or rejected, certified, {at}"] = f"{found['certified']:.1%}"
    speed = metrics["images_per_second"]
    rows["training"] = f"{metrics['seconds']:.1f} s, {speed:,.0f} images per second"
    return format_table(rows)


if __name__ == "__main__":
    run_command(lambda: run(parse()))
