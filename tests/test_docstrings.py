"""Everything public is documented in one form (numpydoc), with an example that runs."""

import doctest
import importlib
import inspect

import pytest

PUBLIC = [
    "tinyproto.attacks",
    "tinyproto.backend",
    "tinyproto.data",
    "tinyproto.data.augment",
    "tinyproto.evaluation",
    "tinyproto.evaluation.geometry",
    "tinyproto.evaluation.pictures",
    "tinyproto.evaluation.training_pictures",
    "tinyproto.layers",
    "tinyproto.losses",
    "tinyproto.networks",
    "tinyproto.optimizers",
    "tinyproto.parameters",
    "tinyproto.progress",
    "tinyproto.prototypes",
    "tinyproto.random",
    "tinyproto.schedules",
    "tinyproto.state",
    "tinyproto.training",
]
"""The modules whose `__all__` is the public surface."""

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def public():
    """Every public function and class once, by the name under which it is imported."""
    seen = {}
    for name in PUBLIC:
        module = importlib.import_module(name)
        for attribute in module.__all__:
            thing = getattr(module, attribute)
            if not (inspect.isclass(thing) or callable(thing)) or type(thing).__name__ == "partial":
                continue  # a constant, a type alias
            if inspect.isclass(thing) and issubclass(thing, BaseException):
                continue  # an exception is what its one line says
            if getattr(thing, "_is_protocol", False) or not hasattr(thing, "__module__"):
                continue
            if thing.__module__.startswith("tinyproto"):
                seen.setdefault(id(thing), (f"{name}.{attribute}", thing))
    return dict(seen.values())


THINGS = public()


def parameters_of(thing):
    try:
        names = inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return []
    return [name for name in names if name not in ("self", "cls")]


@pytest.mark.parametrize("name", THINGS)
def test_it_has_numpydoc_sections_and_an_example(name):
    thing = THINGS[name]
    text = inspect.getdoc(thing) or ""
    assert text, f"{name} has no docstring"
    missing = [] if "\nExamples\n--------\n" in text else ["Examples"]
    if parameters_of(thing) and "\nParameters\n----------\n" not in text:
        missing.append("Parameters")
    if inspect.isfunction(thing):
        returned = inspect.signature(thing).return_annotation
        if returned not in (None, "None", inspect.Signature.empty) and not any(
            f"\n{section}\n" in text for section in ("Returns\n-------", "Yields\n------")
        ):
            missing.append("Returns")
    assert not missing, f"{name} has no {', '.join(missing)}"
    documented = text.split("\nParameters\n----------\n")[-1] if parameters_of(thing) else ""
    unnamed = [parameter for parameter in parameters_of(thing) if parameter not in documented]
    assert not unnamed, f"{name} does not document {', '.join(unnamed)}"


@pytest.mark.parametrize("name", [n for n, thing in THINGS.items() if inspect.isclass(thing)])
def test_public_methods_have_a_docstring(name):
    without = [
        method
        for method, function in vars(THINGS[name]).items()
        if inspect.isfunction(function)
        and not method.startswith("_")
        and not inspect.getdoc(getattr(THINGS[name], method))  # one that is inherited counts
    ]
    assert not without


@pytest.mark.parametrize("name", THINGS)
def test_its_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what an example writes is written there
    thing = THINGS[name]
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    found = [t for t in finder.find(thing, name, globs={}) if t.examples]
    assert found, f"{name} has no example"
    for test in found:
        said = []
        runner.run(test, out=said.append)
        assert runner.failures == 0, "".join(said)
