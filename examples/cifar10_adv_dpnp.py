"""Train Adv-DPNP (arXiv 2504.03782, reconstructed) on CIFAR-10, attack it and draw what it learned.

    python examples/cifar10_adv_dpnp.py

writes metrics.json, model.npz, checkpoint.npz, curves.png, attacks.png and latent.png to the folder
--out. A run that was stopped in any way continues with --resume, and ends with the same bits as one
that was not stopped. --method trains one of the defences that Adv-DPNP is compared with; --limit
and --epochs make a run short.
"""

import argparse
import importlib.util
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyproto import networks
from tinyproto.attacks import Victim, fgsm, pgd
from tinyproto.backend.device import DeviceError, array_module, select_device, to_device, to_host
from tinyproto.data import Dataset, load
from tinyproto.data.augment import crop_and_flip
from tinyproto.evaluation.geometry import class_means, compactness
from tinyproto.evaluation.metrics import format_table, write_metrics
from tinyproto.networks import Network
from tinyproto.optimizers import SGD
from tinyproto.random import permutation
from tinyproto.schedules import one_cycle
from tinyproto.training import DEFENSES, NotFinite, PGDConfig, Stopped, accuracy, fit

NETWORKS = {"compact": networks.compact_cnn, "resnet18": networks.resnet18}
DATASETS = {  # how many official images there are for training and testing
    "cifar10": (50_000, 10_000),
    "cifar100": (50_000, 10_000),
    "svhn": (73_257, 26_032),
}
EPS, STEP_SIZE = 8 / 255, 2 / 255
SHOWN, PLOTTED = 8, 1000  # test images in attacks.png and latent.png
COEFFICIENTS = list(
    dict.fromkeys(name for defense in DEFENSES.values() for name in defense.coefficients)
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DIR", help="folder with cifar10.npz or the authors' files")
    add("--dataset", choices=list(DATASETS), default="cifar10", help="the data set (cifar10)")
    add("--method", choices=list(DEFENSES), default="adv-dpnp", help="the defence (adv-dpnp)")
    add("--network", choices=list(NETWORKS), default="compact", help="the network (compact)")
    add("--epochs", type=int, default=10, metavar="N", help="passes over the training images (10)")
    add("--limit", type=int, metavar="N", help="train on N images (all but those held out)")
    add("--evaluate", type=int, default=1000, metavar="N", help="attack N test images (1000)")
    add("--resume", action="store_true", help="continue from checkpoint.npz in --out")
    add("--seed", type=int, default=0, metavar="N", help="seed of all random numbers (0)")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (cpu)")
    add("--out", type=Path, default=Path("runs/cifar10_adv_dpnp"), metavar="DIR",
        help="folder for the results (runs/cifar10_adv_dpnp)")  # fmt: skip
    add("--batch", type=int, metavar="N", help="images in a step (128; 32 if fewer than 5,000)")
    add("--learning-rate", type=float, default=0.1, metavar="X", help="peak of one cycle (0.1)")
    add("--attack-steps", type=int, default=5, metavar="N", help="PGD steps in training (5)")
    add("--features", type=int, default=64, metavar="N", help="width of the feature layer (64)")
    add("--radius", type=float, default=3.0, metavar="X", help="length of a prototype (3)")
    add("--average", type=float, metavar="X",
        help="evaluate a moving average of the weights with this decay (none)")  # fmt: skip
    add("--checkpoint-every", type=int, default=100, metavar="N",
        help="steps from one checkpoint to the next (100)")  # fmt: skip
    add_coefficients(parser.add_argument_group("coefficients of one or more methods"))
    return parser.parse_args(arguments)


def add_coefficients(group: Any) -> None:
    """An option for each coefficient that a defence declares."""
    for name in COEFFICIENTS:
        methods = [m for m, defense in DEFENSES.items() if name in defense.coefficients]
        defense = DEFENSES[methods[0]]
        default = defense.defaults()[name]
        text = f"{', '.join(methods)}: {defense.coefficients[name]}"
        kind: dict[str, Any] = {"type": type(default), "help": f"{text} ({default})"}
        if isinstance(default, bool):
            kind = {"action": "store_true", "default": None, "help": text}
        elif choices := defense.choices(name):
            kind["choices"] = choices
        else:
            kind["metavar"] = "X"
        group.add_argument(f"--{name.replace('_', '-')}", **kind)


def coefficients(options: argparse.Namespace) -> dict[str, Any]:
    """All coefficients of the method; ValueError for one that it does not have."""
    found = DEFENSES[options.method].defaults()
    for name in COEFFICIENTS:
        value = getattr(options, name)
        if value is not None and name not in found:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} is no option of --method {options.method}")
        if value is not None:
            found[name] = value
    return found


