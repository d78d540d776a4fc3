"""Measuring the accuracy under corruptions, one corruption and severity after the other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...backend.device import Array, select_device, to_host
from ...data.corruptions import CORRUPTIONS, corrupt, load_corrupted
from ...data.corruptions.catalogue import SEVERITIES, check_name
from ...progress import progress
from ...state import array_checksum
from ...validation import check_count, check_index, check_labels, check_shape
from .report import CorruptionReport

FINGERPRINT_SIZE = 16  # number of images whose scores identify the classifier

Classifier = Callable[[Array], Any]


def corruption_report(
    classifier: Classifier,
    x: Array,
    y: Array,
    *,
    corruptions: Sequence[str] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    folder: str | Path | None = None,
    seed: int = 0,
    index: Array | None = None,
    batch_size: int = 250,
    device: str = "cpu",
    path: str | Path | None = None,
    verbose: bool = False,
) -> CorruptionReport:
    """Measure the accuracy of a classifier on corrupted images.

    Parameters
    ----------
    classifier : callable
        From images, float32 (n, 32, 32, 3) in [0, 1], to scores (n, C), or to a pair of scores and
        anything, as networks and a `Victim` return.
    x : array (N, 32, 32, 3)
        Clean images, uint8.
    y : array (N,)
        Labels: indices of columns of the scores.
    corruptions : list of str
        Names from `tinyproto.data.CORRUPTIONS`.
    severities : list of int
        From 1 … 5.
    folder : str or Path, optional
        The folder of CIFAR-10-C: its images at `index` are used in place of `corrupt`'s.
    seed : int
        Seed of the corruptions' random numbers, in [0, 2³²).
    index : array (N,), optional
        Indices of the images in their data set; 0 … N − 1 if not given.
    batch_size : int
        Number of images per call of the classifier.
    device : {"cpu", "cuda"}
        Where the classifier computes.
    path : str or Path, optional
        File to which the report is written as JSON after each corruption and severity. If it
        exists, those in it are not measured again; it may be of other corruptions or severities.
    verbose : bool
        Whether to show progress on stderr.

    Returns
    -------
    CorruptionReport
        Of the corruptions and severities that were asked for.

    Raises
    ------
    ValueError
        For unknown corruptions or severities, images or labels of another form, scores of another
        shape or that are not finite; if `path` is the report of another classifier, or of other
        images or settings; if the folder has other labels.

    Notes
    -----
    Source: Hendrycks and Dietterich, ICLR 2019 (arXiv 1903.12261), section 3.

    Examples
    --------
    A classifier by brightness does not see noise, but is misled where all images become brighter:

    >>> import numpy as np
    >>> from tinyproto.evaluation import corruption_report
    >>> x = np.array([50, 100, 150, 200], np.uint8)[:, None, None, None] + np.zeros(
    ...     (1, 32, 32, 3), np.uint8)
    >>> def classifier(images):
    ...     excess = images.mean(axis=(1, 2, 3)) - 0.5
    ...     return np.stack([-excess, excess], axis=1)
    >>> report = corruption_report(
    ...     classifier, x, np.array([0, 0, 1, 1]),
    ...     corruptions=["gaussian_noise", "brightness"], severities=[1, 5])
    >>> report.clean, report.accuracy
    (1.0, {'gaussian_noise': {1: 1.0, 5: 1.0}, 'brightness': {1: 1.0, 5: 0.75}})
    """
    x, y = to_host(x), to_host(y)
    check_shape("x", x, ("N", 32, 32, 3))
    if x.dtype != np.uint8 or not len(x):
        raise ValueError(f"x must hold at least one image of uint8, not {len(x)} of {x.dtype}")
    y, index = check_labels(y, len(x)), check_index(index, len(x), like=x).astype(np.int64)
    check_count("batch_size", batch_size)
    names = [check_name(name) for name in corruptions]
    levels = [check_count("severity", severity, 1, len(SEVERITIES)) for severity in severities]
    xp = select_device(device)

    def scores(images: np.ndarray) -> np.ndarray:
        found = classifier(xp.asarray(images) / xp.float32(255))
        z = to_host(found[0] if isinstance(found, tuple) else found)
        if z.ndim != 2 or len(z) != len(images) or z.shape[1] <= y.max():
            raise ValueError(
                f"a classifier must return scores of shape ({len(images)}, C) with C > {y.max()}, "
                f"not {z.shape}"
            )
        if not np.isfinite(z).all():
            raise ValueError("the classifier's scores are not finite")
        return z

    def accuracy(images: np.ndarray) -> float:
        starts = range(0, len(images), batch_size)
        parts = [slice(start, start + batch_size) for start in starts]
        return sum(int((scores(images[p]).argmax(axis=1) == y[p]).sum()) for p in parts) / len(x)

    def corrupted(name: str, severity: int) -> np.ndarray:
        if folder is None:
            return corrupt(x, name, severity, seed=seed, index=index)
        images, labels = load_corrupted(folder, name, severity)
        if index.max() >= len(images) or (labels[index] != y).any():
            raise ValueError(f"{folder} has other images than those given: their labels differ")
        return images[index]

    settings = {
        "examples": len(x),
        "seed": None if folder is not None else int(seed),
        "source": "corrupt" if folder is None else "published files",
        "images": "".join(map(array_checksum, (x, y, index))),
        "scores": scores(x[:FINGERPRINT_SIZE]).tolist(),
    }
    report = _read(path, settings) or CorruptionReport(accuracy(x), {}, settings)
    todo = [(n, s) for n in names for s in levels if s not in report.accuracy.get(n, {})]
    with progress(len(todo), "corruption", title="corrupting", verbose=verbose) as advance:
        for name, severity in todo:
            found = accuracy(corrupted(name, severity))
            report.accuracy.setdefault(name, {})[severity] = found
            if path is not None:
                report.write(path)
            advance(1, f"{name} {severity}: accuracy {100 * found:.2f} %")
    asked = {n: {s: report.accuracy[n][s] for s in sorted(levels)} for n in names}
    return CorruptionReport(report.clean, asked, settings)


def _read(path: str | Path | None, settings: dict[str, Any]) -> CorruptionReport | None:
    """The report in a file; None where there is none. Raises ValueError for that of another
    measurement."""
    if path is None or not Path(path).exists():
        return None
    report = CorruptionReport.read(path)
    for name in ("examples", "source", "seed", "images"):
        if (saved := report.settings.get(name)) != (expected := settings[name]):
            differs = f"its {name} is {saved}, not {expected}"
            if name == "images":
                differs = "its images, labels or index differ"
            raise ValueError(f"{path} belongs to another measurement: {differs}")
    expected = np.array(settings["scores"])
    try:
        saved = np.array(report.settings.get("scores"), np.float64)
    except (ValueError, TypeError):
        saved = np.empty(0)
    tolerance = 1e-3 * float(np.abs(expected).max())
    if saved.shape != expected.shape or not np.allclose(saved, expected, rtol=1e-3, atol=tolerance):
        raise ValueError(f"{path} belongs to another measurement: the classifier's scores differ")
    return report
