"""What is said before a study with tasks of all kinds starts: data, texts, and what is known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from methods.backbones.pretrained import PretrainedBackbone
from methods.data import Split, Task
from methods.testing.toy import WORDS
from sweep import Study, check_study
from sweep.measuring.measure import make_plan
from sweep.preview.checkup import Checkup
from sweep.preview.data_check import _check_references, check_data
from sweep.preview.preview import make_preview
from sweep.preview.prompt_check import read_prompts
from sweep.preview.thinned import num_tested, thinned
from sweep.preview.trying_out import chance_of
from sweep.storage.run_folder import RunFolder
from sweep.study.backbones import BackboneConfig, find_source
from sweep.tasks.base import Benchmark
from tests.sweep.source_tasks import NAMES, write
from tests.sweep.sources import isolate


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def study_of(tmp_path: Path, backbone: str, *names: str) -> Study:
    """A study of tasks of these kinds; "own" has choices of each sample's own."""
    words = list(WORDS[:3])
    rows = {
        "label": [0, 1, 2] * 4,
        "caption": [[f"a {words[i % 3]}", "red"] for i in range(12)],
        "answer": [words[i % 3] for i in range(12)],
        "ask": ["what color ?"] * 12,
        "options": [words[: 2 + i % 2] for i in range(12)],
        "right": [i % 2 for i in range(12)],
    }
    path = write(tmp_path / "data", train=rows, test=rows)
    tasks: dict[str, dict[str, Any]] = {
        "choices": {"template": "a {}", "rename": dict(zip(NAMES, words, strict=True))},
        "own": {"template": "a {}", "columns": {"choices": "options", "label": "right"}},
        "pairs": {"kind": "pairs"},
        "answers": {"kind": "answers", "columns": {"question": "ask"}, "answer_tokens": 2},
    }
    return Study.from_dict(
        {
            "name": "kinds",
            "benchmark": {
                "name": "datasets",
                "tasks": {name: tasks[name] | {"path": path} for name in names},
            },
            "backbones": {"model": {"path": backbone}},
            "methods": ["finetune"],
            "training": {"steps": 2, "batch_size": 4},
            "design": {"name": "fixed", "orders": [list(names)]},
        }
    )


def said(checkup: Checkup, title: str) -> list[str]:
    return [f.text for topic in checkup.topics if topic.title == title for f in topic.findings]


def test_a_fusion_model_is_tried_out_on_all_kinds(models: Path, tmp_path: Path) -> None:
    names = ("choices", "own", "pairs", "answers")
    found = check_study(study_of(tmp_path, str(models / "llava"), *names))
    assert found.problems == []
    few = "'choices' (12); 'own' (12); 'pairs' (24); 'answers' (12)."
    assert said(found, "Data")[:5] == [
        "Task 'choices': 3 classes, 12 training and 12 test images.",
        "Task 'own': choices of each sample's own, 12 training and 12 test images.",
        "Task 'pairs': 24 training and 24 test captions of 12 and 12 images.",
        "Task 'answers': 12 training and 12 test samples.",
        f"Fewer than 100 test samples, so a score is known only roughly: {few}",
    ]
    assert "(steps x batch size / training samples)" in said(found, "Data")[5]
    choices = "'red', 'green', 'blue'"
    assert said(found, "Prompts") == [
        f"'choices' for 'model': \"red\" and 2 more, at most 1 tokens; choices: {choices}.",
        "'own' for 'model': \"red\" and 2 more, at most 1 tokens.",
        "'pairs' for 'model': \"a red\" and 3 more, at most 2 tokens.",
        "'answers' for 'model': \"what color ?\" and 3 more, at most 3 tokens.",
    ]
    (scores,) = [text for text in said(found, "Training") if text.startswith("Scores of 'model'")]
    for name, metric in zip(names, ("accuracy", "accuracy", "recall", "exact_match"), strict=True):
        assert f" {name} 0." in scores
        assert f"({metric})" in scores
    assert "gives no right answer on answers" in " ".join(said(found, "Training"))
    assert any("A process takes up to" in text for text in said(found, "Memory"))


def test_a_dual_encoder_learns_choices_and_pairs(models: Path, tmp_path: Path) -> None:
    names = ("choices", "own", "pairs")
    found = check_study(study_of(tmp_path, str(models / "clip"), *names))
    assert found.problems == []
    assert "'own' for 'model': \"a red\" and 2 more, at most 4 of 20 tokens." in said(
        found, "Prompts"
    )


def test_a_kind_that_a_backbone_cannot_learn_is_one_problem(models: Path, tmp_path: Path) -> None:
    found = check_study(study_of(tmp_path, str(models / "clip"), "choices", "answers"))
    (problem,) = found.problems
    assert problem.startswith("task 'answers' is not for backbone 'model': a dual encoder")
    assert not any("'answers' for" in text for text in said(found, "Prompts")[:1])
    assert said(found, "Run folder")


