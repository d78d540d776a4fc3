"""Networks for small images: features and a head.

    h, z = features(x), head(h)

`compact_cnn` is small enough to be trained on a CPU; `resnet18` (He, Zhang, Ren and Sun, arXiv
1512.03385) and `wide_resnet` (Zagoruyko and Komodakis, arXiv 1605.07146) are those of the papers,
in the form for CIFAR. x is (N, H, W, 3) in [0, 1]; the first layer normalizes it, so attacks work
on pixels.
"""

from .builders import (
    BUILDERS,
    CIFAR10_MEAN,
    CIFAR10_STD,
    compact_cnn,
    from_settings,
    resnet18,
    wide_resnet,
)
from .network import Network, fold
from .storage import load, save

__all__ = [
    "BUILDERS",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "Network",
    "compact_cnn",
    "fold",
    "from_settings",
    "load",
    "resnet18",
    "save",
    "wide_resnet",
]
