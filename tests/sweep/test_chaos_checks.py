"""What `benchmarks/chaos.py` checks of a study would be seen if it happened."""

import json
import random
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from sweep.storage.store import Record

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
AB = ("er", ("a", "b"))


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("faults.checks")


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("faults.kinds")


def rows(value: float) -> pd.DataFrame:
    """A row of results."""
    row = {"method": "er", "replicate": 0, "prefix": ("a", "b"), "split": "task", "eval_task": "a"}
    return pd.DataFrame([row | {"metric": "accuracy", "value": value, "n": 9}])


@pytest.mark.parametrize(
    ("record", "value", "parts", "problem"),
    [
        ({}, 0.5, 1, ""),
        ({"scores": ({"value": 0.6},)}, 0.5, 1, "stage k has other scores"),
        ({"state_sha256": "3"}, 0.5, 1, "stage k has another state"),
        ({"embeddings_sha256": "3"}, 0.5, 1, "stage k has other embeddings"),
        ({"seconds": {"train": 9.0}}, 0.5, 1, ""),
        ({}, 0.6, 1, "the results table differs"),
        ({}, 0.5, 2, "rows of results are there twice"),
    ],
)
def test_differences_are_found(
    checks: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record: dict[str, Any],
    value: float,
    parts: int,
    problem: str,
) -> None:
    calm = Record(key="k", scores=({"value": 0.5},), state_sha256="1", embeddings_sha256="2")
    found = {"k": replace(calm, **record)}
    monkeypatch.setattr(checks, "read_records", lambda _: found)
    monkeypatch.setattr(checks, "read_scores", lambda _: rows(value))
    for kind, count in (("results", parts), ("costs", 1)):
        (tmp_path / kind).mkdir()
        for part in range(count):
            rows(value).to_parquet(tmp_path / kind / f"part-{part}.parquet")
    expected = [problem] if problem else []
    assert checks.differences(tmp_path, checks.Calm({"k": calm}, rows(0.5), 1.0, 1)) == expected


def write_record(out: Path) -> float:
    """Writes the record of a stage, anew if it is there; returns its time."""
    file = out / "stages" / "k" / "stage.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".tmp").write_text("{}")
    file.with_suffix(".tmp").replace(file)
    return file.stat().st_mtime


def test_what_is_trained_again_is_found(
    checks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "stages_of", lambda _: {"k": AB})
    watch = checks.RecordWatch(tmp_path)
    at = write_record(tmp_path)
    deadline = time.monotonic() + 60
    while not watch.first:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first, second, late = (
        checks.Begun(at + seconds, pid, AB) for seconds, pid in ((-2, 1), (-1, 2), (1, 3))
    )
    assert checks.trained_again(tmp_path, watch, [first, second]) == []
    (said,) = checks.trained_again(tmp_path, watch, [first, late])
    assert said == f"{AB} was begun again 1.0 s after it was finished"
    time.sleep(0.01)
    write_record(tmp_path)
    watch.end()
    assert checks.trained_again(tmp_path, watch, [first, second]) == []  # side by side
    (said,) = checks.trained_again(tmp_path, watch, [first])
    assert "was written again" in said
    (tmp_path / "stages" / "k" / "stage.json").unlink()
    watch.end()
    assert "was deleted" in checks.trained_again(tmp_path, watch, [first, second])[0]


def test_losses_belong_to_the_fault_that_their_process_did_not_survive(
    checks: ModuleType, kinds: ModuleType, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    lines = [(10.0, 1), (20.0, 2), (40.0, 3)]
    facts = [{"at": at, "pid": pid, "method": "er", "prefix": ["a", "b"]} for at, pid in lines]
    notes.write_text("".join(f"{json.dumps(fact)}\n" for fact in facts))
    begun = checks.read_notes(notes, since=5.0)
    assert [one.stage for one in begun] == [AB] * 3
    faults = [
        kinds.Fault("coordinator", 12.0, {1}, 0.0),
        kinds.Fault("worker", 14.0, {1}, 0.0),
        kinds.Fault("node", 16.0, set(), 0.0),
        kinds.Fault("full disk", 18.0, {2}, 0.0, until=30.0),
    ]
    assert checks.attribute(faults, begun) == []
    assert [fault.lost for fault in faults] == [0.0, 4.0, 0.0, 10.0]
    assert [fault.recovered for fault in faults] == [[], [6.0], [], [10.0]]
    assert checks.attribute(faults[:3], begun) == [
        f"{AB} was begun twice, and nothing had happened"
    ]


def test_a_schedule_has_every_kind_before_any_comes_again(kinds: ModuleType) -> None:
    count, seed = len(kinds.KINDS), random.randrange(1000)
    plan = kinds.schedule(2 * count + 1, seed)
    assert plan == kinds.schedule(2 * count + 1, seed)
    assert plan != kinds.schedule(2 * count + 1, seed + 1)
    named = [fault.kind for fault in plan]
    assert set(named[:count]) == set(named[count:-1]) == set(kinds.KINDS)