def test_a_kind_that_a_method_cannot_learn_is_one_problem(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(tmp_path, str(models / "clip"), "choices", "pairs")
    monkeypatch.setattr(study.methods["finetune"].kind, "needs_classes", True)
    (problem,) = check_study(study).problems
    assert "'finetune' learns only tasks with one list of choices" in problem


def test_plans_of_all_kinds_cost_something(models: Path, tmp_path: Path) -> None:
    study = study_of(tmp_path, str(models / "llava"), "answers", "pairs", "own")
    preview = make_preview(make_plan(study), str(tmp_path / "out"), None)
    assert "1 run, 4 stages: 1 untouched, 3 trained" in preview.sentence()
    assert preview.expected.seconds > 0


def captioned(captions: list[list[str]]) -> Task:
    split = Split.of_captions(np.zeros((len(captions), 8, 8, 3), np.uint8), captions)
    return Task("said", (), ("{}",), "", split, split, "pairs", "recall")


def asked(texts: list[tuple[str, ...]], kind: Any = "choices", questions: Any = None) -> Task:
    labels = np.zeros(len(texts), np.int64)
    split = Split(np.zeros((len(texts), 8, 8, 3), np.uint8), labels, questions, tuple(texts))
    return Task("asked", (), ("one {}", "two {}"), "", split, split, kind, "accuracy")


def test_chance_is_that_of_the_kind_and_the_metric() -> None:
    assert chance_of(asked([("a", "b"), ("a", "b", "c", "d")]), "accuracy") == pytest.approx(0.375)
    pairs = captioned([["a"], ["b"], ["c"], ["d", "e"]])
    assert chance_of(pairs, "recall") == pytest.approx(1 / 4)
    assert chance_of(pairs, "i2t_r5") == pytest.approx(1 - 0.75**5)
    shared = captioned([["a"], ["a"], ["c"], ["d"]])
    assert chance_of(shared, "recall") == pytest.approx(6 / 16)
    assert chance_of(asked([("yes",)], "answers"), "exact_match") is None


def test_texts_of_samples_are_read_as_they_are_used(models: Path) -> None:
    clip, llava = (
        find_source(BackboneConfig(path=str(models / name))).load() for name in ("clip", "llava")
    )
    assert isinstance(clip, PretrainedBackbone)
    assert isinstance(llava, PretrainedBackbone)
    own = asked([("red", "zebra"), ("red", "blue")])
    found = read_prompts(clip, own)
    assert found.example == "one red"
    assert found.num_texts == 6
    assert found.unknown == ("one", "two", "zebra")
    assert read_prompts(llava, own).num_texts == 3
    pairs = captioned([["red"], ["red " * 30]])
    assert read_prompts(clip, pairs).cut == ("red " * 30,)
    answers = asked([("red",), ("yak",)], "answers", ("what color ?", "what color ?"))
    found = read_prompts(llava, answers)
    assert found.example == "what color ?"
    assert found.unknown == ("yak",)


def test_thinned_tasks_of_all_kinds_keep_what_belongs_together() -> None:
    pairs = captioned([[f"a{i}", f"b{i}"] for i in range(40)])
    own = asked([(f"x{i}", f"y{i}") for i in range(40)])
    few = thinned(Benchmark({"pairs": pairs, "own": own}), 10, 20)
    assert num_tested(few) == 30
    split = few.tasks["pairs"].test
    assert len(split) == 20
    for text, shown in zip(split.texts or (), split.shown, strict=True):
        assert text[0][0] in "ab"
        assert len(split.pictures) > shown
    texts = few.tasks["own"].test.texts
    assert texts
    assert all(one[0][1:] == one[1][1:] for one in texts)
    assert len({one[0] for one in texts}) == 10


def test_tasks_without_classes_have_no_notes_about_classes(tmp_path: Path, models: Path) -> None:
    checkup = Checkup()
    checkup.about("Data")
    assert check_data(study_of(tmp_path, str(models / "llava"), "own", "pairs", "answers"), checkup)
    assert not any("classes" in text for text in said(checkup, "Data"))


def test_results_say_which_split_they_are_of(models: Path, tmp_path: Path) -> None:
    study = study_of(tmp_path, str(models / "clip"), "choices")
    found = study.model_dump(mode="json", by_alias=True)
    found["benchmark"]["tasks"]["choices"]["shots"] = 2
    found["methods"] = ["finetune"]
    study = Study.from_dict(found)
    RunFolder(str(tmp_path / "out"), make_plan(study)).write_manifest(1)
    (sentence,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["data"]
    assert sentence == study.benchmark.found()[0]
    assert "6 training and 12 test images. The split is" in sentence


def test_choices_of_samples_are_no_skewed_classes(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(tmp_path, str(models / "llava"), "own")
    loaded = study.benchmark.load()
    own = loaded.tasks["own"]
    skewed = replace(own.test, labels=np.array([0] * 11 + [1]))
    monkeypatch.setattr(
        type(study.benchmark), "load", lambda _: Benchmark({"own": replace(own, test=skewed)})
    )
    checkup = Checkup()
    assert check_data(study, checkup)
    assert not any("classes" in text for text in said(checkup, "Data"))


def test_a_score_that_compares_nothing_in_the_references_is_named() -> None:
    def checked(score: str, *answers: str) -> list[tuple[str, str]]:
        pictures = [np.zeros((2, 2, 3), np.uint8)] * len(answers)
        split = Split.of_captions(pictures, [(answer,) for answer in answers])
        task = Task("boxes", (), (), "where?", split, split, "answers", score)
        study = Study.load("quickstart")
        checkup = Checkup()
        checkup.about("Data")
        _check_references(study, Benchmark({"boxes": task}), checkup)
        return [(found.mark, found.text) for found in checkup.topics[0].findings]

    assert checked("iou", "[0, 0, 1, 1]", "[1, 1, 2, 2]") == []
    ((mark, text),) = checked("iou", "[0, 0, 1, 1]", "on the left")
    assert mark == "note"
    assert "scored by iou, by which 1 of 2 test samples count as wrong whatever the answer" in text
    assert checked("letter", "a bus", "a red car")[0][0] == "problem"
    assert checked("exact_match", "a bus", "a red car") == []
