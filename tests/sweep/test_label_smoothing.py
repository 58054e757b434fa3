"""Label smoothing: of the classes of dual encoders, by the study, and refused elsewhere."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench, same
from sweep.errors import InputError
from sweep.single import run_single

STEPS = {"steps": 2, "batch_size": 16, "lr": 0.003}


def test_a_study_smooths_the_labels_of_classes(models: Path) -> None:
    states = {}
    for smoothing in (0.0, 0.3):
        study = toy_study(models, training=STEPS | {"label_smoothing": smoothing})
        bench = Workbench(study, "finetune")
        states[smoothing] = bench.learn_on(bench.trainings(("a",))[0])
        backbone = bench.worker.trainer.backbone
        (batch,) = bench.worker.evaluator.samples.batches(bench.worker.benchmark.tasks["b"])
        with torch.no_grad():
            logits = backbone.logits(batch)
            expected = cross_entropy(
                logits, batch.labels, reduction="none", label_smoothing=smoothing
            )
            assert torch.allclose(backbone.loss(batch), expected)
    assert not same(states[0.0], states[0.3])


def test_fusion_models_are_refused(models: Path) -> None:
    study = toy_study(
        models,
        benchmark=BACKBONES["llava"],
        backbones={"llava": {"path": str(models / "llava")}},
        training=STEPS | {"label_smoothing": 0.1},
    )
    with pytest.raises(InputError, match=r"training.label_smoothing is for dual encoders, and"):
        run_single(study, "finetune", ("a", "b"))
