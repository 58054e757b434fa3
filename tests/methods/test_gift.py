"""GIFT against its definition."""

import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from methods.replay.gift import GIFT, relevance
from methods.testing.toy import BACKBONES, ToyGenerator, toy_study
from methods.testing.workbench import Workbench, state_in
from methods.tools.contrast import contrastive_loss
from tests.methods.shipped import study_of
from tests.methods.side_by_side import side_by_side

ORDER = ("a", "b", "c")


def gift_of(bench: Workbench) -> GIFT:
    method = bench.worker.trainer.method
    assert isinstance(method, GIFT)
    return method.train()


@pytest.fixture(params=BACKBONES)
def gift(request: pytest.FixtureRequest, models: Path) -> GIFT:
    return in_last_stage(models, request.param)


def in_last_stage(models: Path, backbone: str) -> GIFT:
    """After the steps of the last stage of an order."""
    study = study_of(models, backbone)
    bench = Workbench(study, "gift")
    order = study.benchmark.task_names()
    *past, last = bench.units(order)
    state = {}
    for unit in past:
        state = state_in(bench.worker.compute(unit, lambda _, state=state: state))
    bench.worker.compute(last, lambda _: state)
    return gift_of(bench)


def draws_again(gift: GIFT) -> tuple[Tensor, list[str]]:
    """The batch that is drawn next, without drawing it."""
    before = gift.draws.get_state()
    drawn = gift.draw()
    gift.draws.set_state(before)
    return drawn


def replay_by_hand(gift: GIFT, pixels: Tensor, prompts: list[str]) -> Tensor:
    """KD + 0.25 ITA, entry by entry."""
    before, now = (
        backbone.similarity(backbone.embed_images(pixels), backbone.embed_texts(prompts))
        for backbone in (gift.teacher.backbone, gift.backbone)
    )
    total = torch.zeros(())
    for teacher, student in ((before.detach(), now), (before.detach().T, now.T)):
        belief, then = log_softmax(student, dim=1), (teacher / 2).softmax(dim=1)
        total = total - 4 * (then * log_softmax(student / 2, dim=1)).sum(dim=1).mean()
        for i, prompt in enumerate(prompts):
            right = [j for j, other in enumerate(prompts) if other == prompt]
            total = total - 0.25 * belief[i, right].mean() / len(prompts)
    return total


def test_gradient_is_that_of_the_papers_loss(gift: GIFT) -> None:
    weights = {n: p for n, p in gift.named_parameters() if p.requires_grad}
    starts = {n: p.detach() for n, p in zip(weights, gift.anchors, strict=True)}
    assert any(not torch.equal(weights[name], starts[name]) for name in weights)
    batch = gift.stage.tasks[gift.stage.task].batch(torch.arange(8))

    replayed = replay_by_hand(gift, *draws_again(gift))
    task_loss = gift.backbone.loss(batch).mean()
    parts = torch.autograd.grad(
        replayed, list(weights.values()), retain_graph=True, allow_unused=True
    )
    whole = replayed + task_loss
    for (name, weight), part in zip(weights.items(), parts, strict=True):
        if part is not None and part.any():
            importance = part.square() / part.square().mean()
            whole = whole + (importance * (weight - starts[name]).square()).sum()
    expected = torch.autograd.grad(whole, list(weights.values()), allow_unused=True)

    gift.zero_grad()
    loss = gift.loss(batch)
    torch.testing.assert_close(loss, task_loss + replayed)
    loss.backward()
    gift.after_backward()
    for (name, weight), gradient in zip(weights.items(), expected, strict=True):
        if gradient is None:
            assert weight.grad is None or not weight.grad.any()
        elif not name.endswith("k_proj.bias"):  # softmax cancels it: its gradient is rounding noise
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-3, atol=1e-5)


def replayed_by(gift: GIFT, rank: int, workers: int) -> list[Tensor]:
    """What a worker adds to gradients of zero, by what all of them have replayed."""
    gift.stage = replace(gift.stage, rank=rank, world_size=workers)
    share = gift.stage.shard(torch.arange(gift.stage.batch_size))
    gift.loss(gift.stage.tasks[gift.stage.task].batch(share))
    gift.zero_grad()
    gift.after_backward()
    return [torch.zeros_like(w) if w.grad is None else w.grad for w in gift.weights]


