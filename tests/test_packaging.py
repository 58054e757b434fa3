"""What is installed: declared dependencies, the content of the wheels, the analysis alone."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.version import __version__
from tests.analysis.synthetic import random_orders, write_study

ROOT = Path(__file__).parent.parent
PACKAGES = ("analysis", "methods", "sweep")
DISTRIBUTIONS = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "mlflow": "mlflow-skinny",
}
"""Distributions that are called otherwise than what one imports from them."""
EXTRAS = {
    "testing": "methods/testing",
    "pictures": "sweep/tasks/pictures",
    "tensorboard": "sweep/engine/loggers.py",
    "mlflow": "sweep/engine/loggers.py",
}
"""Extras by the only folder or file that imports what they install. What `wandb` installs is
imported by Ray alone."""
OPTIONAL = {"diffusers"}
"""Imported in a function, which first says what to install where it is missing."""
ANALYSIS_FILES = {"analysis/LICENSE", "analysis/pyproject.toml"}
"""What makes the second distribution, and is in neither wheel's package."""


def project(folder: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    return parsed


def distribution(requirement: str) -> str:
    """The normalised name in a requirement such as `ray[tune]>=2.60`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def requirements(folder: Path) -> dict[str, str]:
    declared: list[str] = project(folder)["project"]["dependencies"]
    return {distribution(requirement): requirement for requirement in declared}


def imported(*packages: str) -> dict[str, list[str]]:
    """The files that import from each distribution, by its name."""
    found: dict[str, list[str]] = {}
    for file in (file for package in packages for file in sorted((ROOT / package).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for root in {name.split(".")[0] for name in names}:
                if root not in sys.stdlib_module_names and root not in PACKAGES:
                    name = distribution(DISTRIBUTIONS.get(root, root))
                    found.setdefault(name, []).append(str(file.relative_to(ROOT)))
    return found


@pytest.mark.parametrize(("folder", "packages"), [(".", PACKAGES), ("analysis", ("analysis",))])
def test_what_is_imported_is_what_is_declared(folder: str, packages: tuple[str, ...]) -> None:
    declared, found = set(requirements(ROOT / folder)), imported(*packages)
    extras = project(ROOT / folder)["project"].get("optional-dependencies", {})
    for extra, place in EXTRAS.items():
        for name in map(distribution, extras.get(extra, ())):
            assert all(file.startswith(place) for file in found.pop(name)), name
    undeclared = {name: files for name, files in found.items() if name not in declared | OPTIONAL}
    assert not undeclared, f"imported but not in {folder}/pyproject.toml: {undeclared}"
    unused = declared - set(found)
    assert not unused, f"declared in {folder}/pyproject.toml but never imported: {unused}"


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_optional_packages_are_imported_only_where_they_are_used(name: str) -> None:
    for file in imported(*PACKAGES)[name]:
        module = ast.parse((ROOT / file).read_text("utf-8"))
        at_import = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any(name in ast.unparse(node) for node in at_import), file


def test_both_distributions_ask_for_the_same_versions() -> None:
    whole = requirements(ROOT)
    assert requirements(ROOT / "analysis").items() <= whole.items()


# --- the wheels ------------------------------------------------------------------------------


def built(project_folder: Path, into: Path) -> Path:
    """The wheel of a project, built without network."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)],
        cwd=project_folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = into.glob("*.whl")
    return wheel


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tracked(*folders: str) -> set[str]:
    """The files of some folders that git knows."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no git checkout")
    listed = ["git", "ls-files", "-z", "--", *folders]
    out = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(out.split("\0")) - {""}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT / "analysis", tmp_path_factory.mktemp("alone"))


def test_the_wheel_holds_what_git_tracks(whole: Path) -> None:
    packed = {name for name in content(whole) if ".dist-info/" not in name}
    expected = tracked(*PACKAGES) - ANALYSIS_FILES
    assert not packed - expected, f"not in git: {sorted(packed - expected)}"
    assert not expected - packed, f"not in the wheel: {sorted(expected - packed)}"


def test_the_wheel_holds_what_is_needed_beside_code(whole: Path) -> None:
    names = set(content(whole))
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    for pattern in (
        r"sweep/assets/tiny-clip/model\.safetensors",
        r"sweep/studies/quickstart\.yaml",
        r"sweep/benchmarks/mtil\.yaml",
        r"analysis/report/.*template\.html",
        r"analysis/report/.*style\.css",
        r"analysis/report/.*report\.js",
        r"[^/]*\.dist-info/licenses/LICENSE",
    ):
        assert any(re.fullmatch(pattern, name) for name in names), f"no {pattern} in the wheel"


def test_the_wheel_of_the_analysis_holds_the_analysis(whole: Path, alone: Path) -> None:
    ours, all_of_it = content(alone), content(whole)
    packed = {name: data for name, data in ours.items() if ".dist-info/" not in name}
    assert packed == {name: all_of_it[name] for name in all_of_it if name.startswith("analysis/")}
    (licence,) = (data for name, data in ours.items() if name.endswith("/licenses/LICENSE"))
    assert licence == (ROOT / "LICENSE").read_bytes()


def test_all_versions_come_from_one_place(whole: Path, alone: Path) -> None:
    for wheel in (whole, alone):
        (metadata,) = (
            data for name, data in content(wheel).items() if name.endswith(".dist-info/METADATA")
        )
        assert f"\nVersion: {__version__}\n" in metadata.decode()


USE_ALONE = """
import importlib.util, sys
from pathlib import Path
from analysis import from_matrices, load, metrics, read_matrices, write_report

for absent in ("torch", "ray", "transformers", "sweep", "methods"):
    assert importlib.util.find_spec(absent) is None, absent
matrices = [[[0.9, 0.3], [0.7, 0.8]], [[0.8, 0.4], [0.6, 0.9]]]
assert len(metrics(from_matrices(matrices, [("pets", "food"), ("food", "pets")]))) == 2
Path("matrix.csv").write_text("pets,food\\n0.5,0.4\\n0.9,0.3\\n0.7,0.8\\n")
print(metrics(read_matrices("matrix.csv"))["average_accuracy"].item())
assert len(metrics(load("run")))
assert "finetune" in Path(write_report("run")).read_text("utf-8")
assert not {"torch", "ray"} & set(sys.modules)
"""


@pytest.mark.slow
def test_the_analysis_works_alone(tmp_path: Path, alone: Path) -> None:
    """Installed from the registry into an environment that holds nothing else."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", alone], check=True)
    write_study(tmp_path / "run", random_orders(("cars", "flowers", "pets"), 2, 3))
    done = subprocess.run(  # -I: neither PYTHONPATH nor this folder is looked at
        [python, "-I", "-c", USE_ALONE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(0.75)


# --- what people expect beside the code ------------------------------------------------------


def test_the_citation_can_be_read() -> None:
    """By the required keys of the Citation File Format 1.2."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["license"] == project(ROOT)["project"]["license"]


def test_the_changelog_ends_at_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    sections = re.findall(r"^## \[?([^\]\s]+)", text, re.MULTILINE)
    assert __version__ in sections[:2], f"no section of {__version__} in CHANGELOG.md"


def test_workflows_name_markers_that_exist() -> None:
    declared = project(ROOT)["tool"]["pytest"]["ini_options"]["markers"]
    known = {marker.split(":")[0] for marker in declared}
    files = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert files
    for file in files:
        for job in yaml.safe_load(file.read_text("utf-8"))["jobs"].values():
            commands = "\n".join(step.get("run", "") for step in job["steps"])
            chosen = set(re.findall(r"pytest -m (\w+)", commands))
            chosen |= set(job.get("strategy", {}).get("matrix", {}).get("marker", []))
            assert chosen <= known, file.name
