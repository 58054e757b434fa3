"""Dark experience replay++ against its definition."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from methods.data import Batch
from methods.replay.buffers import BufferKind
from methods.replay.derpp import DERpp, DERppConfig
from methods.seeds import torch_seeded
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench, state_in
from tests.methods.shipped import study_of

ORDER = ("a", "b", "c")


def derpp_of(bench: Workbench) -> DERpp:
    method = bench.worker.trainer.method
    assert isinstance(method, DERpp)
    return method.train()


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("buffer", ["balanced", "reservoir"])
def test_keeps_the_logits_that_samples_had_when_their_task_ended(
    models: Path, backbone: str, buffer: BufferKind
) -> None:
    study = study_of(models, backbone)
    options = {"der++": {"memory": 20, "buffer": buffer}}
    bench = Workbench(
        toy_study(models, options, benchmark=study.benchmark, backbones=study.backbones), "der++"
    )
    first, second, *_ = bench.units(study.benchmark.task_names())
    begun = state_in(bench.worker.compute(first, lambda _: {}))
    derpp = derpp_of(bench)
    assert len(derpp.logits) == 20
    with torch.no_grad():
        for (task, i), stored in derpp.logits.items():
            now = derpp.backbone.logits(derpp.stage.tasks[task].batch(torch.tensor([i])))
            torch.testing.assert_close(stored, now[0], rtol=1e-4, atol=1e-4)
    before = dict(derpp.logits)
    bench.worker.compute(second, lambda _: begun)
    held = [item for item in derpp.logits if item in before]
    assert 0 < len(held) < len(derpp.logits) == 20
    assert all(torch.equal(derpp.logits[item], before[item]) for item in held)


@pytest.fixture(params=get_args(DERppConfig.model_fields["offset"].annotation))
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    options = {"memory": 24, "alpha": 0.2, "beta": 0.7, "offset": request.param}
    bench = Workbench(toy_study(models, {"der++": options}), "der++")
    bench.learn(ORDER)
    return bench


def loss_by_hand(derpp: DERpp, batch: Batch, draws: torch.Generator) -> Tensor:
    """The equation of the module, sample by sample."""
    tasks, items, size = derpp.stage.tasks, derpp.buffer.items, derpp.stage.batch_size

    def draw() -> list[tuple[str, int]]:
        return [items[i] for i in torch.randint(len(items), (size,), generator=draws).tolist()]

    squares, replayed = [], []
    for task, i in draw():
        sample = tasks[task].batch(torch.tensor([i]))
        logits, then = derpp.backbone.logits(sample)[0], derpp.logits[task, i]
        if derpp.config.offset == "free":
            logits, then = logits - logits.mean(), then - then.mean()
        squares.append((logits - then).square().mean())
    for task, i in draw():
        sample = tasks[task].batch(torch.tensor([i]))
        replayed.append(cross_entropy(derpp.backbone.logits(sample), sample.labels))
    learnt = cross_entropy(derpp.backbone.logits(batch), batch.labels)
    return learnt + 0.2 * torch.stack(squares).mean() + 0.7 * torch.stack(replayed).mean()


def test_loss_is_that_of_the_paper(bench: Workbench) -> None:
    derpp = derpp_of(bench)
    with torch.no_grad():
        for weight in derpp.backbone.parameters():
            weight.mul_(1.1)
        batch = derpp.stage.tasks["c"].batch(torch.arange(16))
        draws = torch.Generator()
        draws.set_state(derpp.draws.get_state())
        torch.testing.assert_close(derpp.loss(batch), loss_by_hand(derpp, batch, draws))


def test_logits_that_differ_by_a_constant_may_be_the_same_belief(bench: Workbench) -> None:
    derpp = derpp_of(bench)
    batches, _ = derpp.recall()
    with torch.no_grad():
        before = derpp.drift(batches)
        derpp.logits = {item: row + 5 for item, row in derpp.logits.items()}
        moved = derpp.drift(batches)
        assert torch.allclose(moved, before) == (derpp.config.offset == "free")
        derpp.logits = {item: row * 2 for item, row in derpp.logits.items()}
        assert not torch.allclose(derpp.drift(batches), moved)


def test_in_a_classifier_the_mean_square_is_the_variance() -> None:
    """Why alpha is a factor of the variance: in the paper's networks that is the same."""
    draws = torch.Generator().manual_seed(0)
    centres = torch.randn(6, 32, generator=draws)
    with torch_seeded(0):
        hidden = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
        network = nn.Sequential(hidden, nn.Linear(256, 6))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.03)

    def train(classes: Tensor) -> None:
        for _ in range(150):
            labels = classes[torch.randint(len(classes), (32,), generator=draws)]
            images = centres[labels] + torch.randn(32, 32, generator=draws)
            optimizer.zero_grad()
            cross_entropy(network(images), labels).backward()
            optimizer.step()

    train(torch.arange(3))
    then = network(centres).detach()
    train(torch.arange(3, 6))
    moved = network(centres).detach() - then
    square, variance = moved.square().mean(), moved.var(dim=1, correction=0).mean()
    assert square > 1
    assert variance / square > 0.99


def test_logits_that_have_not_moved_cost_nothing(bench: Workbench) -> None:
    """Also where they are read back from a state."""
    derpp = derpp_of(bench)
    derpp.load_state(derpp.state())
    of_last = [
        derpp.stage.tasks["c"].batch(torch.tensor([i])) for task, i in derpp.logits if task == "c"
    ]
    assert of_last
    with torch.no_grad():
        assert float(derpp.drift(of_last)) < 1e-6
