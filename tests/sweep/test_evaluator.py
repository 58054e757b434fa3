"""Scores: recall against brute force, accuracy and embeddings against a plain loop."""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import balanced_accuracy_score

from methods.backbones import load_backbone
from methods.data import Batch
from methods.testing.workbench import Workbench
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.stage.rows import mean_recall, share_right
from sweep.stage.task_scores import recall
from tests.methods.shipped import study_of

FEW_VALUES = st.sampled_from([-1.0, 0.0, 0.5, 2.0])


@given(
    fit=arrays(np.float64, (5, 5), elements=FEW_VALUES),
    captions=st.lists(st.sampled_from("xyz"), min_size=5, max_size=5),
    k=st.integers(1, 5),
)
def test_recall_is_what_sorting_gives(fit: np.ndarray, captions: list[str], k: int) -> None:
    """With ties, and with captions that are right for several images."""
    same = np.equal.outer(*[np.array(captions)] * 2)
    hits = 0
    for row, relevant in zip(fit, same, strict=True):
        ranked = sorted(range(5), key=lambda i: (-row[i], not relevant[i]))
        hits += any(relevant[i] for i in ranked[:k])
    assert recall(torch.from_numpy(fit), torch.from_numpy(same), k) == pytest.approx(hits / 5)


def test_recall_counts_any_of_equal_captions() -> None:
    fit = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert recall(fit, torch.eye(2, dtype=torch.bool), 1) == 0.0
    assert recall(fit, torch.ones(2, 2, dtype=torch.bool), 1) == 1.0


@given(
    # Class 4 has no test sample, class 0 most of them; -1 is no choice at all.
    labels=st.lists(st.sampled_from([0] * 9 + [1, 2, 3, 5]), min_size=1, max_size=40),
    data=st.data(),
)
def test_class_accuracy_is_balanced_accuracy(labels: list[int], data: st.DataObject) -> None:
    size = len(labels)
    answers = data.draw(st.lists(st.integers(-1, 5), min_size=size, max_size=size))
    task: Any = SimpleNamespace(test=SimpleNamespace(labels=np.array(labels)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # answers that are no class of the test samples
        expected = balanced_accuracy_score(labels, answers)
    assert mean_recall(torch.tensor(answers), task) == pytest.approx(expected)


def test_rare_classes_count_as_much_as_common_ones() -> None:
    task: Any = SimpleNamespace(test=SimpleNamespace(labels=np.array([0] * 8 + [2, 2])))
    given = torch.tensor([0] * 8 + [0, 2])
    assert share_right(given, task) == 0.9
    assert mean_recall(given, task) == 0.75


def test_a_study_chooses_the_score_of_tasks_and_probes(models: Path) -> None:
    tasks = study_of(models, "clip").benchmark.task_names()
    score = {tasks[0]: "class_accuracy", "f": "class_accuracy"}
    study = study_of(models, "clip", evaluation={"score": score})
    plan = make_plan(study)
    assert plan.units.keys() == make_plan(study_of(models, "clip")).units.keys()
    assert plan.evaluations == make_plan(study_of(models, "clip")).evaluations
    rows = [
        {"split": "task", "eval_task": task, "metric": metric, "value": value}
        for task in tasks
        for metric, value in (("accuracy", 0.5), ("class_accuracy", 0.25))
    ]
    chosen = study.evaluation.task_scores(rows)
    assert chosen == {task: 0.25 if task == tasks[0] else 0.5 for task in tasks}


@pytest.mark.parametrize("name", ["nowhere", "captions"])
def test_a_score_of_nothing_is_refused(models: Path, name: str) -> None:
    study = study_of(models, "clip", evaluation={"score": {name: "class_accuracy"}})
    with pytest.raises(InputError, match=f"Unknown task or probe in evaluation.score '{name}'"):
        make_plan(study)


@pytest.mark.parametrize("batch_size", [512, 5])
def test_stage_0_is_the_backbone_itself(models: Path, batch_size: int) -> None:
    bench = Workbench(study_of(models, "clip", evaluation={"batch_size": batch_size}), "finetune")
    (result,) = bench.untouched.values()
    scores = {(row["eval_task"], row["metric"]): row for row in result.record.scores}
    assert result.embeddings is not None
    vectors = {(v["eval_task"], v["modality"]): v["vector"] for v in result.embeddings.to_pylist()}
    backbone = load_backbone(str(models / "clip")).eval()
    benchmark = bench.worker.benchmark
    for split, tasks in (("task", benchmark.tasks), ("probe", benchmark.probes)):
        for task in (task for task in tasks.values() if task.choices):
            labels = torch.from_numpy(task.test.labels)
            ids = torch.arange(len(labels))
            pixels = backbone.pixels(task.test.images(ids.numpy()))
            with torch.no_grad():
                right = backbone.predict(Batch(task, pixels, labels, ids)) == labels
                mean = backbone.embed_images(pixels).mean(dim=0)
            row = scores[task.name, "accuracy"]
            assert row == row | {"split": split, "value": float(right.double().mean()), "n": 32}
            row = scores[task.name, "class_accuracy"]
            others = (labels + 1) % len(task.choices)
            share = balanced_accuracy_score(labels, torch.where(right, labels, others))
            assert row == row | {"split": split, "value": pytest.approx(share), "n": 32}
            if split == "task":
                assert vectors[task.name, "image"] == pytest.approx(mean.tolist(), abs=1e-6)
    assert vectors.keys() == {(t, m) for t in benchmark.tasks for m in ("image", "text")}


def test_retrieval_is_scored_both_ways(models: Path) -> None:
    bench = Workbench(study_of(models, "clip"), "finetune")
    (result,) = bench.untouched.values()
    pairs = bench.worker.benchmark.probes["captions"].test
    captions = [text for (text,) in pairs.texts or ()]
    backbone = load_backbone(str(models / "clip")).eval()
    with torch.no_grad():
        fit = backbone.match(backbone.pixels(pairs.pictures), captions)
    same = torch.tensor([[one == other for other in captions] for one in captions])
    found = {row["metric"]: row["value"] for row in result.record.scores if row["n"] == len(fit)}
    for way, table in (("i2t", fit), ("t2i", fit.T)):
        for k in (1, 5, 10):
            assert found[f"{way}_r{k}"] == recall(table, same, k)
