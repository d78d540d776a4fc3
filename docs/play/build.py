"""Build the page to play with, one HTML file: python docs/play/build.py [FILE.html]

`template.html`, `style.css` and the modules of `src/`, from `main.js` on, become one page, with the
weights of the shipped model `mnist-ed-wta` (float16, as they are stored) and digits of the
package's sample of MNIST. The file to write is docs/play/index.html unless another is named.
"""

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinyproto
from tinyproto.data.datasets import SAMPLES

HERE = Path(__file__).parent
MODEL, DIGITS = "mnist-ed-wta", 200

IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=function|const)", re.MULTILINE)
NAME = re.compile(r"^(?:export )?(?:function|const) (\w+)", re.MULTILINE)


def page() -> str:
    """The page. A name in braces in the template is a part of it."""
    parts = {
        "style": (HERE / "style.css").read_text(),
        "data": json.dumps(data()),
        "script": script(),
    }
    text = (HERE / "template.html").read_text()
    for name, part in parts.items():
        text = text.replace(f"{{{{{name}}}}}", part.strip())
    return text


def data() -> dict[str, Any]:
    """The model, and digits of the sample, in the order of classes 0 1 2 … 9 0 1 …"""
    network: Any = tinyproto.load(MODEL)
    with np.load(SAMPLES / "mnist.npz") as sample:
        digits, labels = sample["x_test"][:DIGITS], sample["y_test"][:DIGITS]
    return {
        "beta": network.beta_,
        "perClass": len(network.prototype_labels_) // len(network.classes_),
        "positive": encoded(float16(network.positive_prototypes_)),
        "negative": encoded(float16(network.negative_prototypes_)),
        "digits": encoded(digits),
        "labels": labels.tolist(),
    }


def float16(weights: np.ndarray) -> np.ndarray:
    """The weights in two bytes each, the lower one first. Raises ValueError where one changes."""
    rounded = weights.astype("<f2")
    if not np.array_equal(rounded.astype(weights.dtype), weights):
        raise ValueError(f"the weights of {MODEL} are not float16: the page would have others")
    return rounded


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def script() -> str:
    """All modules as one script: each after those that it imports, without imports and exports.

    Raises ValueError for a name that two modules define: they share one scope.
    """
    modules: dict[str, str] = {}
    add_module("main.js", modules)
    names = [name for text in modules.values() for name in NAME.findall(text)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two modules of docs/play/src define {', '.join(twice)}")
    bodies = [EXPORT.sub("", IMPORT.sub("", text)).strip() for text in modules.values()]
    return '"use strict";\n\n' + "\n\n".join(bodies)


def add_module(name: str, modules: dict[str, str]) -> None:
    """Add a module after those that it imports."""
    text = (HERE / "src" / name).read_text()
    for imported in IMPORT.findall(text):
        if imported not in modules:
            add_module(imported, modules)
    modules[name] = text


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "index.html"
    out.write_text(page())
