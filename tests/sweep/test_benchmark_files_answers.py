"""Benchmarks of environments, captions and answers: their files, on data in the sources' formats.

Each test writes a few samples as those who publish a data set write them, loads two tasks through
the benchmark's file, and looks at what the protocol asks for. At the end every benchmark is studied
with two of its tasks.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from methods.data import Split, Task
from methods.testing.tiny_models import save_clip, save_llava
from methods.testing.workbench import Workbench
from sweep import file_digests
from sweep.study.schema import Study
from sweep.tasks.named.benchmark_files import read_benchmark
from sweep.tasks.named.named_benchmark import Published
from tests.sweep import published_data as data
from tests.sweep.two_tasks import (
    CAPTION,
    STUDIES,
    WORD,
    write_coco,
    write_coin,
    write_cub,
    write_mllm_cl,
    write_retrieval,
    write_ucit,
    write_vqa,
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "memory" / "memory.sqlite")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def load(name: str, root: Path, *tasks: str) -> list[Task]:
    """Returns some tasks of a benchmark, from copies below a root."""
    loaded = Published(name=name, tasks=tasks, root=root).load().tasks
    return [loaded[task] for task in tasks]


def shades(split: Split) -> list[str]:
    """Returns the colours that the samples show."""
    pictures = split.images(split.shown)
    means = [np.asarray(image.convert("RGB"))[4:, 4:].mean((0, 1)) for image in pictures]
    return [list(data.COLORS)[int(mean.argmax())] for mean in means]


def asked(split: Split) -> list[str]:
    """Returns the questions of samples that have their own."""
    assert split.questions is not None
    return list(split.questions)


def said(split: Split) -> list[tuple[str, ...]]:
    """Returns captions, or reference answers."""
    assert split.texts is not None
    return list(split.texts)


# --- choices -------------------------------------------------------------------------------------

SUPERCATEGORIES = {
    "animals": ("bird", "giraffe"),
    "traffic": ("bicycle", "boat", "traffic light", "bench"),
    "sports": ("backpack", "suitcase", "frisbee", "tennis racket"),
    "food": ("bottle", "bowl", "banana", "cake"),
    "home": ("chair", "toilet", "tv", "cell phone", "microwave", "refrigerator", "book"),
}
"""First and last categories of COCO's supercategories, by environment."""


def test_coco_environments_hold_every_category_but_persons() -> None:
    tasks = read_benchmark("coco-environments").tasks
    named = [name for task in tasks.values() for name in task.classes or ()]
    assert sorted(named) == sorted(set(data.COCO_NAMES) - {"person"})
    assert [task.expected.classes for task in tasks.values()] == [10, 13, 15, 17, 24]
    for environment, names in SUPERCATEGORIES.items():
        assert set(names) <= set(tasks[environment].classes or ())


def test_an_image_of_coco_counts_for_its_largest_object(tmp_path: Path) -> None:
    write_coco(tmp_path)
    animals, food = load("coco-environments", tmp_path, "animals", "food")
    assert animals.choices[:2] == ("bird", "cat")
    assert len(animals.choices) == 10
    assert [animals.choices[label] for label in animals.train.labels] == [*animals.choices, "cat"]
    assert [food.choices[label] for label in food.train.labels] == [*food.choices, "cake"]
    assert [animals.choices[label] for label in animals.test.labels] == ["cat", *animals.choices]
    assert shades(food.test)[0] == data.color(1)
    assert animals.templates == ("a photo of a {}.",)
    assert food.score == "accuracy"


def test_cub_environments_hold_every_bird_once() -> None:
    tasks = read_benchmark("cub-environments").tasks
    named = [name for task in tasks.values() for name in task.classes or ()]
    numbers = sorted(int(name[:3]) for name in named)
    assert numbers == list(range(1, 201))
    assert [task.expected.classes for task in tasks.values()] == [43, 24, 44, 38, 51]
    assert "001.Black_footed_Albatross" in (tasks["water-birds"].classes or ())
    assert "191.Red_headed_Woodpecker" in (tasks["woodpeckers-hummingbirds"].classes or ())
    assert "182.Yellow_Warbler" in (tasks["warblers-blackbirds"].classes or ())


def test_birds_are_called_by_their_names(tmp_path: Path) -> None:
    write_cub(tmp_path)
    first, second = load(
        "cub-environments", tmp_path, "woodpeckers-hummingbirds", "sparrows-finches"
    )
    assert first.prompts()[0] == "a photo of a Groove billed Ani, a type of bird."
    assert len(first.choices) == len(first.train) == len(first.test) == 24
    assert len(second.choices) == len(second.train) == 38
    assert not any("_" in name or "." in name for name in (*first.choices, *second.choices))


