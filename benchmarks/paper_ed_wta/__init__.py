"""The parts of bench_paper_ed_wta.py: runs, tables and pictures."""

DATA = ("mnist", "fashion")
NETWORKS = ("IP-WTA", "ED-WTA", "±ED-WTA")
