"""The settings of a training method that have no option of their own: NAME=VALUE."""

import ast
import math
from collections.abc import Sequence
from typing import Any


def read_settings(texts: Sequence[str]) -> dict[str, Any]:
    """The values of `NAME=VALUE` texts: numbers, True, False, None, or words. Raises ValueError for
    a text of another form."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise ValueError(f"--set needs NAME=VALUE, not {text!r}")
        found[name.replace("-", "_")] = _literal(value)
    return found


def check_setting(
    name: str, value: Any, default: Any, choices: Sequence[Any] = (), at_most: float = math.inf
) -> Any:
    """The value as the setting has it. Raises ValueError for one of another type than the default,
    and for a number that is negative, above `at_most` or not finite."""
    if choices:
        if value not in choices:
            raise ValueError(f"{name} must be {' or '.join(map(str, choices))}, not {value!r}")
        return value
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, not {value!r}")
        return value
    if isinstance(default, int | float):
        kind = type(default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value < math.inf or kind(value) != value:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"{name} must be {what}, 0 or more, not {value!r}")
        if value > at_most:
            raise ValueError(f"{name} must be in [0, {at_most:g}], not {value!r}")
        return kind(value)
    if default is None and value is not None and not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number or None, not {value!r}")
    return value


def _literal(text: str) -> Any:
    """A number, True, False or None; any other text as it is."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, int | float | type(None)) else text
