"""A file that is not what was written does not count: its stage comes again."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from analysis import load
from methods.testing.toy import toy_study
from sweep import make_plan, run
from sweep.engine.driver import Finished
from sweep.engine.outcomes import Progress
from sweep.errors import InputError
from sweep.preview.status import status
from sweep.stage.evaluator import EMBEDDINGS
from sweep.storage.damage import find_damage, remove_unfinished
from sweep.storage.folder import DamagedError, Folder
from sweep.storage.store import Record, StateLostError, Store
from sweep.study.schema import Study
from tests.sweep.plans import plan_of, study_of

ROW = {"split": "task", "eval_task": "a", "metric": "accuracy", "value": 0.625, "n": 8}
MEAN = {"eval_task": "a", "modality": "image", "sample": None, "choice": None}
VECTORS = pa.Table.from_pylist([MEAN | {"vector": [0.1] * 64}] * 20, EMBEDDINGS)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def flip(file: Path) -> None:
    """Changes a digit of the middle, if there are digits, so that JSON stays JSON; else a bit."""
    content = bytearray(file.read_bytes())
    digits = [i for i, byte in enumerate(content) if file.suffix == ".json" and byte in b"123456"]
    content[digits[len(digits) // 2] if digits else len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES = pytest.mark.parametrize("damage", [empty, truncate, flip])
Damage = Callable[[Path], None]


def stored(out: Path) -> Store:
    """A store with stages of their own, and two in a batch."""
    store = Store(str(out))
    for key in ("one", "two"):
        record = Record(key=key, evaluation="e", scores=(ROW,))
        store.save(record, {"weights/w": torch.arange(500.0)}, VECTORS)
    batch = [(Record(key=key, evaluation="e", scores=(ROW,)), VECTORS) for key in ("x", "y")]
    store.save_together(batch)
    return Store(str(out))


def test_what_is_whole_is_kept(tmp_path: Path) -> None:
    store = stored(tmp_path)
    damage = find_damage(store)
    assert not damage.stages
    damage.remove(store)
    assert set(Store(str(tmp_path)).finished()) == {"one", "two", "x", "y"}


@DAMAGES
@pytest.mark.parametrize("name", ["stage.e.json", "embeddings.e.parquet"])
def test_a_damaged_file_undoes_its_stage_alone(tmp_path: Path, damage: Damage, name: str) -> None:
    stored(tmp_path)
    damage(tmp_path / "stages" / "one" / name)
    store = Store(str(tmp_path))
    found = find_damage(store)
    assert found.stages == {"one"}
    found.remove(store)
    assert set(Store(str(tmp_path)).finished()) == {"two", "x", "y"}
    assert not find_damage(Store(str(tmp_path))).stages


@pytest.mark.parametrize(
    ("part", "damage"),
    [
        *(("embeddings", damage) for damage in (empty, truncate, flip)),
        *(("records", damage) for damage in (empty, truncate)),
    ],
)
def test_a_damaged_batch_undoes_its_stages(tmp_path: Path, part: str, damage: Damage) -> None:
    stored(tmp_path)
    for file in (tmp_path / "stages" / "batches").iterdir():
        if file.name.endswith(".embeddings.parquet") == (part == "embeddings"):
            damage(file)
    store = Store(str(tmp_path))
    find_damage(store).remove(store)
    assert set(Store(str(tmp_path)).finished()) == {"one", "two"}
    assert not list((tmp_path / "stages" / "batches").glob("*.embeddings.parquet"))


def test_no_flipped_bit_of_a_batch_changes_what_is_read(tmp_path: Path) -> None:
    """What describes a Parquet file has no checksum of its own; what it holds has."""
    store = stored(tmp_path)
    names = [file.name for file in (tmp_path / "stages" / "batches").iterdir()]
    (name,) = [name.removesuffix(".parquet") for name in names if ".embeddings." not in name]
    written = {key: store.record(key, "e") for key in ("x", "y")}
    file = tmp_path / "stages" / "batches" / f"{name}.parquet"
    content = file.read_bytes()
    found = 0
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        store = Store(str(tmp_path))
        find_damage(store).remove(store)
        left = Store(str(tmp_path)).finished().keys() & written.keys()
        assert left in (set(), {"x", "y"})
        assert all(Store(str(tmp_path)).record(key, "e") == written[key] for key in left)
        found += not left
        if not left:
            Store(str(tmp_path)).save_together([(one, VECTORS) for one in written.values()])
            (file,) = [
                file
                for file in (tmp_path / "stages" / "batches").iterdir()
                if ".embeddings." not in file.name
            ]
            content = file.read_bytes()
    assert found > 10


def test_embeddings_that_are_gone_are_damage(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "stages" / "two" / "embeddings.e.parquet").unlink()
    assert find_damage(Store(str(tmp_path))).stages == {"two"}


@DAMAGES
def test_a_damaged_state_is_said_when_it_is_needed(tmp_path: Path, damage: Damage) -> None:
    store = stored(tmp_path)
    damage(tmp_path / "stages" / "one" / "state.safetensors")
    with pytest.raises(StateLostError) as lost:
        store.state("one")
    assert lost.value.key == "one"
    (tmp_path / "stages" / "two" / "state.safetensors").unlink()
    with pytest.raises(StateLostError):
        store.state("two")


def test_scores_are_covered_by_the_checksum(tmp_path: Path) -> None:
    store = stored(tmp_path)
    file = tmp_path / "stages" / "one" / "stage.e.json"
    file.write_text(file.read_text().replace("0.625", "0.925"))
    with pytest.raises(DamagedError, match="checksum"):
        store.record("one", "e")


def test_a_disk_that_does_not_answer_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or everything that is finished would be deleted."""
    store = stored(tmp_path)

    def fail(*_: object) -> bytes:
        raise OSError("the server does not answer")

    monkeypatch.setattr(Folder, "read", fail)
    with pytest.raises(OSError, match="does not answer"):
        find_damage(store)


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        Folder(str(tmp_path)).write(b"content", "stages", "key", "file")
    assert not list((tmp_path / "stages" / "key").iterdir())


