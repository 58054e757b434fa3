"""The folder of a run: results are there once, and only the same study goes on in it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from analysis import load
from analysis.data.results import COSTS_SCHEMA, EMBEDDINGS_SCHEMA, ORDERS_SCHEMA, RESULTS_SCHEMA
from methods.testing.toy import TOY
from sweep.errors import InputError
from sweep.plan.plan import Plan
from sweep.stage.evaluator import EMBEDDINGS
from sweep.storage.changes import conflict
from sweep.storage.run_folder import RunFolder
from sweep.storage.store import Record
from sweep.study.schema import Study
from tests.sweep.plans import plan_of, study_of

ORDERS = [("a", "b"), ("b", "a")]


@pytest.fixture
def plan() -> Plan:
    return plan_of(study_of(ORDERS, ["finetune", "joint"], replicates=2))


def opened(out: Path, plan: Plan) -> RunFolder:
    run_folder = RunFolder(str(out), plan)
    run_folder.check()
    run_folder.prepare()
    return run_folder


def finish(run_folder: RunFolder, keys: Iterable[str]) -> list[str]:
    """Store made-up results of units."""
    finished = list(keys)
    for key in finished:
        value = int(key[:4], 16) / 2**16
        row = {"split": "task", "eval_task": "a", "metric": "accuracy", "value": value, "n": 30}
        vector = {"eval_task": "a", "modality": "image", "vector": [value]}
        run_folder.store.save(
            Record(
                key=key,
                evaluation=run_folder.plan.units[key].evaluation,
                scores=(row,),
                seconds={"train": 1.0},
            ),
            None,
            pa.Table.from_pylist([vector], EMBEDDINGS),
        )
    return finished


def rows(out: Path, kind: str = "results") -> list[dict[str, Any]]:
    return [
        row for file in sorted((out / kind).iterdir()) for row in pq.read_table(file).to_pylist()
    ]


def stages(plan: Plan) -> set[tuple[str, int, tuple[str, ...]]]:
    """All prefixes of all runs."""
    return {(run.method, run.replicate, p) for run in plan.runs for p in run.prefixes}


def placed(found: list[dict[str, Any]]) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(row["method"], row["replicate"], tuple(row["prefix"])) for row in found]


def test_every_stage_of_every_run_has_its_rows_once(tmp_path: Path, plan: Plan) -> None:
    run_folder = opened(tmp_path, plan)
    run_folder.flush(finish(run_folder, plan.units), {})
    for kind in ("results", "costs", "embeddings"):
        found = placed(rows(tmp_path, kind))
        assert len(found) == len(set(found))
        assert set(found) == stages(plan)


def test_rows_hold_what_their_unit_got(tmp_path: Path, plan: Plan) -> None:
    run_folder = opened(tmp_path, plan)
    run_folder.flush(finish(run_folder, plan.units), {})
    values = {
        place: row["value"]
        for place, row in zip(placed(rows(tmp_path)), rows(tmp_path), strict=True)
    }
    for run in plan.runs:
        for key, prefix in zip(run.stages, run.prefixes, strict=True):
            assert values[run.method, run.replicate, prefix] == int(key[:4], 16) / 2**16
    row = next(row for row in rows(tmp_path) if row["prefix"] == ["b", "a"])
    assert (row["stage"], row["trained_task"], row["status"]) == (2, "a", "ok")
    start = next(row for row in rows(tmp_path) if not row["prefix"])
    assert (start["stage"], start["trained_task"]) == (0, None)


def test_rows_say_whether_the_method_knows_the_task(tmp_path: Path) -> None:
    run_folder = opened(tmp_path, plan_of(study_of(ORDERS, ["finetune", "individual"])))
    first, *keys = finish(run_folder, run_folder.plan.units)
    run_folder.flush(keys, {first: "boom"})
    told = {(row["method"], row["knows_task"]) for row in rows(tmp_path)}
    assert told == {("finetune", False), ("individual", True)}
    assert load(str(tmp_path)).knows_task == {"finetune": False, "individual": True}


def test_flushing_twice_counts_once(tmp_path: Path, plan: Plan) -> None:
    run_folder = opened(tmp_path, plan)
    keys = finish(run_folder, plan.units)
    run_folder.flush(keys[:3], {})
    run_folder.flush(keys, {})
    run_folder.flush(keys, {})
    found = placed(rows(tmp_path))
    assert len(found) == len(set(found))
    assert set(found) == stages(plan)


def test_a_resumed_run_writes_everything_anew(tmp_path: Path, plan: Plan) -> None:
    first = opened(tmp_path, plan)
    keys = finish(first, plan.units)
    first.flush(keys[:5], {keys[6]: "boom"})
    before = set((tmp_path / "results").iterdir())
    second = opened(tmp_path, plan)
    assert set((tmp_path / "results").iterdir()) == before
    second.flush(keys, {})
    assert set(placed(rows(tmp_path))) == stages(plan)
    assert len(rows(tmp_path)) == len(stages(plan))
    assert not any(row["status"] == "failed" for row in rows(tmp_path))


def test_files_follow_the_schemas_of_the_reader(tmp_path: Path, plan: Plan) -> None:
    run_folder = opened(tmp_path, plan)
    first, *keys = finish(run_folder, plan.units)
    run_folder.flush([first], {keys[0]: "boom"})
    schemas = {"results": RESULTS_SCHEMA, "costs": COSTS_SCHEMA, "embeddings": EMBEDDINGS_SCHEMA}
    for kind, schema in schemas.items():
        for file in (tmp_path / kind).iterdir():
            assert pq.read_schema(file).equals(schema)
    assert pq.read_schema(tmp_path / "orders.parquet").equals(ORDERS_SCHEMA)
    orders = pq.read_table(tmp_path / "orders.parquet").to_pylist()
    assert [(row["replicate"], tuple(row["order"])) for row in orders] == [
        (replicate, order) for replicate in range(2) for order in ORDERS
    ]


def test_failures_say_which_stages_and_why(tmp_path: Path, plan: Plan) -> None:
    run_folder = opened(tmp_path, plan)
    run = plan.runs[-1]
    run_folder.flush([], {run.stages[1]: "boom", run.stages[2]: "follows"})
    failed = [row for row in rows(tmp_path) if row["status"] == "failed"]
    assert {(tuple(row["prefix"]), row["error"]) for row in failed} >= {
        (run.prefixes[1], "boom"),
        (run.prefixes[2], "follows"),
    }
    run_folder.flush([], {})
    assert not any(row["status"] == "failed" for row in rows(tmp_path))


def test_manifest_counts_all_work_and_all_failures(tmp_path: Path) -> None:
    plan = plan_of(study_of(ORDERS, "individual", replicates=2))
    run_folder = opened(tmp_path, plan)
    keys = finish(run_folder, plan.units)
    last = {run.stages[-1]: "boom" for run in plan.runs}
    run_folder.flush([key for key in keys if key not in last], last)
    run_folder.write_manifest(1)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["lane_seconds"]["train"] == len(keys) - len(last)
    assert len(manifest["failed"]) == len(last) == 2


class TestFolder:
    def test_new_folder(self, tmp_path: Path, plan: Plan) -> None:
        RunFolder(str(tmp_path / "new"), plan).check()
        assert not (tmp_path / "new").exists()

    def test_file(self, tmp_path: Path, plan: Plan) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="is a file; give another folder"):
            RunFolder(str(tmp_path / "file"), plan).check()

    def test_folder_with_something_else(self, tmp_path: Path, plan: Plan) -> None:
        (tmp_path / "thesis.tex").write_text("")
        with pytest.raises(InputError, match="holds other files and no study"):
            RunFolder(str(tmp_path), plan).check()

    def test_same_study_goes_on(self, tmp_path: Path, plan: Plan) -> None:
        opened(tmp_path, plan)
        RunFolder(str(tmp_path), plan).check()

    def test_another_study(self, tmp_path: Path, plan: Plan) -> None:
        folder = opened(tmp_path, plan)
        finish(folder, plan.units)
        other = plan_of(study_of(ORDERS, ["finetune", "joint"], replicates=2, seed=1))
        with pytest.raises(InputError, match=r"holds another study \(its seed differs\)"):
            RunFolder(str(tmp_path), other).check()

    def test_tune_starts_afresh(self, tmp_path: Path, plan: Plan) -> None:
        opened(tmp_path, plan)
        (tmp_path / "tune").mkdir()
        opened(tmp_path, plan)
        assert not (tmp_path / "tune").exists()

    def test_nothing_is_lost_with_what_was_never_finished(self, tmp_path: Path, plan: Plan) -> None:
        opened(tmp_path, plan)
        other = plan_of(study_of(ORDERS, ["finetune", "joint"], replicates=2, seed=1))
        RunFolder(str(tmp_path), other).check()

    def test_stages_of_another_version(self, tmp_path: Path, plan: Plan) -> None:
        """Its plan cannot be read, or its keys are others."""
        folder = opened(tmp_path, plan)
        (tmp_path / "stages" / "old").mkdir(parents=True)
        (tmp_path / "stages" / "old" / "stage.json").write_text('{"key": "old", "scores": []}')
        (tmp_path / "plan.json").write_text('{"graph": {"units": [{"another": 1}]}}')
        (tmp_path / "inputs.json").write_text('{"version": 1, "packages": {}}')
        expected = (
            r"changed: the version of this package, .* Of 1 finished stages 1 would be computed "
            r"again .* Go on with --accept-changes, or"
        )
        with pytest.raises(InputError, match=expected):
            folder.check()
        folder.check(accepts_changes=True)

    def test_a_folder_with_only_stages_is_gone_on_in(self, tmp_path: Path, plan: Plan) -> None:
        folder = opened(tmp_path, plan)
        finish(folder, plan.units)
        for file in tmp_path.iterdir():
            if file.is_file():
                file.unlink()
        folder.check()

    def test_study_is_written_with_all_defaults(self, tmp_path: Path, plan: Plan) -> None:
        opened(tmp_path, plan)
        written = yaml.safe_load((tmp_path / "study.yaml").read_text())
        assert written["training"]["weight_decay"] == 0.0
        assert Study.from_dict(written) == plan.study


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, ""),
        ({"lanes": {"count": 7}}, ""),
        ({"keep_states": "all"}, ""),
        ({"replicates": 3}, ""),
        ({"replicates": 1}, "replicates"),
        ({"methods": ["joint", "finetune", "lora"]}, ""),
        ({"methods": ["finetune"]}, "methods.joint"),
        ({"methods": {"finetune": {"lr": 0.5}, "joint": {}}}, "methods.finetune"),
        ({"name": "other"}, ""),
        ({"seed": 1}, "seed"),
        ({"benchmark": {"name": TOY, "num_tasks": 2, "questions": True}}, ""),
        ({"backbones": {"clip": {"path": "other/clip"}}}, ""),
        ({"design": "exhaustive"}, ""),
        ({"training": {"steps": 3}}, "training"),
        ({"evaluation": {"batch_size": 3}}, ""),
    ],
    ids=str,
)
def test_conflict_is_named(changes: dict[str, Any], difference: str) -> None:
    held = study_of(ORDERS, ["finetune", "joint"], replicates=2)
    settings = {"methods": ["finetune", "joint"], "replicates": 2} | changes
    assert conflict(held, study_of(ORDERS, **settings)) == difference


def test_the_score_may_be_chosen_again_without_training(tmp_path: Path) -> None:
    def chosen(score: str) -> Plan:
        study = study_of([("a", "b")], "zero_shot", evaluation={"score": {"b": score}})
        return plan_of(study)

    plan = chosen("accuracy")
    run_folder = opened(tmp_path, plan)
    (key,) = plan.units
    values = {"accuracy": 0.5, "class_accuracy": 0.25}
    scores = tuple(
        {"split": "task", "eval_task": task, "metric": metric, "value": value, "n": 30}
        for task in "ab"
        for metric, value in values.items()
    )
    record = Record(key=key, evaluation=plan.units[key].evaluation, scores=scores)
    run_folder.store.save(record, None, pa.Table.from_pylist([], EMBEDDINGS))
    run_folder.flush([key], {})
    run = ("clip", "zero_shot", 0, ("a", "b"))
    assert load(tmp_path).matrix(*run).iloc[-1].tolist() == [0.5, 0.5]
    again = opened(tmp_path, chosen("class_accuracy"))
    assert again.store.finished(again.plan.units)[key].has_scores
    again.flush([key], {})
    assert load(tmp_path).matrix("clip", "zero_shot", 0, ("a", "b")).iloc[-1].tolist() == [
        0.5,
        0.25,
    ]
