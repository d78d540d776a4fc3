"""Everything public is documented in one form (numpydoc), with an example that runs."""

import doctest
import importlib
import inspect
import re

import pytest

PUBLIC = [
    "tinyproto.attacks",
    "tinyproto.backend",
    "tinyproto.command",
    "tinyproto.communicator",
    "tinyproto.data",
    "tinyproto.data.augment",
    "tinyproto.data.corruptions",
    "tinyproto.evaluation",
    "tinyproto.evaluation.corruption",
    "tinyproto.evaluation.geometry",
    "tinyproto.evaluation.confusion",
    "tinyproto.evaluation.robustness_curve",
    "tinyproto.evaluation.deep_explanation",
    "tinyproto.evaluation.deep_explanation_picture",
    "tinyproto.evaluation.detection_picture",
    "tinyproto.evaluation.explanation",
    "tinyproto.evaluation.explanation_picture",
    "tinyproto.evaluation.pictures",
    "tinyproto.evaluation.certified_picture",
    "tinyproto.evaluation.training_pictures",
    "tinyproto.gradients",
    "tinyproto.interop",
    "tinyproto.layers",
    "tinyproto.losses",
    "tinyproto.networks",
    "tinyproto.optimizers",
    "tinyproto.parameters",
    "tinyproto.progress",
    "tinyproto.pretrained",
    "tinyproto.prototypes",
    "tinyproto.random",
    "tinyproto.report",
    "tinyproto.schedules",
    "tinyproto.state",
    "tinyproto.testing",
    "tinyproto.testing.layers",
    "tinyproto.testing.losses",
    "tinyproto.testing.networks",
    "tinyproto.testing.prototypes",
    "tinyproto.testing.victims",
    "tinyproto.training",
    "tinyproto.validation",
    "tinyproto.workers",
]
"""The modules whose `__all__` is the public surface."""

NEEDS = {
    "tinyproto.interop.load_onnx": "onnx",
    "tinyproto.interop.save_onnx": "onnx",
    "tinyproto.interop.save_state": "safetensors",
}
"""Examples that need an optional package."""

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
    text = inspect.cleandoc(thing.__doc__ or "")  # its own: `getdoc` would take an inherited one
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
    documented = parameters_in(text)
    unnamed = [parameter for parameter in parameters_of(thing) if parameter not in documented]
    assert not unnamed, f"{name} does not document {', '.join(unnamed)}"
    unknown = [parameter for parameter in documented if parameter not in parameters_of(thing)]
    assert not unknown, f"{name} documents {', '.join(unknown)}, which it does not take"


def parameters_in(text):
    """The names that the section Parameters documents, as `name : type` or `name, other : type`."""
    _, _, section = text.partition("\nParameters\n----------\n")
    section = re.split(r"\n[A-Z][A-Za-z ]+\n-{4,}\n", section)[0]
    lines = re.findall(r"^(\S.*?)(?: :.*)?$", section, re.MULTILINE)
    return [name.strip().lstrip("*") for line in lines for name in line.split(",")]


@pytest.mark.parametrize("name", [n for n, thing in THINGS.items() if inspect.isclass(thing)])
def test_public_methods_have_a_docstring(name):
    thing = THINGS[name]
    without = [
        method
        for method in methods_of(thing)
        if not inspect.getdoc(getattr(thing, method))  # one that is inherited counts
    ]
    assert not without


def methods_of(thing):
    """Names of the public methods and properties that a class defines itself."""
    kinds = (property, classmethod, staticmethod)
    return [
        method
        for method, value in vars(thing).items()
        if not method.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))
    ]


@pytest.mark.parametrize("name", THINGS)
def test_its_example_runs(name, tmp_path, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"the example needs {NEEDS[name]}")
    monkeypatch.chdir(tmp_path)  # what an example writes is written there
    thing = THINGS[name]
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    found = [t for t in finder.find(thing, name, globs={}) if t.examples]
    assert found, f"{name} has no example"
    if inspect.isclass(thing):
        for method in methods_of(thing):
            found += finder.find(getattr(thing, method), f"{name}.{method}", globs={})
    for test in found:
        said = []
        runner.run(test, out=said.append)
        assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_lists_what_is_there_once(name):
    module = importlib.import_module(name)
    assert inspect.getdoc(module)
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, attribute) for attribute in module.__all__)
