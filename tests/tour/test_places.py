"""Each place worth breaking is one line of the source, and names tests that exist."""

import ast

import pytest

from tests import ROOT
from tinyproto.tour import breaking
from tinyproto.tour.covering_tests import TESTS
from tinyproto.tour.places import PLACES

each_place = pytest.mark.parametrize("name", PLACES)


@each_place
def test_a_place_is_one_line_and_the_wrong_one_is_python(name):
    place = PLACES[name]
    text = (ROOT / "tinyproto" / place.file).read_text()
    broken = place.broken(text)
    pairs = zip(text.split("\n"), broken.split("\n"), strict=True)
    changed = [i for i, (one, other) in enumerate(pairs, 1) if one != other]
    assert changed == [place.number()]
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(text))


@each_place
def test_its_tests_exist(name):
    for test in PLACES[name].tests:
        file, _, function = test.partition("::")
        defined = {
            node.name
            for node in ast.walk(ast.parse((ROOT / file).read_text()))
            if isinstance(node, ast.FunctionDef)
        }
        assert function.partition("[")[0] in defined


def test_there_are_a_dozen_in_many_files():
    assert len(PLACES) >= 12
    assert len({place.file for place in PLACES.values()}) >= 12
    assert len({(place.line, place.wrong) for place in PLACES.values()}) == len(PLACES)


def test_the_files_of_the_places_are_covered():
    assert {place.file for place in PLACES.values()} <= TESTS.keys()


def test_every_covered_file_and_its_tests_exist():
    for file, arguments in TESTS.items():
        assert (ROOT / "tinyproto" / file).is_file()
        for argument in arguments:
            if argument.startswith("tests/"):
                assert (ROOT / argument).exists(), argument


def test_the_documentation_shows_a_place_as_it_is(capsys):
    breaking._describe("batch-norm", PLACES["batch-norm"])
    assert capsys.readouterr().out in (ROOT / "docs" / "concepts" / "testing.md").read_text()
