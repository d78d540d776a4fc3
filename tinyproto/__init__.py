"""tinyproto: prototype learning and adversarial robustness, from scratch.

Every gradient is derived by hand, beside the code that computes it. Imports go one way:

    backend → cpu, kernels → random → losses, layers → prototypes → networks → pretrained → attacks
    → training, interop → evaluation → report → command

`parameters`, `state`, `optimizers`, `schedules` and `data` import no models. Importing the package
costs no more than importing NumPy: Numba is loaded when the first kernel runs.

`load` loads a model that ships with the package, and `zoo` has a card about each.
"""

__version__ = "0.1.0"

LAZY = ("load", "zoo")
"""Names of `pretrained` that are here, too; it is imported when one is first used."""

TYPE_CHECKING = False  # a type checker takes it for true
if TYPE_CHECKING:
    from .pretrained import load as load
    from .pretrained import zoo as zoo


def __getattr__(name: str) -> object:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.pretrained"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *LAZY])
