"""The program that trains every row, as a command and as a module."""

import argparse
import importlib.util
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tinyproto.training import batch_and_learning_rate

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "cifar10_adv_dpnp.py"
FREE = {
    "out", "data", "device", "resume", "overwrite", "format", "checkpoint_every", "start_from",
}  # fmt: skip
"""Options in which two runs of one row may differ."""


@cache
def module() -> Any:
    """The example, imported from its file."""
    found = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    assert found is not None
    assert found.loader is not None
    example = importlib.util.module_from_spec(found)
    found.loader.exec_module(example)
    return example


def parsed(options: Sequence[str]) -> argparse.Namespace:
    """The options as the example understands them. Raises ValueError for those that it refuses."""
    example = module()
    found: argparse.Namespace = example.parse(list(options))
    example.check(found)
    return found


def metrics(folder: Path, options: Sequence[str]) -> dict[str, Any] | None:
    """What a finished run has written to its folder; None for one that is not finished. Raises
    ValueError where it is that of a run with other options."""
    path = folder / "metrics.json"
    if not path.exists():
        return None
    written: dict[str, Any] = json.loads(path.read_text())
    asked = parsed(options)
    batch, rate = batch_and_learning_rate(written["trained_on"], asked.batch, asked.learning_rate)
    defaults = {"batch": batch, "learning_rate": rate, **module().coefficients(asked)}
    expected = {**vars(asked), **defaults}
    for name, value in written["settings"].items():
        if name in expected and name not in FREE and expected[name] != value:
            raise ValueError(
                f"{folder} has the results of a run with {name}={value!r}, not "
                f"{expected[name]!r}: choose another --runs"
            )
    if bool(asked.start_from) != bool(written["settings"].get("start_from")):
        begun = written["settings"].get("start_from") or "new weights"
        raise ValueError(f"{folder} has the results of a run from {begun}: choose another --runs")
    return written
