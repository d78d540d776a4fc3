"""`python -m tinyproto.evaluation.corruption` is `tinyproto corrupt`.

python -m tinyproto.evaluation.corruption model.npz --out corruption.json
"""

from ...command.corruption import chosen, main, parse, run

__all__ = ["chosen", "main", "parse", "run"]

if __name__ == "__main__":
    main()
