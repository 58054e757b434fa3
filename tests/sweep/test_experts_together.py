"""Combinations that are short are handed out and stored together; none is lost or counted twice."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.engine import coordinator as engine
from sweep.engine import lane_worker
from sweep.engine.contract import MOST_TRIALS, LaneLimits, group_size
from sweep.engine.coordinator import Coordinator
from sweep.engine.driver import _choices
from sweep.plan.plan import Plan
from sweep.plan.ready_units import ReadyUnits
from sweep.plan.scheduler import MAX_LOSSES, Assignment, Scheduler
from sweep.stage.evaluator import EMBEDDINGS
from sweep.stage.worker import Result
from sweep.storage.batches import BATCHES
from sweep.storage.folder import Folder
from sweep.storage.planned import PLAN
from sweep.storage.store import Kept, Record, Store
from tests.sweep.plans import MERGED, kept, plan_of, study_of, tries

ABCD = [("a", "b", "c", "d"), ("b", "a", "d", "c"), ("d", "c", "b", "a")]
LEASE = 10.0


def merged_plan() -> Plan:
    return plan_of(study_of(ABCD, {"merged": {"method": MERGED}, "finetune": {}}))


def keys_of(claimed: list[Assignment]) -> list[str]:
    return [assignment.unit.key for assignment in claimed]


def trained(plan: Plan) -> Scheduler:
    """All is done but what is combined."""
    done = {key: True for key, unit in plan.units.items() if unit.kind != "combine"}
    return Scheduler(plan, kept(done), LEASE)


def combined(plan: Plan) -> list[str]:
    return [key for key, unit in plan.units.items() if unit.kind == "combine"]


def test_combinations_come_together_in_the_order_of_the_plan_and_trainings_alone() -> None:
    plan = merged_plan()
    scheduler, wanted = trained(plan), combined(plan)
    assert keys_of(scheduler.claim_several("one", (), None, 0.0, 5)) == wanted[:5]
    assert keys_of(scheduler.claim_several("two", (), None, 0.0, 99)) == wanted[5:]
    assert scheduler.in_hand == {"one": wanted[0], "two": wanted[5]}
    fresh = Scheduler(plan, {}, LEASE)
    while claimed := fresh.claim_several("one", (), ("clip", "finetune"), 0.0, 9):
        assert len(claimed) == 1 or {one.unit.kind for one in claimed} == {"combine"}
        for key in keys_of(claimed):
            fresh.finish(key)
    assert fresh.is_settled
    assert len(fresh.done) == len(plan.units)


def test_what_a_lane_gives_back_is_not_lost() -> None:
    plan = merged_plan()
    scheduler, wanted = trained(plan), combined(plan)
    for _ in range(2 * MAX_LOSSES):
        claimed = keys_of(scheduler.claim_several("one", (), None, 0.0, 99))
        assert claimed == wanted
        scheduler.release("two", claimed)  # another lane's
        assert set(scheduler.claimed) == set(wanted)
        scheduler.release("one", claimed)
    assert not scheduler.failed


def test_a_combination_that_a_lane_was_lost_with_comes_alone() -> None:
    plan = merged_plan()
    scheduler, wanted = trained(plan), combined(plan)
    scheduler.claim_several("one", (), None, 0.0, 3)
    scheduler.expire(2 * LEASE)
    assert keys_of(scheduler.claim_several("two", (), None, 20.0, 99)) == wanted[:1]
    scheduler.finish(wanted[0])
    assert keys_of(scheduler.claim_several("two", (), None, 20.0, 99)) == wanted[1:2]
    assert keys_of(scheduler.claim_several("three", (), None, 20.0, 99)) == wanted[2:3]
    assert keys_of(scheduler.claim_several("four", (), None, 20.0, 99)) == wanted[3:]


@given(orders=tries(4), data=st.data())
def test_the_next_unit_is_the_best_of_all(orders: list[Any], data: st.DataObject) -> None:
    methods = {"finetune": {}, "individual": {}, "merged": {"method": MERGED}}
    plan = plan_of(study_of(orders, methods, replicates=2))
    units, keys = plan.units, list(plan.units)
    chosen = data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
    gone = data.draw(st.lists(st.sampled_from(chosen), unique=True))
    held = data.draw(st.lists(st.sampled_from(keys), unique=True))
    loaded = data.draw(st.sampled_from([None, *(("clip", method) for method in methods)]))
    ready = ReadyUnits(units)
    half = len(chosen) // 2
    ready.update(chosen[:half])
    for key in chosen[half:]:
        ready.add(key)
        ready.add(key)
    for key in gone:
        ready.discard(key)
        ready.discard(key)
    left = [key for key in chosen if key not in gone]
    assert sorted(ready) == sorted(left)
    assert bool(ready) == bool(left)

    def cost(key: str) -> tuple[int, bool, bool, int]:
        unit = units[key]
        inherits = bool(unit.parents) and all(parent in held for parent in unit.parents)
        is_loaded = (unit.backbone, unit.method) == loaded
        return unit.replicate, not is_loaded, not inherits, keys.index(key)

    if left:
        assert ready.next(held, loaded) == min(left, key=cost)


def vectors(value: float) -> pa.Table:
    row = {"eval_task": "a", "modality": "image", "sample": None, "choice": None}
    return pa.Table.from_pylist([row | {"vector": [value, 1.0]}] * 2, EMBEDDINGS)


def record(key: str, value: float = 0.5, evaluation: str = "wanted") -> Record:
    score = {"split": "task", "eval_task": "a", "metric": "accuracy", "value": value, "n": 3}
    return Record(key=key, evaluation=evaluation, scores=(score,), seconds={"combine": 0.1})


@pytest.fixture(params=["path", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store({"path": str(tmp_path / "out"), "memory": "mock:///out"}[request.param])


def test_what_is_stored_together_comes_back_one_by_one(store: Store) -> None:
    store.save(record("alone", 0.1), None, vectors(0.1))
    store.save_together([(record("x", 0.2), vectors(0.2)), (record("y", 0.3), vectors(0.3))])
    store.save_together([(record("z", 0.4, ""), None), (record("x", 0.9), vectors(0.9))])
    for reader in (store, Store(store.folder.uri) if "mock" not in store.folder.uri else store):
        done = Kept(has_state=False, has_scores=True)
        assert reader.finished() == dict.fromkeys(("alone", "x", "y", "z"), done)
        assert reader.record("y", "wanted") == record("y", 0.3)
        assert reader.record("z") == record("z", 0.4, "")
        assert reader.training("y") == record("y", 0.3)
        found = reader.embeddings("y", "wanted")
        assert found is not None
        assert found.equals(vectors(0.3))
        assert reader.embeddings("z") is None
        # Of a stage that two lanes have computed, one record counts, with its own embeddings.
        twice, seen = reader.record("x", "wanted"), reader.embeddings("x", "wanted")
        assert seen is not None
        assert seen.to_pylist()[0]["vector"][0] == pytest.approx(twice.scores[0]["value"])
    with pytest.raises(FileNotFoundError):
        store.record("nowhere")


def test_what_another_process_has_stored_together_is_found(tmp_path: Path) -> None:
    """Also of a stage that has a record of another evaluation, alone or in a batch."""
    covered = {"former": {"data a": "1"}, "wanted": {"data a": "1", "data b": "2"}}
    reader, writer = Store(str(tmp_path), covered), Store(str(tmp_path), covered)
    writer.save(record("x", 0.1, "former"), None, vectors(0.1))
    writer.save_together([(record("y", 0.2, "former"), vectors(0.2))])
    assert set(reader.finished()) == {"x", "y"}
    writer.save_together([(record("x", 0.3), vectors(0.3)), (record("y", 0.4), vectors(0.4))])
    assert reader.record("x", "wanted") == record("x", 0.3)
    assert reader.record("y", "wanted") == record("y", 0.4)


def test_a_batch_without_its_records_is_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.save_together([(record("x"), vectors(0.2)), (record("y"), vectors(0.3))])
    (records,) = [
        file for file in tmp_path.joinpath(*BATCHES).iterdir() if "embeddings" not in file.name
    ]
    records.unlink()
    assert Store(str(tmp_path)).finished() == {}


def test_more_batches_than_stay_in_memory(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for number in range(9):
        some = [(record(f"{number}{i}", number / 10), vectors(number)) for i in range(2)]
        store.save_together(some)
    store.finished()
    for number in (*range(9), 0, 8):
        assert store.record(f"{number}1", "wanted") == record(f"{number}1", number / 10)


LIMITS = LaneLimits(
    count=1, workers=1, needs={"CPU": 1.0}, start_seconds=3600.0, stage_seconds=None
)


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    monkeypatch.setattr(engine, "WAIT", 0.05)
    plan = merged_plan()
    folder = Folder(str(tmp_path))
    folder.write(json.dumps({"graph": plan.as_dict()}).encode(), PLAN)
    return Coordinator(str(tmp_path), LIMITS)


class Computes:
    """Stands in for a worker: what it computes is the number of units before."""

    accelerator = SimpleNamespace(
        is_main_process=True, num_processes=2, device=SimpleNamespace(type="cpu")
    )
    loaded: Any = None
    checkpoints = None

    def __init__(self, ends_at: int | None = None, with_error: BaseException | None = None) -> None:
        self.keys: list[str] = []
        self._ends_at, self._error = ends_at, with_error

    def prepare(self, unit: Any) -> None:
        """There is nothing to load."""

    def compute(self, unit: Any, state_of: Any, is_trained: bool) -> Result:
        if len(self.keys) == self._ends_at and self._error:
            raise self._error
        self.keys.append(unit.key)
        state = {} if unit.kind == "train" else None
        made = record(unit.key, len(self.keys) / 100, unit.evaluation)
        return Result(made, state, vectors(0.0) if unit.evaluation else None)


@pytest.fixture
def _told(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes tell the coordinator without Ray."""

    def tell(self: Any, what: str, *arguments: Any) -> None:
        asyncio.run(getattr(coordinator, what)(*arguments))

    monkeypatch.setattr(lane_worker._Lane, "_tell", tell)
    return


