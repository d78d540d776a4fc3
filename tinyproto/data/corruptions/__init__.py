"""The 19 corruptions of CIFAR-10-C at five severities, and the reader of the published files."""

from .catalogue import CORRUPTION_GROUPS, CORRUPTIONS, corrupt
from .files import load_corrupted

__all__ = ["CORRUPTIONS", "CORRUPTION_GROUPS", "corrupt", "load_corrupted"]
