"""Marks methods of shipped studies that are told which task test data are of."""

import re
from collections.abc import Collection
from functools import cache

from analysis.data.results import MARK
from sweep.study.schema import Study


@cache
def told_in(study: str) -> frozenset[str]:
    """Returns the methods of a shipped study that are told the task."""
    methods = Study.load(study).methods
    return frozenset(name for name, method in methods.items() if method.knows_task)


def marked(text: str, told: Collection[str]) -> str:
    """Returns a text with a mark behind every method in `backticks` that is told the task."""
    return re.sub(r"`([\w.+-]+)`", lambda name: name[0] + MARK * (name[1] in told), text)
