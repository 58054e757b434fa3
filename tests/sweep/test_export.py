"""Exported folders: plain peft and transformers predict with them what the method predicted."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard

from methods import METHODS
from methods.base import State
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench
from sweep.cli.main import main
from sweep.errors import InputError
from sweep.exporting.export_stage import Exported, export
from sweep.exporting.new_folder import new_folder
from sweep.single import run_single
from sweep.stage.trainer import Trainer
from sweep.storage.sealing import sealed, unsealed
from sweep.storage.store import Store
from sweep.study.schema import Study
from tests.methods.shipped import OF_A_KIND, study_of
from tests.sweep.plain_models import scores_of_folder, scores_of_method

# peft asks transformers 5.24 by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
ORDER = ("b", "a")
TRAINING = {"steps": 3, "batch_size": 8, "lr": 0.003}
BESIDE, OWN_RULE, BY_TASK = "weights beside the model", "rule of its own", "another model for each"
REFUSED = {
    "zero_shot": "it learns nothing",
    "adapter": BESIDE,
    "frozen_head": r"weights beside the model \('head'\)",
    "individual": BY_TASK,
    **dict.fromkeys(("coop", "l2p", "dualprompt", "diki", "dpw", "moe_adapters"), BESIDE),
    "tall": BY_TASK,
    **dict.fromkeys(("condu", "condu_once", "rail"), OWN_RULE),
}
"""Methods that no folder can hold after two tasks, and why."""
ADAPTERS = {"lora": 4, "o_lora": 8, "inflora": 8, "pam": 4}
"""Methods that leave an adapter after two tasks, with its rank; all others leave a model."""


def study(models: Path, family: str, method: str, **changes: Any) -> Study:
    """A study of one method."""
    few = {"benchmark": BACKBONES[family] | {"num_tasks": 2}}
    whole = study_of(models, family, training=TRAINING, **few | changes)
    return whole.model_copy(update={"methods": {method: whole.methods[method]}})


@pytest.fixture(scope="module")
def run_of(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Returns the folder of a run of a method; it has kept all states."""

    def run(family: str, method: str) -> str:
        out = tmp_path_factory.mktemp("run") / method
        run_single(study(models, family, method), method, ORDER, out=str(out))
        return str(out)

    return cache(run)


def drop_states(out: str) -> int:
    """Drops all states of a run, as the engine does; returns how many there were."""
    store = Store(out)
    kept = [key for key, found in store.finished().items() if found.has_state]
    for key in kept:
        store.drop_state(key)
    return len(kept)


def learnt(of: Study, method: str, order: tuple[str, ...] = ORDER) -> Trainer:
    """What a method has learnt, trained here."""
    bench = Workbench(of, method)
    states: dict[str, State] = {}
    for unit in bench.units(order):
        result = bench.worker.compute(replace(unit, evaluation=""), states.__getitem__)
        states[unit.key] = result.state or {}
    if bench.worker.trainer.knows_task:
        bench.worker.trainer.method.select(order[-1])
    return bench.worker.trainer


def check(made: Exported, trainer: Trainer, family: str, models: Path) -> None:
    """The folder predicts what the method does, on a task learnt and on one that it may not be."""
    for task in trainer.benchmark.tasks.values():
        expected = scores_of_method(trainer.method, task)
        untouched = scores_of_folder(models / family, family, models / family, task)
        assert expected.std(dim=0).min() > 1e-3  # pictures differ for the model
        assert (expected - untouched).abs().max() > 1e-3  # and it has learnt something
        found = scores_of_folder(made.folder, family, models / family, task)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-5)


OFTEN = {
    "clip": {*OF_A_KIND, *ADAPTERS, "zero_shot", "adapter", "frozen_head", "tall", "condu"},
    "llava": {"finetune", "individual", "lora", "o_lora", "ties", "moe_adapters"},
}
"""Those of other methods are exported alike; they take the rest of the time."""
CASES = [
    pytest.param(family, method, marks=() if method in methods else pytest.mark.long)
    for family, methods in OFTEN.items()
    for method in METHODS
]


@pytest.mark.parametrize(("family", "method"), CASES)
def test_every_method_is_exported_or_refused(
    models: Path, run_of: Callable[..., str], tmp_path: Path, family: str, method: str
) -> None:
    to = tmp_path / "exported"
    if method in REFUSED:
        with pytest.raises(InputError, match=REFUSED[method]) as refused:
            export(run_of(family, method), method, ORDER, str(to))
        assert str(refused.value).count(". ") == 0
        assert not any(tmp_path.iterdir())
        return
    made = export(run_of(family, method), method, ORDER, str(to))
    assert made.form == ("adapter" if method in ADAPTERS else "model")
    assert (made.trained, made.differing) == (0, 0)
    check(made, learnt(study(models, family, method), method), family, models)


