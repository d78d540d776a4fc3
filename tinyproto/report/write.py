"""The report as a whole: the page and its figures, in a folder of their own."""

import json
from collections.abc import Sequence
from pathlib import Path

from ..evaluation.result_folder import exclusive
from ..optional import require_package
from ..state import atomic_write
from .page import Judged, render
from .parts import PARTS
from .run import make_parts
from .subject import Settings, Subject, model_name

PAGE, FIGURES = "index.html", "report.json"


def write_report(
    models: Sequence[str | Path],
    out: str | Path,
    *,
    settings: Settings | None = None,
    parts: Sequence[str] = tuple(PARTS),
) -> Path:
    """Write a page about a saved model, or about two side by side.

    Parameters
    ----------
    models : list of str or Path
        One or two files that `networks.save` or `prototypes.save` wrote, or names of models that
        ship with the package.
    out : str or Path
        Folder for the page, `index.html`, its figures, `report.json`, and what was computed for
        each part. A report that was stopped goes on from there.
    settings : Settings, optional
        How the models are judged.
    parts : list of str
        Names of parts, of `tinyproto.report.parts.PARTS`. Those that do not apply to a model are
        left out, and the page says why.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ValueError
        For a file without a model, an unknown part, models of the same name, images that a model
        does not take, and a folder that another report is being written to.
    ImportError
        Without Jinja2 or Matplotlib, in one line, before anything is computed.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.data import load
    >>> from tinyproto.prototypes import EDWTA, save
    >>> from tinyproto.report import Settings, write_report
    >>> data = load("mnist", download=False)
    >>> x = data.x_train[:500].reshape(500, -1) / np.float32(255)
    >>> save(EDWTA(1, epochs=1).fit(x, data.y_train[:500]), "digits.npz", dataset="mnist")
    >>> page = write_report(["digits.npz"], "report", settings=Settings(examples=20),
    ...                     parts=["model"])
    >>> page.name, "Model card" in page.read_text()
    ('index.html', True)
    """
    for module in ("jinja2", "matplotlib"):
        require_package(module, "a report")
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise ValueError(f"unknown part {unknown[0]!r}; there are {', '.join(PARTS)}")
    out, paths = Path(out), [Path(model) for model in models]
    if not 1 <= len(paths) <= 2:
        raise ValueError(f"a report is about one model or two, not {len(paths)}")
    names = [model_name(path) for path in paths]
    if len(set(names)) < len(names):
        raise ValueError(f"both models are named {names[0]}: rename one of the files")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: a folder for the report is needed")
    subjects = [Subject(path, settings or Settings()) for path in paths]
    out.mkdir(parents=True, exist_ok=True)
    with exclusive(out / ".lock", f"another report is being written to {out}"):
        judged = []
        for subject in subjects:
            folder = out / "parts" / subject.name
            judged.append(Judged(subject.name, *make_parts(subject, folder, parts), folder))
        for model in judged:
            if not model.sections:
                reasons = "; ".join(f"{part}: {why}" for part, why in model.left_out.items())
                raise ValueError(f"{model.name}: no part could be made: {reasons}")
        _write(judged, f"Report on {' and '.join(names)}", out)
    return out / PAGE


def _write(models: list[Judged], title: str, out: Path) -> None:
    """The page and its figures as JSON, each written completely or not at all."""
    figures = {
        model.name: {
            "parts": {name: section.to_json() for name, section in model.sections.items()},
            "left out": dict(model.left_out),
        }
        for model in models
    }
    page = render(models, title)
    for name, text in ((PAGE, page), (FIGURES, json.dumps(figures, indent=1) + "\n")):
        with atomic_write(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
