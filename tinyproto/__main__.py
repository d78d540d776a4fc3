"""`python -m tinyproto` is the command `tinyproto`."""

from .command import main

if __name__ == "__main__":
    main()
