"""`tinyproto zoo`: the models that ship, and the card of each."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from ..evaluation.report import csv_table, markdown_table
from ..pretrained import Card, Zoo
from ..pretrained import zoo as all_cards
from .subcommand import Subcommand, Tables, add_format, printing


def zoo(names: Sequence[str] = ()) -> Zoo:
    """The cards of models that ship, as `tinyproto zoo` shows them.

    Parameters
    ----------
    names : list of str
        Names of models; all if there is none.

    Returns
    -------
    Zoo
        Cards by name.

    Raises
    ------
    ValueError
        For an unknown name, with those that there are.

    Examples
    --------
    >>> from tinyproto import command
    >>> command.zoo(["mnist-ed-wta"])["mnist-ed-wta"].network
    'PlusMinusEDWTA'
    """
    cards = all_cards()
    for name in names:
        if name not in cards:
            close = get_close_matches(name, cards, 1, 0.5)
            known = f"did you mean {close[0]}?" if close else f"there are {', '.join(cards)}"
            raise ValueError(f"no model that ships is called {name!r}; {known}")
    return Zoo({name: cards[name] for name in names or cards})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tinyproto zoo`."""
    parser.add_argument("names", nargs="*", metavar="NAME",
        help="models whose cards are printed (default: a table of all)")  # fmt: skip
    add_format(parser, "the table or card")


def tables(cards: Zoo, whole: bool) -> Tables:
    """The table of the cards in each format, or the whole cards."""
    head, *cells = cards.rows()
    rows: list[dict[str, Any]] = [dict(zip(head, row, strict=True)) for row in cells]
    if whole:
        rows = [
            {"name": card.name, **asdict(figure)}
            for card in cards.values() for figure in card.figures
        ]  # fmt: skip
    return {
        "text": lambda: "\n\n".join(map(str, cards.values())) if whole else repr(cards),
        "markdown": lambda: "\n\n".join(map(_markdown, cards.values()))
        if whole else markdown_table(rows),
        "json": lambda: json.dumps([asdict(card) for card in cards.values()], indent=2),
        "csv": lambda: csv_table(rows),
    }  # fmt: skip


def _markdown(card: Card) -> str:
    """A card in Markdown."""
    facts = [f"- {name}: {text}" for name, text in card.facts().items()]
    figures = [
        {"measure": figure.measure, "value": str(figure), "test images": figure.images or ""}
        for figure in card.figures
    ]
    limits = [f"- {limit}" for limit in card.limits]
    return "\n".join([
        f"# {card.name}", "", card.description, "", *facts, "", markdown_table(figures), "",
        "Limits:", "", *limits,
    ])  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Print the table or the cards; the exit status."""
    with printing(options.format) as show:
        show(tables(zoo(options.names), bool(options.names)), None)
    return 0


ZOO = Subcommand(
    "zoo", "List the models that ship, or print their cards.",
    "[NAME ...] [options]", add_arguments, run,
)  # fmt: skip