# --- pairs ---------------------------------------------------------------------------------------


def test_every_image_has_all_its_captions(tmp_path: Path) -> None:
    write_retrieval(tmp_path)
    coco, flickr = load("retrieval4", tmp_path, "coco", "flickr30k")
    for task in (coco, flickr):
        assert task.kind == "pairs"
        assert task.score == "recall"
        assert len(task.train) == 5 * 6
        assert len(task.test) == 5 * 4
        assert len(task.test.pictures) == 4
        assert task.test.shown.tolist() == [i for i in range(4) for _ in range(5)]
        assert said(task.test)[5:7] == [("green a",), ("green b",)]
        for shade, (caption,) in zip(shades(task.test), said(task.test), strict=True):
            assert caption.startswith(shade)


def test_visual_genome_and_conceptual_captions(tmp_path: Path) -> None:
    write_retrieval(tmp_path)
    genome, conceptual = load("retrieval4", tmp_path, "visual-genome", "conceptual-captions")
    assert (len(genome.train), len(genome.test)) == (5 * 9, 5 * 1)
    assert ("a sixth",) not in said(genome.train)
    assert (len(conceptual.train), len(conceptual.test)) == (6, 4)
    for task in (genome, conceptual):
        for shade, (caption,) in zip(shades(task.train), said(task.train), strict=True):
            assert caption.startswith(shade)


def test_probes_of_captions(tmp_path: Path) -> None:
    write_retrieval(tmp_path)
    names = ("flickr30k", "coco-captions")
    benchmark = Published(name="retrieval4", tasks=("coco",), probes=names, root=tmp_path).load()
    assert set(benchmark.probes) == set(names)
    for probe in benchmark.probes.values():
        assert probe.kind == "pairs"
        assert (len(probe.test), len(probe.test.pictures)) == (5 * 4, 4)


# --- answers -------------------------------------------------------------------------------------


def test_vqacl_has_every_question_type_once() -> None:
    file = read_benchmark("vqacl")
    types = [kind for task in file.tasks.values() for kind in task.where["question_type"]]
    assert len(types) == len(set(types)) == 66
    assert file.tasks["causal"].where["question_type"] == ("why", "why is the", "how")
    assert "is the man" in file.tasks["action"].where["question_type"]
    assert list(file.orders["vqacl"]) == list(file.tasks)