def test_files_half_written_by_a_killed_process_are_removed(tmp_path: Path) -> None:
    store = stored(tmp_path)
    for place in (tmp_path / "stages" / "one", tmp_path):
        (place / "state.safetensors.1a2b3c4d.tmp").write_bytes(b"half")
    remove_unfinished(store)
    assert not list(tmp_path.rglob("*.tmp"))
    assert set(store.finished()) == {"one", "two", "x", "y"}


def test_a_scheduler_goes_on_from_a_store_that_lost_a_state() -> None:
    """Claims of other lanes and failures stay; the stage and what it starts from come again."""
    from sweep.plan.scheduler import Kept, Scheduler

    plan = plan_of(study_of([("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")]))
    scheduler = Scheduler(plan, {}, lease=30)
    first = {unit.prefix: key for key, unit in plan.units.items()}
    scheduler.claim("start", (), None, now=0.0)
    for prefix in ((), ("a",)):
        scheduler.finish(first[prefix])
    scheduler.fail("one", first["b",], "no", final=True)  # not claimed: no effect
    assert not scheduler.failed
    claimed = {scheduler.claim(lane, (), None, now=0.0).unit.prefix: lane for lane in ("p", "q")}  # type: ignore[union-attr]
    assert set(claimed) <= {("a", "b"), ("b",), ("c",)}
    other = next(prefix for prefix in claimed if prefix != ("a", "b"))
    new = scheduler.renewed({first[()]: Kept()}, now=1.0, without="nobody")
    assert first["a",] in new.todo
    assert new.claimed[first[other]] == claimed[other]
    assert first["a", "b"] not in new.claimed  # it waits for its parent
    assert new.restored == scheduler.restored


def check_study(out: Path, study: Study, undisturbed: Finished) -> Progress:
    """Runs a study again, and returns the last progress; its results are those of the first run."""
    last: list[Progress] = []
    again = run(study, str(out), on_progress=lambda progress, _: last.append(progress))
    assert again.is_settled
    assert not again.failed
    values = ["method", "prefix", "split", "eval_task", "metric", "value"]
    before, now = (
        load(folder).stages[values].sort_values(values[:-1]).reset_index(drop=True)
        for folder in (undisturbed.out, str(out))
    )
    assert before.equals(now)
    return last[-1]


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_a_damaged_run_is_mended_by_running_it_again(tmp_path: Path) -> None:
    import shutil

    lanes = {"count": 1, "cpus_per_worker": 1}
    study = toy_study(tmp_path / "models", ("finetune",), lanes=lanes, keep_states="all")
    plan = make_plan(study)
    keys = {unit.prefix: key for key, unit in plan.units.items()}
    first = run(study, str(tmp_path / "first"))
    out = tmp_path / "out"
    shutil.copytree(first.out, out)
    stages = out / "stages"
    (record,) = (stages / keys["a", "b", "c"]).glob("stage.*.json")
    flip(record)
    (embedded,) = (stages / keys["b", "a", "c"]).glob("embeddings.*.parquet")
    truncate(embedded)
    # A state that a stage needs which has to be computed again.
    flip(stages / keys["a", "b"] / "state.safetensors")
    for kind in ("results", "costs", "embeddings"):
        empty(next((out / kind).iterdir()))
    for name in ("plan.json", "study.yaml", "inputs.json", "manifest.json", "orders.parquet"):
        truncate(out / name)
    with pytest.raises(InputError, match=r"plan\.json in '.*' is damaged; `sweep run`"):
        status(str(out))
    states = {file: file.stat().st_mtime_ns for file in stages.rglob("state.safetensors")}
    progress = check_study(out, study, first)
    assert progress.damaged == 3
    trained = {
        keys_of
        for keys_of, key in keys.items()
        if key and (stages / key / "state.safetensors") in states
        if (stages / key / "state.safetensors").stat().st_mtime_ns
        != states[stages / key / "state.safetensors"]
    }
    assert trained == {("a", "b"), ("a", "b", "c"), ("b", "a", "c")}
    assert "all" in status(str(out))


def test_status_does_not_count_what_is_damaged(tmp_path: Path) -> None:
    plan = plan_of(study_of([("a", "b")], ["finetune"]))
    folder = Folder(str(tmp_path))
    facts = plan.counts() | {"graph": plan.as_dict(), "stopped": None}
    folder.write(json.dumps(facts).encode(), "plan.json")
    store = Store(str(tmp_path), plan.evaluations)
    for key, unit in plan.units.items():
        embeddings = VECTORS if unit.evaluation else None
        record = Record(key=key, evaluation=unit.evaluation, scores=(ROW,))
        store.save(record, {"w": torch.ones(1)}, embeddings)
    assert "all 3 stages are done" in status(str(tmp_path))
    flip(next((tmp_path / "stages" / list(plan.units)[-1]).glob("stage.*.json")))
    assert "2 of 3 stages are done (1 stage damaged, to be computed again)" in status(str(tmp_path))
