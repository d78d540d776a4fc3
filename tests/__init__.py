"""The tests mirror the package; `ROOT` is where programs are started that import them."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
