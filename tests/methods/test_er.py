"""Properties of experience replay."""

from collections import Counter
from pathlib import Path

import pytest
from torch import Tensor

from methods.data import Batch
from methods.testing.workbench import Workbench, same, state_in
from tests.methods.shipped import study_of

ORDER = ("a", "b", "c")


@pytest.mark.parametrize("method", ["er", "der++"])
def test_first_task_is_plain_finetuning(models: Path, method: str) -> None:
    study = study_of(models, "clip")
    first, plain = (
        state_in(next(iter(Workbench(study, name).learn(ORDER).values())))
        for name in (method, "finetune")
    )
    assert same({name: first[name] for name in first if name.startswith("weights/")}, plain)


def test_a_step_replays_as_many_samples_as_it_learns(models: Path) -> None:
    bench = Workbench(study_of(models, "clip"), "er")
    bench.learn(ORDER)
    met: Counter[str] = Counter()
    backbone = bench.worker.trainer.backbone
    loss = backbone.loss

    def counting(*batches: Batch) -> Tensor:
        for batch in batches:
            met[batch.task.name] += len(batch)
        return loss(*batches)

    vars(backbone)["loss"] = counting
    bench.learn(ORDER)
    of_a_stage = 6 * 16
    assert met.total() == (1 + 2 + 2) * of_a_stage
    assert met["c"] == of_a_stage
