"""`sweep status`: what the folder of a run tells, while it goes on, afterwards, and damaged."""

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from analysis.data.results import EMBEDDINGS_SCHEMA
from sweep.cli.main import main
from sweep.errors import InputError
from sweep.plan.plan import Plan
from sweep.preview.status import RunStatus, run_status
from sweep.storage.failures import keep
from sweep.storage.folder import Folder
from sweep.storage.lock import MARKS, RunLock
from sweep.storage.run_folder import RunFolder
from sweep.storage.store import Record, Store
from tests.sweep.plans import plan_of, study_of

ORDERS = [("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")]
"""With `finetune` ten stages: the untouched backbone, and three paths of three."""
SECONDS = {"train": 300.0, "evaluate": 60.0}


@pytest.fixture
def plan() -> Plan:
    return plan_of(study_of(ORDERS))


@pytest.fixture
def out(plan: Plan, tmp_path: Path) -> Path:
    RunFolder(str(tmp_path / "out"), plan).prepare()
    return tmp_path / "out"


def finish(
    plan: Plan, out: Path, keys: Sequence[str], ago: Sequence[float] = (), **facts: Any
) -> None:
    """Stores stages that were finished so many seconds ago."""
    store = Store(str(out), plan.evaluations)
    for i, key in enumerate(keys):
        unit = plan.units[key]
        spent = SECONDS if unit.method else {"evaluate": 60.0}
        record = Record(key=key, evaluation=unit.evaluation, **{"seconds": spent} | facts)
        store.save(record, {} if unit.method else None)
        if ago:
            file = out / "stages" / key / f"stage.{unit.evaluation}.json"
            os.utime(file, (time.time() - ago[i],) * 2)


def at_work(out: Path, **facts: Any) -> None:
    """Writes the mark of a driver that lives: the parent of this process."""
    driver = {"host": platform.node(), "pid": os.getppid(), "seen": time.time()}
    mark = out / MARKS / "one.json"
    mark.parent.mkdir(exist_ok=True)
    mark.write_text(json.dumps(facts | driver))


def trained(plan: Plan) -> list[str]:
    """Keys of all stages after the first, path by path."""
    return [key for run in plan.runs for key in run.stages[1:]]


def test_a_run_that_has_not_begun_says_one_sentence(out: Path) -> None:
    found = run_status(str(out))
    assert found.lines() == [found.sentence]
    assert (found.done, found.total, found.lane_hours) == (0, 10, 0.0)
    assert (found.stages_per_hour, found.seconds_left, found.lanes) == (None, None, None)


def test_lane_hours_are_those_of_all_stages(plan: Plan, out: Path) -> None:
    finish(plan, out, list(plan.units))
    found = run_status(str(out), price=2.0)
    assert found.lane_hours == pytest.approx((9 * 360 + 60) / 3600)
    assert found.gpu_hours == 0
    assert found.cost == pytest.approx(2 * found.lane_hours)
    assert "0.917 lane-hours (1.83) at 2 each" in found.lines()[-1]


def test_gpu_hours_count_the_gpus_of_a_lane(tmp_path: Path) -> None:
    plan = plan_of(study_of(ORDERS, lanes={"workers": 2, "gpus_per_worker": 3}))
    out = tmp_path / "out"
    RunFolder(str(out), plan).prepare()
    finish(plan, out, trained(plan), worker={"device": "cuda:0", "workers": 2})
    found = run_status(str(out), price=2.5)
    assert found.lane_hours == pytest.approx(0.9)
    assert found.gpu_hours == pytest.approx(0.9 * 6)
    assert found.cost == pytest.approx(0.9 * 6 * 2.5)
    assert "5.4 GPU-hours (13.50) at 2.5 each" in found.lines()[-1]
    (out / "study.yaml").unlink()
    assert run_status(str(out)).gpu_hours == pytest.approx(0.9 * 2)


def test_stages_that_were_evaluated_again_count_once_as_trained(plan: Plan, out: Path) -> None:
    finish(plan, out, trained(plan)[:1])
    store = Store(str(out), {**plan.evaluations, "more": {"data a": "x"}})
    key = trained(plan)[0]
    store.save(
        Record(key=key, evaluation="more", seconds={"evaluate": 40.0}),
        None,
        None,
        store.record(key),
    )
    assert run_status(str(out)).lane_hours == pytest.approx((300 + 60 + 40) / 3600)


