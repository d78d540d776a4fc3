"""The tests mirror the package; `ROOT` is where programs are started that import them."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent

ONE_THREAD = {"NUMBA_NUM_THREADS": "1"} if "PYTEST_XDIST_WORKER" in os.environ else {}
"""What a program adds to its environment where the tests run in several processes (`pytest -n`)."""
