"""Properties of bottleneck adapters."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from methods.adapters.adapter import Bottleneck, mlps
from methods.backbones.base import Backbone
from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from tests.methods.opened import (
    about_to_learn,
    bench_of,
    check_reset_draws_from_the_seed,
    check_reset_gives_the_untouched_backbone,
)

PLACES = ["after", "beside"]


@pytest.fixture(params=[(backbone, place) for backbone in BACKBONES for place in PLACES])
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    backbone, place = request.param
    bench = bench_of(models, backbone, "adapter", place=place, width=8, lr=0.03)
    bench.learn(("a", "b"))
    return bench


def test_reset_gives_the_untouched_backbone(bench: Workbench) -> None:
    check_reset_gives_the_untouched_backbone(bench)


def test_reset_draws_from_the_seed_and_leaves_torch_alone(bench: Workbench) -> None:
    check_reset_draws_from_the_seed(bench, zero=".up.")


def test_every_adapted_block_has_a_bottleneck_and_nothing_else_is_trained(bench: Workbench) -> None:
    method = bench.worker.trainer.method
    found = [name for name, module in method.named_modules() if isinstance(module, Bottleneck)]
    blocks = {name.rpartition(".mlp")[0] for name in method.backbone.adapted() if ".mlp." in name}
    assert {name.removeprefix("backbone.").rpartition(".mlp")[0] for name in found} == blocks
    assert len(method.trainable()) == 4 * len(found)
    weights = {name: weight.clone() for name, weight in method.named_parameters()}
    method.reset(0)
    changed = {n for n, weight in method.named_parameters() if not torch.equal(weight, weights[n])}
    assert changed == set(method.trainable())


@pytest.mark.parametrize("place", PLACES)
def test_is_the_papers_formula(models: Path, place: str) -> None:
    bench = bench_of(models, "clip", "adapter", place=place, width=8)
    method, _ = about_to_learn(bench, "a", "b")
    (name, size), *_ = mlps(method.backbone).items()
    mlp = method.backbone.get_submodule(name)
    x = torch.randn(5, size, generator=torch.Generator().manual_seed(0))
    plain = mlp.forward(x)  # without hooks
    w = dict(mlp.bottleneck.named_parameters())
    read = plain if place == "after" else x
    hidden = (read @ w["down.weight"].T + w["down.bias"]).clamp(min=0)
    torch.testing.assert_close(mlp(x), plain + hidden @ w["up.weight"].T + w["up.bias"])
    assert not torch.allclose(mlp(x), plain)


def test_a_backbone_without_mlps_is_refused() -> None:
    backbone = Mock(spec=Backbone)
    backbone.adapted.return_value = ["layers.0.fc1"]
    with pytest.raises(ValueError, match=r"'mlp'.*layers\.0\.fc1"):
        mlps(backbone)
