"""Data sets: find, download, verify, load, augment and corrupt them."""

from .augment import crop_and_flip, elastic
from .colour_outliers import colour_outliers
from .corruptions import CORRUPTION_GROUPS, CORRUPTIONS, corrupt, load_corrupted
from .datasets import Dataset, load, load_outliers

__all__ = [
    "CORRUPTIONS",
    "CORRUPTION_GROUPS",
    "Dataset",
    "colour_outliers",
    "corrupt",
    "crop_and_flip",
    "elastic",
    "load",
    "load_corrupted",
    "load_outliers",
]
