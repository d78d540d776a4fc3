"""`python -m tinyproto.evaluation` is `tinyproto evaluate`.

python -m tinyproto.evaluation model.npz --attack autoattack --eps 8/255
"""

from ..command.evaluation import main, parse, run

__all__ = ["main", "parse", "run"]

if __name__ == "__main__":
    main()
