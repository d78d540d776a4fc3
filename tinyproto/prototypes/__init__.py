"""Prototype learning: the winner-take-all networks, and what can be known of them exactly."""

from .winner_take_all import EDWTA, IPWTA, PlusMinusEDWTA

__all__ = ["EDWTA", "IPWTA", "PlusMinusEDWTA"]
