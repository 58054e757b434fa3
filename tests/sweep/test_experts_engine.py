"""All orders of experts on lanes: the same as one order in one process, and each unit once."""

from pathlib import Path

import pytest

from analysis import load
from methods.testing.tiny_models import tiny_models
from methods.testing.toy import TOY, toy_study
from sweep import make_plan, run, run_single
from sweep.cli.report import report
from sweep.storage.batches import BATCHES
from tests.sweep.made_experts import save_towers

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]
METHODS = ("task_arithmetic", "opcm", "condu")


def test_all_orders_of_experts(tmp_path: Path, no_ray: None) -> None:
    path = save_towers(tiny_models() / "clip", tmp_path, "abcd", size=0.2)
    study = toy_study(
        tiny_models(),
        METHODS,
        benchmark={"name": TOY, "num_tasks": 4},
        experts={"path": path},
        lanes={"count": 2},
    )
    out = tmp_path / "out"
    finished = run(study, str(out))
    assert finished.is_settled
    assert not finished.failed
    results = load(str(out))
    counts = make_plan(study).counts()
    assert counts["loaded"] == 4
    assert counts["trained"] == 0
    assert counts["combined"] == 15 + 2 * 64
    assert (results.runs["missing"] == 0).all()
    together = [file for file in out.joinpath(*BATCHES).iterdir() if "embeddings" not in file.name]
    assert 1 < len(together) < 60
    assert len(list((out / "stages").iterdir())) < 100  # the rest has no folders of its own
    stages = results.stages
    assert not stages.duplicated(["method", "prefix", "split", "eval_task", "metric"]).any()
    for method in METHODS:
        order = ("c", "a", "d", "b")
        records, _ = run_single(study, method, order)
        for k, record in enumerate(records):
            mine = stages[(stages["method"] == method) & (stages["stage"] == k)]
            mine = mine[[tuple(prefix) == order[:k] for prefix in mine["prefix"]]]
            found = mine.set_index(["split", "eval_task", "metric"])["value"].to_dict()
            wanted = {(r["split"], r["eval_task"], r["metric"]): r["value"] for r in record.scores}
            assert found == wanted
    again = []
    finished = run(study, str(out), on_progress=lambda progress, lanes: again.append(progress))
    assert again[0].restored == again[0].units
    assert Path(report(str(out))).exists()
