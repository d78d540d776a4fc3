"""What a reader of the code can do with it: `python -m tinyproto.tour break` breaks a formula in a
copy of the package, and shows the test that catches it."""