def test_workers_add_the_gradient_of_the_whole_replay(gift: GIFT) -> None:
    copies = [deepcopy(gift) for _ in range(3)]
    whole = replayed_by(copies[2], 0, 1)
    both = side_by_side(lambda rank: replayed_by(copies[rank], rank, 2))
    names = [name for name, weight in gift.named_parameters() if weight.requires_grad]
    for name, expected, *found in zip(names, whole, *both, strict=True):
        for gradient in found if not name.endswith("k_proj.bias") else ():
            torch.testing.assert_close(gradient, expected, rtol=2e-3, atol=1e-4)


def shown(gift: GIFT) -> list[str]:
    """The task that each sample of the next batch is of; "": of the reference."""
    return [source_of(gift, *pair) for pair in zip(*gift.draw(), strict=True)]


def source_of(gift: GIFT, pixels: Tensor, prompt: str) -> str:
    for i, caption in enumerate(gift.pool.captions):
        if prompt == caption and torch.equal(gift.pool.pixels(torch.tensor([i]))[0], pixels):
            return ""
    for task, data in gift.stage.synthetic.items():
        batch = data.batch(torch.arange(len(data)))
        texts = gift.backbone.texts(batch.task)
        for i, label in enumerate(batch.labels.tolist()):
            if prompt == texts[label] and torch.equal(batch.pixels[i], pixels):
                return task
    raise AssertionError(f"nothing has this image with the prompt '{prompt}'")


def test_earlier_tasks_and_the_reference_share_a_batch(gift: GIFT) -> None:
    tasks = shown(gift)
    assert tasks.count("") == gift.stage.batch_size // 2
    assert len(tasks) == gift.stage.batch_size
    assert set(tasks) == {"", *gift.stage.prefix[:-1]}


def test_the_task_itself_is_not_replayed(gift: GIFT) -> None:
    assert tuple(gift.stage.synthetic) == gift.stage.prefix[:-1]
    assert {task for task, _ in gift.generated} == set(gift.stage.prefix[:-1])
    assert len(gift.generated) == ToyGenerator().images * len(gift.stage.synthetic)


def test_first_task_replays_the_reference_alone(models: Path) -> None:
    bench = Workbench(toy_study(models, ("gift",)), "gift")
    bench.worker.compute(bench.units(ORDER)[0], lambda _: {})
    assert set(shown(gift_of(bench))) == {""}


@pytest.mark.parametrize(("share", "expected"), [(0.0, 16), (0.25, 12), (1.0, 0)])
def test_share_of_earlier_tasks_is_as_asked_for(models: Path, share: float, expected: int) -> None:
    bench = Workbench(toy_study(models, {"gift": {"synthetic_share": share}}), "gift")
    bench.learn(ORDER)
    assert shown(gift_of(bench)).count("") == expected


def test_relevance_is_one_on_average_and_follows_the_squares() -> None:
    gradient = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)) * 1e-6
    found = relevance(gradient)
    torch.testing.assert_close(found.mean(), torch.ones(()))
    torch.testing.assert_close(found[0, 0] / found[1, 1], (gradient[0, 0] / gradient[1, 1]) ** 2)
    assert not relevance(torch.zeros(3)).any()


def test_equal_prompts_are_equally_right() -> None:
    logits = 50 * torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(
        contrastive_loss(logits, torch.tensor([5, 5, 6])), torch.tensor(2 * (2 / 3) * math.log(2))
    )
    assert contrastive_loss(logits, torch.tensor([5, 6, 5])) > 30


def test_without_its_terms_it_is_fine_tuning(models: Path) -> None:
    nothing = {"strength": 0, "alignment": 0, "consolidation": 0}
    states = []
    for method, options in (("gift", nothing), ("finetune", {})):
        bench = Workbench(toy_study(models, {method: options}), method)
        states.append(state_in(list(bench.learn(ORDER).values())[-1]))
    torch.testing.assert_close(*states)
