"""What benchmarks/reproduce.py does: which rows are trained, how, how each is judged, and the
tables and the picture of the results."""
