"""`python -m tinyproto.report` is `tinyproto report`.

python -m tinyproto.report model.npz
"""

from ..command.reporting import main, parse, run

__all__ = ["main", "parse", "run"]

if __name__ == "__main__":
    main()
