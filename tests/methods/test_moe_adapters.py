"""Properties of mixtures of expert adapters."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from methods.adapters.ddas import errors
from methods.adapters.mixture_of_experts import ExpertOptions, Mixture, Noise
from methods.adapters.moe_adapters import MoEAdapters
from methods.backbones.prompting import Route
from methods.base import State
from methods.data import Batch
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench, same, states_in
from tests.methods.opened import about_to_learn, asked, batch_of, bench_of

OPTIONS = {"experts": {"count": 5, "width": 6}, "selector": {"width": 4, "steps": 40}, "lr": 0.03}


@pytest.fixture(params=list(BACKBONES))
def backbone(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(models: Path, backbone: str, **options: Any) -> Workbench:
    return bench_of(models, backbone, "moe_adapters", **OPTIONS | options)


def learnt(bench: Workbench, *order: str) -> MoEAdapters:
    """The method after an order, to be asked."""
    bench.learn(order)
    method = bench.worker.trainer.method.eval()
    assert isinstance(method, MoEAdapters)
    return method


def questions(bench: Workbench) -> dict[str, Batch]:
    """The test samples of all tasks and of the held-out suite."""
    benchmark = bench.worker.benchmark
    return {name: asked(bench, name) for name in (*benchmark.tasks, *benchmark.probes)}


def plainly(method: MoEAdapters, batch: Batch) -> Tensor:
    """Logits of the untouched backbone."""
    router, method.prompting.router = method.prompting.router, None
    with method.prompting.applied(None):
        logits = method.backbone.logits(batch)
    method.prompting.router = router
    return logits


def mixtures() -> Iterator[tuple[Mixture, Tensor]]:
    """A mixture that has learnt something, and tokens to read."""
    for first in (True, False):
        torch.manual_seed(0)
        prompting = Route  # not asked by `gates` and `mix`
        mixture = Mixture(
            6,
            ExpertOptions(count=4, width=3),
            prompting,
            first=first,
            images=True,  # type: ignore[arg-type]
        )
        torch.nn.init.normal_(mixture.router)
        for expert in mixture.experts:
            torch.nn.init.normal_(expert.get_parameter("up.weight"))
        yield mixture, torch.randn(5, 3, 6)


def test_untrained_experts_change_nothing(models: Path, backbone: str) -> None:
    moe, stage = about_to_learn(opened(models, backbone), "a")
    batch = batch_of(stage)
    assert moe.prompting.route is not None
    assert torch.equal(moe.backbone.logits(batch), plainly(moe, batch))
    assert all(mixture.used.sum() > 0 for mixture in moe.mixtures)


def test_every_mlp_has_experts_and_all_of_them_learn(models: Path, backbone: str) -> None:
    moe = learnt(opened(models, backbone), "a")
    assert len(moe.mixtures) == {"clip": 4, "llava": 2}[backbone]
    for mixture in moe.mixtures:
        assert any(bool(expert.up.weight.any()) for expert in mixture.experts)
        assert mixture.router.any()


def test_mixtures_weigh_the_best_experts() -> None:
    for mixture, tokens in mixtures():
        gates = mixture.gates(tokens, torch.tensor([0]))
        read = tokens[:, :1] if mixture.first else tokens
        logits = read @ mixture.router
        kept = one_hot(logits.topk(2).indices, 4).sum(dim=-2).bool()
        expected = logits.masked_fill(~kept, -torch.inf).softmax(dim=-1)
        assert torch.allclose(gates, expected)
        dense = torch.stack([expert(tokens) for expert in mixture.experts], dim=-1)
        weighed = 0.1 * (dense * gates.unsqueeze(2)).sum(dim=-1)
        assert torch.allclose(mixture.mix(tokens, gates), weighed, atol=1e-6)


def test_held_routers_serve_rows_of_their_own_task() -> None:
    for mixture, tokens in mixtures():
        routers = [torch.randn(6, 4), torch.randn(6, 4)]
        mixture.hold(routers)
        task = torch.tensor([1, 0, 0, 1, 0])
        together = mixture.gates(tokens, task)
        for i, number in enumerate(task.tolist()):
            mixture.hold([routers[number]])
            alone = mixture.gates(tokens[i : i + 1], torch.tensor([0]))
            assert torch.allclose(together[i : i + 1], alone)
        assert mixture.used.sum() == 0


def test_workers_draw_the_noise_of_their_samples(models: Path) -> None:
    _, stage = about_to_learn(opened(models, "clip"), "a")
    alone = Noise(stage)
    pair = [Noise(replace(stage, rank=rank, world_size=2)) for rank in range(2)]
    for of_samples in (True, False, True):
        whole = alone.draw(7, 4, of_samples)
        shares = [noise.draw(7, 4, of_samples) for noise in pair]
        if of_samples:
            assert torch.equal(whole, torch.stack(shares, dim=1).flatten(0, 1))
        else:
            assert all(torch.equal(share, whole) for share in shares)


def test_the_most_used_experts_are_frozen(models: Path, backbone: str) -> None:
    moe, stage = about_to_learn(opened(models, backbone), "a", "b")
    before = moe.frozen.clone()
    assert before.sum(dim=1).tolist() == [2] * len(before)
    for mixture in moe.mixtures:
        mixture.used = torch.tensor([3.0, 9.0, 1.0, 7.0, 5.0])
    moe.after_task(stage)
    assert torch.equal(moe.frozen, before | torch.tensor([False, True, False, True, False]))


def test_choices_are_counted(models: Path, backbone: str) -> None:
    moe, stage = about_to_learn(opened(models, backbone), "a", "b")
    batch = batch_of(stage)
    moe(batch)
    for mixture in moe.mixtures:
        rows = len(batch) if mixture.images else len(batch.task.choices)
        if mixture.first:
            assert mixture.used.sum() == 2 * rows
            assert mixture.used.max() <= rows
        else:  # every token, those of the answers too
            assert mixture.used.sum() > 2 * rows


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_frozen_experts_do_not_move(models: Path, backbone: str, decay: float) -> None:
    study = toy_study(
        models,
        {"moe_adapters": OPTIONS},
        benchmark=BACKBONES[backbone],
        backbones={backbone: {"path": str(models / backbone)}},
        training={"steps": 6, "batch_size": 16, "lr": 0.003, "weight_decay": decay},
    )
    bench = Workbench(study, "moe_adapters")
    first, second = states_in(bench.learn(("a", "b"))).values()
    for i, frozen in enumerate(first["extra/frozen"]):
        for expert, done in enumerate(frozen.tolist()):
            part = f"weights/mixtures.{i}.experts.{expert}."
            names = [name for name in first if name.startswith(part)]
            assert len(names) == 4
            if done:
                assert all(torch.equal(first[name], second[name]) for name in names)
    assert not same(experts_in(first), experts_in(second))


def experts_in(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if ".experts." in name}


def test_strangers_meet_the_untouched_backbone(models: Path, backbone: str) -> None:
    bench = opened(models, backbone)
    moe = learnt(bench, "a")
    moe.learnt["a"]["threshold"] = torch.tensor(-1.0)
    for batch in questions(bench).values():
        assert torch.equal(moe.backbone.logits(batch), plainly(moe, batch))
    moe.learnt["a"]["threshold"] = torch.tensor(1.0)
    moe.of_no_task["output"].fill_(-torch.inf)  # it reconstructs nothing
    for batch in questions(bench).values():
        assert not torch.equal(moe.backbone.logits(batch), plainly(moe, batch))


def test_what_the_autoencoder_of_no_task_takes_meets_the_untouched_backbone(
    models: Path, backbone: str
) -> None:
    bench = opened(models, backbone)
    moe = learnt(bench, "a", "b")
    for task in "ab":
        moe.learnt[task]["threshold"] = torch.tensor(torch.inf)
    moe.of_no_task |= {"encoder": moe.of_no_task["encoder"] * 0}
    for batch in questions(bench).values():
        found = moe.backbone.route(batch.pixels)
        assert found
        query = moe.backbone.untouched(batch.pixels)
        own = torch.stack([errors(moe.learnt[task], query) for task in "ab"]).amin(dim=0)
        assert torch.equal(found.weight, (own < errors(moe.of_no_task, query)).float())


def test_known_tasks_need_no_reference_pool(models: Path) -> None:
    known, inferred = (opened(models, "clip", task=task) for task in ("known", "inferred"))
    assert "reference" not in known.plan.study.data()
    assert "reference" in inferred.plan.study.data()
    state = list(states_in(known.learn(("a",))).values())[-1]
    assert not any("encoder" in name for name in state)


def test_a_sample_is_answered_alone_as_among_others(models: Path, backbone: str) -> None:
    bench = opened(models, backbone)
    moe = learnt(bench, "a", "b")
    batch = questions(bench)["b"]
    found = moe.backbone.route(batch.pixels)
    assert found
    assert len(found.prompts.unique()) + len(found.weight.unique()) > 2  # not all of one kind
    whole = moe.backbone.logits(batch)
    for i in range(0, len(batch), 5):
        alone = replace(
            batch,
            pixels=batch.pixels[i : i + 1],
            labels=batch.labels[i : i + 1],
            ids=batch.ids[i : i + 1],
            questions=batch.questions[i : i + 1] if batch.questions else None,
        )
        assert torch.allclose(moe.backbone.logits(alone), whole[i : i + 1], atol=1e-4)


def test_known_tasks_take_their_own_router(models: Path, backbone: str) -> None:
    bench = opened(models, backbone, task="known")
    moe = learnt(bench, "b")
    for task, batch in questions(bench).items():
        moe.select(task if task != "suite" else None)
        untouched = torch.equal(moe.backbone.logits(batch), plainly(moe, batch))
        assert untouched == (task != "b")


def test_selectors_know_nothing_of_the_order(models: Path) -> None:
    bench = opened(models, "clip")
    parts = ("encoder", "code", "decoder", "output", "mean", "spread", "threshold")
    found = []
    for order in (("a", "b"), ("b", "a")):
        state = list(states_in(bench.learn(order)).values())[-1]
        found.append(
            {
                name: state[f"extra/{name}"]
                for part in parts
                for name in (f"a/{part}", f"b/{part}", f"none.{part}")
            }
        )
    assert same(*found)


def test_a_state_is_all_that_predictions_need(models: Path, backbone: str) -> None:
    bench = opened(models, backbone)
    moe = learnt(bench, "a", "b")
    batches, state = questions(bench), moe.state()
    expected = {name: moe.backbone.logits(batch) for name, batch in batches.items()}
    fresh = opened(models, backbone)
    other = learnt(fresh, "b")
    other.load_state(dict(sorted(state.items())))
    for name, batch in batches.items():
        assert torch.equal(other.backbone.logits(batch), expected[name])


def test_more_cannot_be_active_than_there_are() -> None:
    with pytest.raises(ValueError, match="active is 3, but there are only 2"):
        ExpertOptions(count=2, active=3)
