"""Properties of the low-rank adapter."""

from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer

from methods.adapters.lora import Lora
from methods.backbones import load_backbone
from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from tests.methods.opened import (
    check_reset_draws_from_the_seed,
    check_reset_gives_the_untouched_backbone,
)
from tests.methods.shipped import study_of

ORDER = ("a", "b", "c")


@pytest.fixture(params=list(BACKBONES))
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    bench = Workbench(study_of(models, request.param), "lora")
    bench.learn(bench.plan.study.benchmark.task_names())
    return bench


def test_reset_gives_the_untouched_backbone(bench: Workbench) -> None:
    check_reset_gives_the_untouched_backbone(bench)


def test_reset_draws_a_from_the_seed_and_leaves_torch_alone(bench: Workbench) -> None:
    check_reset_draws_from_the_seed(bench, zero="lora_B")


def test_trains_a_and_b_of_every_layer_and_nothing_else(bench: Workbench) -> None:
    method = bench.worker.trainer.method
    trained = dict(method.named_parameters())
    weights = {name: parameter.clone() for name, parameter in trained.items()}
    method.reset(0)
    changed = {name for name in weights if not torch.equal(weights[name], trained[name])}
    assert changed == {name for name in trained if "lora_A" in name or "lora_B" in name}
    (source,) = bench.plan.pinned.sources.values()
    assert len(changed) == 2 * len(load_backbone(source.location).adapted())


def test_update_is_alpha_over_r_times_b_a(models: Path) -> None:
    """Equation 3 of the paper."""
    bench = Workbench(study_of(models, "clip"), "lora")
    bench.learn(ORDER)
    method = bench.worker.trainer.method
    assert isinstance(method, Lora)
    layer = next(module for module in method.modules() if isinstance(module, LoraLayer))
    a, b = (layer.get_submodule(f"lora_{part}.default").weight for part in "AB")
    assert a.shape[0] == b.shape[1] == method.config.rank
    x = torch.randn(5, a.shape[1], generator=torch.Generator().manual_seed(0))
    update = method.config.alpha / method.config.rank * (x @ a.T @ b.T)
    torch.testing.assert_close(layer(x), layer.get_base_layer()(x) + update)
