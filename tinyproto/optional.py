"""Packages that only some functions need, and what to say where one is missing."""

import importlib.util

__all__ = ["require_package"]

NAMES = {  # module: the name of its package, which pip takes in lower case, but for PyTorch
    "PIL": "Pillow",
    "hypothesis": "Hypothesis",
    "jinja2": "Jinja2",
    "matplotlib": "Matplotlib",
    "onnx": "ONNX",
    "pytest": "pytest",
    "safetensors": "safetensors",
    "scipy": "SciPy",
    "sklearn": "scikit-learn",
    "torch": "PyTorch",
}
EXTRAS = ("sklearn", "torch", "onnx")
"""The modules that have an extra of their own name in this package."""


def require_package(module: str, purpose: str) -> None:
    """Make sure that an optional package is installed.

    Parameters
    ----------
    module : str
        The module to import, one of those in `NAMES`.
    purpose : str
        What needs it, with which the message begins.

    Raises
    ------
    ImportError
        In one line, with what to install, if it is not.

    Examples
    --------
    >>> from tinyproto.optional import require_package
    >>> require_package("scipy", "the exact L∞ radius")
    """
    if importlib.util.find_spec(module) is None:
        name = NAMES[module]
        package = "torch" if module == "torch" else name.lower()
        extra = f", or in the checkout: pip install -e '.[{module}]'" if module in EXTRAS else ""
        raise ImportError(f"{purpose} needs {name}; install it with: pip install {package}{extra}")
