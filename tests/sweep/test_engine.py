"""The engine with Ray: Tune, Train and the coordinator together, on a toy that takes seconds."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.dataset as ds
import pytest
import ray
import torch
from safetensors.torch import load_file

import sweep
from analysis import load
from methods.testing.toy import TOY, toy_study
from sweep.engine import cluster
from sweep.engine import driver as engine
from sweep.engine.driver import Finished
from sweep.engine.outcomes import Progress
from sweep.errors import InputError
from sweep.storage.store import Store
from sweep.study.evaluation import Evaluation
from sweep.study.schema import Study

pytestmark = pytest.mark.ray
METHODS = ("finetune", "er", "individual", "joint", "zero_shot")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    lanes = {"count": 2, "cpus_per_worker": 1}
    folder = tmp_path_factory.mktemp("models")
    return toy_study(folder, METHODS, lanes=lanes, keep_states="all")


@pytest.fixture(scope="module")
def finished(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """In a Ray that `run` starts and ends."""
    ray.shutdown()
    return sweep.run(study, str(tmp_path_factory.mktemp("out") / "toy"))


def test_tune_sees_every_order_with_every_stage(study: Study, finished: Finished) -> None:
    plan = sweep.make_plan(study)
    assert finished.is_settled
    assert not finished.failed
    assert finished.grid.num_errors == 0
    orders = sorted((r.config["run"]["method"], r.config["run"]["order"]) for r in finished.grid)
    assert orders == sorted((run.method, " > ".join(run.order)) for run in plan.runs)
    for result in finished.grid:
        assert result.metrics["training_iteration"] == result.metrics["stage"] == 3
        assert 0 <= result.metrics["average_accuracy"] <= 1


def test_distinct_stages_are_stored_once_and_nothing_else(study: Study, finished: Finished) -> None:
    assert set(Store(finished.out).finished()) == set(sweep.make_plan(study).units)


def test_no_file_of_a_run_is_a_pickle(finished: Finished) -> None:
    files = [file for file in Path(finished.out).rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if file.suffix == ".pkl"]
    # What Tune calls JSON may be a pickle, or hold one.
    texts = {file: file.read_bytes() for file in files if file.suffix == ".json"}
    assert not [
        file for file, text in texts.items() if b"CLOUDPICKLE" in text or text[:1] == b"\x80"
    ]


@pytest.mark.parametrize("method", METHODS)
def test_sweep_equals_the_same_order_alone(study: Study, finished: Finished, method: str) -> None:
    order = ("c", "a", "b")
    records, state = sweep.run_single(study, method, order)
    stored = {record.key: Store(finished.out).record(record.key) for record in records}
    for record in records:
        assert record.scores == stored[record.key].scores
    file = Path(finished.out) / "stages" / records[-1].key / "state.safetensors"
    assert file.exists() == (state is not None)
    if state is not None:
        kept = load_file(file)
        assert kept.keys() == state.keys()
        assert all(torch.equal(kept[name], state[name]) for name in state)


def test_one_more_measure_trains_nothing_where_states_are_kept(
    study: Study, finished: Finished, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished.out, out)
    states = {file: file.stat().st_mtime_ns for file in out.rglob("state.safetensors")}
    more = study.model_copy(update={"evaluation": Evaluation(diagnostics=("cka",))})
    again = sweep.run(more, str(out))
    assert again.is_settled
    assert not again.failed
    assert {file: file.stat().st_mtime_ns for file in out.rglob("state.safetensors")} == states
    before, now = load(finished.out).stages, load(str(out)).stages
    columns = [name for name in before.columns if name != "value"]
    both = before.merge(now, on=columns, how="left")
    assert (both["value_x"] == both["value_y"]).all()
    assert set(now["split"]) - set(before["split"]) == {"cka"}
    costs = load(str(out)).costs
    trained = (costs["method"] == "finetune") & (costs["prefix"].map(len) > 0)
    assert (costs[trained]["train_seconds"] > 0).all()


def test_results_hold_every_stage_of_every_run(study: Study, finished: Finished) -> None:
    plan = sweep.make_plan(study)
    stages = load(finished.out).stages
    tasks = stages[(stages["split"] == "task") & stages["is_score"]]
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


def wait_until(happened: Callable[[], bool]) -> None:
    """Ray tells others with a delay what is taken."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("no_ray")
def test_runs_in_a_ray_that_the_caller_has_started(tmp_path: Path) -> None:

    class Other:
        def ready(self) -> None:
            """Answers once it has its place."""

    study = toy_study(tmp_path, design={"name": "fixed", "orders": [["a", "b", "c"]]})
    ray.init(
        address="local",
        num_cpus=2,
        namespace="elsewhere",
        include_dashboard=False,
        log_to_driver=False,
    )
    try:
        with pytest.raises(InputError, match="cannot connect to 'ray://there'"):
            sweep.run(study, str(tmp_path / "there"), address="ray://there")
        other = ray.remote(Other).options(num_cpus=0, resources={cluster.HEAD: 0.988}).remote()
        ray.get(other.ready.remote())
        wait_until(lambda: ray.available_resources()[cluster.HEAD] < 0.5)
        with pytest.raises(InputError, match="has no room for another study: 99% of it"):
            sweep.run(study, str(tmp_path / "busy"))
        assert not (tmp_path / "busy").exists()
        ray.kill(other)
        wait_until(lambda: ray.available_resources()[cluster.HEAD] > 0.5)
        finished = sweep.run(study, str(tmp_path / "out"))
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    assert (finished.is_settled, finished.failed, finished.error) == (True, {}, "")
    assert set(Store(finished.out).finished()) == set(sweep.make_plan(study).units)


