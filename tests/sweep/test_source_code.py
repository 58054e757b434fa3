"""What counts as the code of a part: what it computes, not how it is written down."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweep.registry import resolve
from sweep.source_code import code_of

MINE = """
import my_helper
from methods.baselines.finetune import FineTune
from my_parts.losses import scaled

class Mine(FineTune):
    def loss(self, batch):
        return scaled(super().loss(batch)) * my_helper.FACTOR
"""
LOSSES = """
from .factors import FACTOR

def scaled(x):
    return x * FACTOR
"""
FILES = {
    "my_parts/mine.py": MINE,
    "my_parts/losses.py": LOSSES,
    "my_parts/factors.py": "FACTOR = 1.0\n",
    "my_parts/unused.py": "FACTOR = 1.0\n",
    "my_helper.py": "FACTOR = 1.0\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a method of one's own, as the current folder is one."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


def code() -> dict[str, str]:
    return code_of(resolve("methods", "my_parts.mine:Mine"))


@pytest.mark.parametrize(
    ("file", "old", "new", "module"),
    [
        ("my_parts/mine.py", "* my_helper.FACTOR", "* 0.0", "my_parts.mine"),
        ("my_parts/losses.py", "x * FACTOR", "x + FACTOR", "my_parts.losses"),
        ("my_parts/factors.py", "1.0", "0.0", "my_parts.factors"),
        ("my_helper.py", "1.0", "None", "my_helper"),
    ],
)
def test_an_edit_anywhere_in_it_is_seen(
    folder: Path, file: str, old: str, new: str, module: str
) -> None:
    before = code()
    assert old in FILES[file]
    (folder / file).write_text(FILES[file].replace(old, new))
    after = code()
    assert before.keys() == after.keys()
    assert {name for name in after if after[name] != before[name]} == {module}


def test_its_bases_belong_to_it(folder: Path) -> None:
    assert {"methods.base", "methods.baselines.finetune"} <= code().keys()
    assert not any(name.startswith(("torch", "numpy")) for name in code())


def test_what_it_does_not_use_does_not_belong_to_it(folder: Path) -> None:
    before = code()
    (folder / "my_parts/unused.py").write_text("FACTOR = 0.0\n")
    assert code() == before
    assert "my_parts.unused" not in before


def test_comments_docstrings_and_layout_do_not_matter(folder: Path) -> None:
    before = code()
    laid_out = '    """Mine."""\n\n    def loss(\n        self, batch\n    ):'
    text = '"""Scales."""\n# a comment\n' + MINE.replace("    def loss(self, batch):", laid_out)
    assert laid_out in text
    (folder / "my_parts/mine.py").write_text(text)
    assert code() == before


def test_the_same_code_elsewhere_is_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = code()
    other = tmp_path_factory.mktemp("other")
    folder.rename(other / "moved")
    monkeypatch.syspath_prepend(other / "moved")
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]
    assert code() == before
