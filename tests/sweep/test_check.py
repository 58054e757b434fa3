"""What a newcomer runs first: all problems are found at once, and nothing is written."""

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from methods.backbones.pretrained import PretrainedBackbone
from methods.data import Split, Task
from sweep import Study, check_study, run_single
from sweep.cli.main import main
from sweep.preview import machine
from sweep.preview.checkup import Checkup
from sweep.preview.data_check import check_data
from sweep.preview.prompt_check import read_prompts
from sweep.preview.thinned import num_tested, thinned
from sweep.storage.lock import MARKS
from sweep.study.backbones import BackboneConfig, find_source
from sweep.tasks.base import Benchmark

WORLD = {"name": "world", "tasks": ["shapes", "colors"], "train": 32, "test": 8}


def content(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "benchmark": WORLD,
        "backbones": ["tiny-clip"],
        "methods": ["finetune"],
        "training": {"steps": 2, "batch_size": 8},
        **changes,
    }


def study_of(**changes: Any) -> Study:
    return Study.from_dict(content(**changes))


def texts(checkup: Checkup, mark: str, title: str | None = None) -> list[str]:
    return [
        finding.text
        for topic in checkup.topics
        for finding in topic.findings
        if finding.mark == mark and title in (None, topic.title)
    ]


def task(choices: Sequence[str], labels: Sequence[int], template: str = "a photo of a {}") -> Task:
    split = Split(np.zeros((len(labels), 8, 8, 3), np.uint8), np.array(labels))
    return Task("pets", tuple(choices), (template,), "what?", split, split)


def write_folder(root: Path, counts: dict[str, int], task: str = "pets") -> Path:
    """A folder of images with so many test images of every class, and two for training."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        for part, size in (("train", 2), ("test", count)):
            folder = root / task / part / name
            folder.mkdir(parents=True)
            for i in range(size):
                pixels = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture(scope="module")
def clip() -> PretrainedBackbone:
    backbone = find_source(BackboneConfig(path="tiny-clip")).load()
    assert isinstance(backbone, PretrainedBackbone)
    return backbone


def test_more_samples_than_a_method_can_hold_are_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two tasks of 32 samples have 64 x 64 pairs."""
    study = study_of(methods={"rail": {"form": "dual"}})
    monkeypatch.setattr("methods.analytic.rail._MOST_ROWS", 63)
    (problem,) = check_study(study).problems
    assert problem.startswith("method 'rail' compares all training samples of an order")
    monkeypatch.setattr("methods.analytic.rail._MOST_ROWS", 64)
    assert not check_study(study).problems