def test_questions_of_a_type_make_a_task(tmp_path: Path) -> None:
    write_vqa(tmp_path)
    count, colors = load("vqacl", tmp_path, "count", "color")
    assert (len(count.train), len(count.test)) == (5, 5)
    assert (len(colors.train), len(colors.test)) == (6, 5)
    assert asked(count.test)[0] == "how many 0?" + WORD
    assert said(count.test)[0] == ("red",) * 7 + ("pink",) * 2 + ("none",)
    assert len(count.test.pictures) == 3  # two questions about each, of the last one only one
    assert shades(colors.test) == [data.color(i // 2) for i in range(5, 10)]
    assert (count.kind, count.score, count.answer_tokens) == ("answers", "vqa_accuracy", 16)


def test_coin_and_its_six_tasks() -> None:
    eight, six = read_benchmark("coin"), read_benchmark("coin6")
    assert list(eight.orders["coin"]) == list(eight.tasks)
    assert set(eight.tasks) - set(six.tasks) == {"imagenet", "grounding"}
    assert all(six.tasks[name] == eight.tasks[name] for name in six.tasks)
    sizes = {name: task.expected for name, task in eight.tasks.items()}
    assert (sizes["scienceqa"].train, sizes["scienceqa"].test) == (12726, 4241)
    assert (sizes["textvqa"].train, sizes["textvqa"].test) == (34602, 5000)
    assert (sizes["imagenet"].train, sizes["imagenet"].test) == (129833, 5050)
    assert (sizes["gqa"].train, sizes["gqa"].test) == (72140, 12578)
    (pam,) = [figures for figures in six.published if figures.method == "pam"]
    assert pam.numbers == {"last": 49.89, "bwt": -19.45}


def test_coin_leaves_out_questions_without_an_image(tmp_path: Path) -> None:
    write_coin(tmp_path)
    science, vqa = load("coin", tmp_path, "scienceqa", "vqav2")
    assert (len(science.train), len(science.test)) == (6, 3)
    assert all("mammal" not in question for question in asked(science.train) + asked(science.test))
    assert asked(science.train)[0].startswith("Which color is it?\nA. red")
    assert said(science.test) == [("A",), ("B",), ("C",)]
    assert (science.score, vqa.score) == ("letter", "exact_match")
    assert (len(vqa.train), len(vqa.train.pictures)) == (4, 3)
    assert asked(vqa.test)[0] == "What color is it?" + WORD
    for shade, (answer,) in zip(shades(vqa.test), said(vqa.test), strict=True):
        assert answer == shade


def test_boxes_of_coin_are_answers(tmp_path: Path) -> None:
    write_coin(tmp_path)
    (grounding,) = load("coin", tmp_path, "grounding")
    assert grounding.score == "iou_50"
    assert set(said(grounding.train) + said(grounding.test)) == {("[0.1, 0.2, 0.5, 0.8]",)}
    assert set(asked(grounding.test)) == {"Please provide the bounding box coordinate of it."}


def test_ucit_in_its_order() -> None:
    file = read_benchmark("ucit")
    assert list(file.orders["ucit"]) == list(file.tasks)
    scores = {name: task.score for name, task in file.tasks.items()}
    assert {name for name, score in scores.items() if score == "cider"} == {"vizwiz", "flickr30k"}
    assert {score for score in scores.values() if score != "cider"} == {"exact_match"}
    assert all(task.expected.test == 3000 for task in file.tasks.values())


def test_captions_of_ucit_are_tested_on_several_references(tmp_path: Path) -> None:
    write_ucit(tmp_path)
    objects, vizwiz = load("ucit", tmp_path, "imagenet-r", "vizwiz")
    assert (len(objects.train), len(objects.test)) == (6, 3)
    assert said(objects.test) == [("red",), ("green",), ("blue",)]
    assert shades(objects.test) == ["red", "green", "blue"]
    assert asked(vizwiz.train) == [CAPTION] * 4
    assert vizwiz.question == CAPTION
    assert said(vizwiz.train)[1] == ("a green thing",)
    assert said(vizwiz.test)[0] == ("green thing", "it is green")
    assert shades(vizwiz.test) == [data.color(i + 1) for i in range(4)]
    assert (vizwiz.score, vizwiz.answer_tokens) == ("cider", 48)


@pytest.mark.parametrize(
    ("name", "tasks", "order"),
    [
        (
            "mllm-cl",
            ("remote-sensing", "finance"),
            ["remote-sensing", "medicine", "driving", "science", "finance"],
        ),
        ("mllm-cl-ability", ("ocr", "perception"), ["ocr", "math", "perception", "gui"]),
    ],
)
def test_domains_and_abilities(
    tmp_path: Path, name: str, tasks: Sequence[str], order: list[str]
) -> None:
    write_mllm_cl(tmp_path)
    for task in load(name, tmp_path, *tasks):
        assert (len(task.train), len(task.test)) == (4, 3)
        assert said(task.test) == [("red",), ("green",), ("blue",)]
        assert shades(task.test) == ["red", "green", "blue"]
        assert task.score == "exact_match"
    assert [list(those) for those in read_benchmark(name).orders.values()] == [order]


# --- studies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_two_tasks_are_studied(name: str, tmp_path: Path) -> None:
    write, tasks, model = STUDIES[name]
    write(tmp_path)
    words = {word for task in load(name, tmp_path, *tasks) for word in words_of(task)}
    path = {"clip": save_clip, "llava": save_llava}[model](tmp_path / "models" / model, words)
    content: dict[str, Any] = {
        "name": "two-tasks",
        "benchmark": {"name": name, "tasks": list(tasks), "root": str(tmp_path)},
        "backbones": {model: {"path": path}},
        "methods": ["finetune"],
        "design": "exhaustive",
        "training": {"steps": 3, "batch_size": 4, "lr": 0.003},
    }
    bench = Workbench(Study.from_dict(content), "finetune")
    results = bench.untouched | bench.learn(tasks)
    stages = bench.plan.run(model, "finetune", 0, tasks).stages
    rows = [row | {"stage": key} for key in stages for row in results[key].record.scores]
    for task in tasks:
        own = [row for row in rows if row["eval_task"] == task]
        losses = [row["value"] for row in own if row["metric"] == "loss"]
        assert np.isfinite(losses).all()
        assert len(set(losses)) == len(stages) == 3
        scores = [row for row in own if row.get("is_primary")]
        assert {row["metric"] for row in scores} == {read_benchmark(name).tasks[task].scored_by}
        assert all(0 <= row["value"] <= 1 for row in scores)
        assert [row["stage"] for row in scores] == list(stages)


def words_of(task: Task) -> set[str]:
    """Returns the words of its choices, captions or answers."""
    texts = [text for texts in task.train.texts or () for text in texts]
    return {word.lower() for text in (*task.choices, *texts) for word in re.findall(r"\w+", text)}
