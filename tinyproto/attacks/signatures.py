"""Which arguments an attack has: one that draws no random numbers has neither seed nor index."""

import inspect
import reprlib
from typing import Any


def takes(attack: Any, name: str) -> bool:
    """Whether an attack can be called with an argument of this name.

    Parameters
    ----------
    attack : callable
        A function, or `functools.partial` of one.
    name : str
        The name of a keyword argument.

    Returns
    -------
    bool
        True also where the attack has **options, whatever becomes of them.

    Examples
    --------
    >>> from tinyproto.attacks import fgsm, pgd
    >>> from tinyproto.attacks.signatures import takes
    >>> takes(pgd, "index"), takes(fgsm, "index")
    (True, False)
    """
    parameters = inspect.signature(attack).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def refuse_settled(attack: Any, *names: str) -> None:
    """Refuse a `functools.partial` with one of the arguments that its caller gives the attack.

    Raises
    ------
    ValueError
        With the argument, which would be ignored.
    """
    settled = getattr(attack, "keywords", {})
    for name in names:
        if name in settled:
            raise ValueError(
                f"the attack must be one without {name}, not partial(…, "
                f"{name}={reprlib.repr(settled[name])}), which would be ignored"
            )
