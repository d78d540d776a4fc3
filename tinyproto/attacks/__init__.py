"""Attacks: functions of a victim, images and labels that return attacked images."""

from .apgd import apgd, apgd_targeted
from .autoattack import autoattack
from .carlini_wagner import carlini_wagner, carlini_wagner_linf
from .fab import fab
from .pgd import craft, fgsm, pgd
from .square import square
from .victim import FlatGradientWarning, Victim

__all__ = [
    "FlatGradientWarning",
    "Victim",
    "apgd",
    "apgd_targeted",
    "autoattack",
    "carlini_wagner",
    "carlini_wagner_linf",
    "craft",
    "fab",
    "fgsm",
    "pgd",
    "square",
]