def test_no_method_is_left_out() -> None:
    assert set(METHODS) >= {*REFUSED, *ADAPTERS}


def files_in(folder: Path) -> dict[str, bytes]:
    """Everything but what says where the folder is and how it was made."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "README.md"}


@pytest.mark.parametrize("method", ["finetune", "lora", "o_lora", "average", "magmax_seq"])
def test_what_is_trained_again_is_what_was_kept(
    models: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    run_single(study(models, "clip", method), method, ORDER, out=out)
    kept = export(out, method, ORDER, str(tmp_path / "kept"), say=print)
    assert not capsys.readouterr().out
    states = drop_states(out)
    assert states == 2
    again = export(out, method, ORDER, str(tmp_path / "again"), say=print)
    assert (again.trained, again.differing) == (2, 0)
    said = "2 states of this run were not kept; training 2 stages again, in this process.\n"
    assert capsys.readouterr().out == said
    assert files_in(again.folder) == files_in(kept.folder)
    assert "2 stages again" in (again.folder / "README.md").read_text()


def test_only_what_is_missing_is_trained_again(models: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    run_single(study(models, "clip", "finetune"), "finetune", ORDER, out=out)
    kept = export(out, "finetune", ORDER, str(tmp_path / "kept"))
    store = Store(out)
    last = max(store.finished(), key=lambda key: (tmp_path / f"run/stages/{key}").stat().st_mtime)
    store.drop_state(last)
    again = export(out, "finetune", ORDER, str(tmp_path / "again"))
    assert again.trained == 1
    assert files_in(again.folder) == files_in(kept.folder)
    first = export(out, "finetune", ORDER, str(tmp_path / "first"), stage=1)
    assert first.trained == 0
    check(first, learnt(study(models, "clip", "finetune"), "finetune", ORDER[:1]), "clip", models)
    assert files_in(first.folder) != files_in(kept.folder)


def test_what_ends_otherwise_is_said(models: Path, tmp_path: Path) -> None:
    """As on other hardware: here the run's record is changed instead."""
    out = tmp_path / "run"
    run_single(study(models, "clip", "lora"), "lora", ORDER[:1], out=str(out))
    for record in out.glob("stages/*/stage.*.json"):
        facts = unsealed(record.read_bytes())
        if facts["state_sha256"]:
            facts["state_sha256"] = f"0{facts['state_sha256']}"
        record.write_bytes(sealed(facts))
    drop_states(str(out))
    made = export(str(out), "lora", ORDER[:1], str(tmp_path / "to"))
    assert (made.trained, made.differing) == (1, 1)
    assert "not bit for bit what the run had" in (made.folder / "README.md").read_text()


@pytest.mark.parametrize("family", ["clip", "llava"])
def test_a_model_is_a_backbone_of_another_study(
    models: Path, run_of: Callable[..., str], tmp_path: Path, family: str
) -> None:
    made = export(run_of(family, "finetune"), "finetune", ORDER, str(tmp_path / "to"))
    before = study(models, family, "finetune")
    records, _ = run_single(before, "finetune", ORDER)
    other = study(models, family, "zero_shot", backbones={"mine": {"path": str(made.folder)}})
    (zero_shot, *_), _ = run_single(other, "zero_shot", ORDER)
    found = [row for row in zero_shot.scores if row["split"] in ("task", "probe", "alignment")]
    assert found == [
        row for row in records[-1].scores if row["split"] in ("task", "probe", "alignment")
    ]


@pytest.mark.parametrize("method", ["individual", "tall"])
def test_the_model_of_one_task_is_exported(
    models: Path, run_of: Callable[..., str], tmp_path: Path, method: str
) -> None:
    out, to = run_of("clip", method), str(tmp_path / "to")
    made = export(out, method, ORDER, to, stage=1)
    trainer = learnt(study(models, "clip", method), method, ORDER[:1])
    check(made, trainer, "clip", models)
    assert "for data of task `b` alone" in (made.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("method", "form"), [("finetune", "adapter"), ("average", "adapter"), ("ties", "model")]
)
def test_adapters_of_other_methods(models: Path, tmp_path: Path, method: str, form: str) -> None:
    """What merged adapters have changed has few directions, or it is a model of its own."""
    options = {"lora": {"rank": 4, "alpha": 8.0, "dropout": 0.1}}
    few = BACKBONES["clip"] | {"num_tasks": 2}
    of = toy_study(models, {method: options}, benchmark=few, training=TRAINING)
    run_single(of, method, ORDER, out=str(tmp_path / "run"))
    made = export(str(tmp_path / "run"), method, ORDER, str(tmp_path / "to"))
    assert made.form == form
    check(made, learnt(of, method), "clip", models)


