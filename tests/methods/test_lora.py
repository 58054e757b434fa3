"""Properties of the low-rank adapter."""

from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer

from methods.adapters.lora import Lora
from methods.backbones import load_backbone
from tests.methods.conformance import BACKBONES, Desk, study_of
from tests.methods.opened import (
    check_reset_draws_from_the_seed,
    check_reset_gives_the_untouched_backbone,
)

ORDER = ("a", "b", "c")


@pytest.fixture(params=list(BACKBONES))
def desk(request: pytest.FixtureRequest, models: Path) -> Desk:
    desk = Desk(study_of(models, request.param), "lora")
    desk.learn(desk.plan.study.benchmark.task_names())
    return desk


def test_reset_gives_the_untouched_backbone(desk: Desk) -> None:
    check_reset_gives_the_untouched_backbone(desk)


def test_reset_draws_a_from_the_seed_and_leaves_torch_alone(desk: Desk) -> None:
    check_reset_draws_from_the_seed(desk, zero="lora_B")


def test_trains_a_and_b_of_every_layer_and_nothing_else(desk: Desk) -> None:
    method = desk.worker.trainer.method
    trained = dict(method.named_parameters())
    weights = {name: parameter.clone() for name, parameter in trained.items()}
    method.reset(0)
    changed = {name for name in weights if not torch.equal(weights[name], trained[name])}
    assert changed == {name for name in trained if "lora_A" in name or "lora_B" in name}
    (source,) = desk.plan.pinned.sources.values()
    assert len(changed) == 2 * len(load_backbone(source.location).adapted())


def test_update_is_alpha_over_r_times_b_a(models: Path) -> None:
    """Equation 3 of the paper."""
    desk = Desk(study_of(models, "clip"), "lora")
    desk.learn(ORDER)
    method = desk.worker.trainer.method
    assert isinstance(method, Lora)
    layer = next(module for module in method.modules() if isinstance(module, LoraLayer))
    a, b = (layer.get_submodule(f"lora_{part}.default").weight for part in "AB")
    assert a.shape[0] == b.shape[1] == method.config.rank
    x = torch.randn(5, a.shape[1], generator=torch.Generator().manual_seed(0))
    update = method.config.alpha / method.config.rank * (x @ a.T @ b.T)
    torch.testing.assert_close(layer(x), layer.get_base_layer()(x) + update)
