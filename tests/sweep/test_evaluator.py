"""Scores: recall against brute force, accuracy and embeddings against a plain loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from methods.backbones import load_backbone
from methods.data import Batch
from methods.testing.workbench import Workbench
from sweep.stage.evaluator import recall
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
        for task in tasks.values():
            labels = torch.from_numpy(task.test.labels)
            ids = torch.arange(len(labels))
            pixels = backbone.pixels(task.test.images(ids.numpy()))
            with torch.no_grad():
                right = backbone.predict(Batch(task, pixels, labels, ids)) == labels
                mean = backbone.embed_images(pixels).mean(dim=0)
            row = scores[task.name, "accuracy"]
            assert row == row | {"split": split, "value": float(right.double().mean()), "n": 32}
            if split == "task":
                assert vectors[task.name, "image"] == pytest.approx(mean.tolist(), abs=1e-6)
    assert vectors.keys() == {(t, m) for t in benchmark.tasks for m in ("image", "text")}


def test_retrieval_is_scored_both_ways(models: Path) -> None:
    bench = Workbench(study_of(models, "clip"), "finetune")
    (result,) = bench.untouched.values()
    pairs = bench.worker.benchmark.retrieval["captions"]
    backbone = load_backbone(str(models / "clip")).eval()
    with torch.no_grad():
        fit = backbone.match(backbone.pixels(pairs.pixels), pairs.captions)
    same = torch.tensor([[one == other for other in pairs.captions] for one in pairs.captions])
    found = {row["metric"]: row["value"] for row in result.record.scores if row["n"] == len(fit)}
    for way, table in (("i2t", fit), ("t2i", fit.T)):
        for k in (1, 5):
            assert found[f"{way}_r{k}"] == recall(table, same, k)
