"""What an attack is, in words, by which a state file says which attacks it has the results of."""

from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from ..training.description import NOT_DESCRIBED, PLAIN, describe
from .suites import Attack


def describe_attack(attack: Attack) -> str:
    """Describe an attack: its function and the arguments that are bound to it.

    Parameters
    ----------
    attack : callable
        A function, a `functools.partial` of one, or an object.

    Returns
    -------
    str
        The same in every process. A function of this package is its name, any other one has its
        code and what it uses from outside in the description, too.

    Examples
    --------
    >>> from functools import partial
    >>> from tinyproto.attacks import minimum_norm, pgd
    >>> from tinyproto.evaluation.attack_description import describe_attack
    >>> describe_attack(partial(pgd, steps=5))
    "pgd[('steps', 5)]"
    >>> describe_attack(partial(minimum_norm, pgd)).partition("(")[0]
    'minimum_norm[pgd'
    """
    bound = ""
    while isinstance(attack, partial):
        keywords = (
            f"({name!r}, {_describe_value(attack.keywords[name])})"
            for name in sorted(attack.keywords)
        )
        bound = f"[{', '.join([*map(_describe_value, attack.args), *keywords])}]{bound}"
        attack = attack.func
    if isinstance(attack, FunctionType) and _is_of_this_package(attack):
        return f"{attack.__qualname__}{bound}"
    return f"{_describe_value(attack)}{bound}"


def _is_of_this_package(function: FunctionType) -> bool:
    """Whether the name says all: a function of the package that uses no variables of another."""
    return (function.__module__ or "").startswith("tinyproto.") and not function.__closure__


def _describe_value(value: Any) -> str:
    """The repr of plain values; the description of others, whose repr may leave out elements or
    have an address in memory."""
    if _is_plain(value):
        return repr(value)
    try:
        return describe(value)
    except Exception:  # for an object of another library
        text = repr(value)
        return f"<{type(value).__name__} {NOT_DESCRIBED}>" if " at 0x" in text else text


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))
    return isinstance(value, (*PLAIN, np.generic))
