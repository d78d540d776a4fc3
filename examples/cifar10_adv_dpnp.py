"""Train Adv-DPNP (arXiv 2504.03782, reconstructed) on CIFAR-10, attack it, and look inside.

    python examples/cifar10_adv_dpnp.py

writes metrics.json, model.npz, checkpoint.npz, curves.png, attacks.png and latent.png under --out.
A run that was stopped, by whatever, goes on with --resume and ends with the same bits. --method
trains the defences that it is compared with; --limit and --epochs make a run short.
"""

import argparse
import importlib.util
import inspect
import sys
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
from tinyproto.optimizers import SGD, one_cycle
from tinyproto.random import permutation
from tinyproto.training import DEFENSES, Crafting, NotFinite, evaluate, fit

NETWORKS = {"compact": networks.compact_cnn, "resnet18": networks.resnet18}
PROTOTYPES = {"dpnp", "adv-dpnp"}  # methods whose head is made of prototypes
ADVERSARIAL = {"pgd", "trades", "mart", "adv-dpnp"}
EPS, STEP_SIZE = 8 / 255, 2 / 255
SHOWN, PLOTTED = 8, 1000  # test images in attacks.png and latent.png

# Options that are a defence's own coefficients: the option is the argument's name.
COEFFICIENTS = {
    "attract": "λ₊, the pull of features to their prototype (0.05)",
    "repel": "λ₋, the push of a prototype from its nearest rival (0.05)",
    "adversarial": "λ_adv, the weight of the adversarial branch (1)",
    "consistent": "λ_con, the weight of the consistency term (6)",
    "beta": "TRADES: the weight of the KL term (6)",
    "weight": "MART: the weight of the KL term (5)",
    "smoothing": "standard: of the labels (0)",
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DIR", help="folder with cifar10.npz or the authors' files")
    add("--dataset", choices=["cifar10", "cifar100", "svhn"], default="cifar10")
    add("--method", choices=list(DEFENSES), default="adv-dpnp")
    add("--network", choices=list(NETWORKS), default="compact")
    add("--epochs", type=int, default=10)
    add("--limit", type=int, metavar="N", help="training images (all)")
    add("--evaluate", type=int, default=1000, metavar="N", help="test images to attack (1000)")
    add("--resume", action="store_true", help="go on from checkpoint.npz under --out")
    add("--seed", type=int, default=0)
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--out", type=Path, default=Path("runs/cifar10_adv_dpnp"), metavar="DIR")
    add("--batch", type=int, help="images a step (128; with fewer than 5,000 in all, 32)")
    add("--learning-rate", type=float, default=0.1, help="the peak of one cycle (0.1)")
    add("--attack-steps", type=int, default=5, help="PGD steps for a training image (5)")
    add("--features", type=int, default=64, help="width of the feature layer (64)")
    add("--radius", type=float, default=3.0, help="of the prototypes' sphere (3)")
    add("--average", type=float, metavar="DECAY", help="judge a moving average of the weights")
    add("--every", type=int, default=100, help="steps from one checkpoint to the next (100)")
    for name, text in COEFFICIENTS.items():
        add(f"--{name}", type=float, help=text)
    add("--consistency", choices=["kl", "features"])
    add("--clean-statistics", action="store_true", default=None,
        help="BatchNorm's running averages from clean images alone")  # fmt: skip
    return parser.parse_args(arguments)


def coefficients(options: argparse.Namespace) -> dict[str, Any]:
    """The method's own options as they are used; ValueError for one that it does not have."""
    known = inspect.signature(DEFENSES[options.method]).parameters
    found = {}
    for name in (*COEFFICIENTS, "consistency", "clean_statistics"):
        value = getattr(options, name)
        if name in known:
            found[name] = known[name].default if value is None else value
        elif value is not None:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} is no option of --method {options.method}")
    return found


