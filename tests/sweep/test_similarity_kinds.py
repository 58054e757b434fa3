"""Measures of similarity of tasks without classes: captions and answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from methods.testing.toy import OTHER_KINDS, toy_study
from sweep.errors import InputError
from sweep.measuring import similarity_matrices as tables
from sweep.measuring.checking import check_measures
from sweep.measuring.expert_training import train_experts
from sweep.registry import resolve
from sweep.similarity import MEASURES
from sweep.similarity.embedded import embed
from sweep.similarity.experts import transfer
from sweep.similarity.sampled import sample
from sweep.stage.task_scores import recall, relevant
from sweep.study.pinned import pin
from sweep.study.schema import Study


def study_of(models: Path, tasks: str, *measures: str) -> Study:
    name, _, _ = tasks.partition("-")
    return toy_study(
        models,
        ("individual",),
        benchmark=OTHER_KINDS[tasks] | {"num_tasks": 2},
        backbones={name: {"path": str(models / name)}},
        similarity={"images": 24, "measures": measures},
    )


@pytest.mark.parametrize("tasks", list(OTHER_KINDS))
def test_all_measures_but_those_of_classes_are_defined(models: Path, tasks: str) -> None:
    names = [name for name in MEASURES if not resolve("measures", name).needs_classes]
    assert set(MEASURES) - set(names) == {"logme"}
    study = study_of(models, tasks, *names)
    (label,) = study.backbones
    for name, S in tables.similarities(study, label, pin(study)).items():
        assert S.shape == (2, 2)
        assert np.isfinite(S).all(), name
        assert len(np.unique(S)) > 1, name


def test_a_measure_that_gives_no_number_is_refused(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is kept, either."""
    study = study_of(models, "clip-pairs", "centroid")
    monkeypatch.setattr(tables, "CACHE", tmp_path)
    broken = {"centroid": np.array([[1.0, np.nan], [0.5, 1.0]])}
    monkeypatch.setattr(tables, "_measure", lambda *_: broken)
    with pytest.raises(InputError, match="'centroid' is NaN or infinite for some tasks on"):
        tables.similarities(study, "clip", pin(study))
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_a_measure_of_classes_is_refused_before_anything_is_loaded(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(models, "clip-pairs", "centroid", "logme")
    said = (
        "similarity measure 'logme' compares only tasks with one list of choices for all samples, "
        "and task 'a' (of kind pairs) has none; leave one of them out."
    )
    monkeypatch.setattr(tables, "_measure", None)
    with pytest.raises(InputError) as refused:
        tables.similarities(study, "clip", pin(study))
    assert str(refused.value) == said
    check_measures(study, ["centroid"])


def test_the_text_of_a_task_without_classes_is_what_is_said_of_its_images(models: Path) -> None:
    study = study_of(models, "clip-pairs", "centroid")
    backbone = pin(study).sources["clip"].load()
    tasks = study.benchmark.load().tasks
    (captions,) = embed(backbone, sample(backbone, {"a": tasks["a"]}, 24))
    assert captions.said.shape == captions.images.shape
    assert captions.texts.shape == (1, captions.images.shape[1])
    assert set(captions.labels) == {0}
    texts = sample(backbone, {"a": tasks["a"]}, 24)[0].batch(torch.arange(24)).targets
    with torch.no_grad():
        expected = backbone.eval().embed_texts(texts).double().numpy()
    np.testing.assert_allclose(captions.said, expected, atol=1e-6)


def test_transfer_to_captions_is_the_gain_in_recall(models: Path, tmp_path: Path) -> None:
    study = study_of(models, "clip-pairs", "centroid")
    experts = train_experts(study, "clip", pin(study).sources["clip"], 24, tmp_path)
    found = transfer(experts)
    samples = experts.samples[0].samples
    captions = [text for texts in samples.texts or () for text in texts]

    @torch.no_grad()
    def both_ways() -> float:
        fit = experts.method.backbone.match(experts.samples[0].pixels, captions)
        right = relevant(samples)
        return (recall(fit, right, 1) + recall(fit.T, right.T, 1)) / 2

    values = []
    for state in (experts.untouched, *experts.states):
        experts.method.load_state(state)
        values.append(both_ways())
    assert found[:, 0].tolist() == pytest.approx([values[1] - values[0], values[2] - values[0]])
    assert any(found[:, 0])