def build(options: argparse.Namespace, data: Dataset) -> Network:
    """A new network, normalized for these images, on the device of --device."""
    if options.features < 1 or not options.radius > 0:
        raise ValueError(
            f"--features and --radius must be above 0, not {options.features}, {options.radius}"
        )
    pixels = data.x_train.reshape(-1, 3)[:: max(1, len(data.x_train) // 5000)] / 255
    head: dict[str, Any] = {
        "mean": [round(float(v), 4) for v in pixels.mean(axis=0)],
        "std": [round(float(v), 4) for v in pixels.std(axis=0)],
    }
    if DEFENSES[options.method].prototypes:
        head |= {"head": "prototypes", "radius": options.radius}
    network = NETWORKS[options.network](
        len(data.class_names), feature_width=options.features, seed=options.seed, **head
    )
    return network.to(select_device(options.device))


def split(options: argparse.Namespace, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training images to learn from, and of those held out for validation: a
    tenth of all, at most 1,000."""
    order = permutation(len(data.x_train), seed=options.seed, stream="held out")
    held = min(1000, len(order) // 10)
    limit = len(order) if options.limit is None else options.limit
    if not 1 <= limit <= len(order):
        raise ValueError(f"--limit must be between 1 and {len(order)} images, not {limit}")
    return np.sort(order[held:][:limit]), np.sort(order[:held])


def train(options: argparse.Namespace, network: Network, data: Dataset) -> list[dict[str, float]]:
    """Fit with checkpoints; returns a row for each epoch."""
    learned, held = split(options, data)
    defense, bound = DEFENSES[options.method], coefficients(options)
    settings = {
        "method": options.method, "dataset": data.name, "learning_rate": options.learning_rate,
        **bound,
    }  # fmt: skip
    if defense.adversarial:
        bound["attack"] = PGDConfig(EPS, options.attack_steps, STEP_SIZE)
        settings["attack"] = asdict(bound["attack"])
    return fit(
        network,
        partial(defense, **bound),
        data.x_train[learned],
        data.y_train[learned],
        epochs=options.epochs,
        batch_size=options.batch,
        optimizer=SGD(momentum=0.9, weight_decay=5e-4),
        schedule=partial(one_cycle, options.learning_rate),
        average=options.average,
        augment=partial(crop_and_flip, flip=data.name != "svhn"),  # a mirrored digit is no digit
        validation=(data.x_train[held], data.y_train[held]),
        validation_attack=PGDConfig(EPS, 5, STEP_SIZE),
        monitor="robust" if defense.adversarial else "clean",
        seed=options.seed,
        checkpoint=options.out / "checkpoint.npz",
        checkpoint_every=options.checkpoint_every,
        resume=options.resume,
        settings=settings,
    )


def attack(network: Network, data: Dataset, count: int, seed: int) -> dict[str, float]:
    """Accuracy on the first `count` test images under attacks in L∞, by attack."""
    x, y = data.x_test[:count], data.y_test[:count]

    def fast(victim: Victim, images: Any, labels: Any, index: Any) -> Any:
        return fgsm(victim, images, labels, eps=EPS)

    def strong(victim: Victim, images: Any, labels: Any, index: Any) -> Any:
        return pgd(
            victim, images, labels, eps=EPS, steps=20, step_size=STEP_SIZE, seed=seed, index=index
        )

    return {
        "fgsm 8/255": accuracy(network, x, y, fast),
        "pgd-20 8/255": accuracy(network, x, y, strong),
    }


def look(network: Network, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, d) and predicted classes (N,) of images, on the host."""
    h, _ = network.features(to_device(images, array_module(_weights(network))))
    z, _ = network.head(h)
    return to_host(h), to_host(z.argmax(axis=1))


def _weights(network: Network) -> Any:
    """The head's vectors, one row for each class."""
    params = network.head.params
    return params["prototypes"] if "prototypes" in params else params["weight"].T


def draw(
    out: Path, network: Network, data: Dataset, history: list[dict[str, float]], title: str
) -> dict[str, float]:
    """Draw the three pictures, or say in one line what to install; returns measures of features."""
    x = data.x_test[:PLOTTED] / np.float32(255)
    labels = data.y_test[:PLOTTED]
    features, _ = look(network, x)
    vectors = to_host(_weights(network)).astype(np.float64)
    seen = np.unique(labels)
    means = class_means(features, np.searchsorted(seen, labels), len(seen))
    shape = compactness(features, np.searchsorted(seen, labels), means)
    if importlib.util.find_spec("matplotlib") is None:
        print(
            "left out: curves.png, attacks.png, latent.png; to draw them: pip install matplotlib",
            file=sys.stderr,
        )
        return shape
    from tinyproto.evaluation import training_pictures as pictures

    pictures.plot_history(history, out / "curves.png", title=title)
    pictures.plot_latent_space(
        features, labels, vectors, out / "latent.png", class_names=data.class_names, title=title
    )
    images, truth = x[:SHOWN], data.y_test[:SHOWN]
    xp = array_module(_weights(network))
    there = pgd(
        Victim(network),
        to_device(images, xp),
        to_device(truth, xp),
        eps=EPS,
        steps=20,
        step_size=STEP_SIZE,
    )
    attacked = to_host(there)
    pictures.plot_attacks(
        images,
        attacked,
        out / "attacks.png",
        labels=truth,
        clean_predictions=look(network, images)[1],
        attacked_predictions=look(network, attacked)[1],
        class_names=data.class_names,
        eps=EPS,
        title=title,
    )
    return shape


def run(options: argparse.Namespace) -> None:
    """Train, evaluate, draw, and write the results."""
    if options.evaluate < 1 or options.attack_steps < 1 or not options.learning_rate > 0:
        raise ValueError(
            "--evaluate, --attack-steps and --learning-rate must be above 0, not "
            f"{options.evaluate}, {options.attack_steps}, {options.learning_rate}"
        )
    bound = coefficients(options)
    select_device(options.device)
    data = load(options.dataset, options.data)
    network = build(options, data)
    trained_on = len(split(options, data)[0])
    if options.batch is None:
        options.batch = 128 if trained_on >= 5000 else 32
    options.out.mkdir(parents=True, exist_ok=True)
    print(
        f"{data.name}: {len(data.x_train)} training and {len(data.x_test)} test images from "
        f"{data.source}"
    )
    history = train(options, network, data)
    networks.save(network, options.out / "model.npz", dataset=data.name, method=options.method)

    clean = accuracy(network, data.x_test, data.y_test)
    attacked = min(options.evaluate, len(data.x_test))
    robust = attack(network, data, attacked, options.seed)
    title = f"{options.method}, {options.network}, {data.name}: {clean:.1%} of the test images"
    latent = draw(options.out, network, data, history, title)

    seconds = history[-1]["seconds"]
    speed = options.epochs * trained_on / max(seconds, 1e-9)
    ignored = {"out", "data", "resume", *COEFFICIENTS}
    write_metrics(
        options.out / "metrics.json",
        data=data,
        clean_accuracy=clean,
        robust_accuracy=robust,
        seconds=seconds,
        images_per_second=speed,
        seed=options.seed,
        device=options.device,
        settings={**{k: v for k, v in vars(options).items() if k not in ignored}, **bound},
        trained_on=trained_on,
        attacked=attacked,
        history=history,
        latent=latent,
    )
    rows = {"test accuracy": f"{clean:.2%}"}
    rows |= {f"accuracy under {name} ({attacked} images)": f"{v:.1%}" for name, v in robust.items()}
    rows |= {name: f"{value:.3f}" for name, value in latent.items()}
    rows["training"] = f"{seconds:.1f} s, {speed:,.0f} images a second"
    print(format_table(rows))
    if not data.complete:
        official = DATASETS[data.name]
        print(
            f"trained on {trained_on:,} of {official[0]:,} official images and tested on "
            f"{len(data.x_test):,} of {official[1]:,}: not comparable with published results"
        )
    print(f"written to {options.out}")


def main() -> None:
    try:
        run(parse())
    except (ValueError, OSError, ImportError, DeviceError, NotFinite) as error:
        sys.exit(f"error: {error}")
    except Stopped as stop:
        sys.exit(f"{stop}; continue with --resume")
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