def test_the_card_says_what_it_is_and_how_to_load_it(
    models: Path, run_of: Callable[..., str], tmp_path: Path
) -> None:
    for method, library in (("lora", "peft"), ("finetune", "transformers")):
        made = export(run_of("clip", method), method, ORDER, str(tmp_path / f"my {method}"))
        card = ModelCard.load(made.folder / "README.md")
        assert card.data.library_name == library
        assert card.data.pipeline_tag == "zero-shot-image-classification"
        assert {result.dataset_name for result in card.data.eval_results} == set(ORDER)
        assert "base_model" not in card.data.to_dict()  # which is a hub id, and this is a folder
        code = card.text.partition("```python\n")[2].partition("```")[0]
        names: dict[str, Any] = {}
        exec(code, names)
        assert names["model"].num_parameters() > 0
        assert names["processor"](text=["a"], return_tensors="pt")["input_ids"].shape[0] == 1
        assert f"--to '{made.folder}'" in card.text
        assert "b {}" in card.text


BAD = [
    ({"--method": "lorra"}, "Did you mean 'lora'?"),
    ({"--order": "b > z"}, "Unknown task in the order 'z'; allowed: a, b."),
    ({"--order": "b > b"}, "names task 'b' 2 times"),
    ({"--order": "a > b"}, "Did you mean 'b > a'?"),
    ({"--order": ""}, "names no task"),
    ({"--stage": "3"}, "has stages 1 to 2"),
    ({"--stage": "0"}, "stage 0 is the untouched backbone"),
    ({"--replicate": "1"}, "has replicates 0 to 0"),
    ({"--backbone": "klip"}, "Did you mean 'clip'?"),
    ({"--to": "full"}, "exists and is not empty"),
    ({"--to": "full/file"}, "is a file"),
    ({"--to": "s3://bucket/to"}, "is a URI"),
]


@pytest.mark.parametrize(("given", "expected"), BAD)
def test_bad_input_is_one_sentence(
    run_of: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    right = {"--method": "lora", "--order": "b, a", "--to": "to"}
    options = [word for pair in (right | given).items() for word in pair]
    assert main(["export", run_of("clip", "lora"), *options]) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert (said.out, len(said.err.strip().splitlines())) == ("", 1)
    assert [str(path) for path in sorted(Path().rglob("*"))] == ["full", "full/file"]


def test_folders_without_a_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        export(str(tmp_path / "no"), "lora", ORDER, str(tmp_path / "to"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no run"):
        export(str(tmp_path / "empty"), "lora", ORDER, str(tmp_path / "to"))


def test_stages_that_are_not_finished_are_refused(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_single(study(models, "clip", "lora"), "lora", ORDER, out=str(out))
    newest = max(out.glob("stages/*"), key=lambda folder: folder.stat().st_mtime)
    for file in newest.iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"stage 2 of 'b > a' of method 'lora' is not finished"):
        export(str(out), "lora", ORDER, str(tmp_path / "to"))
    assert export(str(out), "lora", ORDER[:1], str(tmp_path / "to")).form == "adapter"


def test_what_was_made_from_other_data_is_refused(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_single(study(models, "clip", "lora"), "lora", ORDER, out=str(out))
    text = (out / "study.yaml").read_text()
    assert "questions: false" in text
    (out / "study.yaml").write_text(text.replace("questions: false", "questions: true"))
    with pytest.raises(InputError, match="has changed since: the training data of 'a'; "):
        export(str(out), "lora", ORDER, str(tmp_path / "to"))


def test_the_command_says_what_it_made(
    run_of: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "to"
    to.mkdir()  # empty, so that it may be there
    options = ["--method", "lora", "--order", "b > a", "--to", str(to)]
    assert main(["export", run_of("clip", "lora"), *options]) == 0
    assert "An adapter of" in capsys.readouterr().out
    names = {file.name for file in to.iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert to.stat().st_mode & 0o777 == 0o777 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_while_another_does(to: Path) -> None:
    with new_folder(to) as one:
        (one / "first").touch()
        with new_folder(to) as other:
            (other / "second").touch()


def write_half(to: Path) -> None:
    with new_folder(to) as part:
        (part / "half").touch()
        raise RuntimeError


def test_of_two_at_once_one_is_refused(tmp_path: Path) -> None:
    to = tmp_path / "to"
    with pytest.raises(InputError, match="was made by another process meanwhile"):
        write_while_another_does(to)
    assert [path.name for path in tmp_path.iterdir()] == ["to"]
    assert [path.name for path in to.iterdir()] == ["second"]


def test_errors_and_kills_leave_no_folder(tmp_path: Path) -> None:
    to = tmp_path / "to"
    with pytest.raises(RuntimeError):
        write_half(to)
    assert not any(tmp_path.iterdir())
    code = f"""
import os, signal
from pathlib import Path
from sweep.exporting.new_folder import new_folder
with new_folder(Path({str(to)!r})) as part:
    (part / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not to.exists()
    with new_folder(to) as part:
        (part / "whole").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["to"]
    assert [path.name for path in to.iterdir()] == ["whole"]