def test_pace_is_that_of_the_last_hour(plan: Plan, out: Path) -> None:
    """Two stages a day ago say nothing of the pace; four have been finished in this hour."""
    ago = [90_000, 86_400, 3000, 2000, 1000, 100]
    finish(plan, out, trained(plan)[:6], ago)
    at_work(out, lanes=2, at_work=2)
    found = run_status(str(out))
    assert found.stages_per_hour == pytest.approx(4, rel=0.01)
    assert found.recent_seconds == 3600


def test_pace_of_a_run_that_hangs_falls(plan: Plan, out: Path) -> None:
    finish(plan, out, trained(plan)[:2], [9000, 8000])
    found = run_status(str(out))
    assert found.stages_per_hour == pytest.approx(
        3.6, rel=0.01
    )  # of the hour in which somebody worked on it
    assert "over the last 17 min of work" in found.lines()[1]
    at_work(out, lanes=1, at_work=1)
    assert run_status(str(out)).stages_per_hour == 0


@pytest.mark.parametrize(
    ("lanes", "working", "seconds"),
    [(1, 1, 6 * 360), (3, 3, 2 * 360), (8, 3, 2 * 360), (8, 1, 6 * 360), (2, 0, 4 * 360)],
    ids=["one", "three", "idle for want of work", "seven not there yet", "starting"],
)
def test_time_left_is_that_of_the_lanes_that_are_there(
    plan: Plan, out: Path, lanes: int, working: int, seconds: float
) -> None:
    """Three paths have two stages left each, of six minutes."""
    first = [run.stages[1] for run in plan.runs]
    finish(plan, out, [plan.runs[0].stages[0], *first])
    at_work(out, lanes=lanes, at_work=working)
    found = run_status(str(out))
    assert found.seconds_left == pytest.approx(seconds)
    assert (found.lanes, found.at_work) == (lanes, working)
    assert f"{working} of {lanes} lane" in found.lines()[1]


def test_what_was_given_up_is_not_waited_for(plan: Plan, out: Path) -> None:
    keys = [plan.runs[0].stages[0], *(run.stages[1] for run in plan.runs)]
    finish(plan, out, keys)
    RunFolder(str(out), plan)._write_failures({plan.runs[0].stages[2]: "ValueError: no"})
    at_work(out, lanes=1, at_work=1)
    assert run_status(str(out)).seconds_left == pytest.approx(4 * 360)
    (out / MARKS / "one.json").unlink()
    assert run_status(str(out)).seconds_left == pytest.approx(6 * 360)  # it is tried again


def test_methods_have_times_of_their_own(tmp_path: Path) -> None:
    plan = plan_of(study_of([("a", "b")], ["finetune", "joint"]))
    out = tmp_path / "out"
    RunFolder(str(out), plan).prepare()
    of = {
        method: [u.key for u in plan.units.values() if u.method == method]
        for method in plan.study.methods
    }
    finish(plan, out, of["finetune"][:1], seconds={"train": 100.0})
    finish(plan, out, of["joint"][:1], seconds={"train": 700.0})
    start = [key for key, unit in plan.units.items() if not unit.method]
    finish(plan, out, start)
    assert run_status(str(out)).seconds_left == pytest.approx(100 + 700)


def test_failures_are_said_with_their_reasons(plan: Plan, out: Path) -> None:
    first, second = (run.stages[1] for run in plan.runs[:2])
    text = keep(Folder(str(out)), ValueError("no such label"), plan.units[first])
    RunFolder(str(out), plan)._write_failures(
        {first: text, second: text, plan.runs[2].stages[1]: "OSError: gone"}
    )
    found = run_status(str(out))
    assert [(f.stages, f.error) for f in found.failures] == [
        (2, "ValueError: no such label"),
        (1, "OSError: gone"),
    ]
    said = "\n".join(found.lines())
    assert f"2 stages failed: ValueError: no such label (traceback: {out}/errors/" in said
    finish(plan, out, [first, second])  # a run after it had no trouble with them
    assert [f.error for f in run_status(str(out)).failures] == ["OSError: gone"]


def test_what_only_the_driver_knows_is_in_its_mark(plan: Plan, out: Path) -> None:
    lock = RunLock(Folder(str(out)))
    lost = [f"'stage {i}' was lost, its machine vanished" for i in range(7)]
    with lock:
        lock.note(lanes=4, at_work=0, waiting="no lane has started for 6 min", losses=lost)
        found = run_status(str(out))  # this process is not "other" to itself
        assert (found.lanes, found.losses) == (4, tuple(lost))
        assert "'stage 6' was lost, its machine vanished." in found.lines()
        assert "2 more of these came before" in found.lines()[-1]
    assert run_status(str(out)).losses == ()