def work(coordinator: Coordinator, worker: Computes, name: str = "lane") -> None:
    """A lane that works until there is nothing left."""
    lane = lane_worker._Lane(name, None, coordinator.store, worker, [None])  # type: ignore[arg-type]
    while isinstance(given := asyncio.run(coordinator.next(name, [], None, 4)), list):
        lane.compute(given)


@pytest.mark.usefixtures("_told")
def test_a_lane_computes_and_stores_every_unit_once(coordinator: Coordinator) -> None:
    worker = Computes()
    work(coordinator, worker)
    units = coordinator.graph.units
    assert sorted(worker.keys) == sorted(units)
    assert set(Store(coordinator.store.folder.uri).finished()) == set(units)
    together = coordinator.store.folder.list(*BATCHES)
    assert len([file for file in together if "embeddings" not in file.base_name]) > 1
    assert coordinator.scheduler.is_settled


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit()], ids=["error", "killed"])
def test_what_a_lane_had_finished_is_not_computed_again(
    coordinator: Coordinator, error: BaseException
) -> None:
    """After an error nothing of what was done is lost; after a kill, no more than one batch."""
    units = coordinator.graph.units
    before = Computes(ends_at=len(units) - 2, with_error=error)
    with pytest.raises(type(error)):
        work(coordinator, before)
    stored = set(Store(coordinator.store.folder.uri).finished())
    lost = set(before.keys) - stored
    assert stored <= set(before.keys)
    assert not lost if isinstance(error, RuntimeError) else len(lost) <= 3
    again = Coordinator(coordinator.store.folder.uri, LIMITS)  # both have died
    coordinator.__dict__.update(again.__dict__)
    after = Computes()
    work(coordinator, after)
    assert sorted(after.keys) == sorted(set(units) - stored)
    assert set(Store(coordinator.store.folder.uri).finished()) == set(units)


