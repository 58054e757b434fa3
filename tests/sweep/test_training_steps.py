"""What a stage does to weights, computed a second time by hand; and in which mode, and precision.

These are the checks that notice a schedule that is never stepped, clipping or weight decay that is
ignored, autocast that is gone, another stage's samples, and dropout in evaluation.
"""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods.data import Batch, batch_of
from methods.seeds import derive_seed
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench, state_in
from sweep.stage.trainer import Trainer, draw_stream

STEPS, SIZE, LR, WARMUP, DECAY, CLIP = 6, 16, 2e-3, 2, 20.0, 0.4
TRAINING = {
    "steps": STEPS,
    "batch_size": SIZE,
    "lr": LR,
    "warmup_steps": WARMUP,
    "weight_decay": DECAY,
    "clip_norm": CLIP,
}
RATES = (LR / 3, 2 * LR / 3, LR, *(LR / 2 * (1 + math.cos(math.pi * k / 4)) for k in (1, 2, 3)))
"""Two steps of warm-up, then a cosine to zero."""


def bench_of(models: Path, method: str = "finetune", **changes: Any) -> Workbench:
    options = changes.pop("options", {})
    return Workbench(toy_study(models, {method: options}, **changes), method)


def by_hand(trainer: Trainer, start: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The weights after AdamW (Loshchilov and Hutter, ICLR 2019) on task b, in double precision."""
    method = trainer.method
    method.load_state({f"weights/{name}": weight.float() for name, weight in start.items()})
    method.train()
    weights = {name: w for name, w in method.named_parameters() if w.requires_grad}
    ours = {name: start[name].double() for name in weights}
    first, second = ({name: torch.zeros_like(w) for name, w in ours.items()} for _ in range(2))
    task = trainer.benchmark.tasks["b"]
    pixels = trainer.pixels("train", task)
    stream = draw_stream({"b": len(task.train)}, {"b": STEPS}, SIZE, seed)
    for step, (rate, (_, ids)) in enumerate(zip(RATES, stream, strict=True), 1):
        batch = batch_of(task, task.train, ids, pixels[task.train.shown[ids.numpy()]])
        loss = cross_entropy(method.backbone.logits(batch), batch.labels)
        found = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        gradients = {n: g.double() for n, g in zip(weights, found, strict=True)}
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))
        assert norm > CLIP  # else nothing would be clipped
        for name, gradient in gradients.items():
            clipped = gradient * CLIP / norm
            first[name] = 0.9 * first[name] + 0.1 * clipped
            second[name] = 0.999 * second[name] + 0.001 * clipped**2
            mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
            if ours[name].dim() > 1:
                ours[name] -= rate * DECAY * ours[name]
            ours[name] -= rate * mean / (square.sqrt() + 1e-8)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(ours[name])
    return ours


def test_a_stage_is_adamw_with_schedule_clipping_and_weight_decay(models: Path) -> None:
    bench = bench_of(models, training=TRAINING)
    first, second, *_ = bench.units(("a", "b", "c"))
    begun = state_in(bench.worker.compute(first, lambda _: {}))
    left = state_in(bench.worker.compute(second, lambda _: begun))
    start = {name.removeprefix("weights/"): weight for name, weight in begun.items()}
    trainer = bench.worker.trainer
    ours = by_hand(trainer, start, derive_seed(second.seed, "a", "b"))
    for name, weight in ours.items():
        if name.endswith("k_proj.bias"):  # softmax cancels it: its gradient is rounding noise
            continue
        theirs = left[f"weights/{name}"].double()
        assert (theirs - weight).norm() < 0.02 * (weight - start[name]).norm() + 1e-6, name


def test_a_stage_draws_anew_after_other_tasks(models: Path) -> None:
    """Its samples and its own random numbers are a function of all tasks up to it."""
    bench = bench_of(models)
    drawn = {}
    for order in (("a", "c", "b"), ("c", "a", "b"), ("b", "a", "c")):
        unit = next(unit for unit in bench.units(order) if unit.prefix[-1] == "b")
        bench.worker.load(unit)
        stage = bench.worker.trainer._stage(unit)
        numbers = torch.rand(3, generator=stage.generator("anything")).tolist()
        drawn[unit.prefix] = (tuple(numbers), *(tuple(ids.tolist()) for _, ids in stage.stream))
    assert len(drawn) == 3
    for part in zip(*drawn.values(), strict=True):
        assert len(set(part)) == 3


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_layers_compute_in_the_precision_of_the_study(models: Path, precision: str) -> None:
    training = {"steps": 2, "batch_size": 8, "precision": precision}
    bench = bench_of(models, training=training)
    unit, *_ = bench.units(("a", "b", "c"))
    bench.worker.load(unit)
    method = bench.worker.trainer.method
    seen: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    for layer in method.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda *given: seen[method.training].add(given[2].dtype))
    bench.worker.compute(unit, lambda _: {})
    expected = torch.bfloat16 if precision == "bf16" else torch.float32
    assert seen == {True: {expected}, False: {expected}}


def test_nothing_is_dropped_in_evaluation(models: Path) -> None:
    bench = bench_of(models, "lora", options={"rank": 2, "dropout": 0.5, "lr": 0.02})
    bench.learn(("a",))
    evaluator, method = bench.worker.evaluator, bench.worker.trainer.method
    method.train()
    scores = [evaluator.evaluate()[0] for _ in range(2)]
    assert scores[0] == scores[1]
    losses = {row["eval_task"]: row["value"] for row in scores[0] if row["metric"] == "loss"}
    method.eval()
    with torch.no_grad():
        batch = whole(bench, "a")
        assert losses["a"] == pytest.approx(float(method.backbone.loss(batch).mean()), abs=2e-6)


def whole(bench: Workbench, name: str) -> Batch:
    """All test samples of a task with one template."""
    task = bench.worker.benchmark.tasks[name]
    pixels = bench.worker.trainer.pixels("test", task)[task.test.shown]
    return batch_of(task, task.test, torch.arange(len(task.test)), pixels)
