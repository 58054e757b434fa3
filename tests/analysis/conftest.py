"""A report in a browser, for several files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis import write_report
from tests.analysis.chromium import Browser, browser
from tests.analysis.synthetic import World, random_orders, write_study

TASKS = ("a", "b", "c")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small study; tests only read it."""
    out = tmp_path_factory.mktemp("study")
    write_study(out, random_orders(TASKS, 6, 3), World(tasks=TASKS))
    return Path(write_report(str(out)))


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    """A tab of a browser with a profile of its own."""
    with browser(tmp_path) as opened:
        yield opened
