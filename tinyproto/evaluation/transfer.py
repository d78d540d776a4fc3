"""Transfer: attacked examples are made on one victim and judged by another.

An attacker without access to a model makes examples on one of their own. A defence whose accuracy
is lower on examples that were made elsewhere than on those made on itself masks its gradients
(Athalye and others, arXiv 1802.00420, section 3.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..attacks import Victim
from ..attacks.inputs import validate_labels
from ..attacks.region import expand_like
from ..backend.device import Array, array_module, to_host
from .checks import check_attacked, in_ball, validate_evaluation
from .report import NORMS, align_columns, format_value
from .suites import Attack, choose


@dataclass(frozen=True, eq=False, repr=False)
class TransferReport:
    """The accuracies of victims on examples that were attacked on other victims.

    Parameters
    ----------
    sources, targets : tuple of str
        The S victims on which examples were made, and the T that judge them.
    clean : array (T,)
        The accuracy of each target without an attack, from 0 to 1.
    accuracy : array (S, T)
        The accuracy of each target on the examples of each source.
    settings : dict
        The attack, eps, norm and the number of examples.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.evaluation import TransferReport
    >>> settings = {"attack": "pgd-20", "eps": 0.1, "norm": "linf", "examples": 2}
    >>> report = TransferReport(("a",), ("a", "b"), np.ones(2), np.array([[0.0, 0.5]]), settings)
    >>> report.rows()[1]
    {'made on': 'a', 'a': 0.0, 'b': 50.0}
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    clean: np.ndarray
    accuracy: np.ndarray
    settings: dict[str, Any]

    def __repr__(self) -> str:
        return f"TransferReport(sources={self.sources}, targets={self.targets})"

    def rows(self) -> list[dict[str, Any]]:
        """One row for no attack, and one for each source: accuracies in %."""
        names, every = ("none", *self.sources), np.vstack([self.clean[None], self.accuracy])
        return [
            {"made on": name, **dict(zip(self.targets, (100 * row).tolist(), strict=True))}
            for name, row in zip(names, every, strict=True)
        ]

    def text(self) -> str:
        """The table: a column for each target."""
        rows, s = self.rows(), self.settings
        cells = [[format_value(value) for value in row.values()] for row in rows]
        title = (
            f"accuracy in % of the victim of each column, on examples that {s['attack']} made on "
            f"that of the row\n{NORMS[s['norm']]}, eps {s['eps']:.4g}, {s['examples']} examples"
        )
        return f"{title}\n{align_columns([list(rows[0]), *cells])}"


def transfer(
    sources: Mapping[str, Victim],
    targets: Mapping[str, Victim],
    attack: str | Attack,
    x: Array,
    y: Array,
    *,
    eps: float,
    norm: str | float = "linf",
    batch_size: int = 250,
    seed: int = 0,
    index: Array | None = None,
) -> TransferReport:
    """Attack examples on each of some victims, and have them judged by each of others.

    Parameters
    ----------
    sources : dict of str to Victim
        The victims that are attacked, by name.
    targets : dict of str to Victim
        The victims that judge, of the same box and device.
    attack : str or callable
        A name from `tinyproto.attacks.ATTACKS`, or attack(victim, x, y, eps=, norm=, seed=,
        index=). What crosses the boundary by a hair seldom crosses another's: attacks that go on,
        such as `partial(pgd, early_exit=False)`, transfer better.
    x : array (N, …)
        Examples in the box of the victims.
    y : array (N,)
        Labels: columns of the scores.
    eps : float
        Radius of the ball around each example; a point farther away counts as x.
    norm : {"linf", "l2", "l1"}
        Norm of the ball.
    batch_size : int
        Number of examples per call of the attack.
    seed, index
        As in `evaluate`.

    Returns
    -------
    TransferReport

    Raises
    ------
    ValueError
        For no victim, victims of different boxes, and as `evaluate` does.

    Notes
    -----
    An example that its source misclassifies unattacked is not changed by most attacks.

    Examples
    --------
    >>> import numpy as np
    >>> from tinyproto.attacks import Victim
    >>> from tinyproto.evaluation import transfer
    >>> def linear(W):
    ...     return Victim(lambda x: (x @ W, lambda dz: dz @ W.T))
    >>> one = linear(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    >>> other = linear(np.array([[1.0, -1.0], [0.0, 0.2]]))
    >>> x, y = np.array([[0.9, 0.1], [0.55, 0.45]]), np.array([0, 0])
    >>> report = transfer({"one": one}, {"one": one, "other": other}, "pgd-20", x, y, eps=0.1)
    >>> print(report.text())
    accuracy in % of the victim of each column, on examples that pgd-20 made on that of the row
    L∞, eps 0.1, 2 examples
    made on  one  other
    none     100    100
    one       50    100
    """
    if not sources or not targets:
        raise ValueError("sources and targets must have one victim or more, by name")
    resolved = [
        validate_evaluation(victim, x, y, index, eps, norm, seed=seed, batch_size=batch_size)
        for victim in [*sources.values(), *targets.values()]
    ]
    x, y, index, radius, norm = resolved[0]
    first_name, first = next(iter(sources.items()))
    for name, victim in [*sources.items(), *targets.items()]:
        if not _same_box(first, victim):
            raise ValueError(
                f"victims must have one box: that of {name!r} is not that of {first_name!r}"
            )
        validate_labels(victim.uncounted()(x[:batch_size])[0], y)
    chosen, _ = choose(attack if isinstance(attack, str) else {"attack": attack}, norm)
    if len(chosen) != 1:
        raise ValueError(f"attack must be one attack, not {attack!r}")
    ((name, run),) = chosen.items()
    judges = [victim.uncounted() for victim in targets.values()]
    right = np.zeros((1 + len(sources), len(targets)), dtype=np.int64)
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        images, labels = x[part], y[part]
        options = {"eps": radius, "norm": norm, "seed": seed, "index": index[part]}
        made = [images]
        for victim in sources.values():
            with victim.unquestioned("eps"):  # `validate_evaluation` has
                attacked = run(victim, images.copy(), labels, **options)
            made.append(_within(attacked, images, victim, radius, norm))
        for i, points in enumerate(made):
            for j, judge in enumerate(judges):
                right[i, j] += int(to_host(judge(points)[0].argmax(axis=1) == labels).sum())
    accuracy = right / max(len(x), 1)
    settings = {"attack": name, "eps": float(radius), "norm": norm, "examples": len(x)}
    return TransferReport(tuple(sources), tuple(targets), accuracy[0], accuracy[1:], settings)


def _same_box(one: Victim, other: Victim) -> bool:
    """Whether the bounds are equal, except of features that one of them keeps."""
    kept = ~np.isfinite(one.lo) | ~np.isfinite(other.lo)
    return bool(np.all(kept | ((one.lo == other.lo) & (one.hi == other.hi))))


def _within(attacked: Array, x: Array, victim: Victim, eps: Any, norm: str) -> Array:
    """The attacked points; x itself where they are farther away than eps."""
    check_attacked(attacked, x, victim)
    near = in_ball(attacked, x, victim, eps, norm)
    return array_module(x).where(expand_like(near, x), attacked, x)
