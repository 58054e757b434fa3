"""Properties of plain fine-tuning."""

from pathlib import Path

import pytest
import torch

from methods.testing.workbench import Workbench
from tests.methods.shipped import study_of

FROZEN = {"clip": lambda name: "logit_scale" in name, "llava": lambda name: "vision_tower" in name}


@pytest.mark.parametrize("backbone", FROZEN)
def test_trains_all_that_the_backbone_lets_train(models: Path, backbone: str) -> None:
    bench = Workbench(study_of(models, backbone), "finetune")
    bench.learn(bench.plan.study.benchmark.task_names())
    method = bench.worker.trainer.method
    trained = {name: parameter.clone() for name, parameter in method.named_parameters()}
    method.reset(0)
    unchanged = {n for n, p in method.named_parameters() if torch.equal(p, trained[n])}
    frozen = {name for name in trained if FROZEN[backbone](name)}
    assert frozen
    assert frozen <= unchanged
    assert len(unchanged) < 0.2 * len(trained) + len(frozen)


@pytest.mark.parametrize("backbone", FROZEN)
def test_loss_is_the_mean_over_the_batch(models: Path, backbone: str) -> None:
    bench = Workbench(study_of(models, backbone), "finetune")
    bench.learn(bench.plan.study.benchmark.task_names())
    trainer = bench.worker.trainer
    data = trainer._task("a")
    trainer.method.eval()
    with torch.no_grad():
        whole = trainer.method(data.batch(torch.arange(6)))
        each = [trainer.method(data.batch(torch.tensor([i]))) for i in range(6)]
    torch.testing.assert_close(whole, torch.stack(each).mean())


def test_learning_a_task_loses_another(models: Path) -> None:
    """What all of continual learning is about; else the toy could not tell methods apart."""
    training = {"steps": 20, "batch_size": 16, "lr": 0.003}
    bench = Workbench(study_of(models, "clip", training=training), "finetune")
    accuracy = bench.accuracy(("a", "b", "c"))
    assert accuracy.loc["c", "a"] < accuracy.loc["a", "a"] - 0.2
