"""The walks of CONTRIBUTING.md work as they stand there: outside of the package and inside it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
BLOCK = re.compile(r"```(?:python|yaml)\n# ([^\n]+)\n(.*?)```", re.DOTALL)
"""A file: its name and content; or a line of a table: "FILE, TABLE" and the line."""
BLOCKS = BLOCK.findall(TEXT)
PARTS = {name: content for name, content in BLOCKS if name.startswith("my_parts/")}
LINES = {name: line for name, line in BLOCKS if ", " in name}
KINDS = {
    "methods": "norm_tuning",
    "benchmarks": "split_digits",
    "designs": "swaps",
    "references": "digit_captions",
    "generators": "real_images",
    "measures": "subspaces",
    "diagnostics": "modality_gap",
    "metrics": "worst_task",
    "panels": "plasticity",
}
STUDY: dict[str, Any] = {
    "name": "walks",
    "benchmark": {"name": "world", "tasks": ["shapes", "colors", "counting"]},
    "training": {"steps": 2, "batch_size": 8},
}
SMALL = {"train": 24, "test": 12}
CHECKS = """
import json, sys
from sweep.cli.main import main
from sweep.measuring.measure import make_plan
from sweep.study.schema import Study

order = ["--order", "shapes,colors,counting"]
for command in (
    *(["list", kind] for kind in {kinds}),
    ["trial", "study.yaml", "--method", "norm_tuning", "--out", "run", *order],
    ["report", "run"],
    ["trial", "study.yaml", "--method", "gift", "--order", "shapes,colors"],
    ["trial", "digits.yaml", "--method", "finetune", "--order", "01,89"],
):
    code = main(command)
    assert code == 0, (command, code)
study = Study.load("study.yaml")
data = {{name: type(config).__name__ for name, config in study.data().items()}}
print(json.dumps([make_plan(study).blocks, data]))
"""


def written(folder: Path, name: str, content: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, "utf-8")


def outside(folder: Path) -> Path:
    """One file per part, where `sweep` is called; the package as it is."""
    for name, content in PARTS.items():
        written(folder, name, content)
    return ROOT


def inside(folder: Path) -> Path:
    """A copy of the packages, with the same files in it and one line each."""
    tree = folder / "tree"
    for package in ("sweep", "methods", "analysis"):
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for place in re.findall(r"Inside: `([^`]+)`", TEXT):
        assert not (tree / place).exists()
        written(tree, place, PARTS[f"my_parts/{Path(place).name}"])
    formulas = tree / "analysis/run_metrics/formulas.py"
    function = re.search(r"def worst_task.*?\n\n\n", PARTS["my_parts/worst_task.py"], re.DOTALL)
    assert function
    formulas.write_text(formulas.read_text("utf-8") + "\n\n" + function[0].rstrip() + "\n", "utf-8")
    for where, line in LINES.items():
        file, *_, table = where.replace('"', "").split(", ")
        text = (tree / file).read_text("utf-8")
        start = re.search(rf'^ *"?{table}\b.*[{{(]\n', text, re.MULTILINE)
        assert start, f"{file} has no table {table}"
        assert len(line.splitlines()) == 1
        text = text[: start.end()] + line + text[start.end() :]
        (tree / file).write_text(text, "utf-8")
    return tree


def study_files(folder: Path, by_name: bool) -> None:
    """What the walks say of studies, put together; `by_name`: parts have names, not paths."""
    contents: dict[str, Any] = {"study.yaml": dict(STUDY), "digits.yaml": dict(STUDY)}
    for name, content in BLOCKS:
        if name in contents:
            said = re.sub(r"my_parts\.(\w+):\w+", r"\1", content) if by_name else content
            for key, value in yaml.safe_load(said).items():
                old = contents[name].get(key)
                together = isinstance(old, dict) and key in ("methods", "report")
                contents[name][key] = old | value if together else value
    study, digits = contents["study.yaml"], contents["digits.yaml"]
    study["benchmark"] = study["benchmark"] | SMALL
    study["methods"]["gift"] = None
    study["generator"]["images"] = 8
    digits |= {"methods": ["finetune"], "backbones": study["backbones"]}
    for name, content in contents.items():
        written(folder, name, yaml.safe_dump(content))
    shutil.copytree(ROOT / "sweep/assets/tiny-clip", folder / "models/mine")


@pytest.mark.parametrize("place", [outside, inside])
def test_a_part_of_each_kind(place: Any, tmp_path: Path) -> None:
    import pandas as pd
    from safetensors.torch import load_file

    tree = place(tmp_path)
    study_files(tmp_path, by_name=place is inside)
    done = subprocess.run(
        [sys.executable, "-c", CHECKS.format(kinds=list(KINDS))],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    said = done.stdout.splitlines()
    listed = {line.split()[0] for line in said if line.strip()}
    for name in KINDS.values():
        assert (name in listed) == (place is inside), name
    assert any("scores of gift" in line for line in said)  # with the reference and the generator
    assert any("after" in line and "01" in line and "89" in line for line in said)

    blocks, data = json.loads(said[-1])
    tasks = STUDY["benchmark"]["tasks"]
    a, b, c = tasks
    assert blocks[0] == [[a, b, c], [b, a, c], [a, c, b]]
    assert data == {"benchmark": "World", "reference": "DigitCaptions", "generator": "RealImages"}

    run = tmp_path / "run"
    weights = {name for file in run.rglob("state.safetensors") for name in load_file(file)}
    assert weights
    assert all("norm" in name for name in weights)
    similar = pd.read_parquet(run / "similarity" / "tasks.parquet")
    name = "subspaces" if place is inside else "my_parts.subspaces:SUBSPACES"
    assert similar.loc[similar["measure"] == name, "similarity"].between(0, 1 + 1e-9).all()
    assert (similar["measure"] == name).sum() >= 6
    rows = pd.concat(map(pd.read_parquet, (run / "results").glob("*.parquet")))
    gaps = rows[rows["split"] == "gap"]
    assert len(gaps) == 4 * 3
    assert gaps["value"].between(0.01, 2).all()
    assert "worst_task" in set(pd.read_parquet(run / "tables" / "summary.parquet")["metric"])
    assert len(pd.read_parquet(run / "tables" / "plasticity.parquet")) == 1
    assert "quartiles of 1 runs" in (run / "report.html").read_text("utf-8")


def test_every_kind_of_part_has_a_walk() -> None:
    from sweep.registry import KINDS as ALL

    assert set(KINDS) == set(ALL)
    assert {Path(name).stem for name in PARTS} == set(KINDS.values())
    assert len(LINES) == len(KINDS)


@pytest.mark.parametrize("name", PARTS)
def test_walks_have_the_style_of_the_rest(name: str, tmp_path: Path) -> None:
    written(tmp_path, name, PARTS[name])
    options = ["--config", str(ROOT / "pyproject.toml"), str(tmp_path / name)]
    for command in (["check"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, *options]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