def test_pairs_of_samples_count_among_what_a_process_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice 8 bytes for each of 64 x 64, which is nothing; then so much that it does not fit."""
    study = study_of(methods={"rail": {"form": "dual"}})
    found = check_study(study)
    assert "65.5 KB for all pairs of samples, and" in texts(found, "ok", "Memory")[0]
    monkeypatch.setattr("sweep.preview.study_check.bytes_of_pairs", lambda count: count * 10**15)
    (problem,) = check_study(study).problems
    assert "are free. Give tasks fewer `shots`, or choose `form: primal`." in problem


def test_a_study_that_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("study.yaml").write_text(yaml.safe_dump(content()))
    assert main(["check", "study.yaml", "--set", "replicates=2", "--json"]) == 0
    assert os.listdir() == ["study.yaml"]
    said = json.loads(capsys.readouterr().out)
    assert said["problems"] == []
    found = {
        topic: [row["text"] for row in rows if row["mark"] == "ok"]
        for topic, rows in said["topics"].items()
    }
    assert "Task 'shapes': 16 classes, 32 training and 8 test images." in found["Data"]
    notes = [row["text"] for row in said["topics"]["Data"] if row["mark"] == "note"]
    assert notes[-1].startswith("Training goes through 'shapes' only in part (50%) (steps x")
    assert "dual-encoder, 420,769 parameters, images of 32 x 32" in found["Models"][0]
    example = (
        "'shapes' for 'tiny-clip': \"a photo of a circle\" and 15 more, at most 7 of 20 tokens"
    )
    assert found["Prompts"][0].startswith(example)
    assert "in 2 replicates" in found["Training"][0]
    assert "weights 1.68 MB, gradients 1.68 MB, AdamW's moments 3.37 MB" in found["Memory"][0]
    assert len(found["Disk"]) == 2
    assert found["Run folder"][0].endswith("runs/tiny: a new run starts in it.")
    assert platform.python_version() in found["Machine"][-1]


def test_every_problem_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    changed = {"benchmark": {"name": "folder", "path": "nowhere"}, "backbones": ["tinyclip", "no"]}
    Path("study.yaml").write_text(yaml.safe_dump(content(**changed)))
    assert main(["check", "study.yaml"]) == 2
    said = capsys.readouterr().out
    problems = [line.strip() for line in said.splitlines() if line.startswith("  problem")]
    assert problems == [
        f"problem  path: '{Path('nowhere').absolute()}' is not a folder.",
        "problem  Unknown backbone (or hub id, or folder) 'tinyclip'; allowed: tiny-clip, "
        "tiny-clip-pictures, tiny-vlm. Did you mean 'tiny-clip'?",
        "problem  Unknown backbone (or hub id, or folder) 'no'; allowed: tiny-clip, "
        "tiny-clip-pictures, tiny-vlm.",
    ]
    assert "3 problems stop this study from running." in said
    assert os.listdir() == ["study.yaml"]


def test_every_misspelt_key_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = content(replicate=2, training={"step": 1}, lanes={"count": "many"})
    Path("study.yaml").write_text(yaml.safe_dump(wrong))
    assert main(["check", "study.yaml", "--set", "evaluation.score=accurracy"]) == 2
    said = capsys.readouterr().out
    for hint in ("'replicates'?", "'steps'?", "or 'auto', got 'many'.", "'accuracy'?"):
        assert hint in said
    assert "4 problems" in said


def test_names_are_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pets", "cars"):
        write_folder(Path("data"), {"[red]a": 2, "[b": 2}, name)
    folder = {"name": "folder", "path": "data"}
    Path("study.yaml").write_text(yaml.safe_dump(content(benchmark=folder)))
    assert main(["check", "study.yaml"]) == 0
    assert "choices: '[b', '[red]a'." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("free_disk", ["States take up to", "Prepared images take up to"]),
        ("free_memory", ["Set lanes.count to fewer lanes, or training.batch_size"]),
    ],
)
def test_too_little_room(name: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, name, lambda *_: -(10**15))
    problems = check_study(study_of()).problems
    assert len(problems) == len(expected)
    for text, problem in zip(expected, problems, strict=True):
        assert text in problem


def test_a_study_for_a_cluster_is_no_problem_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where as many processes as it has lanes would not fit."""
    monkeypatch.setattr(machine, "num_gpus", lambda: 0)
    monkeypatch.setattr(machine, "free_memory", lambda: 1)
    found = check_study(study_of(lanes={"count": 8, "workers": 2, "gpus_per_worker": 1}))
    assert found.problems == []
    (said,) = texts(found, "note", "Machine")
    assert "A lane takes 2 of the CPU cores and 2 of the GPUs, and this machine has" in said
    assert "run it on a cluster (--address)" in said
    (said,) = texts(found, "note", "Memory")
    assert said == "This machine lacks the GPUs of a lane; whether that fits is not known."
    assert check_study(study_of(lanes={"count": 8})).problems  # these would run here


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    out = tmp_path / "out"
    order = ("shapes", "colors")
    design = {"name": "fixed", "orders": [order], "all_tasks": False}
    run_single(study_of(design=design), "finetune", order, out=str(out))
    busy = {"host": platform.node(), "pid": os.getppid(), "seen": time.time()}
    before = sorted(out.rglob("*"))
    mark = out / MARKS / "other.json"
    mark.parent.mkdir()
    mark.write_text(json.dumps(busy))
    other = study_of(design=design, training={"steps": 3, "batch_size": 8})
    found = check_study(other, str(out))
    in_use, holds = found.problems
    assert f"is in use by process {os.getppid()}" in in_use
    assert "holds another study (its training differs)" in holds
    assert texts(found, "ok", "Memory")  # what else there is to say is said
    mark.unlink()
    mark.parent.rmdir()
    assert sorted(out.rglob("*")) == before


