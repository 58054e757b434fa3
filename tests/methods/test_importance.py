"""What the Fisher information is measured to be, against what it is."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chi2
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods.backbones import Backbone
from methods.data import Batch, Stage
from methods.regularisation.importance import FisherConfig, draw_labels, fisher
from methods.testing.toy import BACKBONES
from tests.methods.opened import about_to_learn, bench_of
from tests.methods.side_by_side import side_by_side
from tests.methods.test_penalty import agree


class Few:
    """The first samples of a task, and which of them were asked for."""

    def __init__(self, data: Any, count: int) -> None:
        self.data, self.count, self.task = data, count, data.task
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.count

    def batch(self, ids: Tensor) -> Batch:
        self.asked += ids.tolist()
        batch: Batch = self.data.batch(ids)
        return batch


def in_task_b(models: Path, backbone: str) -> tuple[Any, Stage]:
    """A method in the middle of task b, of which there are eight samples."""
    method, stage = about_to_learn(bench_of(models, backbone, "ewc"), "a", "b")
    return method, replace(stage, tasks={"b": Few(stage.tasks["b"], 8)})


@pytest.fixture(params=list(BACKBONES))
def learning(request: pytest.FixtureRequest, models: Path) -> tuple[Any, Stage]:
    return in_task_b(models, request.param)


def measured(learning: tuple[Any, Stage], **options: Any) -> list[Tensor]:
    method, stage = learning
    return fisher(method.backbone, method.weights, stage, FisherConfig(**options))


def test_with_true_labels_it_is_the_mean_square_of_gradients_per_sample(
    learning: tuple[Any, Stage],
) -> None:
    method, stage = learning
    expected = [torch.zeros_like(weight) for weight in method.weights]
    for i in range(8):
        batch = stage.tasks["b"].batch(torch.tensor([i]))
        loss = cross_entropy(method.backbone.logits(batch), batch.labels)
        gradients = torch.autograd.grad(loss, method.weights, materialize_grads=True)
        for total, gradient in zip(expected, gradients, strict=True):
            total += gradient.square() / 8
    assert agree(measured(learning, fisher_labels="true"), expected)


def test_ignores_the_batch_size_and_divides_among_workers(learning: tuple[Any, Stage]) -> None:
    method, stage = learning
    whole = measured(learning, fisher_batch=3)
    other = replace(stage, batch_size=stage.batch_size // 2, stream=[])
    assert all(map(torch.equal, measured((method, other), fisher_batch=3), whole))
    shares = [
        measured((method, replace(stage, rank=rank, world_size=2)), fisher_batch=3)
        for rank in range(2)
    ]
    assert agree([a + b for a, b in zip(*shares, strict=True)], whole)


def test_workers_have_the_information_of_all_samples(learning: tuple[Any, Stage]) -> None:
    method, stage = learning
    whole = measured(learning, fisher_batch=3)
    copies = [deepcopy(method) for _ in range(2)]
    both = side_by_side(
        lambda rank: measured(
            (copies[rank], replace(stage, rank=rank, world_size=2)), fisher_batch=3
        )
    )
    assert all(agree(found, whole) for found in both)


@pytest.mark.parametrize(("count", "drawn"), [(5, 5), (1024, 8)])
def test_draws_without_replacement_as_many_as_there_are(
    learning: tuple[Any, Stage], count: int, drawn: int
) -> None:
    _, stage = learning
    stage.tasks["b"].asked.clear()
    measured(learning, fisher_samples=count)
    assert len(stage.tasks["b"].asked) == len(set(stage.tasks["b"].asked)) == drawn


def test_dropout_is_off_only_while_it_is_measured(models: Path) -> None:
    lora = {"rank": 2, "dropout": 0.5}
    method, stage = about_to_learn(bench_of(models, "clip", "ewc", lora=lora), "a", "b")
    backbone, batch = method.backbone, stage.tasks["b"].batch(torch.arange(4))
    assert not torch.equal(backbone.logits(batch), backbone.logits(batch))
    with backbone.without_dropout():
        assert torch.equal(backbone.logits(batch), backbone.logits(batch))
        assert backbone.training
    assert all(module.training for module in backbone.modules())


class Softmax:
    """A linear classifier of four features, whose Fisher information is known."""

    without_dropout = Backbone.without_dropout
    contrasts = Backbone.contrasts
    task = None

    def __init__(self) -> None:
        self.model = nn.Identity()
        generator = torch.Generator().manual_seed(1)
        self.inputs = torch.randn(14, 4, generator=generator)
        self.weight = torch.randn(4, 3, generator=generator).requires_grad_()

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, ids: Tensor) -> Any:
        return SimpleNamespace(pixels=self.inputs[ids])

    def logits(self, batch: Any) -> Tensor:
        return batch.pixels @ self.weight

    def rows_of_samples(self, batch: Any) -> Tensor:
        return torch.ones(len(batch.pixels), dtype=torch.int64)

    @torch.no_grad()
    def information(self) -> Tensor:
        """Mean of x_d^2 p_c (1 - p_c): [4, 3]."""
        p = (self.inputs @ self.weight).softmax(dim=1)
        return self.inputs.square().T @ (p * (1 - p)) / len(self)


def estimate(model: Softmax, seed: int, **options: Any) -> Tensor:
    stage: Any = SimpleNamespace(
        task="t",
        tasks={"t": model},
        rank=0,
        world_size=1,
        generator=lambda _: torch.Generator().manual_seed(seed),
    )
    return fisher(model, [model.weight], stage, FisherConfig(**options))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("group", [1, 7])
def test_drawn_labels_estimate_it_without_bias_in_groups_of_any_size(group: int) -> None:
    """The mean over seeds is within its error of what is known."""
    model, draws = Softmax(), 400
    estimates = torch.stack([estimate(model, seed, fisher_batch=group) for seed in range(draws)])
    error = estimates.std(dim=0) / draws**0.5
    assert float(((estimates.mean(dim=0) - model.information()) / error).abs().max()) < 4


def test_by_default_every_sample_has_a_gradient() -> None:
    """Of 320 samples single gradients are several times as near to what is known as ten sums."""
    model = Softmax()
    model.inputs = torch.randn(320, 4, generator=torch.Generator().manual_seed(2))
    known = model.information()
    alone, grouped = (
        sum(float((estimate(model, seed, **options) - known).norm()) for seed in range(20))
        / float(20 * known.norm())
        for options in ({}, {"fisher_batch": 32})
    )
    assert alone < 0.15
    assert grouped > 3 * alone


def test_labels_are_drawn_from_the_softmax() -> None:
    logits = torch.tensor([[0.3, -1.0, 1.2]]).expand(4000, 3)
    chances = torch.rand(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    counts = draw_labels(logits, chances).bincount(minlength=3)
    expected = 4000 * logits[0].softmax(dim=0)
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert chi2.sf(float(statistic), 2) > 1e-3


def test_true_labels_refuse_groups() -> None:
    with pytest.raises(ValidationError, match="every sample needs a gradient of its own"):
        FisherConfig(fisher_labels="true", fisher_batch=2)
