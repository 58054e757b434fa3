"""Scores: recall against brute force, accuracy and embeddings against a plain loop."""

import math
import warnings
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import balanced_accuracy_score

from methods.backbones import load_backbone
from methods.backbones.base import UNDECIDED, highest
from methods.base import MethodConfig
from methods.baselines.finetune import FineTune
from methods.data import Batch
from methods.testing.toy import BACKBONES, OTHER_KINDS, toy_study
from methods.testing.workbench import Workbench
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.stage.rows import mean_recall, share_right
from sweep.stage.task_scores import recall
from tests.methods.shipped import study_of

FEW_VALUES = st.sampled_from([-1.0, 0.0, 0.5, 2.0])


@given(
    fit=arrays(np.float64, (4, 5), elements=FEW_VALUES),
    right=arrays(bool, (4, 5)).filter(lambda right: right.any(axis=1).all()),
    k=st.integers(1, 6),
)
def test_recall_is_the_mean_over_all_ways_to_sort(
    fit: np.ndarray, right: np.ndarray, k: int
) -> None:
    """By brute force: candidates are shuffled in every way, and then sorted by their fit alone."""
    hits = [
        right[query, sorted(order, key=lambda i: -fit[query, i])[:k]].any()
        for query in range(4)
        for order in permutations(range(5))
    ]
    found = recall(torch.from_numpy(fit), torch.from_numpy(right), k)
    assert found == pytest.approx(np.mean(hits), abs=1e-12)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_a_model_that_tells_nothing_apart_retrieves_by_chance(k: int) -> None:
    right = torch.eye(20, dtype=torch.bool)
    assert recall(torch.full((20, 20), 3.0), right, k) == pytest.approx(k / 20)
    assert math.isnan(recall(torch.full((20, 20), torch.nan), right, k))


@given(arrays(np.float64, (6, 4), elements=FEW_VALUES), st.integers(0, 10**9))
def test_a_choice_is_one_of_the_highest_whatever_else_is_in_the_batch(
    scores: np.ndarray, first: int
) -> None:
    ids = torch.arange(first, first + 6)
    chosen = highest(torch.from_numpy(scores), ids)
    for row, i, choice in zip(scores, ids, chosen.tolist(), strict=True):
        assert row[choice] == row.max()
        assert highest(torch.from_numpy(row[None]), i[None]).item() == choice


@pytest.mark.parametrize("choices", [2, 3, 4, 7, 10])
def test_equal_choices_are_drawn_by_chance_wherever_the_right_one_stands(choices: int) -> None:
    ids = torch.arange(4000)
    chosen = highest(torch.zeros(4000, choices), ids)
    for right in (0, choices - 1, ids % choices, ids * choices // 4000):
        share = float((chosen == right).double().mean())
        assert abs(share - 1 / choices) < 4 * math.sqrt((1 - 1 / choices) / choices / 4000)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_not_finite_decide_nothing(value: float) -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0], [1.0, value, 3.0], [3.0, -math.inf, 1.0]])
    assert highest(scores, torch.arange(3)).tolist() == [2, UNDECIDED, 0]
    assert highest(torch.full((1, 2), -math.inf), torch.arange(1)).item() == UNDECIDED


SCORED = {
    "clip": ("logits", r"choices of task 'a' have scores that are NaN or infinite, for 3 of 32"),
    "llava": ("logits", r"choices of task 'a' have scores that are NaN or infinite, for 3 of 32"),
    "clip-pairs": ("match", r"fit of images and captions of '\w+' is NaN or infinite in \d+ of"),
    "llava-answers": ("_after", "was to be written by logits that are NaN or infinite"),
}
"""By backbone and kinds of tasks: what gives scores, and what is said where they are NaN."""


@pytest.mark.parametrize("name", SCORED)
def test_scores_that_are_not_finite_fail_the_stage(
    models: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though weights, embeddings and losses are finite."""
    on = name.partition("-")[0]
    study = toy_study(
        models,
        benchmark=(BACKBONES | OTHER_KINDS)[name],
        backbones={on: {"path": str(models / on)}},
    )
    bench = Workbench(study, "finetune")
    bench.learn(("a",))
    evaluator, backbone = bench.worker.evaluator, bench.worker.trainer.backbone
    evaluator.evaluate(("a",))
    gives, said = SCORED[name]
    if name == "llava-answers":
        read = backbone._read
        monkeypatch.setattr(backbone, "_read", lambda prompts: with_nan(read(prompts)))
        monkeypatch.setattr(backbone, "loss", lambda *batches: torch.ones(len(batches[0])))
    else:
        whole = getattr(backbone, gives)

        def spoilt(*given: Any) -> torch.Tensor:
            found = whole(*given).clone()
            found[:3, 0] = torch.nan
            return found

        monkeypatch.setattr(backbone, gives, spoilt)
    with pytest.raises(FloatingPointError, match=said):
        evaluator.evaluate(("a",))


def with_nan(read: Any) -> Any:
    return replace(read, logits=read.logits.fill_(torch.nan))


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


class Asking(FineTune):
    """Notes which tasks it is told."""

    told: ClassVar[list[str | None]] = []

    def select(self, task: str | None) -> None:
        """Note the task."""
        self.told.append(task)


class Told(Asking):
    """Says that it needs to know."""

    told: ClassVar[list[str | None]] = []

    @classmethod
    def knows_task(cls, config: MethodConfig) -> bool:
        """Returns true."""
        return True


@pytest.mark.parametrize("kind", [Asking, Told])
def test_tasks_are_named_only_to_methods_that_say_so(models: Path, kind: type[Asking]) -> None:
    study = toy_study(
        models,
        {"mine": {"method": f"{kind.__module__}:{kind.__qualname__}"}},
        backbones={"clip": {"path": str(models / "clip")}},
    )
    bench = Workbench(study, "mine")
    bench.learn(("a",))
    kind.told.clear()
    bench.worker.evaluator.evaluate(("a",))
    tasks = list(bench.worker.benchmark.tasks) if kind is Told else []
    assert kind.told == [*tasks, None, None]  # probes are of no task, as is what comes afterwards


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