def test_after_its_end_the_manifest_tells(plan: Plan, out: Path) -> None:
    finish(plan, out, trained(plan)[:1])
    RunFolder(str(out), plan).write_manifest(6, ["one machine is left out"])
    found = run_status(str(out))
    assert (found.lanes, found.at_work) == (6, None)
    assert found.losses == ("one machine is left out",)
    assert "left on 6 lanes" in found.lines()[1]


@pytest.mark.parametrize("name", ["manifest.json", "results/failed.parquet", f"{MARKS}/one.json"])
@pytest.mark.parametrize("content", [b"", b"[1]", b"\x00\xff"])
def test_damaged_files_are_done_without(plan: Plan, out: Path, name: str, content: bytes) -> None:
    finish(plan, out, trained(plan)[:2])
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_bytes(content)
    assert run_status(str(out)).done == 2


def test_damaged_stages_count_for_nothing(plan: Plan, out: Path) -> None:
    finish(plan, out, trained(plan)[:2])
    record = next((out / "stages" / trained(plan)[0]).glob("stage.*.json"))
    record.write_bytes(record.read_bytes().replace(b"300", b"900"))
    found = run_status(str(out))
    assert (found.done, found.lane_hours) == (1, pytest.approx(360 / 3600))


def test_stages_that_were_stored_together_count(plan: Plan, out: Path) -> None:
    store = Store(str(out), plan.evaluations)
    rows = EMBEDDINGS_SCHEMA.empty_table()
    records = [
        Record(key=key, evaluation=plan.units[key].evaluation, seconds=SECONDS)
        for key in trained(plan)[:3]
    ]
    store.save_together([(record, rows if i else None) for i, record in enumerate(records)])
    found = run_status(str(out))
    assert found.lane_hours == pytest.approx(3 * 360 / 3600)
    assert found.done == 3


def test_records_of_older_versions_say_what_they_have(plan: Plan, out: Path) -> None:
    last = [run.stages[-1] for run in plan.runs]
    for key, content in zip(last, ["{}", '{"key": 3, "seconds": null}', "{}"], strict=True):
        (out / "stages" / key).mkdir(parents=True)
        (out / "stages" / key / f"stage.{plan.units[key].evaluation}.json").write_text(content)
    found = run_status(str(out))
    assert (found.done, found.lane_hours, found.seconds_left) == (3, 0.0, None)


def test_it_works_where_files_are_no_files_of_this_machine(
    plan: Plan, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(plan, out, trained(plan)[:4], [400, 300, 200, 100])
    at_work(out, lanes=2, at_work=1, losses=["a lane"])
    RunFolder(str(out), plan)._write_failures({trained(plan)[5]: "OSError: gone"})
    here = run_status(str(out))
    elsewhere = fs.SubTreeFileSystem(str(out.parent), fs.LocalFileSystem())
    place = (elsewhere, "out", "store://out")
    monkeypatch.setattr("sweep.storage.folder.locate", lambda uri: place)
    there = run_status("store://out")
    assert there.as_dict() | {"stages_per_hour": 0, "recent_seconds": 0} == here.as_dict() | {
        "stages_per_hour": 0,
        "recent_seconds": 0,
    }
    assert there.stages_per_hour == pytest.approx(here.stages_per_hour, rel=0.05)


def test_every_record_is_read_once(plan: Plan, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(plan, out, list(plan.units))
    read: list[str] = []
    usual = Folder.read
    monkeypatch.setattr(
        Folder, "read", lambda self, *parts: read.append("/".join(parts)) or usual(self, *parts)
    )
    run_status(str(out))
    records = [name for name in read if "/stage." in name]
    assert len(records) == len(set(records)) == 10


def test_the_command_prints_lines_or_json(
    plan: Plan, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(plan, out, trained(plan)[:4], [400, 300, 200, 100])
    assert main(["status", str(out), "--price", "2.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == run_status(str(out)).sentence
    assert lines == run_status(str(out), 2.5).lines()
    assert main(["status", str(out), "--price", "2.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(run_status(str(out), 2.5).as_dict()))
    assert found["cost"] == pytest.approx(4 * 360 / 3600 * 2.5)
    for price in ("0", "-1", "nan"):
        assert main(["status", str(out), "--price", price]) == 2
    with pytest.raises(InputError, match="--price has to be a number above 0"):
        run_status(str(out), 0.0)
    assert isinstance(run_status(str(out)), RunStatus)


def test_a_run_that_is_done_has_nothing_left(plan: Plan, out: Path) -> None:
    finish(plan, out, list(plan.units))
    found = run_status(str(out))
    assert (found.seconds_left, found.worker) == (None, "")
    assert "all 10 stages are done" in found.lines()[0]