@pytest.mark.usefixtures("no_ray")
def test_lanes_that_no_machine_can_hold_are_refused(tmp_path: Path) -> None:
    study = toy_study(tmp_path, lanes={"count": 2, "gpus_per_worker": 1000})
    with pytest.raises(InputError, match="a lane needs 1 CPUs and 1000 GPUs, the cluster has"):
        sweep.run(study, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("shared_ray")
def test_running_again_trains_nothing(study: Study, finished: Finished) -> None:
    records = list(Path(finished.out).glob("stages/*/stage.*json"))
    before = {file: file.stat().st_mtime_ns for file in records}
    again = sweep.run(study, finished.out)
    assert {file: file.stat().st_mtime_ns for file in records} == before
    assert len(again.grid) == len(finished.grid)
    assert all(result.metrics["stage"] == 3 for result in again.grid)
    stages = load(finished.out).stages
    assert not stages.duplicated(["method", "replicate", "prefix", "eval_task", "metric"]).any()


@pytest.mark.usefixtures("no_ray")
def test_a_failing_stage_takes_only_its_subtree_with_it(tmp_path: Path) -> None:
    study = toy_study(
        tmp_path,
        {"faulty": {"method": "tests.faulty:FailsOnB"}, "finetune": {}},
        lanes={"count": 1, "retries": 1},
    )
    finished = sweep.run(study, str(tmp_path / "out"))
    units = sweep.make_plan(study).units
    failed = {units[key].prefix for key in finished.failed}
    assert failed == {("a", "b"), ("a", "b", "c")}
    assert all("b does not go after a" in error for error in finished.failed.values())
    assert finished.is_settled
    assert set(Store(finished.out).finished()) == set(units) - set(finished.failed)
    rows = load(finished.out).stages
    assert {tuple(row.prefix) for row in rows[rows["status"] == "failed"].itertuples()} == failed


@pytest.mark.usefixtures("shared_ray")
def test_two_workers_of_a_lane_give_the_results_of_one(tmp_path: Path) -> None:
    changes = {"design": {"name": "fixed", "orders": [["a", "b", "c"]]}}
    single = toy_study(tmp_path, ("finetune", "er"), **changes)
    pair = toy_study(tmp_path, ("finetune", "er"), lanes={"count": 1, "workers": 2}, **changes)
    finished = sweep.run(pair, str(tmp_path / "out"))
    for method in ("finetune", "er"):
        records, _ = sweep.run_single(single, method, ("a", "b", "c"))
        for record in records:
            stored = Store(finished.out).record(record.key)
            assert stored.worker["workers"] == 2
            for mine, theirs in zip(record.scores, stored.scores, strict=True):
                assert mine["value"] == pytest.approx(theirs["value"], abs=1e-4)


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "1")
    before = dict(os.environ)
    with cluster._set(cluster.ENVIRONMENT):
        assert os.environ["RAY_AIR_NEW_OUTPUT"] == "0"
    assert dict(os.environ) == before


class _Flaky:
    """An output, a coordinator and a listener that fail the first time."""

    def __init__(self) -> None:
        self.looked = self.flushed = 0
        self.progress = self.tend = SimpleNamespace(remote=lambda: None)
        self.plan = SimpleNamespace(units=())

    def look(self, done: object, failed: object) -> None:
        self.looked += 1
        if self.looked == 2:
            raise OSError("the disk is away")

    def is_there(self) -> bool:
        return True

    def flush_is_due(self) -> bool:
        return True

    def flush(self, done: object, failed: object) -> None:
        self.flushed += 1

    def note(self, **facts: object) -> None:
        """Takes note of nothing."""


def test_a_passing_fault_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(1, [], 0, [], {}, is_settled=False)
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(engine.ray, "get", lambda _: progress)
    fake: Any = _Flaky()
    with engine._Watch(fake, fake, fake, None, 1, 0, ()):
        deadline = time.monotonic() + 10
        while fake.flushed < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert fake.looked > 3
    assert fake.flushed > 3


@pytest.mark.parametrize(
    ("tasks", "orders", "sets", "prefixes"),
    [
        pytest.param(4, 24, 15, 64, marks=pytest.mark.slow),
        pytest.param(5, 120, 31, 325, marks=pytest.mark.long),
    ],
)
@pytest.mark.usefixtures("shared_ray")
def test_one_training_per_task_and_kind_of_expert_serves_all_orders(
    tmp_path: Path, tasks: int, orders: int, sets: int, prefixes: int
) -> None:
    """Experts of ties, task arithmetic and ConDU are the same, those of RAIL are others."""
    study = toy_study(
        tmp_path,
        {"ties": {}, "task_arithmetic": {}, "condu": {}, "rail": {"width": 64}},
        benchmark={"name": TOY, "num_tasks": tasks},
        lanes={"count": 2, "cpus_per_worker": 1},
    )
    finished = sweep.run(study, str(tmp_path / "out"))
    assert (finished.is_settled, finished.failed, len(finished.grid)) == (True, {}, 4 * orders)
    store = Store(finished.out)
    records = [store.record(key) for key in store.finished()]
    spent = [set(record.seconds) - {"load"} for record in records]
    assert spent.count({"train", "evaluate"}) == 2 * tasks
    # All sets for each of three methods, all prefixes for ConDU; stage 0 is evaluated once.
    assert spent.count({"combine", "evaluate"}) == 3 * sets + prefixes
    assert len(records) == 2 * tasks + 3 * sets + prefixes + 1
    assert len(load(finished.out).costs) == 4 * (
        1 + prefixes
    )  # shown for every prefix all the same
