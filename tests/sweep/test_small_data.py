"""Few samples, many classes, batches of one: nothing fails, and nothing is mistaken."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from methods.backbones import load_backbone
from methods.base import State
from methods.seeds import derive_seed
from methods.testing import toy_study
from sweep.single import run_single
from sweep.stage.trainer import draw_stream
from sweep.study.schema import Study
from sweep.tasks.image_folder import ImageFolder
from tests.sweep.test_single import study_for


def write(folder: Path, *classes: str, train: int = 1, test: int = 2) -> None:
    """One colour per class, told by its place in the list."""
    for (number, name), (part, count) in product(
        enumerate(classes), {"train": train, "test": test}.items()
    ):
        (folder / part / name).mkdir(parents=True)
        for i in range(count):
            colour = (10 * number, i, 0 if part == "train" else 255)
            Image.new("RGB", (40, 40), colour).save(folder / part / name / f"{i}.png")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "one", "red", "green", "blue")
    write(tmp_path / "two", "red", "green", "blue")
    return tmp_path


def run(models: Path, path: Path, method: str, batch: int) -> tuple[list[float], State]:
    study = Study.from_dict(
        {
            "name": "small",
            "benchmark": {"name": "folder", "path": str(path)},
            "backbones": {"clip": {"path": str(models / "clip")}},
            "methods": [method],
            "training": {"steps": 2, "batch_size": batch, "lr": 0.01},
        }
    )
    records, state = run_single(study, method, ("one", "two"))
    assert state is not None
    return [row["value"] for record in records for row in record.scores], state


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("method", ["finetune", "contrastive", "er", "ewc", "inflora"])
def test_one_image_per_class_in_any_batch(
    models: Path, path: Path, method: str, batch: int
) -> None:
    values, state = run(models, path, method, batch)
    assert all(math.isfinite(value) for value in values)
    assert all(
        weights.isfinite().all() for weights in state.values() if weights.is_floating_point()
    )


def test_a_batch_of_one_teaches_the_contrastive_loss_something(models: Path, path: Path) -> None:
    """Against captions of the same batch alone its loss would always be zero."""
    _, state = run(models, path, "contrastive", 1)
    name = "model.visual_projection.weight"
    before = load_backbone(str(models / "clip")).state_dict()[name]
    assert not torch.equal(state[f"weights/backbone.{name}"], before)


def test_every_sample_is_trained_on_as_often_where_a_batch_is_larger() -> None:
    stream = draw_stream({"a": 3}, {"a": 6}, 64, seed=0)
    assert {len(ids) for _, ids in stream} == {64}
    counts = torch.bincount(torch.cat([ids for _, ids in stream]), minlength=3)
    assert counts.tolist() == [128, 128, 128]


def test_a_memory_may_hold_fewer_samples_than_there_are_classes(models: Path) -> None:
    training = {"steps": 2, "batch_size": 4}
    study = toy_study(models, {"er": {"memory": 2}}, training=training)
    _, state = run_single(study, "er", ("a", "b"))
    assert state is not None
    held = {name: len(slots) for name, slots in state.items() if "memory/" in name}
    assert sum(held.values()) == 2
    assert len(held) == 2


def test_classes_are_known_by_name_and_not_by_place(tmp_path: Path) -> None:
    """Sorted as text, class10 comes before class2."""
    names = [f"class{i}" for i in range(1, 12)]
    write(tmp_path / "task", *names)
    task = ImageFolder(path=tmp_path).load().tasks["task"]
    for split in (task.train, task.test):
        pictures = split.images(np.arange(len(split.labels)))
        for picture, label in zip(pictures, split.labels, strict=True):
            red = np.asarray(picture)[0, 0, 0]
            assert task.choices[label] == names[red // 10].replace("_", " ")


@pytest.mark.parametrize("backbone", ["clip", "llava"])
def test_scores_do_not_depend_on_the_batches_of_evaluation(models: Path, backbone: str) -> None:
    found = []
    source = {backbone: {"path": str(models / backbone)}}
    for size in (1, 5, 512):
        study = study_for(
            models,
            [("a", "b")],
            ["zero_shot"],
            backbones=source,
            evaluation={"batch_size": size},
        )
        records, _ = run_single(study, "zero_shot", ("a", "b"))
        found.append([row["value"] for row in records[0].scores])
    np.testing.assert_allclose(found[1], found[0], atol=2e-6)
    np.testing.assert_allclose(found[2], found[0], atol=2e-6)


def test_no_two_purposes_of_a_study_share_a_seed(models: Path) -> None:
    study = study_for(models, [("a", "b")], ["finetune"], replicates=200)
    roots = [study.replicate_seed(r) for r in range(study.replicates)]
    seeds = [
        derive_seed(root, *parts) for root in roots for parts in (("a", "b"), ("ab",), ("b", "a"))
    ]
    assert len(set(seeds)) == len(seeds)
    firsts = {tuple(draw_stream({"a": 100}, {"a": 1}, 8, seed)[0][1].tolist()) for seed in roots}
    assert len(firsts) == len(roots)


def test_an_image_to_train_and_to_test_on_is_said(tmp_path: Path) -> None:
    write(tmp_path / "task", "red", "green")
    copied = (tmp_path / "task/train/red/0.png").read_bytes()
    (tmp_path / "task/test/red/copy.png").write_bytes(copied)
    (said,) = ImageFolder(path=tmp_path).warnings()
    assert said == (
        "Task 'task': 1 image in both train and test, such as 'task/test/red/copy.png', so its "
        "accuracy is too high."
    )
