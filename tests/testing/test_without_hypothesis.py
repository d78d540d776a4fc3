"""Without Hypothesis `check_gradients` works, and the strategies say what to install."""

import os
import subprocess
import sys

PROGRAM = """
import importlib
import numpy as np
from tinyproto.layers import ReLU
from tinyproto.testing import check_gradients
from tinyproto.testing.victims import problem, problems

print(check_gradients(ReLU(), np.array([[1.0, -1.0]])).checked, len(problem(0)))
for name in ("layers", "losses", "networks", "prototypes"):
    try:
        importlib.import_module(f"tinyproto.testing.{name}")
    except ImportError as error:
        print(error)
try:
    problems()
except ImportError as error:
    print(error)
"""


def test_without_hypothesis(tmp_path):
    hide = "import sys, importlib.util as u\nfind = u.find_spec\n"
    hide += "u.find_spec = lambda n, *a: None if n == 'hypothesis' else find(n, *a)\n"
    hide += "sys.modules['hypothesis'] = None\n"
    out = subprocess.run(
        [sys.executable, "-c", hide + PROGRAM], capture_output=True, text=True, env=os.environ
    )
    assert out.returncode == 0, out.stderr
    first, *lines = out.stdout.splitlines()
    assert first == "16 3"
    assert lines == [
        f"tinyproto.testing.{name} needs Hypothesis; install it with: pip install hypothesis"
        for name in ("layers", "losses", "networks", "prototypes", "victims.problems")
    ]
