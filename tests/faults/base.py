"""A mistake that is put into the code by a patch, and the check that has to notice it.

A check is a test of the default suite: what the suite itself would notice. A fault is as small as
the mistake: a line left out, a sign, one name in the place of another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Patch = pytest.MonkeyPatch
Put = Callable[[Patch], None]


@dataclass(frozen=True)
class Fault:
    """A mistake, and what has to notice it."""

    name: str
    put: Put
    """Makes it, until the patch is undone."""
    check: Callable[[Path], object]
    """Fails with an AssertionError where it is made; is given the folder of tiny models."""


def replaced(owner: Any, name: str, by: Any) -> Put:
    """What puts something else in the place of an attribute of a class, or of a module."""
    return lambda patch: patch.setattr(owner, name, by)


def nothing(*_: Any, **__: Any) -> None:
    """In the place of something that is forgotten."""


def one_example(test: Any) -> Callable[..., object]:
    """A property of Hypothesis, to be called with values."""
    inner: Callable[..., object] = test.hypothesis.inner_test
    return inner
