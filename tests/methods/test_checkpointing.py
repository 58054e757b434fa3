"""Layers that are computed again in the backward pass give the same gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.backbones.loading import check_model, load_backbone
from methods.data import Batch, Split, Task
from methods.testing.tiny_models import NAMES, SIZE, VOCABULARY, WORDS, save_paligemma
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.two_workers import pair
from methods.testing.two_workers import report as report_of
from methods.testing.workbench import Workbench
from sweep.errors import InputError
from sweep.measuring.checking import check_prompts
from sweep.study.pinned import pin
from tests.methods.shipped import OPTIONS
from tests.methods.test_micro_batches import steps_of


def of(method: str, backbone: str, models: Path, options: dict[str, Any], on: bool) -> Workbench:
    study = toy_study(
        models,
        {method: OPTIONS.get(method, {}) | options},
        benchmark=BACKBONES[backbone],
        backbones={backbone: {"path": str(models / backbone)}},
        training={"steps": 2, "batch_size": 8, "lr": 0.003, "checkpointing": on},
    )
    return Workbench(study, method)


@pytest.mark.parametrize(
    ("method", "backbone", "options"),
    [
        ("finetune", "clip", {}),
        ("finetune", "llava", {}),
        ("lora", "clip", {"dropout": 0.5}),
        ("lora", "llava", {}),
        ("adapter", "clip", {}),
        ("er", "llava", {}),
        ("lwf", "clip", {}),
        ("lwf", "llava", {}),
        ("coop", "clip", {}),
        ("l2p", "clip", {}),
        ("l2p", "llava", {}),
        ("dpw", "clip", {}),
        ("dpw", "llava", {}),
    ],
)
def test_gradients_are_the_same(
    method: str, backbone: str, options: dict[str, Any], models: Path
) -> None:
    """Of prompts too, which layers only have during their own pass."""
    found, calls = [], []
    for on in (False, True):
        bench = of(method, backbone, models, options, on)
        bench.worker.compute(bench.trainings(("a", "b"))[0], lambda _: {})
        count: list[int] = []
        model = bench.worker.trainer.backbone.model
        sees = (method, backbone) == ("l2p", "clip")  # whose texts have no prompts
        layer = next(
            layer
            for name, layer in model.named_modules()
            if name.endswith(".layers.1.self_attn") and ("vision" in name) == sees
        )
        layer.register_forward_pre_hook(
            lambda layer, args, named, count=count: count.append(
                (args[0] if args else named["hidden_states"]).shape[:2].numel()
                * (layer.training and torch.is_grad_enabled())
            ),
            with_kwargs=True,
        )
        torch.manual_seed(0)
        found.append(steps_of(bench, None))
        calls.append(sum(count))
    assert calls[1] > 1.9 * calls[0] > 0  # tokens that the layer reads to learn
    for expected, got in zip(*found, strict=True):
        assert len(got) > 1
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def asked(task: Task, count: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        task,
        torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator),
        torch.arange(count) % len(WORDS),
        torch.arange(count),
        questions=tuple(["what color is a ?", "is b ?"][i % 2] for i in range(count)),
    )


@pytest.mark.parametrize("family", ["llava", "paligemma"])
def test_prompts_and_answers_in_one_pass_are_what_they_are_in_two(
    family: str, models: Path, tmp_path: Path
) -> None:
    """Also where attention in the prompt goes both ways, and prompts are of several lengths."""
    path = str(models / family) if family == "llava" else save_paligemma(tmp_path, VOCABULARY)
    empty = Split(torch.zeros(0, 3, 3, 3).numpy(), torch.zeros(0, dtype=torch.int64).numpy())
    choices = ("red", "green blue", "what color is red")
    task = Task("t", choices, (NAMES[0] + " {}",), "what ?", empty, empty)
    batch, results = asked(task, 5), []
    for on in (False, True):
        backbone = load_backbone(path)
        if on:
            backbone.checkpoint()
        backbone.train()
        found: list[Tensor] = [backbone.loss(batch), backbone.logits(batch)]
        (found[0].sum() + found[1].square().sum() / 100).backward()
        gradients = [p.grad for p in backbone.parameters() if p.grad is not None]
        backbone.eval()
        results.append([*found, *gradients, backbone.logits(batch)])
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-5)


def test_two_workers_learn_what_one_learns(models: Path) -> None:
    studies = [of("lora", "clip", models, {}, on).plan.study for on in (True, False)]
    first, second = pair().report(studies[0], "lora")
    alone = report_of(studies[1], "lora")
    states = (one.states.values() for one in (first, second, alone))
    for mine, yours, expected in zip(*states, strict=True):  # the keys differ
        for name, tensor in expected.items():
            assert torch.equal(mine[name], yours[name])
            torch.testing.assert_close(mine[name], tensor, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_computed_again_is_refused(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"checkpointing": True, "batch_size": 8}
    with pytest.raises(InputError, match=r"'moe_adapters' draws in every pass .*checkpointing, or"):
        toy_study(models, ("finetune", "moe_adapters"), training=training)
    study = toy_study(models, training=training)
    check_prompts(study, pin(study).sources)
    where = "transformers.models.clip.modeling_clip.CLIPPreTrainedModel"
    monkeypatch.setattr(f"{where}.supports_gradient_checkpointing", False)
    with pytest.raises(ValueError, match=r"is a clip model, whose layers .* training\.checkp"):
        check_model(str(models / "clip"), None, None, checkpointing=True)
