"""Properties of adapters that become a part of the weights after each task."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.backbones.loading import load_backbone
from methods.testing.toy import BACKBONES
from methods.tools.low_rank import lora_layers
from tests.methods.opened import about_to_learn, batch_of, bench_of, learn_a_little

METHODS: dict[str, dict[str, Any]] = {
    "lora": {"after_task": "merge"},
    "o_lora": {},
    "inflora": {},
}


@pytest.fixture(params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@torch.no_grad()
def answers(method: Any, batch: Any) -> Tensor:
    method.eval()
    logits: Tensor = method.backbone.logits(batch)
    method.train()
    return logits


@pytest.mark.parametrize("backbone", BACKBONES)
def test_merging_changes_no_answer(models: Path, backbone: str, name: str) -> None:
    method, stage = about_to_learn(bench_of(models, backbone, name, **METHODS[name]), "a", "b")
    before = answers(method, batch_of(stage))
    learn_a_little(method, stage)
    trained = answers(method, batch_of(stage))
    assert not torch.allclose(trained, before, atol=1e-3)
    method.after_task(stage)
    torch.testing.assert_close(answers(method, batch_of(stage)), trained, rtol=1e-4, atol=1e-4)


def test_every_task_begins_with_an_adapter_of_its_own(models: Path, name: str) -> None:
    bench = bench_of(models, "clip", name, **METHODS[name])
    starts = []
    for prefix in (("a",), ("a", "b"), ("c", "b")):
        method, _ = about_to_learn(bench, *prefix)
        layers = lora_layers(method).values()
        assert not any(layer.lora_B["default"].weight.any() for layer in layers)
        starts.append([layer.lora_A["default"].weight.clone() for layer in layers])
    for one, two, three in zip(*starts, strict=True):
        assert not torch.allclose(one, two)
        assert not torch.allclose(two, three)


def test_updates_of_all_tasks_together_exceed_the_rank(models: Path, name: str) -> None:
    bench = bench_of(models, "clip", name, rank=2, **METHODS[name])
    ranks = []
    for order in (("a",), ("a", "b")):
        method, _ = about_to_learn(bench, *order)
        method.reset(0)
        start = {layer: weight.clone() for layer, weight in method.merged.items()}
        bench.learn(order)
        ranks.append(
            max(
                int(torch.linalg.matrix_rank((weight - start[layer]).double(), rtol=1e-3))
                for layer, weight in method.merged.items()
            )
        )
    assert ranks == [2, 4]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_state_holds_factors_of_which_the_weights_are_made(
    models: Path, backbone: str, name: str
) -> None:
    """They are those of merging task by task, without anything loaded in between, bit for bit."""
    options = METHODS[name] | {"rank": 2}
    method, stage = about_to_learn(bench_of(models, backbone, name, **options), "a")
    sizes = []
    for _ in range(3):
        learn_a_little(method, stage, lr=1.0)
        method.after_task(stage)
        state = method.state()
        sizes.append(sum(p.numel() for n, p in state.items() if "/merged/" in n))
        method.before_task(stage)
    weights = {layer: weight.clone() for layer, weight in method.merged.items()}
    adapted = sum(sum(weight.shape) for weight in weights.values())
    assert sizes == [2 * adapted, 4 * adapted, 6 * adapted]
    fresh, _ = about_to_learn(bench_of(models, backbone, name, **options), "a")
    assert not all(torch.equal(fresh.merged[layer], weights[layer]) for layer in weights)
    for one in (method, fresh):
        one.load_state(state)
        assert all(torch.equal(one.merged[layer], weights[layer]) for layer in weights)
        assert all(torch.equal(part, state[part_of]) for part_of, part in one.state().items())
    method.reset(0)
    untouched = load_backbone(str(models / backbone))
    for layer, weight in method.merged.items():
        own = untouched.get_submodule(layer.removeprefix("backbone."))
        assert torch.equal(weight, own.weight)


def test_one_adapter_for_all_tasks_leaves_the_weights_alone(models: Path) -> None:
    bench = bench_of(models, "clip", "lora")
    method, _ = about_to_learn(bench, "a", "b")
    assert not any(name.startswith("extra/") for name in method.state())
    assert any(layer.lora_B["default"].weight.any() for layer in lora_layers(method).values())