def test_a_method_that_fails_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    Path("broken.py").write_text(
        "from methods.baselines.finetune import FineTune\n\n\n"
        "class Broken(FineTune):\n"
        "    def loss(self, batch):\n"
        "        raise RuntimeError('my own mistake')\n\n"
        "    forward = loss\n"
    )
    methods = {"mine": {"method": "broken:Broken"}, "finetune": {}}
    Path("study.yaml").write_text(yaml.safe_dump(content(methods=methods)))
    (problem,) = check_study("study.yaml").problems
    assert problem == "method 'mine' on backbone 'tiny-clip' fails: RuntimeError: my own mistake"


def test_skewed_classes_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", {"cat": 12, "dog": 3})
    write_folder(tmp_path / "data", {"car": 4, "van": 4}, "cars")
    folder = {"name": "folder", "path": str(tmp_path / "data")}
    checkup = Checkup()
    assert check_data(study_of(benchmark=folder), checkup)
    notes = texts(checkup, "note")
    assert any("mostly about those: 'pets' (4 times). To let" in note for note in notes)
    assert any("known only roughly: 'cars' (8); 'pets' (15)." in note for note in notes)
    assert "Training goes through 'cars' 4 times (steps x batch size / training images)." in texts(
        checkup, "ok"
    )
    checkup = Checkup()
    check_data(study_of(benchmark=folder, evaluation={"score": "class_accuracy"}), checkup)
    assert not any("count alike" in note for note in texts(checkup, "note"))


def test_prompts_are_shown_as_the_model_reads_them(clip: PretrainedBackbone) -> None:
    found = read_prompts(clip, task(["red circle", "zebra", "yak."], [0, 1, 2]))
    assert found.example == "a photo of a red circle"
    assert (found.num_texts, found.longest, found.room) == (3, 8, 20)
    assert found.unknown == ("zebra", "yak")
    assert found.cut == ()


def test_prompts_that_are_cut(clip: PretrainedBackbone) -> None:
    found = read_prompts(clip, task(["red", "blue", "zebra", "yak"], [0, 1], "a " * 19 + "{}"))
    assert found.longest == 22
    assert len(found.cut) == 4


def test_choices_that_are_the_same_to_a_backbone_are_one_problem_of_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_folder(tmp_path / "data", {"zebra": 4, "yak": 4})
    design = {"name": "fixed", "orders": [["pets"]]}
    study = content(benchmark={"name": "folder", "path": str(path)}, design=design)
    Path("study.yaml").write_text(yaml.safe_dump(study))
    (tmp_path / "out").write_text("")
    assert main(["check", "study.yaml", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "the choices 'yak' and 'zebra' are the same to backbone 'tiny-clip'" in said.out
    assert f"'{tmp_path / 'out'}' is a file" in said.out
    assert "2 problems stop this study from running." in said.out
    assert not said.err


def test_a_thinned_benchmark_has_samples_of_every_class() -> None:
    labels = np.repeat(np.arange(5), 20)
    pixels = np.arange(100, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    split = Split(pixels, labels, [f"question {i}" for i in range(100)])
    whole = Task("pets", tuple("abcde"), ("{}",), "what?", split, split)
    benchmark = thinned(Benchmark({"pets": whole, "cars": whole}, {"probe": whole}), 10, 30)
    tasks = (*benchmark.tasks.values(), *benchmark.probes.values())
    assert [len(thin.test.labels) for thin in tasks] == [30, 10, 10]
    assert num_tested(benchmark) == 50
    for thin in tasks:
        part = thin.test
        assert set(part.labels.tolist()) == set(range(5))
        shown = np.asarray(part.images(np.array([3, 1])))[:, 0, 0, 0]
        assert labels[shown].tolist() == part.labels[[3, 1]].tolist()
        assert part.questions
        assert [part.questions[i] for i in (3, 1)] == [f"question {i}" for i in shown]