def build(options: argparse.Namespace, data: Dataset) -> Network:
    """A new network for the images at hand, on the device asked for."""
    if options.features < 1 or not options.radius > 0:
        raise ValueError(
            f"--features and --radius must be above 0, not {options.features}, {options.radius}"
        )
    pixels = data.x_train.reshape(-1, 3)[:: max(1, len(data.x_train) // 5000)] / 255
    head: dict[str, Any] = {
        "mean": [round(float(v), 4) for v in pixels.mean(axis=0)],
        "std": [round(float(v), 4) for v in pixels.std(axis=0)],
    }
    if options.method in PROTOTYPES:
        head |= {"head": "prototypes", "radius": options.radius}
    network = NETWORKS[options.network](
        len(data.class_names), feature_width=options.features, seed=options.seed, **head
    )
    return network.to(select_device(options.device))


def split(options: argparse.Namespace, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Places of the training images to learn from, and of those held out to judge by: a tenth, at
    most 1,000."""
    order = permutation(len(data.x_train), seed=options.seed, stream="held out")
    held = min(1000, len(order) // 10)
    limit = len(order) if options.limit is None else options.limit
    if not 1 <= limit <= len(order):
        raise ValueError(f"--limit must be between 1 and {len(order)} images, not {limit}")
    return np.sort(order[held:][:limit]), np.sort(order[:held])


def train(options: argparse.Namespace, network: Network, data: Dataset) -> list[dict[str, float]]:
    """Fit with checkpoints; the rows of its epochs."""
    learned, held = split(options, data)
    own = coefficients(options)
    crafting = Crafting(EPS, options.attack_steps, STEP_SIZE)
    adversarial = options.method in ADVERSARIAL
    if adversarial:
        own["crafting"] = crafting
    settings = {
        "method": options.method, "dataset": data.name, "learning_rate": options.learning_rate,
        **{k: vars(v) if isinstance(v, Crafting) else v for k, v in own.items()},
    }  # fmt: skip
    history = fit(
        network,
        partial(DEFENSES[options.method], **own),
        data.x_train[learned],
        data.y_train[learned],
        epochs=options.epochs,
        batch_size=options.batch,
        optimizer=SGD(momentum=0.9, weight_decay=5e-4),
        schedule=partial(one_cycle, options.learning_rate),
        average=options.average,
        augment=partial(crop_and_flip, flip=data.name != "svhn"),  # a mirrored digit is none
        validation=(data.x_train[held], data.y_train[held]),
        probe=Crafting(EPS, 5, STEP_SIZE),
        select="robust" if adversarial else "clean",
        seed=options.seed,
        checkpoint=options.out / "checkpoint.npz",
        every=options.every,
        resume=options.resume,
        settings=settings,
    )
    return history


def attack(network: Network, data: Dataset, count: int, seed: int) -> dict[str, float]:
    """Accuracy on the first `count` test images, attacked in L∞."""
    x, y = data.x_test[:count], data.y_test[:count]

    def fast(victim: Victim, images: Any, labels: Any, index: Any) -> Any:
        return fgsm(victim, images, labels, eps=EPS)

    def strong(victim: Victim, images: Any, labels: Any, index: Any) -> Any:
        return pgd(
            victim, images, labels, eps=EPS, steps=20, step_size=STEP_SIZE, seed=seed, index=index
        )

    return {
        "fgsm 8/255": evaluate(network, x, y, fast),
        "pgd-20 8/255": evaluate(network, x, y, strong),
    }


def look(network: Network, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, d) and answers (N,) of images, on the host."""
    h, _ = network.features(to_device(images, array_module(_weights(network))))
    z, _ = network.head(h)
    return to_host(h), to_host(z.argmax(axis=1))


def _weights(network: Network) -> Any:
    """The head's vectors, one row a class."""
    params = network.head.params
    return params["prototypes"] if "prototypes" in params else params["weight"].T


def draw(
    out: Path, network: Network, data: Dataset, history: list[dict[str, float]], title: str
) -> dict[str, float]:
    """The three pictures, or one line that says what to install; what the latent space is like."""
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
    if options.evaluate < 1 or options.attack_steps < 1 or not options.learning_rate > 0:
        raise ValueError(
            "--evaluate, --attack-steps and --learning-rate must be above 0, not "
            f"{options.evaluate}, {options.attack_steps}, {options.learning_rate}"
        )
    own = coefficients(options)
    select_device(options.device)
    data = load(options.dataset, options.data)
    network = build(options, data)
    learned, _ = split(options, data)
    if options.batch is None:
        options.batch = 128 if len(learned) >= 5000 else 32
    options.out.mkdir(parents=True, exist_ok=True)
    print(
        f"{data.name}: {len(data.x_train)} training and {len(data.x_test)} test images from "
        f"{data.source}"
    )
    history = train(options, network, data)
    places = {"out", "data", "resume", *COEFFICIENTS}
    settings = {**{k: v for k, v in vars(options).items() if k not in places}, **own}
    networks.save(options.out / "model.npz", network, dataset=data.name, method=options.method)

    accuracy = evaluate(network, data.x_test, data.y_test)
    count = min(options.evaluate, len(data.x_test))
    robust = attack(network, data, count, options.seed)
    title = f"{options.method}, {options.network}, {data.name}: {accuracy:.1%} of the test images"
    shape = draw(options.out, network, data, history, title)

    seconds = history[-1]["seconds"]
    speed = options.epochs * len(learned) / max(seconds, 1e-9)
    write_metrics(
        options.out / "metrics.json",
        data=data,
        clean_accuracy=accuracy,
        robust_accuracy=robust,
        seconds=seconds,
        images_per_second=speed,
        seed=options.seed,
        device=options.device,
        settings=settings,
        trained_on=len(learned),
        attacked=count,
        history=history,
        latent=shape,
    )
    rows = {"test accuracy": f"{accuracy:.2%}"}
    rows |= {f"accuracy under {name} ({count} images)": f"{v:.1%}" for name, v in robust.items()}
    rows |= {name: f"{value:.3f}" for name, value in shape.items()}
    rows["training"] = f"{seconds:.1f} s, {speed:,.0f} images a second"
    print(format_table(rows))
    if not data.complete:
        print("These figures mean little: they come from the small sample the package carries.")
    print(f"written to {options.out}")


def main() -> None:
    try:
        run(parse())
    except (ValueError, OSError, ImportError, DeviceError, NotFinite) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stop:
        sys.exit(f"{stop or 'stopped'}; go on with --resume" if str(stop) else "stopped")


if __name__ == "__main__":
    main()
