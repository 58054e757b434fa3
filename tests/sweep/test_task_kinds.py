"""What is measured of tasks of every kind, against plain loops and cases made by hand."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from methods.backbones import load_backbone
from methods.baselines.finetune import FineTune
from methods.data import Batch, Task
from methods.testing.tiny_models import WORDS
from methods.testing.toy import TOY, toy_study
from methods.testing.workbench import Workbench
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.preview.preview import make_preview
from sweep.single import run_single
from sweep.stage.samples import with_fewer_samples
from sweep.stage.stratified import sampling_error
from sweep.stage.task_scores import recall, relevant
from sweep.study.schema import Study

MIXED = {"name": TOY, "num_tasks": 3, "kinds": ["choices", "pairs", "answers"]}


def study_on(models: Path, backbone: str, **changes: Any) -> Study:
    model = {backbone: {"path": str(models / backbone)}}
    return toy_study(models, backbones=model, **changes)


def rows_of(bench: Workbench) -> dict[tuple[str, str], dict[str, Any]]:
    (result,) = bench.untouched.values()
    return {(row["eval_task"], row["metric"]): row for row in result.record.scores}


def test_pairs_are_scored_by_recall_both_ways(models: Path) -> None:
    study = study_on(models, "clip", benchmark={"name": TOY, "num_tasks": 1, "kinds": ["pairs"]})
    bench = Workbench(study, "finetune")
    rows, split = rows_of(bench), bench.worker.benchmark.tasks["a"].test
    captions = [text for (text,) in split.texts or ()]
    backbone = load_backbone(str(models / "clip")).eval()
    with torch.no_grad():
        pixels = backbone.pixels(split.pictures)
        fit = backbone.match(pixels, captions)
        images, texts = backbone.embed_images(pixels), backbone.embed_texts(captions)
    assert len(captions) == 2 * len(pixels)
    # By the definition: the best place of a caption that is the picture's own, or the same text.
    for k in (1, 5, 10):
        found = 0
        for picture in range(len(pixels)):
            own = {c for c, of in zip(captions, split.shown, strict=True) if of == picture}
            right = torch.tensor([caption in own for caption in captions])
            found += int((fit[picture] > fit[picture][right].max()).sum() < k)
        row = rows["a", f"i2t_r{k}"]
        assert (row["value"], row["n"]) == (found / len(pixels), len(pixels))
        found = 0
        for i, caption in enumerate(captions):
            fits = [j for j, c in zip(split.shown, captions, strict=True) if c == caption]
            found += int((fit[:, i] > fit[fits, i].max()).sum() < k)
        row = rows["a", f"t2i_r{k}"]
        assert (row["value"], row["n"]) == (found / len(captions), len(captions))
    both = (rows["a", "i2t_r1"]["value"] + rows["a", "t2i_r1"]["value"]) / 2
    assert rows["a", "recall"]["value"] == both
    assert rows["a", "recall"]["is_primary"]
    assert rows["a", "recall"]["split"] == "task"
    assert study.evaluation.task_scores(rows.values()) == {"a": both}
    cosine = (images[torch.from_numpy(split.shown)] * texts).sum(1).mean()
    assert rows["a", "cosine"]["value"] == pytest.approx(float(cosine), abs=1e-5)


def test_answers_are_written_and_scored(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_on(models, "llava", benchmark=MIXED)
    bench = Workbench(study, "finetune")
    rows, split = rows_of(bench), bench.worker.benchmark.tasks["c"].test
    assert rows["c", "vqa_accuracy"]["is_primary"]
    assert set(rows) >= {("c", "exact_match"), ("c", "likelihood"), ("b", "recall")}
    losses = []
    with torch.no_grad():
        for batch in bench.worker.evaluator.samples.batches(bench.worker.benchmark.tasks["c"]):
            losses += bench.worker.trainer.backbone.loss(batch).tolist()
    assert rows["c", "loss"]["value"] == pytest.approx(np.mean(losses), abs=1e-5)
    likelihood = np.exp(-np.array(losses)).mean()
    assert rows["c", "likelihood"]["value"] == pytest.approx(likelihood, abs=1e-5)
    # Two of three people call the colour by its word, the third says blue.
    method = bench.worker.trainer.method
    monkeypatch.setattr(method, "write", lambda batch: ["Blue."] * len(batch))
    scores, _ = bench.worker.evaluator.evaluate()
    found = {row["metric"]: row["value"] for row in scores if row["eval_task"] == "c"}
    words = [texts[0] for texts in split.texts or ()]
    # Leaving one of three out two are left, both of whom have to agree.
    share = np.mean([1.0 if word == "blue" else (0 + 0.5 + 0.5) / 3 for word in words])
    assert found["vqa_accuracy"] == pytest.approx(share)
    assert found["exact_match"] == 1.0


def predicted_among(backbone: Any, task: Task, offered: Sequence[Task]) -> list[str]:
    """The names of the classes that a plain loop finds most alike, over several tasks."""
    names = [choice for one in offered for choice in one.choices]
    with torch.no_grad():
        classes = torch.cat([backbone.embed_choices(one) for one in offered])
        images = backbone.embed_images(backbone.pixels(task.test.pictures))
    return [names[i] for i in (images @ classes.T).argmax(dim=1).tolist()]


@pytest.mark.parametrize(("choices", "offered"), [("all", "abc"), ("seen", "b"), ("task", "")])
def test_classes_of_other_tasks_are_offered(models: Path, choices: str, offered: str) -> None:
    study = study_on(models, "clip", evaluation={"choices": choices})
    bench = Workbench(study, "finetune")
    (unit,) = bench.trainings(("b",))
    result = bench.worker.compute(unit, lambda _: {})
    tasks, backbone = bench.worker.benchmark.tasks, bench.worker.trainer.backbone.eval()
    found = {
        row["eval_task"]: row["value"]
        for row in result.record.scores
        if row["split"] == "task" and row["metric"] == "accuracy"
    }
    for name, task in tasks.items():
        others = [one for one in tasks.values() if one.name in {*offered, name}]
        given = predicted_among(backbone, task, others)
        right = [task.choices[label] for label in task.test.labels]
        expected = np.mean([a == b for a, b in zip(given, right, strict=True)])
        assert found[name] == pytest.approx(expected)
    suites = {
        row["metric"]: row["value"] for row in result.record.scores if row["split"] == "probe"
    }
    probe = bench.worker.benchmark.probes["suite"]
    given = predicted_among(backbone, probe, [probe])  # whatever the study says of tasks
    right = [probe.choices[label] for label in probe.test.labels]
    assert suites["accuracy"] == np.mean([a == b for a, b in zip(given, right, strict=True)])


def test_an_answer_counts_by_its_name_whichever_task_it_comes_from(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(study_on(models, "clip", evaluation={"choices": "all"}), "finetune")
    bench.untouched  # noqa: B018 - loads the model
    offered: list[tuple[str, ...]] = []

    def second_green(batch: Batch) -> Tensor:
        offered.append(batch.task.choices)
        return torch.full((len(batch),), 4 if len(batch.task.choices) > 4 else 0)

    monkeypatch.setattr(bench.worker.trainer.method, "predict", second_green)
    scores, _ = bench.worker.evaluator.evaluate()
    found = {(r["eval_task"], r["metric"]): r["value"] for r in scores if r["split"] == "task"}
    assert offered[0] == WORDS * 3
    assert WORDS[1] == "green"
    for task in bench.worker.benchmark.tasks.values():
        assert found[task.name, "accuracy"] == np.mean(task.test.labels == 1)
        assert found[task.name, "class_accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("method", ["zero_shot", "individual"])
def test_methods_without_order_are_offered_what_was_seen(models: Path, method: str) -> None:
    plan = make_plan(study_on(models, "clip", methods=(method,), evaluation={"choices": "seen"}))
    for run in plan.runs:
        for stage, prefix in zip(run.stages, run.prefixes, strict=True):
            assert set(plan.units[stage].prefix) == set(prefix)
    stages = {stage for run in plan.runs for stage in run.stages}
    assert len(stages) == 8  # one for every set of three tasks
    plain = make_plan(study_on(models, "clip", methods=(method,)))
    assert len({s for run in plain.runs for s in run.stages}) == (1 if method == "zero_shot" else 8)


def test_some_test_samples_stand_for_all(models: Path) -> None:
    study = study_on(
        models,
        "clip",
        evaluation={"samples": 12},
        benchmark={"name": TOY, "num_tasks": 2, "kinds": ["choices", "pairs"]},
    )
    bench = Workbench(study, "finetune")
    rows = rows_of(bench)
    whole = study.benchmark.load()
    some = with_fewer_samples(whole, study.evaluation)
    task, pairs = some.tasks["a"], some.tasks["b"]
    assert (rows["a", "accuracy"]["n"], task.tested_of) == (12, 32)
    assert (rows["b", "i2t_r1"]["n"], pairs.tested_of) == (12, 16)
    assert rows["b", "t2i_r1"]["n"] == 24
    assert np.abs(np.bincount(task.test.labels) - 4).max() <= 1
    backbone = load_backbone(str(models / "clip")).eval()
    given = predicted_among(backbone, task, [task])
    right = np.array([a == task.choices[b] for a, b in zip(given, task.test.labels, strict=True)])
    assert rows["a", "accuracy"]["value"] == right.mean()
    error = sampling_error(right.astype(float), 32)
    assert rows["a", "sampling_error"]["value"] == pytest.approx(error)
    with torch.no_grad():
        fit = backbone.match(
            backbone.pixels(pairs.test.images(np.arange(12))),
            [t for (t,) in pairs.test.texts or ()],
        )
    assert rows["b", "i2t_r1"]["value"] == recall(fit, relevant(pairs.test), 1)
    # The captions of a picture stay together, and are those of the whole split.
    known = {
        bytes(p.tobytes()): i for i, p in enumerate(np.asarray(whole.tasks["b"].test.pictures))
    }
    split = whole.tasks["b"].test
    for picture, text in zip(pairs.test.shown, pairs.test.texts or (), strict=True):
        number = known[np.asarray(pairs.test.pictures)[picture].tobytes()]
        assert text in [
            t for t, of in zip(split.texts or (), split.shown, strict=True) if of == number
        ]
    assert rows["a", "class_accuracy"]["n"] == 12
    whole_rows = rows_of(Workbench(study_on(models, "clip"), "finetune"))
    assert ("a", "sampling_error") not in whole_rows


def test_other_test_samples_are_new_evaluations_and_no_new_trainings(models: Path) -> None:
    def planned(**evaluation: Any) -> Any:
        return make_plan(study_on(models, "clip", evaluation=evaluation))

    whole = planned()
    for change in ({"samples": 12}, {"choices": "all"}, {"choices": "seen"}):
        plan = planned(**change)
        trained = {k for k, unit in plan.units.items() if unit.kind == "train"}
        assert trained == {k for k, unit in whole.units.items() if unit.kind == "train"}
        # Neither serves for the other: no record of one covers what the other asks for.
        for mine in plan.evaluations.values():
            for theirs in whole.evaluations.values():
                assert not mine.items() <= theirs.items()
                assert not theirs.items() <= mine.items()
    one, other = planned(samples=12), planned(samples=12, seed=1)
    assert one.evaluations != other.evaluations
    assert planned(seed=1).evaluations == whole.evaluations


def test_only_some_stages_are_evaluated_on_everything(models: Path) -> None:
    study = study_on(models, "clip", evaluation={"every": 2})
    records, _ = run_single(study, "finetune", ("b", "a", "c"))
    tested = [
        [row["eval_task"] for row in record.scores if row["metric"] == "accuracy"]
        for record in records
    ]
    everything = ["a", "b", "c", "f"]
    assert tested == [everything, ["b"], everything, everything]
    plain, _ = run_single(study_on(models, "clip"), "finetune", ("b", "a", "c"))
    for mine, whole in zip(records, plain, strict=True):
        rows = {(r["split"], r["eval_task"], r["metric"]): r["value"] for r in whole.scores}
        for row in mine.scores:
            # Texts of fewer tasks are embedded together, which may move the last digit of a loss.
            expected = pytest.approx(row["value"], abs=2e-6)
            assert rows[row["split"], row["eval_task"], row["metric"]] == expected


def test_combinations_of_a_set_are_evaluated_on_the_set_between(models: Path) -> None:
    plan = make_plan(study_on(models, "clip", methods=("individual",), evaluation={"every": 3}))
    only = {unit.prefix: unit.only for unit in plan.units.values() if unit.kind == "combine"}
    assert only[("a", "b")] == ("a", "b")
    assert only[("a", "b", "c")] == ()


def test_all_orders_of_tasks_of_three_kinds(models: Path) -> None:
    mixed = {"name": TOY, "num_tasks": 4, "kinds": ["choices", "pairs", "answers"]}
    training = {"steps": 2, "batch_size": 8, "lr": 0.003}
    study = study_on(models, "llava", benchmark=mixed, training=training)
    assert [task.kind for task in study.benchmark.load().tasks.values()] == [
        *("choices", "pairs", "answers", "choices")
    ]
    bench, finals = Workbench(study, "finetune"), {}
    orders = list(permutations(study.benchmark.task_names()))
    for order in orders:
        accuracy = bench.accuracy(order)
        assert accuracy.shape == (5, 4)
        assert accuracy.notna().all(axis=None)
        assert accuracy.min(axis=None) >= 0
        assert accuracy.max(axis=None) <= 1
        finals[order] = accuracy.iloc[-1]
    assert len(finals) == 24
    assert pd.DataFrame(finals).T.std().max() > 0


def test_pairs_are_learnt(models: Path) -> None:
    """A dual encoder learns which caption belongs to which picture, beside classes."""
    study = study_on(
        models,
        "clip",
        benchmark={"name": TOY, "num_tasks": 2, "kinds": ["choices", "pairs"]},
        training={"steps": 60, "batch_size": 16, "lr": 0.003},
    )
    accuracy = Workbench(study, "finetune").accuracy(("a", "b"))
    assert accuracy["b"].iloc[2] > accuracy["b"].iloc[1] + 0.15
    assert accuracy["a"].iloc[1] > accuracy["a"].iloc[0] + 0.15


def test_dual_encoders_are_refused_tasks_to_write(models: Path) -> None:
    study = study_on(models, "clip", benchmark=MIXED)
    with pytest.raises(InputError, match=r"task 'c' .* cannot write answers; use a fusion"):
        run_single(study, "finetune", ("a", "b", "c"))


class Classifier(FineTune):
    """Learns classes alone."""

    needs_classes = True


def test_methods_that_need_classes_are_refused_other_tasks(models: Path) -> None:
    methods = {"mine": {"method": f"{__name__}:Classifier"}}
    study = study_on(models, "llava", methods=methods, benchmark=MIXED)
    with pytest.raises(InputError) as refused:
        make_preview(study)
    assert str(refused.value) == (
        "method 'mine' learns only tasks with one list of choices for all samples, and task 'b' "
        "(of kind pairs) has none; leave one of them out."
    )
