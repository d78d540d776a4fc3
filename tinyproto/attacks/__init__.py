"""Attacks: functions of a victim, images and labels that return attacked images."""

from .gradient import craft, fgsm, pgd
from .victim import Victim

__all__ = ["Victim", "craft", "fgsm", "pgd"]
