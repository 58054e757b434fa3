"""The notebook of examples/ reads a run."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from methods.testing import tiny_models, toy_study
from sweep.measuring.measure import make_plan
from sweep.single import _compute
from sweep.storage.run_folder import RunFolder
from sweep.study.schema import Study

NOTEBOOK = Path(__file__).parents[2] / "examples" / "read_a_run.ipynb"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of two methods, three orders and two replicates, made without Ray."""
    folder = tmp_path_factory.mktemp("run")
    study: Study = toy_study(
        tiny_models(),
        ("finetune", "lora"),
        design={"name": "random", "num_orders": 3},
        replicates=2,
        training={"steps": 2, "batch_size": 16, "lr": 0.003},
    )
    run_folder = RunFolder(str(folder / "out"), make_plan(study))
    run_folder.prepare()
    _compute(run_folder.plan, run_folder)
    run_folder.flush(run_folder.plan.units, {})
    run_folder.write_manifest(lanes=1)
    return folder / "out"


def test_a_notebook_reads_a_run(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells run one after another; what each shows is what its text says."""
    monkeypatch.setenv("OUT", str(out))
    shown = [showing(cell) for cell in code_cells()]
    heads, matrix, compared, steadier, contributed, figure = run(shown)
    assert len(heads) == 5
    assert matrix.shape == (4, 3)
    assert set(compared.index) == {"finetune", "lora"}
    assert list(steadier["method"]) == ["lora"]
    assert len(contributed) == 5
    assert len(figure.data[0].y) == 2 * 2 * 3


def test_a_notebook_is_kept_without_outputs() -> None:
    """So that a change of it can be read."""
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells())


def code_cells() -> list[dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def showing(cell: dict[str, Any]) -> tuple[ast.Module, ast.Expression]:
    """A cell's statements, and the expression at its end that a notebook shows."""
    *statements, last = ast.parse("".join(cell["source"])).body
    assert isinstance(last, ast.Expr)
    return ast.Module(statements, []), ast.Expression(last.value)


def run(cells: list[tuple[ast.Module, ast.Expression]]) -> list[Any]:
    names: dict[str, Any] = {}
    shown = []
    for statements, last in cells:
        exec(compile(statements, str(NOTEBOOK), "exec"), names)
        shown.append(eval(compile(last, str(NOTEBOOK), "eval"), names))
    return shown
