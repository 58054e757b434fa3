"""What docs/architecture.md and CONTRIBUTING.md name is there."""

import importlib
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
PACKAGES = ("sweep", "methods", "analysis")
FOLDERS = (*PACKAGES, "tests", "examples", "docs", "benchmarks")
NOT_THERE_YET = re.compile(r"^Inside: `[^`]+`", re.MULTILINE)
"""Where a walk puts the part that it adds."""


def words(page: str) -> set[str]:
    """What a page has in backticks, outside of code blocks; single words only."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    text = NOT_THERE_YET.sub("", text)
    return {word for word in re.findall(r"`([^`\n]+)`", text) if " " not in word}


def paths(page: str) -> set[str]:
    """Files and folders, also those that a test is named in."""
    named = {word.partition("::")[0] for word in words(page)}
    return {word for word in named if word.split("/")[0] in FOLDERS and "/" in word}


def objects(page: str) -> set[str]:
    """Dotted names below the packages, and methods of the coordinator."""
    named = {word for word in words(page) if re.fullmatch(r"\w+(\.\w+)+", word)}
    own = {word for word in named if word.split(".")[0] in PACKAGES}
    short = {word for word in named if word.startswith("Coordinator.")}
    return own | {f"sweep.engine.coordinator.{word}" for word in short}


def found(name: str) -> Any:
    """The object of a dotted name; raises what is raised where there is none."""
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            fields = getattr(thing, "model_fields", {}) | getattr(thing, "__dataclass_fields__", {})
            thing = fields[part] if part in fields else getattr(thing, part)
        return thing
    raise LookupError(name)


@pytest.mark.parametrize("page", PAGES)
def test_paths_are_there(page: str) -> None:
    named = paths(page)
    assert len(named) > 10
    assert {path for path in named if not any(ROOT.glob(path.rstrip("/")))} == set()


@pytest.mark.parametrize("page", PAGES)
def test_objects_are_there(page: str) -> None:
    named = objects(page)
    assert named
    for name in sorted(named):
        assert found(name) is not None, name


def test_what_is_not_there_is_noticed() -> None:
    with pytest.raises(AttributeError):
        found("sweep.plan.plan.Plan._kez")
    with pytest.raises(LookupError):
        found("sweeep.plan")


def test_every_room_is_named() -> None:
    """Folders of the packages; families of methods together, assets and studies are no rooms."""
    named = {path.rstrip("/") for path in paths("docs/architecture.md")}
    rooms = {
        str(file.parent.relative_to(ROOT))
        for package in ("sweep", "analysis")
        for file in (ROOT / package).glob("*/__init__.py")
    }
    assert rooms - named == set()


def test_the_picture_names_every_room_of_the_engine() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "architecture.svg")
    said = {"".join(node.itertext()) for node in picture.iter() if node.tag.endswith("}text")}
    rooms = {file.parent.name for file in (ROOT / "sweep").glob("*/__init__.py")}
    assert rooms - said == set()
    assert {str(number) for number in range(1, 9)} <= said


def test_families_are_counted() -> None:
    families = {file.parent.name for file in (ROOT / "methods").glob("*/__init__.py")}
    others = families - {"baselines", "backbones", "tools", "testing"}
    words = {8: "eight", 9: "nine", 10: "ten", 7: "seven"}
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert f"`methods/baselines/` and {words[len(others)]} more families" in text
