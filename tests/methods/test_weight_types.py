"""Backbones whose weights are kept in bf16: what changes is kept in single precision."""

from pathlib import Path
from typing import Any

import pytest
import torch

from methods.backbones.loading import load_backbone
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench, same, state_in
from sweep.errors import InputError
from sweep.measuring.checking import check_prompts
from sweep.study.backbones import BackboneConfig, Source
from sweep.study.pinned import pin
from tests.methods.shipped import OPTIONS

LORA = {"lora": {"rank": 4, "alpha": 8.0}}


def of(
    method: str, backbone: str, models: Path, options: dict[str, Any] | None = None, **more: Any
) -> Workbench:
    study = toy_study(
        models,
        {method: OPTIONS.get(method, {}) | (options or {})},
        benchmark=BACKBONES[backbone] | {"num_tasks": 2},
        backbones={backbone: {"path": str(models / backbone), "dtype": "bf16"}},
        training={"steps": 2, "batch_size": 8, "lr": 0.003, "precision": "bf16", **more},
    )
    return Workbench(study, method)


CASES = [
    ("finetune", "clip", {}),
    ("finetune", "llava", {}),
    ("lora", "clip", {}),
    ("lora", "llava", {"after_task": "merge"}),
    ("inflora", "clip", {}),
    ("osf", "clip", {}),
    ("pam", "llava", {}),
    ("ties", "clip", LORA),
    ("tall", "clip", LORA),
    ("ewc", "clip", LORA),
    ("gnsp", "clip", LORA),
    ("lwf", "llava", LORA),
    ("coop", "clip", {}),
    ("dpw", "clip", {}),
    ("l2p", "llava", {}),
    ("moe_adapters", "clip", {}),
    ("rail", "clip", {}),
]


@pytest.mark.parametrize(("method", "backbone", "options"), CASES)
def test_what_changes_is_kept_exactly(
    method: str, backbone: str, options: dict[str, Any], models: Path
) -> None:
    bench = of(method, backbone, models, options)
    results = bench.learn(("a", "b"))
    learner = bench.worker.trainer.method
    changed = set(learner.changed())
    types = {name: weight.dtype for name, weight in learner.named_parameters()}
    assert set(learner.trainable()) <= changed <= set(types)
    assert {types[name] for name in changed} <= {torch.float32}
    for name, weight in learner.named_parameters():
        if name.startswith("backbone.model.") and name not in changed:
            assert weight.dtype == (torch.bfloat16 if weight.dim() > 1 else torch.float32), name
    states = [result.state for result in results.values() if result.state]
    assert states
    for state in states:
        assert {t.dtype for t in state.values() if t.is_floating_point()} <= {
            torch.float32,
            torch.float64,
        }
        learner.load_state(state)
        assert same(learner.state(), state)


@pytest.mark.parametrize("backbone", ["clip", "llava"])
def test_small_updates_are_not_lost(backbone: str, models: Path) -> None:
    """Of a weight w in bf16, steps below w / 256 would be."""
    bench = of("finetune", backbone, models, lr=1e-6)
    bench.worker.compute(bench.trainings(("a", "b"))[0], lambda _: {})
    learner = bench.worker.trainer.method
    learner.reset(0)
    before = learner.state()
    after = state_in(bench.worker.compute(bench.trainings(("a", "b"))[0], lambda _: {}))
    name = (
        next(name for name in before if name.endswith("layers.1.mlp.fc1.weight"))
        if (backbone == "clip")
        else next(name for name in before if name.endswith("layers.1.mlp.up_proj.weight"))
    )
    moved = (after[name] - before[name]).abs()
    assert (moved > 0).double().mean() > 0.9
    assert moved.max() < 1e-5
    assert torch.equal(before[name], before[name].bfloat16().float())


def test_a_merge_is_exact(models: Path) -> None:
    bench = of("lora", "clip", models, {"after_task": "merge"})
    first, _ = bench.trainings(("a", "b"))
    bench.worker.compute(first, lambda _: {})
    plain = dict(load_backbone(str(models / "clip"), dtype=torch.bfloat16).named_parameters())
    merged = bench.worker.trainer.method.merged
    assert merged
    rounded = 0
    for name, weight in merged.items():
        own = plain[name.removeprefix("backbone.") + ".weight"].float()
        change = (weight - own).detach()
        assert torch.linalg.matrix_rank(change.double(), rtol=1e-3) <= 4
        rounded += int(torch.equal(weight, weight.bfloat16().float()))
    assert rounded < len(merged)


@pytest.mark.parametrize("backbone", ["clip", "llava"])
def test_scores_are_those_of_single_precision_but_for_rounding(backbone: str, models: Path) -> None:
    bench = of("finetune", backbone, models)
    bench.worker.compute(bench.trainings(("a", "b"))[0], lambda _: {})
    trainer = bench.worker.trainer
    trainer.method.reset(0)
    trainer.method.eval()
    task = bench.worker.benchmark.tasks["a"]
    batch = trainer._task("a").batch(torch.arange(12))
    whole = load_backbone(str(models / backbone)).eval()
    with torch.no_grad():
        for mine, exact in (
            (trainer.backbone.logits(batch), whole.logits(batch)),
            (trainer.backbone.loss(batch), whole.loss(batch)),
            (trainer.backbone.embed_images(batch.pixels), whole.embed_images(batch.pixels)),
            (trainer.backbone.embed_choices(task), whole.embed_choices(task)),
        ):
            assert mine.dtype == exact.dtype == torch.float32
            assert float((mine - exact).norm() / exact.norm()) < 0.02
            assert not torch.equal(mine, exact)


def test_bf16_needs_bf16(models: Path) -> None:
    backbones = {"clip": {"path": str(models / "clip"), "dtype": "bf16"}}
    with pytest.raises(InputError, match=r"'clip' keeps its weights in bf16.*precision bf16, got"):
        toy_study(models, backbones=backbones)


def test_attention_is_what_is_asked_for(models: Path) -> None:
    path, found = str(models / "clip"), []
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    for attention in (None, "eager", "sdpa"):
        backbone: Any = load_backbone(path, attention=attention).eval()
        assert backbone.model.config._attn_implementation == (attention or "sdpa")
        found.append(backbone.embed_images(pixels))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
    assert torch.equal(found[2], found[0])


def test_attention_that_is_not_there_is_refused(models: Path) -> None:
    backbones = {"clip": {"path": str(models / "clip"), "attention": "flash_attention_2"}}
    study = toy_study(models, backbones=backbones)
    with pytest.raises(InputError, match=r"backbone 'clip': .* flash_attention_2") as error:
        check_prompts(study, pin(study).sources)
    assert "\n" not in str(error.value)


def test_how_weights_are_loaded_identifies_what_is_computed() -> None:
    def identity(**options: Any) -> str:
        return Source(BackboneConfig(path="x", **options), None, "digest").identity

    assert identity() == identity(answer="generate") == "digest"
    others = [{"dtype": "bf16"}, {"attention": "eager"}, {"dtype": "bf16", "attention": "sdpa"}]
    assert len({identity(**options) for options in others} | {"digest"}) == 4
