"""The parts of a report, in the order of the page: each a function of the subject and a folder for
its pictures that returns a section, or raises `LeftOut`."""

from collections.abc import Callable
from pathlib import Path

from ..content import Section
from ..subject import Subject
from .attacks import attacks
from .certificate import certificate
from .corruptions import corruptions
from .detection import detection
from .features import features
from .geometry import geometry
from .masking import masking
from .mistakes import mistakes
from .model import model, settings
from .prototypes import prototypes
from .radii import radii

Part = Callable[[Subject, Path], Section]

PARTS: dict[str, Part] = {
    "model": model,
    "attacks": attacks,
    "radii": radii,
    "certificate": certificate,
    "mistakes": mistakes,
    "masking": masking,
    "corruptions": corruptions,
    "geometry": geometry,
    "features": features,
    "prototypes": prototypes,
    "detection": detection,
    "settings": settings,
}
