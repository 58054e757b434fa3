"""The rooms of `sweep`: each imports from lower floors alone, so no way leads round in a circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.test_architecture import FILES, PACKAGES, ROOT, in_a_new_process, module_of

FLOORS = (
    {"errors", "texts", "source_code", "pulse", "signals"},
    {"cache", "plain_yaml"},
    {"file_digests", "fetched"},
    {"registry", "hub"},
    {"section"},
    {"similarity", "tasks"},
    {"orders"},
    {"study"},
    {"plan"},
    {"storage"},
    {"stage"},
    {"measuring", "pretrain"},
    {"preview", "engine", "single"},
    {"exporting"},
    {"cli"},
)
"""From the ground up."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
SWEEP = [file for file in FILES if file.is_relative_to(ROOT / "sweep")]
MODULES = {module_of(file): file for file in FILES}
MOST_FILES = 15
"""Python files of a room."""
LISTS = {"world", "merging", "panels"}
"""Rooms with more: a program of its own, and lists of parts with a file each."""


def imported(file: Path) -> Iterator[str]:
    """The modules of this repository that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found = whole if whole in MODULES else node.module
                if found in MODULES:
                    yield found


def room_of(module: str) -> str:
    """What stands right inside `sweep`: a folder, or a file."""
    return module.split(".")[1]


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(module_of(file)) for file in SWEEP if module_of(file) not in ("sweep",)}
    assert rooms - {"__main__"} == set(FLOOR)


@pytest.mark.parametrize(
    "file", [f for f in SWEEP if module_of(f) not in ("sweep", "sweep.__main__")], ids=module_of
)
def test_rooms_import_from_lower_floors(file: Path) -> None:
    own = room_of(module_of(file))
    for module in imported(file):
        if module.startswith("sweep.") and room_of(module) != own:
            assert FLOOR[room_of(module)] < FLOOR[own], f"{file} imports {module}"


def test_files_form_no_circle() -> None:
    graph = {
        name: {module for module in imported(file) if module != name and file.name != "__init__.py"}
        for name, file in MODULES.items()
    }
    assert list(TopologicalSorter(graph).static_order())


def test_rooms_are_small() -> None:
    for folder in {file.parent for file in FILES}:
        count = sum(file.parent == folder and file.name != "__init__.py" for file in FILES)
        assert folder.name in LISTS or count <= MOST_FILES, folder


def test_files_have_names_of_their_own() -> None:
    names: dict[str, list[Path]] = {}
    for file in FILES:
        if file.stem not in ("__init__", "base"):
            names.setdefault(file.stem, []).append(file)
    assert {name: files for name, files in names.items() if len(files) > 1} == {}


def test_public_classes_have_names_of_their_own() -> None:
    names: dict[str, list[str]] = {}
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names.setdefault(node.name, []).append(module_of(file))
    assert {name: modules for name, modules in names.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=str)
def test_every_room_says_what_it_is(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


HEAVY = ("ray", "plotly", "sklearn", "torch", "transformers")


@pytest.mark.parametrize(
    ("doing", "absent"),
    [
        ("import sweep", HEAVY),
        ("import sweep.registry, sweep.texts, sweep.errors", HEAVY),
        ("from sweep.preview.status import status", HEAVY),
        ("import sweep.plan.scheduler, sweep.storage.planned", HEAVY),
        (
            "from sweep import Study, make_plan; make_plan(Study.load('quickstart'))",
            ("ray", "plotly", "sklearn"),
        ),
    ],
)
def test_what_is_light_stays_light(doing: str, absent: tuple[str, ...]) -> None:
    code = f"import sys; {doing}; print([name for name in {absent} if name in sys.modules])"
    assert in_a_new_process(code) == "[]"


def test_public_names_stay_what_they_are() -> None:
    """A public name that is a sub-package's, too, would turn into that once it is imported."""
    code = f"""
import importlib
packages = [importlib.import_module(name) for name in {PACKAGES}]
first = [{{name: getattr(package, name) for name in package.__all__}} for package in packages]
for module in {list(MODULES)}:
    importlib.import_module(module)
print([name for package, names in zip(packages, first) for name in names
       if getattr(package, name) is not names[name]])
"""
    assert in_a_new_process(code) == "[]"
