"""A step reads its samples once, however many terms a loss has."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from methods.backbones.base import Backbone
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.fusion import Fusion
from methods.data import Split, Task
from methods.testing.toy import BACKBONES, OTHER_KINDS, toy_study
from methods.testing.workbench import Workbench
from tests.methods.opened import about_to_learn, batch_of, gradients

METHODS: dict[str, dict[str, Any]] = {
    "lwf": {},
    "modx": {},
    "contrastive": {},
    "der++": {"memory": 24},
}
TOWERS = {
    "clip": {"images": "vision_model", "texts": "text_model"},
    "llava": {"images": "model.vision_tower", "texts": "model.language_model"},
}
CASES = [
    *((name, "clip") for name in METHODS),
    *((name, "clip-pairs") for name in ("lwf", "modx", "contrastive")),
    *((name, "llava") for name in ("lwf", "modx", "contrastive")),
    ("lwf", "llava-answers"),
]


def opened(models: Path, name: str, kind: str) -> tuple[Any, Any]:
    """A method about to learn its last task, on a backbone and kind of task."""
    backbone = kind.partition("-")[0]
    study = toy_study(
        models,
        {name: METHODS[name]},
        benchmark=(BACKBONES | OTHER_KINDS)[kind],
        backbones={backbone: {"path": str(models / backbone)}},
    )
    last = ("c", "b", "a") if backbone == "clip" else ("b", "a")
    return about_to_learn(Workbench(study, name), *last)


@contextmanager
def counted(backbone: Backbone, towers: dict[str, str]) -> Iterator[Counter[str]]:
    """Counts how often images and texts go through the towers of one model."""
    passes: Counter[str] = Counter()

    def hook(what: str) -> Any:
        return lambda *_: passes.update([what])

    model: nn.Module = backbone.model
    hooks = [
        model.get_submodule(name).register_forward_hook(hook(what)) for what, name in towers.items()
    ]
    try:
        yield passes
    finally:
        for one in hooks:
            one.remove()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_step_is_one_pass(models: Path, name: str, kind: str) -> None:
    method, stage = opened(models, name, kind)
    batch, family = batch_of(stage), kind.partition("-")[0]
    with counted(method.backbone, TOWERS[family]) as passes:
        method.loss(batch)
    # A language model reads questions, then answers.
    assert passes == {"images": 1, "texts": 1 if family == "clip" else 2}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_it_learns_what_passes_of_their_own_teach(
    models: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, stage = opened(models, name, kind)
    with torch.no_grad():
        for weight in method.backbone.parameters():
            weight.mul_(1.02)  # off the teacher
    begun, batch = method.step_state(), batch_of(stage)

    def learnt() -> tuple[Tensor, list[Tensor]]:
        method.load_step_state(begun)
        loss = method.loss(batch)
        return loss.detach(), gradients(method, loss)

    together = learnt()
    for family in (DualEncoder, Fusion):
        monkeypatch.setattr(family, "one_pass", lambda *_: nullcontext())
    alone = learnt()
    torch.testing.assert_close(together[0], alone[0], rtol=1e-5, atol=1e-6)
    largest = max(float(step.abs().max()) for step in alone[1])
    for one, other in zip(together[1], alone[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * largest)


def test_nothing_of_a_step_is_kept(models: Path) -> None:
    method, stage = opened(models, "lwf", "clip")
    batch = batch_of(stage)
    method.loss(batch)
    with counted(method.backbone, TOWERS["clip"]) as passes:
        method.backbone.loss(batch)
    assert passes == {"images": 1, "texts": 1}


@pytest.mark.parametrize("kind", ["clip", "clip-pairs"])
def test_texts_are_embedded_as_often_for_many_images_as_for_few(models: Path, kind: str) -> None:
    """Captions too, which retrieval compares with every image."""
    passes = []
    for size in (512, 8):
        study = toy_study(
            models, benchmark=(BACKBONES | OTHER_KINDS)[kind], evaluation={"batch_size": size}
        )
        bench = Workbench(study, "finetune")
        bench.learn(("a",))
        worker = bench.worker
        with counted(worker.trainer.backbone, TOWERS["clip"]) as counts:
            worker.evaluator.evaluate()
        passes.append(counts)
    assert passes[1]["images"] > passes[0]["images"]
    assert passes[1]["texts"] == passes[0]["texts"]


def with_own_choices(task: Task, template: str) -> Task:
    """Of every sample the right choice, and those of the samples before it, from the last on."""

    def own(split: Split) -> Split:
        words = [f"{task.choices[label]} {i}" for i, label in enumerate(split.labels)]
        texts = tuple(tuple(words[i - n] for n in range(1 + i % 3)) for i in range(len(words)))
        return replace(split, labels=0 * split.labels, texts=texts)

    return replace(task, choices=(), templates=(template,), test=own(task.test))


@pytest.mark.parametrize("name", ["finetune", "zero_shot", "diki"])
@pytest.mark.parametrize("template", ["{}", "a photo of {}"])
def test_choices_of_samples_are_embedded_once_per_batch(
    models: Path, name: str, template: str
) -> None:
    bench = Workbench(toy_study(models, (name,), evaluation={"batch_size": 9}), name)
    bench.learn(("a", "b"))
    method, measures = bench.worker.trainer.method, bench.worker.evaluator.measures
    task = with_own_choices(bench.worker.benchmark.tasks["a"], template)
    backbone: Any = method.eval().backbone
    with torch.no_grad(), counted(backbone, TOWERS["clip"]) as passes:
        alone = measures.measure(task, task)
        passes_alone = passes.copy()
        passes.clear()
        with backbone.frozen_texts([task]):
            once = measures.measure(task, task)
            assert len(backbone._frozen.texts) == 1  # those of the task, of which there are none
    assert passes["texts"] < passes_alone["texts"]
    if name != "diki":  # texts are read with the prompts of every image
        assert passes["texts"] == -(-len(task.test) // 9)
    assert once.metrics == alone.metrics
    assert abs(once.loss - alone.loss) < 1e-5
    assert abs(once.cosine - alone.cosine) < 1e-6
    torch.testing.assert_close(once.text, alone.text)
