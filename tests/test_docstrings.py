"""Every public name shows how it is used, and the example is true."""

import doctest
import importlib
import inspect

import pytest

PACKAGES = ("analysis", "methods", "sweep")
NAMES = [
    (package, name) for package in PACKAGES for name in importlib.import_module(package).__all__
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize(("package", "name"), NAMES, ids=lambda value: str(value))
def test_a_public_name_has_an_example(package: str, name: str) -> None:
    thing = getattr(importlib.import_module(package), name)
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return  # constants are documented where they stand
    module = importlib.import_module(thing.__module__)
    examples = [
        example
        for example in doctest.DocTestFinder(recurse=False).find(thing, name, module=module)
        if example.examples
    ]
    if inspect.isclass(thing):  # an example may stand at a method
        examples = [
            example
            for example in doctest.DocTestFinder().find(thing, name, module=module)
            if example.examples
        ]
    assert examples, f"{package}.{name} shows no example"
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for example in examples:
        runner.run(example)
    assert not runner.failures
