"""The engine with Ray: Tune, Train and the coordinator together, on a toy that takes seconds."""

from pathlib import Path

import pyarrow.dataset as ds
import pytest
import torch
from safetensors.torch import load_file

import sweep
from analysis import load
from sweep.engine import Finished
from sweep.store import Store
from sweep.study import Study
from tests.toy import toy_study

METHODS = ("finetune", "er", "individual", "joint", "zero_shot")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    lanes = {"count": 2, "cpus_per_worker": 1}
    folder = tmp_path_factory.mktemp("models")
    return toy_study(folder, METHODS, lanes=lanes, keep_states="all")


@pytest.fixture(scope="module")
def finished(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return sweep.run(study, str(tmp_path_factory.mktemp("out") / "toy"))


def test_tune_sees_every_order_with_every_stage(study: Study, finished: Finished) -> None:
    plan = sweep.Plan(study)
    assert finished.settled
    assert not finished.failed
    assert finished.grid.num_errors == 0
    orders = sorted((r.config["run"]["method"], r.config["run"]["order"]) for r in finished.grid)
    assert orders == sorted((run.method, " > ".join(run.order)) for run in plan.runs)
    for result in finished.grid:
        assert result.metrics["training_iteration"] == result.metrics["stage"] == 3
        assert 0 <= result.metrics["average_accuracy"] <= 1


def test_distinct_stages_are_stored_once_and_nothing_else(study: Study, finished: Finished) -> None:
    assert set(Store(finished.out).finished()) == set(sweep.Plan(study).units)


@pytest.mark.parametrize("method", METHODS)
def test_sweep_equals_the_same_order_alone(study: Study, finished: Finished, method: str) -> None:
    order = ("c", "a", "b")
    records, state = sweep.run_alone(study, method, order)
    stored = {record.key: Store(finished.out).record(record.key) for record in records}
    for record in records:
        assert record.scores == stored[record.key].scores
    file = Path(finished.out) / "stages" / records[-1].key / "state.safetensors"
    assert file.exists() == (state is not None)
    if state is not None:
        kept = load_file(file)
        assert kept.keys() == state.keys()
        assert all(torch.equal(kept[name], state[name]) for name in state)


def test_results_hold_every_stage_of_every_run(study: Study, finished: Finished) -> None:
    plan = sweep.Plan(study)
    stages = load(finished.out).stages
    tasks = stages[stages["split"] == "task"]
    found = {(row.method, tuple(row.prefix), row.eval_task) for row in tasks.itertuples()}
    names = study.benchmark.task_names()
    assert found == {
        (run.method, prefix, task) for run in plan.runs for prefix in run.prefixes for task in names
    }
    assert len(found) == len(tasks)


def test_mean_embeddings_of_every_stage_are_kept(finished: Finished) -> None:
    table = ds.dataset(f"{finished.out}/embeddings").to_table().to_pandas()
    assert set(table["modality"]) == {"image", "text"}
    start = table[(table["method"] == "zero_shot") & (table["prefix"].str.len() == 0)]
    assert sorted(start["eval_task"]) == ["a", "a", "b", "b", "c", "c"]
    assert (start["vector"].map(lambda v: (v**2).sum()) <= 1 + 1e-5).all()


def test_running_again_trains_nothing(study: Study, finished: Finished) -> None:
    records = list(Path(finished.out).glob("stages/*/stage.json"))
    before = {file: file.stat().st_mtime_ns for file in records}
    again = sweep.run(study, finished.out)
    assert {file: file.stat().st_mtime_ns for file in records} == before
    assert len(again.grid) == len(finished.grid)
    assert all(result.metrics["stage"] == 3 for result in again.grid)
    stages = load(finished.out).stages
    assert not stages.duplicated(["method", "replicate", "prefix", "eval_task", "metric"]).any()


def test_a_failing_stage_takes_only_its_subtree_with_it(tmp_path: Path) -> None:
    study = toy_study(
        tmp_path,
        {"faulty": {"method": "tests.faulty:FailsOnB"}, "finetune": {}},
        lanes={"count": 1, "retries": 1},
    )
    finished = sweep.run(study, str(tmp_path / "out"))
    units = sweep.Plan(study).units
    failed = {units[key].prefix for key in finished.failed}
    assert failed == {("a", "b"), ("a", "b", "c")}
    assert all("b does not go after a" in error for error in finished.failed.values())
    assert finished.settled
    assert set(Store(finished.out).finished()) == set(units) - set(finished.failed)
    left = Store(finished.out).folder.list("tune", recursive=True)
    assert not [file.path for file in left if file.path.endswith(".pickle")]
    rows = load(finished.out).stages
    assert {tuple(row.prefix) for row in rows[rows["status"] == "failed"].itertuples()} == failed


def test_two_workers_of_a_lane_give_the_results_of_one(tmp_path: Path) -> None:
    changes = {"design": {"name": "fixed", "orders": [["a", "b", "c"]]}}
    single = toy_study(tmp_path, ("finetune", "er"), **changes)
    pair = toy_study(tmp_path, ("finetune", "er"), lanes={"count": 1, "workers": 2}, **changes)
    finished = sweep.run(pair, str(tmp_path / "out"))
    for method in ("finetune", "er"):
        records, _ = sweep.run_alone(single, method, ("a", "b", "c"))
        for record in records:
            stored = Store(finished.out).record(record.key)
            assert stored.worker["workers"] == 2
            for mine, theirs in zip(record.scores, stored.scores, strict=True):
                assert mine["value"] == pytest.approx(theirs["value"], abs=1e-4)
