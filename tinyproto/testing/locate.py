"""Where a gradient is wrong: entry by entry, in words."""

import numpy as np

from .subject import Subject

ENTRIES = 200
STEP = 1e-5


def describe_error(
    subject: Subject, train: bool, array: np.ndarray, gradient: np.ndarray, dy: np.ndarray
) -> str:
    """How many entries are wrong, the worst one, and the factor if all are wrong by the same. Of a
    large array the entries are looked at that are evenly spread."""
    places = np.unique(np.linspace(0, array.size - 1, min(array.size, ENTRIES)).astype(int))
    at = [np.unravel_index(place, array.shape) for place in places]
    expected = np.array([_partial(subject, train, array, place, dy) for place in at])
    found = np.array([gradient[place] for place in at])
    error = np.abs(found - expected)
    error[np.isnan(error)] = np.inf
    wrong = error > 1e-5 * max(float(np.abs(expected).max()), 1e-8)
    if not wrong.any():
        return f"along random directions, though not at the {len(at)} entries looked at"
    worst = int(error.argmax())
    index = ", ".join(str(int(i)) for i in at[worst])
    text = (
        f"{int(wrong.sum())} of {len(at)} entries, by the most at [{index}], where it is "
        f"{found[worst]:.6g} and finite differences are {expected[worst]:.6g}"
    )
    return text + _common_factor(found, expected, wrong)


def _common_factor(found: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> str:
    """What to say where all entries are wrong by one factor."""
    large = np.abs(expected) > 1e-3 * np.abs(expected).max()
    if large.sum() < 2 or not wrong[large].all():
        return ""
    ratios = found[large] / expected[large]
    if not np.ptp(ratios) <= 1e-3 * abs(ratios[0]):
        return ""
    if abs(ratios[0] + 1) < 1e-3:
        return "; all have the wrong sign"
    return f"; all are {ratios[0]:.4g} times what they should be"


def _partial(
    subject: Subject, train: bool, array: np.ndarray, at: tuple[np.intp, ...], dy: np.ndarray
) -> float:
    """The derivative of Σ dy · y at one entry, by a central difference."""
    before, ends = array[at], []
    for step in (STEP, -STEP):
        array[at] = before + step
        ends.append(subject.output(train))
    array[at] = before
    return float((dy * (ends[0] - ends[1])).sum()) / (2 * STEP)
