"""Judging what was learned: pictures and reports."""
