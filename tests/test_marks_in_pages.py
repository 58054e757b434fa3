"""Tables of pages mark methods that are told the task, and the page says what the mark means."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.data.results import MARK
from sweep.registry import parts, resolve
from sweep.study.schema import Study

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md")])
NO_SCORES = ("what they share", "one training per", "measures", "state after")
"""What stands in the heads of tables that are about something else than what methods reach."""
EXPLAINED = f"{MARK}: told at test time which task a sample is of, an easier question"


@pytest.fixture(scope="module")
def told() -> set[str]:
    kinds = {name: resolve("methods", name) for name in parts("methods")}
    by_default = {name for name, kind in kinds.items() if kind.knows_task(kind.Config())}
    reported = Study.load("methods").methods
    return by_default | {label for label, method in reported.items() if method.knows_task}


def rows_of(text: str) -> Iterator[str]:
    """The rows of all tables that hold scores."""
    head = ""
    for line in text.splitlines():
        head = (head or line) if line.startswith("|") else ""
        if head and not any(words in head for words in NO_SCORES):
            yield line


def named(row: str) -> set[str]:
    """What stands in `backticks` or alone in a cell, with what follows it there."""
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    return {*re.findall(rf"`[\w.+-]+`{MARK}?", row), *cells}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rows_mark_methods_that_are_told_the_task(page: Path, told: set[str]) -> None:
    text = page.read_text("utf-8")
    names = set().union(*map(named, rows_of(text)))
    assert not {name for name in names if name.strip("`") in told}
    marked = {name.rstrip(MARK).strip("`") for name in names if name.endswith(MARK)}
    assert marked <= told
    assert not marked or EXPLAINED in " ".join(text.split())


def test_there_are_such_rows(told: set[str]) -> None:
    assert {"individual", "tall", "condu", "rail"} <= told
    rows = [row for page in PAGES for row in rows_of(page.read_text("utf-8"))]
    assert sum(MARK in row for row in rows) > 10
