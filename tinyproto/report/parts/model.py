"""What is known of the model: its file, its settings, and what it is for."""

import json
from pathlib import Path
from typing import Any

from ... import networks
from ...evaluation.report import fraction
from ...parameters import count
from ...pretrained import zoo
from ...prototypes.storage import count_parameters
from ...training import DEFENSES
from ..content import Row, Section, Table, Text
from ..subject import Subject
from .detection import ATTACKED, SEARCH, SHORT_SEARCH
from .features import TRAINING
from .masking import IMAGES as MASKING_IMAGES
from .radii import IMAGES as RADII_IMAGES

RECONSTRUCTED = {"adv-dpnp", "dpnp"}
NAMES = {
    "IPWTA": "IP-WTA: a winner-take-all network of inner products",
    "EDWTA": "ED-WTA: a winner-take-all network of Euclidean distances",
    "PlusMinusEDWTA": "±ED-WTA: a winner-take-all network that compares the distances to a "
    "positive and a negative prototype (arXiv 2008.08750)",
}
LIMITS = (
    "What a report says holds for images like these test images. Accuracies under attack are upper "
    "bounds: an attack that nobody has tried may find more. No result here says that the model is "
    "fit for a use in which people depend on it."
)


def model(subject: Subject, folder: Path) -> Section:
    """The model card."""
    clean = f"{100 * fraction(subject.predicted == subject.y):.1f} %"
    rows: list[Row] = [
        {"what": "file", "value": subject.path.name},
        {"what": "model", "value": _kind(subject)},
        *_sizes(subject),
        {"what": "trained on", "value": str(subject.metadata.get("dataset", "not recorded"))},
        {"what": "judged on", "value": f"the first {len(subject.y):,} test images of "
         f"{subject.data.name}"},
        {"what": "complete data set", "value": "yes" if subject.data.complete else
         "no: results cannot be compared with published ones"},
    ]  # fmt: skip
    texts = [Text(LIMITS)]
    if subject.metadata.get("method") in RECONSTRUCTED:
        texts.append(Text(
            "The training method is reconstructed from its published description: its authors "
            "published no code and no coefficients that we could find."
        ))  # fmt: skip
    figures = {"clean accuracy": clean, "parameters": rows[2]["value"]}
    return Section("Model", [Table("Model card", rows), *texts], figures)


def settings(subject: Subject, folder: Path) -> Section:
    """Every setting: of the model's file, of its training where that is known, of the report."""
    return Section("Settings", [Table("Every setting", _settings(subject))])


def _kind(subject: Subject) -> str:
    method = str(subject.metadata.get("method", ""))
    if subject.winner_take_all is not None:
        return NAMES[type(subject.winner_take_all).__name__]
    network = subject.metadata.get("network", {})
    kind = f"{network.get('kind', 'a network')}, features and a head"
    if method in DEFENSES:
        kind += f", trained by {method}"
    return kind


def _sizes(subject: Subject) -> list[Row]:
    network = subject.winner_take_all
    if network is None:
        stored = networks.load(subject.path)  # the subject's own is folded, and has fewer
        return [{"what": "parameters", "value": f"{count(stored.params):,}"}]
    per_class = len(network.linear()[1]) // len(network.classes_)
    return [
        {"what": "parameters", "value": f"{count_parameters(network):,}"},
        {"what": "neurons of each class", "value": f"{per_class:,}"},
    ]


def _settings(subject: Subject) -> list[Row]:
    """Those in the model's file, and those in a metrics.json beside it, or on the card of a model
    that ships."""
    found = _flatten(subject.metadata)
    card = zoo().get(subject.name)
    if card is not None and card.path == subject.path:
        found |= _flatten({"training": card.training})
    beside = subject.path.parent / "metrics.json"
    if subject.path.name == "model.npz" and beside.exists():
        try:
            metrics = json.loads(beside.read_text())
            found |= _flatten({"training": metrics.get("settings", {})})
        except (ValueError, AttributeError, OSError):
            pass  # a file of something else
    identity = ("eps", "norm", "attacks", "seed", "device", "version")
    judged = {"test images": len(subject.y), **{name: subject.identity[name] for name in identity}}
    if subject.winner_take_all is None:
        judged |= {
            "images under FAB": min(RADII_IMAGES, len(subject.y)),
            "training images, features": min(TRAINING, len(subject.data.x_train)),
        }
    judged |= {
        "images, masked gradients": min(MASKING_IMAGES, len(subject.y)),
        "images, detection": min(ATTACKED, len(subject.y)),
        "attacker who knows the detector": SHORT_SEARCH if subject.winner_take_all is None
        else SEARCH,
    }  # fmt: skip
    found |= _flatten({"judged with": judged})
    return [{"setting": name, "value": value} for name, value in found.items()]


def _flatten(settings: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(settings, dict):
        text = ", ".join(map(str, settings)) if isinstance(settings, list) else str(settings)
        return {prefix: text}
    found: dict[str, str] = {}
    for name, value in settings.items():
        found |= _flatten(value, f"{prefix}: {name}" if prefix else str(name))
    return found
