"""The parts of bench_paper_ed_wta.py: runs, tables and pictures."""
