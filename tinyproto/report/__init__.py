"""A page about a trained model: how it fares under attack and corruption, what it learned, and why
it answers as it does.

    tinyproto report model.npz

writes one HTML page that holds everything, and the same figures as JSON, to runs/report. The page
needs Jinja2, its pictures Matplotlib and Pillow, the corruptions SciPy: `pip install -e
".[report]"`.
"""

from .subject import Settings
from .write import write_report

__all__ = ["Settings", "write_report"]
