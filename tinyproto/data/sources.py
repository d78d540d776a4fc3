"""Sources of the data sets: where their files are, how they are read, what they must contain.

The addresses are the authors' own, except that of MNIST: its home page no longer serves the files,
and they come from a mirror. Each md5 is that of the file as published.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .damage import Arrays, check_published, is_gzipped
from .formats import SPLITS, read_idx, read_pickled_cifar, read_svhn


class File(NamedTuple):
    """One of the authors' files: its name on their site, its md5, and its name when extracted."""

    name: str
    md5: str
    extracted: str

    def find_in(self, folder: Path) -> Path | None:
        """The path of the file in a folder, as published or extracted; None if it is not there."""
        candidates = (folder / self.name, folder / self.extracted)
        return next((path for path in candidates if path.exists()), None)


@dataclass(frozen=True)
class Source:
    """The files of a data set, how to read them, and what they must contain."""

    name: str
    npz: str  # name of the .npz file with the same arrays, which is read, too
    url: str  # of the folder with the files
    files: tuple[File, ...]
    read: Callable[[list[Path]], Arrays]
    image_shape: tuple[int, ...]
    sizes: tuple[int, int]  # numbers of official training and test images
    class_names: tuple[str, ...]

    def expected_files(self) -> str:
        """The names of the files that can be read, for an error message."""
        return f"{self.npz} or {', '.join(file.name for file in self.files)}"


def _idx_files(*md5s: str) -> tuple[File, ...]:
    """Files in the order of SPLITS; MNIST and Fashion-MNIST use the same names."""
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in kinds]
    return tuple(File(f"{name}.gz", md5, name) for name, md5 in zip(names, md5s, strict=True))


def _read_idx_files(files: list[Path], *, extracted_md5s: tuple[str, ...]) -> Arrays:
    """`extracted_md5s` are those of the decompressed files, in the order of SPLITS."""
    arrays = dict(zip(SPLITS, map(read_idx, files), strict=True))
    for path, array, md5 in zip(files, arrays.values(), extracted_md5s, strict=True):
        if array.shape[:1] in ((60_000,), (10_000,)) and not is_gzipped(path):
            check_published(path, path.read_bytes(), md5)
    return arrays


def _read_svhn_files(files: list[Path]) -> Arrays:
    (x_train, y_train), (x_test, y_test) = map(read_svhn, files)
    return dict(zip(SPLITS, (x_train, y_train, x_test, y_test), strict=True))


def _read_cifar10_file(files: list[Path]) -> Arrays:
    return read_pickled_cifar(files[0], classes=10)


def _read_cifar100_file(files: list[Path]) -> Arrays:
    return read_pickled_cifar(files[0], classes=100)


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DIGITS = tuple("0123456789")
FASHION_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
CIFAR10_NAMES = _split("airplane automobile bird cat deer dog frog horse ship truck")
CIFAR100_NAMES = _split(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
    crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """
)

SOURCES = {
    source.name: source
    for source in (
        Source(  # LeCun, Cortes, Burges, 1998
            name="mnist",
            npz="mnist.npz",
            url="https://ossci-datasets.s3.amazonaws.com/mnist/",
            files=_idx_files(
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
            read=partial(
                _read_idx_files,
                extracted_md5s=(
                    "6bbc9ace898e44ae57da46a324031adb",
                    "a25bea736e30d166cdddb491f175f624",
                    "2646ac647ad5339dbf082846283269ea",
                    "27ae3e4e09519cfbb04c329615203637",
                ),
            ),
            image_shape=(28, 28),
            sizes=(60_000, 10_000),
            class_names=DIGITS,
        ),
        Source(  # Xiao, Rasul, Vollgraf, arXiv 1708.07747
            name="fashion",
            npz="fashion_mnist.npz",
            url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            files=_idx_files(
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
            read=partial(
                _read_idx_files,
                extracted_md5s=(
                    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                    "9018921c3c673c538a1fc5bad174d6f9",
                    "8181f5470baa50b63fa0f6fddb340f0a",
                    "15d484375f8d13e6eb1aabb0c3f46965",
                ),
            ),
            image_shape=(28, 28),
            sizes=(60_000, 10_000),
            class_names=FASHION_NAMES,
        ),
        Source(  # Krizhevsky, 2009
            name="cifar10",
            npz="cifar10.npz",
            url="https://www.cs.toronto.edu/~kriz/",
            files=(
                File(
                    "cifar-10-python.tar.gz",
                    "c58f30108f718f92721af3b95e74349a",
                    "cifar-10-batches-py",
                ),
            ),
            read=_read_cifar10_file,
            image_shape=(32, 32, 3),
            sizes=(50_000, 10_000),
            class_names=CIFAR10_NAMES,
        ),
        Source(
            name="cifar100",
            npz="cifar100.npz",
            url="https://www.cs.toronto.edu/~kriz/",
            files=(
                File(
                    "cifar-100-python.tar.gz",
                    "eb9058c3a382ffc7106e4002c42a8d85",
                    "cifar-100-python",
                ),
            ),
            read=_read_cifar100_file,
            image_shape=(32, 32, 3),
            sizes=(50_000, 10_000),
            class_names=CIFAR100_NAMES,
        ),
        Source(  # Netzer and others, 2011; without the 531,131 extra images
            name="svhn",
            npz="svhn.npz",
            url="http://ufldl.stanford.edu/housenumbers/",
            files=(
                File("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", "train_32x32.mat"),
                File("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", "test_32x32.mat"),
            ),
            read=_read_svhn_files,
            image_shape=(32, 32, 3),
            sizes=(73_257, 26_032),
            class_names=DIGITS,
        ),
    )
}

TEST_LABELS_MD5 = {
    "073c3904dfbd3e141ff8aa01cfde6b15": "mnist",
    "8dea97a4e78c1bd1b5a6e8efbb870b6e": "fashion",
    "251f18ce75337ae9ca5d0dbd7ea62cf4": "cifar10",
}
"""Checksums of the test labels in the official order, as bytes: they identify a data set, while
MNIST and Fashion-MNIST, or CIFAR-10 and SVHN, have arrays of the same shapes."""
