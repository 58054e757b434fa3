"""Checkpoints inside a stage: when they are written, what is gone on from, what is dropped."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from methods.adapters.inflora import leading
from methods.base import State
from methods.baselines.finetune import FineTune
from methods.data import Batch
from methods.regularisation.multimodal_ewc import MultimodalEWC
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench, same, state_in
from sweep.plan.units import Unit
from sweep.stage.steps.checkpoints import Checkpoints, HandedOverError
from sweep.storage.checkpoint_files import Checkpoint, CheckpointFiles
from sweep.storage.folder import DamagedError, Folder
from sweep.storage.run_folder import RunFolder
from sweep.study.schema import Lanes

STEPS = 9


def bench_of(models: Path, method: str = "er", **options: object) -> Workbench:
    study = toy_study(
        models,
        {"checked": {"method": method, **options}},
        training={"steps": STEPS, "batch_size": 8, "lr": 3e-3, "warmup_steps": 3},
    )
    return Workbench(study, "checked")


def first_unit(bench: Workbench) -> Unit:
    return replace(bench.trainings(bench.plan.study.benchmark.task_names())[0], evaluation="")


def train(bench: Workbench, checkpoints: Checkpoints | None) -> State:
    bench.worker.checkpoints = checkpoints
    return state_in(bench.worker.compute(first_unit(bench), lambda _: {}))


class Leaving:
    """Wants to leave after some steps."""

    def __init__(self, after: int) -> None:
        self.after, self.asked = after, 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked == self.after


def leave(bench: Workbench, files: CheckpointFiles, after: int) -> None:
    ends = Checkpoints(files, bench.worker.accelerator, math.inf, Leaving(after), look=0)
    with pytest.raises(HandedOverError) as left:
        train(bench, ends)
    assert left.value.step == after


def goes_on(bench: Workbench, files: CheckpointFiles) -> tuple[State, int]:
    """The state after going on, and how many steps were done for it."""
    steps = Leaving(STEPS + 1)
    checkpoints = Checkpoints(files, bench.worker.accelerator, math.inf, steps, look=0)
    return train(bench, checkpoints), steps.asked + 1  # nobody asks after the last step


@pytest.fixture(scope="module")
def bench(models: Path) -> Workbench:
    return bench_of(models)


@pytest.fixture(scope="module")
def whole(bench: Workbench) -> State:
    return train(bench, None)


@pytest.fixture
def files(tmp_path: Path) -> CheckpointFiles:
    return CheckpointFiles(Folder(str(tmp_path)))


def names(files: CheckpointFiles) -> set[str]:
    return {file.name for file in Path(files.folder.path).glob("stages/*/*")}


@pytest.mark.parametrize("after", [1, 2, 5, STEPS - 1])
def test_goes_on_where_it_was(
    bench: Workbench, whole: State, files: CheckpointFiles, after: int
) -> None:
    """Also in the warm-up of the learning rate, and just before the end."""
    leave(bench, files, after)
    state, steps = goes_on(bench, files)
    assert same(state, whole)
    assert steps == STEPS - after


def test_random_numbers_go_on(models: Path, tmp_path: Path) -> None:
    bench = bench_of(models, "lora", dropout=0.5)
    unit = first_unit(bench)
    assert same(bench.learn_with_break(unit, {}, str(tmp_path)), train(bench, None))


def test_another_break_does_not_matter(
    bench: Workbench, whole: State, files: CheckpointFiles
) -> None:
    leave(bench, files, 2)
    ends = Checkpoints(files, bench.worker.accelerator, math.inf, Leaving(3), look=0)
    with pytest.raises(HandedOverError):
        train(bench, ends)
    found = files.find(first_unit(bench).key)
    assert found is not None
    assert found.step == 5
    state, steps = goes_on(bench, files)
    assert same(state, whole)
    assert steps == STEPS - 5


def test_is_written_every_so_often_and_dropped_in_the_end(
    bench: Workbench, whole: State, files: CheckpointFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    complete = files.complete

    def noted(key: str, checkpoint: Checkpoint) -> None:
        complete(key, checkpoint)
        written.append(checkpoint.step)
        assert names(files) == {"checkpoint.json", f"checkpoint.{checkpoint.step}.0.safetensors"}

    monkeypatch.setattr(files, "complete", noted)
    often = Checkpoints(files, bench.worker.accelerator, every=0, look=0)
    assert same(train(bench, often), whole)
    assert written == list(range(1, STEPS))
    often.drop("another")
    assert names(files)
    often.drop(first_unit(bench).key)
    assert not names(files)
    never = Checkpoints(files, bench.worker.accelerator, every=math.inf, look=0)
    assert same(train(bench, never), whole)
    assert written == list(range(1, STEPS))


def test_seconds_before_the_break_count(bench: Workbench, files: CheckpointFiles) -> None:
    leave(bench, files, 4)
    key = first_unit(bench).key
    found = files.find(key)
    assert found is not None
    files.complete(key, replace(found, seconds=1000.0))
    checkpoints = Checkpoints(files, bench.worker.accelerator, math.inf)
    bench.worker.checkpoints = checkpoints
    record = bench.worker.compute(first_unit(bench), lambda _: {}).record
    assert 1000 <= record.seconds["train"] < 1100
    assert 0 <= record.seconds["evaluate"] < 100


@pytest.mark.parametrize("damage", ["facts", "cut", "flipped", "gone", "other workers"])
def test_what_cannot_be_read_is_trained_from_its_start(
    bench: Workbench, whole: State, files: CheckpointFiles, damage: str
) -> None:
    leave(bench, files, 4)
    key = first_unit(bench).key
    folder = Path(files.folder.path) / "stages" / key
    facts, tensors = folder / "checkpoint.json", folder / "checkpoint.4.0.safetensors"
    content = tensors.read_bytes()
    if damage == "facts":
        facts.write_text(facts.read_text().replace('"step": 4', '"step": 5'))
    elif damage == "cut":
        tensors.write_bytes(content[:-8])
    elif damage == "flipped":
        tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "gone":
        tensors.unlink()
    else:
        found = files.find(key)
        assert found is not None
        files.complete(key, replace(found, digests=found.digests * 2))
    state, steps = goes_on(bench, files)
    assert same(state, whole)
    assert steps == STEPS


def test_a_damaged_file_is_named(files: CheckpointFiles) -> None:
    digest = files.write("key", 3, 0, {"own/random": torch.ones(2)})
    assert files.find("key") is None  # it does not count yet
    files.complete("key", Checkpoint(3, 1.5, [digest]))
    assert files.find("key") == Checkpoint(3, 1.5, [digest])
    assert torch.equal(
        files.read("key", Checkpoint(3, 1.5, [digest]), 0)["own/random"], torch.ones(2)
    )
    with pytest.raises(DamagedError, match="is not what was written"):
        files.read("key", Checkpoint(3, 1.5, ["0" * 64]), 0)


def test_a_full_disk_costs_the_checkpoint_alone(
    bench: Workbench, whole: State, files: CheckpointFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    # It is not handed over either: nothing could go on from there.
    leaving = Checkpoints(files, bench.worker.accelerator, 0, lambda: True, look=0)
    for checkpoints in (Checkpoints(files, bench.worker.accelerator, 0, look=0), leaving):
        assert same(train(bench, checkpoints), whole)
        assert not names(files)


class Plain(FineTune):
    """With a loss of its own."""

    def loss(self, batch: Batch) -> torch.Tensor:
        """The same."""
        return super().loss(batch)


class Claimed(Plain):
    """Says that it may go on."""

    resumable = True


def test_who_overrides_a_hook_has_to_say_so() -> None:
    assert FineTune.resumes()
    assert not Plain.resumes()
    assert Claimed.resumes()


def test_a_method_that_says_nothing_begins_anew(models: Path, files: CheckpointFiles) -> None:
    bench = bench_of(models, "tests.faulty:Sums")
    whole = train(bench, None)
    always = Checkpoints(files, bench.worker.accelerator, 0, lambda: True, look=0)
    assert same(train(bench, always), whole)  # it is not left either
    assert not names(files)


def test_a_method_that_claims_too_much_is_found_out(models: Path, tmp_path: Path) -> None:
    """The check that plug-ins get (`methods.testing.MethodChecks`) can fail."""
    bench = bench_of(models, "tests.faulty:SaysSo")
    unit = first_unit(bench)
    assert not same(bench.learn_with_break(unit, {}, str(tmp_path)), train(bench, None))


@pytest.mark.parametrize("keeps", [True, False])
def test_tables_of_steps_to_come_are_kept(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    """`multimodal_ewc` computes them in the first step of a stage, with the weights of then."""
    bench = bench_of(models, "multimodal_ewc", consistency=1.0, consistency_every=4)
    results = bench.learn(bench.plan.study.benchmark.task_names()[:2])
    *_, unit = bench.trainings(bench.plan.study.benchmark.task_names()[:2])
    if not keeps:
        monkeypatch.setattr(MultimodalEWC, "load_step_state", lambda *_: None)
    state = bench.learn_with_break(unit, results, str(tmp_path))
    assert same(state, state_in(results[unit.key])) == keeps


def test_goes_on_where_singular_vectors_have_other_signs(
    models: Path, files: CheckpointFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another machine may find them: what B was trained with has to stay with it."""
    bench = bench_of(models, "inflora")
    whole = train(bench, None)
    leave(bench, files, 4)

    def turned(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        values, directions = leading(*given)
        return values, -directions

    monkeypatch.setattr("methods.adapters.inflora.leading", turned)
    state, steps = goes_on(bench, files)
    assert steps == STEPS - 4
    merged = {name: part for name, part in state.items() if "/merged/" in name}
    assert merged
    assert all(torch.equal(part, whole[name]) for name, part in merged.items())


def test_what_nothing_goes_on_from_is_removed(bench: Workbench, tmp_path: Path) -> None:
    run_folder = RunFolder(str(tmp_path), bench.plan)
    first, second, *_ = (unit.key for unit in bench.plan.units.values() if unit.kind == "train")
    checkpoints = CheckpointFiles(run_folder.folder)
    for key in (first, second, "of-another-study"):
        checkpoints.complete(key, Checkpoint(1, 1.0, [checkpoints.write(key, 1, 0, {})]))
    run_folder.folder.write(b"{}", "stages", second, "stage.json")
    run_folder.prepare()
    assert checkpoints.keys() == {first}


def test_minutes_are_checked() -> None:
    assert Lanes().checkpoint_minutes == 15
    assert Lanes(checkpoint_minutes=None).checkpoint_minutes is None
    with pytest.raises(ValueError, match="checkpoint_minutes"):
        Lanes(checkpoint_minutes=-1)
