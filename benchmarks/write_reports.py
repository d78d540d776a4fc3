"""Write the two reports that the documentation shows, to docs/_static/reports.

    python benchmarks/write_reports.py [--quick] [--data DIR] [--out DIR]

One is about the Adv-DPNP network of benchmarks/models and 1,000 test images of CIFAR-10; the other
about a ±ED-WTA network with the authors' settings, which is trained first, and 1,000 test digits of
MNIST. The seconds that each took are printed. --quick takes 50 images.
"""

import shutil
import tempfile
import time
from pathlib import Path

from common import argument_parser, load_mnist

from tinyproto.evaluation.command import run_command
from tinyproto.prototypes import AUTHORS, PlusMinusEDWTA, save
from tinyproto.report import Settings, write_report
from tinyproto.state import atomic_write

ROOT = Path(__file__).parent.parent
DEEP = ROOT / "benchmarks" / "models" / "cifar10_adv_dpnp.npz"


def main() -> None:
    parser = argument_parser(__doc__)
    default = ROOT / "docs" / "_static" / "reports"
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help="folder")
    options = parser.parse_args()
    x, y, *_ = load_mnist(options.data)
    network = PlusMinusEDWTA(random_state=0, **AUTHORS).fit(x, y)
    settings = Settings(examples=50 if options.quick else 1000, data=options.data)
    with tempfile.TemporaryDirectory() as folder:
        shallow = Path(folder) / "mnist_ed_wta.npz"
        save(network, shallow, dataset="mnist")
        for model in (DEEP, shallow):
            begun = time.perf_counter()
            page = write_report([model], Path(folder) / model.stem, settings=settings)
            seconds = time.perf_counter() - begun
            with atomic_write(options.out / f"{model.stem}.html") as temporary:
                shutil.copyfile(page, temporary)
            size = page.stat().st_size / 1e6
            print(f"{model.stem}: {seconds:.0f} s, {size:.1f} MB", flush=True)


if __name__ == "__main__":
    run_command(main)
