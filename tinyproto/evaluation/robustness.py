"""Robustness of a classifier under attacks: a table, and a state file to continue a stopped run.

    report = evaluate(victim, x, y, "autoattack", eps=8 / 255, state_path="state.npz")
    print(report.text())

The result of an example depends on its index in the data set and on the seed, not on the batches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import state
from ..attacks import Victim
from ..attacks.inputs import validate_labels
from ..backend.device import Array, array_module, to_host
from ..progress import progress
from ..workers import ExecutorLike
from . import masking
from .attack_description import describe_attack
from .batches import Attackers, Batch, Evaluation, correct, open_attackers
from .checks import examples_checksum, validate_evaluation
from .extension import extend, extensible_settings
from .report import ARRAY_FIELDS, COST_FIELDS, Report, Result, finite, fraction
from .report_state import read_report
from .suites import Attack, choose, current_names

FINGERPRINT_SIZE = 16  # number of examples whose scores identify the victim
OLD_FIELDS = {
    "clean": "correct",
    "probe": "fingerprint",
    "done": "attacked",
    "right": "robust",
    "right_rounded": "robust_8bit",
}
"""Names of arrays in state files that earlier versions wrote."""


def evaluate(
    victim: Victim,
    x: Array,
    y: Array,
    attacks: str | Sequence[str] | Mapping[str, Attack] = "autoattack",
    *,
    eps: float,
    norm: str | float = "linf",
    sequential: bool | None = None,
    batch_size: int = 250,
    seed: int = 0,
    index: Array | None = None,
    state_path: str | Path | None = None,
    executor: ExecutorLike | None = None,
    keep_adversarial: bool = False,
    verbose: bool = True,
) -> Report:
    """Measure the accuracy of a classifier under attacks.

    Examples that are misclassified without an attack count as misclassified under every attack. A
    point farther than eps from its example, as FAB and Carlini and Wagner's attacks may return,
    counts for the distances only.

    Parameters
    ----------
    victim : Victim
        The classifier.
    x : array (N, …)
        Examples in the box of the victim; images are (N, height, width, channels).
    y : array (N,)
        Labels: indices of columns of the victim's scores.
    attacks : str, list of str, or dict of str to callable
        "autoattack", "autoattack-plus", "autoattack-rand" or "masking" (a list of attacks that
        shows masked gradients); or names from `tinyproto.attacks.ATTACKS`; or functions
        `attack(victim, x, y, eps=, norm=, seed=, index=)` that return attacked examples, by name.
    eps : float
        Radius of the ball around each example, in the units of x; ∞ is the box.
    norm : {"linf", "l2", "l1"}
        Norm of the ball and of the reported distances. "L2", 2 and `np.inf` are understood too.
    sequential : bool, optional
        Whether each attack gets only the examples that are robust against those before it, as in
        AutoAttack; the table then shows the accuracy that is left. Default: True for AutoAttack.
    batch_size : int
        Number of examples per call of an attack.
    seed : int
        Seed of all random numbers, in [0, 2³²).
    index : array (N,), optional
        Indices of the examples in their data set, which determine the random numbers; 0 … N − 1 if
        not given.
    state_path : str or Path, optional
        File that is written after each batch; if it exists, the evaluation continues from it. It
        may be of some of these attacks or of the first of these examples: then it is extended.
    executor : Executor or callable, optional
        Whose workers attack the batches: any `concurrent.futures.Executor`, such as that of
        mpi4py or Dask, or a function that makes one (see `tinyproto.workers`).
    keep_adversarial : bool
        Whether each result of the report keeps the misclassified points within eps. A state file
        does not have them: those that an earlier run found are computed again, to the same bits.
    verbose : bool
        Whether to show progress and the accuracy so far on stderr.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If `state_path` is the state of another evaluation (another victim, other examples, attacks
        or settings), if scores are not finite, if an attack leaves the box, as the attacks do, and
        for an `executor` that is none, or a model or attack that cannot be pickled for it.

    Notes
    -----
    An attack that computes in float32 may leave ball and box by a millionth of the box.

    With an executor, the batches, and so the results, are the same; only this process writes the
    state file. `seconds` are those of all workers together. One batch is lost with a worker that
    dies, and done again: in a new pool where `executor` is a function, else in this process.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> from tinyproto.evaluation import evaluate
    >>> W = np.array([[1.0, -1.0], [-1.0, 1.0]])
    >>> victim = Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> x, y = np.array([[0.9, 0.1], [0.55, 0.45]]), np.array([0, 0])
    >>> report = evaluate(victim, x, y, ["fgsm", "pgd-20"], eps=0.1, verbose=False)
    >>> report.robust.tolist()
    [True, False]
    """
    x, y, index, eps, norm = validate_evaluation(
        victim, x, y, index, eps, norm, seed=seed, batch_size=batch_size
    )
    chosen, sequential_by_default = choose(attacks, norm)
    settings = {
        "eps": eps, "norm": norm, "seed": int(seed),
        "sequential": bool(sequential_by_default if sequential is None else sequential),
        "box": [finite(np.asarray(bound).tolist()) for bound in (victim.lo, victim.hi)],
        "examples": len(x),
        "attacks": {name: describe_attack(attack) for name, attack in chosen.items()},
        "images": examples_checksum(x, y, index),
    }  # fmt: skip
    fingerprint = to_host(victim.uncounted()(x[:FINGERPRINT_SIZE])[0])
    validate_labels(fingerprint, y)
    report = _load(
        state_path, settings, fingerprint, lambda n: examples_checksum(x[:n], y[:n], index[:n])
    )
    if report is None:
        right = correct(victim, x, y, batch_size)
        warnings = masking.check_scores(victim, x[:batch_size])
        report = Report(right, {}, settings, warnings, fingerprint)
    else:
        n = len(report.correct)
        report = extend(report, settings, correct(victim, x[n:], y[n:], batch_size))
        report.fingerprint = fingerprint
    evaluation = Evaluation(victim, chosen, eps, norm, seed, keep_adversarial)
    # `validate_evaluation` has asked about eps: the attacks shall not ask again.
    with victim.unquestioned("eps"), open_attackers(evaluation, executor) as attackers:
        _run(
            attackers, list(chosen), _in_batches(x, y, index, batch_size), report,
            state_path=state_path, keep_adversarial=keep_adversarial, verbose=verbose,
        )  # fmt: skip
    report.results = {name: report.results[name] for name in chosen}  # a state has its own order
    found = masking.check_results(report)
    report.warnings += [line for line in found if line not in report.warnings]
    report.verdict = masking.verdict(report)
    return report


def _in_batches(
    x: Array, y: Array, index: Array, batch_size: int
) -> Callable[[np.ndarray], Iterator[Batch]]:
    """A function from the positions of examples to these examples in batches."""
    xp = array_module(x)

    def batches(todo: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(todo), batch_size):
            at = todo[start : start + batch_size]
            here = xp.asarray(at)
            yield Batch(at, x[here], y[here], index[here])

    return batches


def _run(
    attackers: Attackers,
    attacks: Sequence[str],
    batches: Callable[[np.ndarray], Iterator[Batch]],
    report: Report,
    *,
    state_path: str | Path | None,
    keep_adversarial: bool,
    verbose: bool,
) -> None:
    """Run the attacks on the examples that are left, and add the results to the report."""
    robust, count = report.correct.copy(), len(report.correct)
    total = count * len(attacks)
    with progress(total, "image", title="attacking", verbose=verbose, max_lines=40) as advance:
        for name in attacks:
            result = report.results.setdefault(name, Result.unattacked(report.correct))
            targets = robust if report.settings["sequential"] else report.correct
            todo = np.flatnonzero(targets & ~result.attacked)
            advance(count - len(todo), f"{name}: accuracy {100 * fraction(robust):.2f} %")
            for found in attackers(name, batches(todo)):
                found.put(result)
                if state_path is not None:
                    _save(state_path, report)
                accuracy = 100 * fraction(robust & result.robust)
                advance(len(found.at), f"{name}: accuracy {accuracy:.2f} %")
            robust &= result.robust
            if keep_adversarial:  # what an earlier run has found is not in the state file
                broken = np.flatnonzero(result.attacked & ~result.robust)
                missing = broken[~np.isin(broken, list(result.adversarial))]
                for found in attackers(name, batches(missing)):
                    found.keep(result)


def _save(path: str | Path, report: Report) -> None:
    arrays, costs = {"correct": report.correct, "fingerprint": report.fingerprint}, {}
    for name, result in report.results.items():
        arrays |= {f"{name}/{field}": getattr(result, field) for field in ARRAY_FIELDS}
        costs[name] = {field: getattr(result, field) for field in COST_FIELDS}
    metadata = {"settings": report.settings, "warnings": report.warnings, "costs": costs}
    state.save_arrays(arrays, path, metadata)


def _load(
    path: str | Path | None,
    settings: dict[str, Any],
    fingerprint: np.ndarray,
    checksum: Callable[[int], str],
) -> Report | None:
    """The report in a state file; None where there is no file. Raises ValueError for a file that
    is not the state of this evaluation or of a part of it."""
    if path is None or not Path(path).exists():
        return None
    arrays, metadata = state.load_arrays(path)
    saved = metadata.get("settings")
    if not isinstance(saved, dict):
        raise ValueError(f"{path} is not the state of an evaluation")
    arrays = {_current_name(name): array for name, array in arrays.items()}
    if "chain" in saved:  # written by an earlier version
        saved["sequential"] = saved.pop("chain")
    described = saved.get("attacks")
    if not isinstance(described, dict):
        raise ValueError(f"{path} is not the state of an evaluation: it lists no attacks")
    saved["attacks"] = {name: current_names(str(text)) for name, text in described.items()}
    saved["box"] = finite(saved.get("box"))  # earlier versions wrote Infinity
    needed = extensible_settings(saved, settings, checksum)
    fingerprint = fingerprint[: needed["examples"]]
    for name, value in needed.items():
        in_order = name != "attacks" or list(saved[name]) == list(value)
        if saved.get(name) != value or not in_order:
            difference = _difference(name, saved.get(name), value)
            raise ValueError(f"{path} belongs to another evaluation: {difference}")
    report = read_report(arrays, metadata, saved, str(path))
    if not any(line.startswith(masking.NOISY) for line in report.warnings):
        known = report.fingerprint
        tolerance = 1e-3 * float(np.abs(fingerprint).max()) if fingerprint.size else 0.0
        same_shape = known.shape == fingerprint.shape
        if not (same_shape and np.allclose(known, fingerprint, rtol=1e-3, atol=tolerance)):
            raise ValueError(f"{path} belongs to another evaluation: the victim's scores differ")
    return report


def _current_name(name: str) -> str:
    """The name of an array, "correct" or "attack/robust", from that in any version's file."""
    attack, slash, field = name.rpartition("/")
    return f"{attack}{slash}{OLD_FIELDS.get(field, field)}"


def _difference(name: str, saved: Any, expected: Any) -> str:
    """What to say of a setting that is not the one in the state file."""
    if name == "images":
        return "its examples, labels or index differ"
    if name == "examples" and isinstance(saved, int) and saved > expected:
        return f"it has {saved} examples, more than {expected}"
    if name == "attacks" and saved is not None:
        old, new = ", ".join(saved), ", ".join(expected)
        both = f"its attacks are {old}, not {new}; ask for the first, too, to extend it"
        return both if old != new else "its attacks differ"
    return f"its {name} is {saved}, not {expected}"
