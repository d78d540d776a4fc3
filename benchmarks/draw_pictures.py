"""Draw the pictures of README and docs: examples/pictures/*.png.

    python benchmarks/draw_pictures.py [--data DIR]

prototypes.png is that of examples/mnist_ed_wta.py with its default settings, prototypes_robust.png
that with --preset robust; attacks.png and
latent.png are those of examples/cifar10_adv_dpnp.py for benchmarks/models/cifar10_adv_dpnp.npz;
geometry_*.png are those of `python -m tinyproto.evaluation.geometry` for the same network;
paper_*.png are those of bench_paper_ed_wta.py for benchmarks/results/paper_ed_wta.json.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from paper_ed_wta import DATA, figures, runs

from tinyproto import networks
from tinyproto.data import Dataset, load
from tinyproto.evaluation.command import run_command
from tinyproto.evaluation.geometry import geometry_report, plot_discriminant_plane, plot_movement
from tinyproto.training import accuracy

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples"))

import cifar10_adv_dpnp as cifar10  # noqa: E402
import mnist_ed_wta as mnist  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="folder with the data sets")
    data = parser.parse_args().data
    given = ["--data", data] if data else []
    with tempfile.TemporaryDirectory() as folder:
        mnist.run(mnist.parse(["--out", f"{folder}/mnist", *given]))
        mnist.run(mnist.parse(["--out", f"{folder}/robust", "--preset", "robust", *given]))
        options = cifar10.parse(["--out", folder, *given])
        network = networks.load(ROOT / "benchmarks" / "models" / "cifar10_adv_dpnp.npz")
        images = load("cifar10", data)
        right = accuracy(network, images.x_test, images.y_test)
        cifar10.draw(options, network, images, [], cifar10.sentence(options, images, right))
        draw_geometry(network, images, ROOT / "examples" / "pictures")
        for name in ("mnist/prototypes.png", "attacks.png", "latent.png"):
            shutil.copy(Path(folder) / name, ROOT / "examples" / "pictures")
        pictures = ROOT / "examples" / "pictures"
        shutil.copy(Path(folder) / "robust" / "prototypes.png", pictures / "prototypes_robust.png")
    rows = json.loads((ROOT / "benchmarks" / "results" / "paper_ed_wta.json").read_text())["rows"]
    found = {name: runs.load_images(name, data) for name in DATA}
    figures.draw(rows, found, ROOT / "examples" / "pictures")


def draw_geometry(network: networks.Network, data: Dataset, folder: Path) -> None:
    """The latent space of Adv-DPNP, clean and attacked."""
    x, y, title = data.x_test[:1000], data.y_test[:1000], "Adv-DPNP"
    found = geometry_report(network, x, y, eps=8 / 255)
    plot_movement(found, folder / "geometry_movement.png", title=title)
    names = list(data.class_names)
    path = folder / "geometry_discriminant.png"
    plot_discriminant_plane(found, path, class_names=names, title=title)


if __name__ == "__main__":
    run_command(main)
