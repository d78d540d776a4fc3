"""The command `tinyproto`: its help, formats, and exit statuses."""

import configparser
import csv
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

import tinyproto
from tests import ROOT
from tinyproto.command import main
from tinyproto.command.program import SUBCOMMANDS, build_parser
from tinyproto.command.subcommand import _repeat_option

NAMES = [subcommand.name for subcommand in SUBCOMMANDS]
SCREEN = 40  # lines


def status(*arguments):
    """The exit status of the command; 0 where it only returns."""
    try:
        main(list(arguments))
    except SystemExit as stop:
        if not isinstance(stop.code, str):
            return stop.code
        print(stop.code, file=sys.stderr)  # as Python does
        return 1
    return 0


@pytest.mark.parametrize("columns", [80, 100, 200])
@pytest.mark.parametrize("name", [None, *NAMES])
def test_a_help_text_fits_a_screen(name, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert status(*filter(None, [name]), "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert 8 <= len(lines) <= SCREEN
    assert max(map(len, lines)) <= min(columns, 100)
    assert lines[0].startswith(f"usage: tinyproto {name or 'COMMAND'}")


@pytest.mark.parametrize("name", NAMES)
def test_a_narrow_terminal_gets_help_too(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    assert status(name, "--help") == 0
    assert "usage: tinyproto" in capsys.readouterr().out


def test_the_subcommands_are_functions():
    assert {*NAMES, "main"} <= set(tinyproto.command.__all__)


def test_without_a_command_the_help_is_an_error(capsys):
    assert status() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(name in printed.err for name in NAMES)


@pytest.mark.parametrize("arguments", [["evalute"], ["zoo", "--form"], ["evaluate"], ["zoo", "-x"]])
def test_wrong_usage_ends_with_2(arguments, capsys):
    assert status(*arguments) == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_the_version(capsys):
    assert status("--version") == 0
    assert capsys.readouterr().out == f"tinyproto {tinyproto.__version__}\n"


def test_the_entry_point_is_there():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    name, _, target = setup["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, _, function = target.partition(":")
    assert name == "tinyproto"
    assert getattr(importlib.import_module(module), function) is main


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--eps 2/255 0.1 model", "--eps 2/255 --eps 0.1 model"),
        ("model --eps 1 2 --seed 3", "model --eps 1 --eps 2 --seed 3"),
        ("--eps 8/255/2 model", "--eps 8/255/2 model"),
        ("--eps=1 2", "--eps=1 2"),
        ("--eps", "--eps"),
        ("--eps 1 1/0", "--eps 1 1/0"),
    ],
)
def test_only_numbers_are_further_radii(given, expected):
    assert _repeat_option(given.split(), "--eps") == expected.split()


@pytest.mark.usefixtures("samples_only")
def test_a_command_that_takes_one_radius_does_not_drop_the_others(capsys):
    assert status("report", "mnist-ed-wta", "--eps", "0.1", "0.2") == 2
    assert "unrecognized arguments: 0.2" in capsys.readouterr().err


def commands_of_the_pages():
    """Every `tinyproto …` of a shell block or an indented line of the documentation."""
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        fences = re.findall(r"^```(\S*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        blocks = [block for language, block in fences if language in ("", "sh")]
        blocks += re.findall(r"^ {4}.*$", text, re.MULTILINE)
        for found in re.findall(r"^(?: {4}|.*&& )?(tinyproto [a-z].*)$", "\n".join(blocks), re.M):
            yield re.split(r" \|\|| >|  #", found)[0]


def test_every_command_of_the_pages_is_understood():
    commands = set(commands_of_the_pages())
    assert len(commands) > 8
    for text in commands:
        _, name, *words = shlex.split(text)
        assert build_parser().parse_args([name, *words]).subcommand.name == name


def test_the_models_in_every_format(capsys):
    cards = tinyproto.zoo()
    printed = {}
    for name in ("text", "markdown", "json", "csv"):
        assert status("zoo", "--format", name) == 0
        printed[name] = capsys.readouterr().out
    assert printed["text"] == f"{cards}\n"
    assert [card["name"] for card in json.loads(printed["json"])] == list(cards)
    assert [row["name"] for row in csv.DictReader(io.StringIO(printed["csv"]))] == list(cards)
    head, rule, *rows = printed["markdown"].splitlines()
    assert len(rows) == len(cards)
    assert {line.count("|") for line in (head, rule, *rows)} == {len(cards.rows()[0]) + 1}


def test_the_card_of_a_model_in_every_format(capsys):
    card = tinyproto.zoo()["mnist-ed-wta"]
    printed = {}
    for name in ("text", "markdown", "json", "csv"):
        assert status("zoo", "mnist-ed-wta", "--format", name) == 0
        printed[name] = capsys.readouterr().out
    assert printed["text"] == f"{card}\n"
    assert json.loads(printed["json"])[0]["weights"] == card.weights
    assert printed["csv"].count("\n") == len(card.figures) + 1
    assert printed["markdown"].startswith("# mnist-ed-wta\n")
    assert status("zoo", "mnist-ed-wto") == 2
    expected = "error: no model that ships is called 'mnist-ed-wto'; did you mean mnist-ed-wta?\n"
    assert capsys.readouterr().err == expected


def run(*arguments, **options):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tinyproto", *arguments], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}, **options,
    )  # fmt: skip


def test_a_reader_that_has_gone_is_no_error():
    """As in `tinyproto zoo | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        ended = run("zoo", stdout=pipe)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_terminal_without_the_characters_gets_others():
    ended = run("zoo", "mnist-ed-wta", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "?" in ended.stdout
