"""OOD detection: scores and AUROC by their definitions, and nothing is embedded for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from analysis import load, metrics, ood_pairs
from methods.backbones.dual_encoder import DualEncoder
from methods.data import Task
from methods.testing.toy import BACKBONES, TOY, toy_study
from methods.testing.workbench import Workbench
from sweep import make_plan, run_single
from sweep.errors import InputError
from sweep.stage.diagnostics import ood_detection
from sweep.stage.diagnostics.ood_detection import OODDetection, auroc, log_mcm
from sweep.stage.task_scores import TaskEmbeddings

FEW_VALUES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=12)
Rows = dict[tuple[str, str, str], dict[str, Any]]


def bench_of(models: Path, method: str = "finetune", **changes: Any) -> Workbench:
    evaluation = {"diagnostics": ["ood"]} | changes.pop("evaluation", {})
    return Workbench(toy_study(models, (method,), evaluation=evaluation, **changes), method)


def ood_rows(scores: Sequence[dict[str, Any]]) -> Rows:
    return {
        (row["split"], row["eval_task"], row["metric"]): row
        for row in scores
        if row["split"].startswith("ood")
    }


def after(bench: Workbench, order: str) -> Rows:
    """What is found after the last task of an order."""
    *_, last = bench.learn(tuple(order)).values()
    return ood_rows(last.record.scores)


def of_pairs(rows: Rows) -> dict[tuple[str, str], float]:
    return {key[1:]: row["value"] for key, row in rows.items() if key[0] == "ood"}


@given(inside=FEW_VALUES, outside=FEW_VALUES)
def test_auroc_is_that_of_sklearn(inside: list[float], outside: list[float]) -> None:
    found = auroc(np.array(inside), np.array(outside))
    is_inside = [1] * len(inside) + [0] * len(outside)
    assert found == pytest.approx(roc_auc_score(is_inside, inside + outside))


def test_auroc_by_hand() -> None:
    assert auroc(np.array([3.0, 2.0]), np.array([1.0])) == 1
    assert auroc(np.array([3.0, 1.0]), np.array([2.0, 1.0])) == (1 + 1 + 0 + 0.5) / 4
    assert np.isnan(auroc(np.array([3.0, np.nan]), np.array([2.0])))
    assert np.isnan(auroc(np.array([3.0]), np.array([np.nan, 2.0])))


def test_mcm_is_the_largest_softmax_of_plain_cosines() -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-1, 1, (20, 5))
    expected = [
        max(np.exp(c) / sum(np.exp(other) for other in row) for c in row) for row in cosines
    ]
    assert log_mcm(torch.tensor(cosines)).exp().numpy() == pytest.approx(
        np.array(expected), abs=1e-6
    )
    # With the temperature of CLIP the image whose two best classes are close would come last.
    close, alone = torch.tensor([[0.9, 0.8, -1.0, -1.0]]), torch.tensor([[0.4, 0.0, 0.0, 0.0]])
    assert log_mcm(close) > log_mcm(alone)
    assert log_mcm(100 * close) < log_mcm(100 * alone)


def test_gaussian_clusters_have_the_auroc_of_the_closed_form(models: Path) -> None:
    """Of two classes MCM rises with |d|, the distance of the cosines; P(|d| > |e|) is known."""
    bench, rng, size = bench_of(models), np.random.default_rng(1), 4000
    bench.untouched  # noqa: B018 (loads the model)
    found = {}
    centres = {"a": 0.5, "b": 0.2}
    for name, centre in centres.items():
        images = np.zeros((size, 3))
        images[:, 0] = rng.normal(centre, 0.3, size)
        images[:, 1] = rng.normal(0, 0.4, size)
        found[name] = TaskEmbeddings(
            torch.arange(size), torch.tensor(images, dtype=torch.float32), torch.eye(3)[:2]
        )
    rows = ood_rows(OODDetection(bench.worker.evaluator.samples).of_embeddings(found, ()))
    # d and e are normal with SD 0.5, d - e and d + e are independent with SD 0.5 sqrt 2.
    more, sum_ = (norm.cdf(x / np.sqrt(0.5)) for x in (0.5 - 0.2, 0.5 + 0.2))
    expected = more * sum_ + (1 - more) * (1 - sum_)
    assert rows["ood", "a", "b"]["value"] == pytest.approx(expected, abs=0.02)
    assert rows["ood", "b", "a"]["value"] == pytest.approx(1 - expected, abs=0.02)
    assert rows["ood", "a", "b"]["n"] == 2 * size


def by_loops(bench: Workbench, inside: Sequence[Task], outside: Sequence[Task]) -> float:
    """The AUROC by its definition, from embeddings of our own."""
    backbone = bench.worker.trainer.backbone.eval()
    with torch.no_grad():
        classes = torch.cat([backbone.embed_choices(task) for task in inside])
        scores = []
        for tasks in (inside, outside):
            images = torch.cat(
                [backbone.embed_images(backbone.pixels(task.test.pictures)) for task in tasks]
            )
            cosines = (images.double() @ classes.double().T).numpy()
            scores.append(np.exp(cosines).max(axis=1) / np.exp(cosines).sum(axis=1))
    wins = [(x > y) + 0.5 * (x == y) for x in scores[0] for y in scores[1]]
    return float(np.mean(wins))


def test_rows_are_what_the_definition_says(models: Path) -> None:
    bench = bench_of(models)
    rows, tasks = after(bench, "ca"), bench.worker.benchmark.tasks
    pairs = of_pairs(rows)
    assert set(pairs) == {(i, j) for i in "abc" for j in "abc" if i != j}
    for (one, other), value in pairs.items():
        assert value == pytest.approx(by_loops(bench, [tasks[one]], [tasks[other]]), abs=1e-3)
        assert value != pytest.approx(pairs[other, one], abs=1e-2)
    assert len({round(value, 4) for value in pairs.values()}) == len(pairs)
    seen, probe = [tasks["a"], tasks["c"]], bench.worker.benchmark.probes["suite"]
    cumulative = rows["ood_cumulative", "all tasks", "unlearnt"]
    assert cumulative["value"] == pytest.approx(by_loops(bench, seen, [tasks["b"]]), abs=1e-3)
    assert cumulative["n"] == 3 * 32
    of_probe = rows["ood_cumulative", probe.name, "probe"]
    assert of_probe["value"] == pytest.approx(by_loops(bench, seen, [probe]), abs=1e-3)
    assert {key for key in rows if key[0] == "ood_cumulative"} == {
        ("ood_cumulative", "all tasks", "unlearnt"),
        ("ood_cumulative", "f", "probe"),
    }


def test_nothing_is_embedded_for_it(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {}
    for diagnostics in ([], ["ood"]):
        seen = {"images": 0, "texts": 0}

        def counted(name: str, method: str, seen: dict[str, int] = seen) -> Any:
            plain = getattr(DualEncoder, method)

            def call(self: DualEncoder, content: Any) -> Any:
                seen[name] += len(content)
                return plain(self, content)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(DualEncoder, "_embed_pixels", counted("images", "_embed_pixels"))
            patch.setattr(DualEncoder, "_embed_strings", counted("texts", "_embed_strings"))
            bench = bench_of(models, evaluation={"diagnostics": diagnostics})
            (result,) = bench.untouched.values()
        counts[len(diagnostics)] = seen
        assert bool(ood_rows(result.record.scores)) == bool(diagnostics)
    assert counts[0] == counts[1]
    assert min(counts[0].values()) > 0


def test_other_scores_and_keys_stay_as_they_are(models: Path) -> None:
    found = []
    for diagnostics in ([], ["ood"]):
        bench = bench_of(models, evaluation={"diagnostics": diagnostics})
        results = bench.untouched | bench.learn(("b", "a"))
        rows = [row for r in results.values() for row in r.record.scores]
        found.append((list(results), [row for row in rows if not row["split"].startswith("ood")]))
    assert found[0] == found[1]


def test_what_is_not_defined_is_left_out(models: Path) -> None:
    bench = bench_of(models)
    (start,) = bench.untouched.values()
    rows = ood_rows(start.record.scores)
    assert len(of_pairs(rows)) == 6
    assert not any(key[0] == "ood_cumulative" for key in rows)  # nothing is learnt yet
    rows = after(bench, "abc")
    cumulative = [key[1:] for key in rows if key[0] == "ood_cumulative"]
    assert cumulative == [("f", "probe")]  # all tasks are learnt


@pytest.mark.parametrize(("method", "pairs"), [("individual", 0), ("zero_shot", 6), ("joint", 6)])
def test_methods_that_have_no_sequence_or_no_one_model(
    models: Path, method: str, pairs: int
) -> None:
    bench = bench_of(models, method)
    results = bench.untouched if method == "zero_shot" else bench.learn(("a", "b"))
    *_, last = results.values()
    rows = ood_rows(last.record.scores)
    assert len(of_pairs(rows)) == pairs
    has_cumulative = any(key[0] == "ood_cumulative" for key in rows)
    assert has_cumulative == (method == "joint")


def test_a_method_that_keeps_the_last_task_alone_has_nothing_cumulative(models: Path) -> None:
    bench = bench_of(models)
    bench.learn(("a", "b"))
    evaluator = bench.worker.evaluator
    assert any(r["split"] == "ood_cumulative" for r in evaluator.evaluate(("b",))[0])
    kind = type(bench.worker.trainer.method)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "depends_on", "task")
        rows = ood_rows(evaluator.evaluate(("b",))[0])
    assert len(of_pairs(rows)) == 6
    assert not any(key[0] == "ood_cumulative" for key in rows)


def test_one_class_tells_nothing_apart(models: Path) -> None:
    bench = bench_of(models)
    bench.untouched  # noqa: B018 (loads the model)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 4, generator=generator)
    found = {
        name: TaskEmbeddings(torch.arange(6), images * k, torch.eye(4)[:k])
        for name, k in (("a", 1), ("b", 2))
    }
    diagnostic = OODDetection(bench.worker.evaluator.samples)
    rows = ood_rows(diagnostic.of_embeddings(found, ("a",)))
    assert set(of_pairs(rows)) == {("b", "a")}
    assert not any(key[0] == "ood_cumulative" for key in rows)
    assert ood_rows(diagnostic.of_embeddings({}, ())) == {}


def test_classes_of_one_name_are_counted(models: Path) -> None:
    """All tasks of the toy have the same words for other colours."""
    rows = ood_rows(next(iter(bench_of(models).untouched.values())).record.scores)
    shared = {key[1:]: row["value"] for key, row in rows.items() if key[0] == "ood_shared"}
    assert shared == dict.fromkeys([*of_pairs(rows), *((task, "f") for task in "abc")], 1.0)


def test_only_tasks_with_classes_are_compared(models: Path) -> None:
    benchmark = {"name": TOY, "num_tasks": 4, "kinds": ["choices", "pairs"]}
    rows = after(bench_of(models, benchmark=benchmark), "ab")
    assert set(of_pairs(rows)) == {("a", "c"), ("c", "a")}
    assert rows["ood_cumulative", "all tasks", "unlearnt"]["n"] == 2 * 32


@pytest.mark.parametrize("choices", ["seen", "all"])
def test_the_choices_offered_change_nothing(models: Path, choices: str) -> None:
    plain = after(bench_of(models), "ba")
    assert after(bench_of(models, evaluation={"choices": choices}), "ba") == plain


def test_parts_of_the_test_samples_and_batches(models: Path) -> None:
    rows = after(bench_of(models, evaluation={"samples": 10}), "ba")
    assert {row["n"] for key, row in rows.items() if key[0] == "ood"} == {20}
    plain, small = (
        after(bench_of(models, evaluation={"batch_size": size}), "ba") for size in (512, 5)
    )
    assert plain.keys() == small.keys()
    for key, row in plain.items():
        assert small[key]["value"] == pytest.approx(row["value"], abs=2e-3), key


def test_stages_that_evaluate_the_last_task_alone_say_nothing(models: Path) -> None:
    bench = bench_of(models, evaluation={"every": 2})
    results = bench.learn(("a", "b", "c"))
    assert [bool(ood_rows(r.record.scores)) for r in results.values()] == [False, True, True]


def test_two_workers_give_the_results_of_one(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_of(models)
    bench.untouched  # noqa: B018 (loads the model)
    generator = torch.Generator().manual_seed(0)
    sizes = {"a": 7, "b": 1, "f": 4}
    whole = {
        name: TaskEmbeddings(
            torch.arange(size),
            torch.randn(size, 4, generator=generator),
            torch.randn(3, 4, generator=generator),
        )
        for name, size in sizes.items()
    }
    diagnostic = OODDetection(bench.worker.evaluator.samples)
    alone = diagnostic.of_embeddings(whole, ("a",))
    shares = [
        {
            name: TaskEmbeddings(those.ids[rank::2], those.images[rank::2], those.classes)
            for name, those in whole.items()
        }
        for rank in range(2)
    ]
    sent: list[Any] = []

    def send(mine: list[Any]) -> None:
        sent.extend(mine)
        raise InterruptedError  # the other worker goes on

    monkeypatch.setattr(ood_detection, "gather_object", send)
    with pytest.raises(InterruptedError):
        diagnostic.of_embeddings(shares[1], ("a",))
    monkeypatch.setattr(ood_detection, "gather_object", lambda mine: [*mine, *sent])
    assert diagnostic.of_embeddings(shares[0], ("a",)) == alone


def test_fusion_models_are_refused(models: Path) -> None:
    study = toy_study(
        models,
        benchmark=BACKBONES["llava"],
        backbones={"llava": {"path": str(models / "llava")}},
        evaluation={"diagnostics": ["ood"]},
    )
    with pytest.raises(InputError, match=r"'ood' compares embeddings .* backbone 'llava'"):
        run_single(study, "finetune", ("a", "b"))


def test_fewer_than_two_tasks_with_classes_are_refused(models: Path) -> None:
    benchmark = {"name": TOY, "num_tasks": 2, "kinds": ["choices", "pairs"]}
    study = toy_study(models, benchmark=benchmark, evaluation={"diagnostics": ["ood"]})
    with pytest.raises(InputError, match="of this study's tasks a has one; leave the diagnostic"):
        run_single(study, "finetune", ("a", "b"))


def test_it_is_part_of_what_a_stage_is_evaluated_on(models: Path) -> None:
    plain, more = (
        make_plan(toy_study(models, evaluation={"diagnostics": names})) for names in ([], ["ood"])
    )
    assert plain.units.keys() == more.units.keys()
    (covered,) = more.evaluations.values()
    assert "diagnostic ood" in covered
    assert plain.evaluations.keys() != more.evaluations.keys()


def test_what_a_run_folder_holds_is_what_the_analysis_reads(models: Path, tmp_path: Path) -> None:
    study = toy_study(models, ("finetune",), evaluation={"diagnostics": ["ood"]})
    order = study.benchmark.task_names()
    records, _ = run_single(study, "finetune", order, out=str(tmp_path))
    results = load(str(tmp_path))
    runs = metrics(results)
    pairs = of_pairs(ood_rows(records[-1].scores))
    read = {(row.inside, row.outside): row.mean for row in ood_pairs(results, runs).itertuples()}
    assert read == pytest.approx(pairs)
    assert len(read) == len(order) * (len(order) - 1)
    assert runs["ood_pairwise"].item() == pytest.approx(np.mean(list(pairs.values())))
    unlearnt = [
        ood_rows(record.scores)["ood_cumulative", "all tasks", "unlearnt"]["value"]
        for record in records[1:-1]
    ]
    assert runs["ood_cumulative"].item() == pytest.approx(np.mean(unlearnt))