@pytest.mark.usefixtures("_told")
def test_a_lane_stores_what_it_has_when_its_time_is_up(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_worker, "TOGETHER_SECONDS", -1.0)
    worker = Computes()
    work(coordinator, worker)
    assert sorted(worker.keys) == sorted(coordinator.graph.units)
    assert not coordinator.store.folder.list(*BATCHES)  # each was alone


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize(("seconds", "most"), [(60.0, 1), (2.0, 2), (0.5, 10), (0.001, 256)])
def test_a_lane_asks_for_no_more_than_it_has_time_for(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, seconds: float, most: int
) -> None:
    """Long units that one lane was given are not there for the others."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(lane_worker, "time", SimpleNamespace(monotonic=lambda: clock.now))

    class Takes(Computes):
        def compute(self, unit: Any, state_of: Any, is_trained: bool) -> Result:
            clock.now += seconds
            return super().compute(unit, state_of, is_trained)

    lane = lane_worker._Lane("lane", None, coordinator.store, Takes(), [None])  # type: ignore[arg-type]
    assert lane.most == 1  # how long they are is not known yet
    given = asyncio.run(coordinator.next("lane", [], None, lane.most))
    assert isinstance(given, list)
    lane.compute(given)
    assert lane.most == most


@pytest.mark.usefixtures("_told")
def test_a_group_of_runs_waits_for_all_of_them(coordinator: Coordinator) -> None:
    runs = len(coordinator.graph.runs)
    assert asyncio.run(coordinator.outcomes(0, runs)) is None
    work(coordinator, Computes())
    assert asyncio.run(coordinator.outcomes(0, runs)) == {"ok": runs, "failed": 0, "skipped": 0}
    assert asyncio.run(coordinator.outcomes(1, 3)) == {"ok": 2, "failed": 0, "skipped": 0}
    last = coordinator.graph.runs[2].stages[-1]
    coordinator.scheduler.done.pop(last)
    coordinator.scheduler.failed[last] = "boom"
    assert asyncio.run(coordinator.outcomes(0, 3)) == {"ok": 2, "failed": 1, "skipped": 0}


def test_trials_are_as_many_as_tune_can_follow() -> None:
    plan = merged_plan()
    assert len(_choices(plan.runs, ())["index"]["grid_search"]) == len(plan.runs)
    many = plan.runs * 500
    grid = _choices(many, ())["index"]["grid_search"]
    size = group_size(len(many))
    assert size > 1
    assert len(grid) <= MOST_TRIALS
    assert (len(grid) - 1) * size < len(many) <= len(grid) * size


def test_trials_without_work_come_last() -> None:
    """While one actor rushes through them Tune would start no other, and with it no other lane."""
    runs = merged_plan().runs
    done = {key for run in runs[:3] for key in run.stages}
    left = [i for i, run in enumerate(runs) if not done.issuperset(run.stages)]
    grid = _choices(runs, done)["index"]["grid_search"]
    assert grid[: len(left)] == left
    assert sorted(grid) == list(range(len(runs)))
    assert grid != sorted(grid)
