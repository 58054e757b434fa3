"""The shape of the code: who imports whom, what importing does, how long files are."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("analysis", "methods", "sweep")
MOST_LINES = 400
ON_RAY = ROOT / "sweep" / "engine"
"""The only folder that may import Ray."""
FORBIDDEN = {
    "analysis": {"methods", "sweep", "ray", "torch", "transformers", "peft", "accelerate"},
    "methods": {"analysis", "sweep", "ray"},
}
ROOMS = {
    "analysis": (
        "version",
        "data",
        "run_metrics",
        "inference",
        "orders",
        "mechanisms",
        "report",
        "figures",
    )
}
"""Of a package, from the ground up: a room imports from itself and from those before it."""
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_kit(module: str) -> bool:
    """Whether it is of `methods.testing`, which checks methods as parts of whole studies.

    The kit may import the engine, because only tests import the kit.
    """
    return f"{module}.".startswith("methods.testing.")


MODULES = [module_of(file) for file in FILES]


def imports(file: Path) -> Iterator[str]:
    """All modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield node.module or ""


def in_a_new_process(code: str) -> str:
    """What `code` prints in an interpreter that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_imports_go_one_way(file: Path) -> None:
    package = file.relative_to(ROOT).parts[0]
    roots = {module.split(".")[0] for module in imports(file)}
    allowed = {"sweep"} if is_kit(module_of(file)) else set[str]()
    assert not roots & (FORBIDDEN.get(package, set()) - allowed)
    assert is_kit(module_of(file)) or not any(map(is_kit, imports(file)))
    assert "tests" not in roots
    if not file.is_relative_to(ON_RAY):
        assert "ray" not in roots


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_rooms_import_downwards(file: Path) -> None:
    """One order of all rooms, so nothing can lead back up, by whatever detour."""
    package, *path = module_of(file).split(".")
    rooms = ROOMS.get(package, ())
    if not rooms or not path:
        return
    assert path[0] in rooms, f"{file} stands in no room"
    allowed = rooms[: rooms.index(path[0]) + 1]
    for module in imports(file):
        root, *rest = module.split(".")
        if root == package:
            assert rest, f"{file} imports from the front door of its own package"
            assert rest[0] in allowed, f"{package}/{path[0]} may not import {module}"


@pytest.mark.parametrize("package", ROOMS)
def test_no_file_names_are_used_twice(package: str) -> None:
    names = [file.name for file in FILES if file.name not in ("__init__.py", "base.py")]
    own = {file.name for file in (ROOT / package).rglob("*.py")}
    assert not {name for name in names if names.count(name) > 1 and name in own}


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_files_are_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("analysis", ("torch", "ray", "transformers", "plotly", "sklearn", "scipy", "pandas")),
        ("analysis.run_metrics.metrics_table", ("plotly", "sklearn", "scipy")),
        ("analysis.orders.variance, analysis.mechanisms.feature_motion", ("plotly", "sklearn")),
        ("sweep", ("torch", "ray", "transformers")),
        (
            "methods, sweep.study.schema, sweep.plan.plan, sweep.single, sweep.preview.cost",
            ("ray",),
        ),
    ],
)
def test_importing_is_light(modules: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {modules}; print([name for name in {absent} if name in sys.modules])"
    assert in_a_new_process(code) == "[]"


def test_importing_does_nothing() -> None:
    """Python's, torch's and the process's global state stay as they are."""
    code = f"""
import importlib, logging, os, sys
import accelerate, peft, ray, ray.train, ray.tune, torch, transformers
def world():
    return (os.getcwd(), list(sys.path), list(logging.root.handlers), logging.root.level,
            torch.get_num_threads(), torch.initial_seed(), dict(os.environ))
before = world()
for module in {MODULES}:
    importlib.import_module(module)
print([was == now for was, now in zip(before, world())])
"""
    assert in_a_new_process(code) == str([True] * 7)


def test_families_of_methods_stand_apart() -> None:
    """A family imports from `tools`, `backbones` and `baselines` alone; these form no circle."""
    below: dict[str, set[str]] = {"backbones": set(), "tools": {"backbones"}}
    below["baselines"] = {"backbones", "tools"}
    for file in sorted((ROOT / "methods").glob("*/**/*.py")):
        folder = file.relative_to(ROOT).parts[1]
        if folder == "testing":  # tests whole studies, hence everything
            continue
        modules = [module.split(".") for module in imports(file) if module.startswith("methods.")]
        used = {parts[1] for parts in modules if (ROOT / "methods" / parts[1]).is_dir()} - {folder}
        assert used <= below.get(folder, {"backbones", "tools", "baselines"}), file
    for file in (ROOT / "methods").glob("*.py"):  # what folders stand on, but for the list of all
        used = {module for module in imports(file) if module.startswith("methods.")}
        allowed = {"methods.base", "methods.data", "methods.held_tensors", "methods.seeds"}
        allowed.add("methods.backbones.base")
        assert used <= allowed or file.stem == "__init__", file
