"""The command `tinyproto` and its subcommands, each also a function.

    tinyproto evaluate cifar10-compact-adv-dpnp --eps 2/255 4/255 8/255

is `command.evaluate("cifar10-compact-adv-dpnp", eps=[2 / 255, 4 / 255, 8 / 255])`. A file for each
subcommand has its options and its function; `python -m tinyproto` is the same command, and
`python -m tinyproto.evaluation`, `.evaluation.corruption` and `.report` are `tinyproto evaluate`,
`corrupt` and `report`.
"""

from .certification import Certificate, certify
from .corruption import corrupt
from .evaluation import evaluate
from .models import zoo
from .program import main
from .reporting import report
from .training import train

__all__ = ["Certificate", "certify", "corrupt", "evaluate", "main", "report", "train", "zoo"]
