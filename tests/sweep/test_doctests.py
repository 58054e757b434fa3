"""Every example in a docstring of the package is true."""

import doctest
import importlib
import pkgutil

import pytest

import sweep

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(module.name for module in pkgutil.walk_packages(sweep.__path__, "sweep."))


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert not result.failed


def test_examples_are_found() -> None:
    """The test above would pass without any."""
    registry = importlib.import_module("sweep.registry")
    assert sum(len(test.examples) for test in doctest.DocTestFinder().find(registry)) >= 5
