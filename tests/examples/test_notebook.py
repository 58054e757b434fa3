"""The notebook of examples/ reads a run."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

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
    """Its cells run in a fresh kernel, one after another, and show what their text says."""
    monkeypatch.setenv("OUT", str(out))
    book = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells), "commit it without outputs"
    NotebookClient(book, timeout=300, kernel_name="python3").execute()
    shown = [_shown(cell) for cell in book.cells if cell.cell_type == "code"]
    assert "2 methods" in shown[0]["text/plain"]
    assert "<td>finetune, lora</td>" in shown[0]["text/html"]
    assert "Does the ranking survive another task order?" in shown[1]["text"]
    assert "average_accuracy_low" in shown[3]["text/plain"]
    drawn = [part["application/vnd.plotly.v1+json"] for part in shown[4:7]]
    assert all(figure["data"] for figure in drawn)
    assert drawn[2]["data"][0]["name"] == "finetune"
    assert r"\toprule" in shown[7]["text"]


def _shown(cell: Any) -> dict[str, Any]:
    """What a cell shows, by media type; what it prints as "text"."""
    (output,) = cell.outputs
    return {"text": output.text} if output.output_type == "stream" else dict(output.data)
