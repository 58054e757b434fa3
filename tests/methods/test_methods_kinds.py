"""What methods do with captions and answers, beside what they do with classes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods.data import Batch, Stage
from methods.regularisation.importance import FisherConfig, chances_of_rows, fisher
from methods.testing import two_workers
from methods.testing.looks import distance
from methods.testing.toy import OTHER_KINDS, toy_study
from methods.testing.trained import LABEL, study_of
from methods.testing.workbench import Workbench, same
from methods.tools.soft_targets import distillation_both_ways
from tests.methods.opened import about_to_learn, batch_of, gradients, learn_a_little
from tests.methods.test_penalty import agree


def learning(models: Path, tasks: str, method: str, *prefix: str, **options: Any) -> Any:
    """The method in the middle of the last task of `prefix`, and the stage of that one."""
    name, _, _ = tasks.partition("-")
    study = toy_study(
        models,
        {method: options},
        benchmark=OTHER_KINDS[tasks],
        backbones={name: {"path": str(models / name)}},
    )
    return about_to_learn(Workbench(study, method), *prefix)


def grads(loss: Tensor, weights: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(loss, weights, materialize_grads=True, retain_graph=True))


def first(stage: Stage, task: str, count: int) -> Batch:
    return stage.tasks[task].batch(torch.arange(count))


# Fisher information


def test_fisher_of_answers_is_that_of_all_their_tokens_by_their_number(models: Path) -> None:
    """Answers of task a have two tokens, captions of task b two, three and four."""
    method, stage = learning(models, "llava-answers", "ewc", "a", "b")
    backbone, weights, data = method.backbone, method.weights, stage.tasks["b"]
    expected = [torch.zeros_like(weight) for weight in weights]
    lengths = set()
    for i in range(len(data)):
        batch = data.batch(torch.tensor([i]))
        logits, targets = backbone.logits(batch), backbone.targets(batch)
        lengths.add(len(targets))
        loss = cross_entropy(logits, targets, reduction="sum") / len(targets) ** 0.5
        for total, gradient in zip(expected, grads(loss, weights), strict=True):
            total += gradient.square() / len(data)
    assert len(lengths) > 1
    config = FisherConfig(fisher_labels="true")
    assert agree(fisher(backbone, weights, stage, config), expected)


def test_fisher_of_captions_compares_those_of_a_group(models: Path) -> None:
    """With true labels too, where other samples go one by one."""
    method, stage = learning(models, "clip-pairs", "ewc", "b", "a")
    backbone, weights, data = method.backbone, method.weights, stage.tasks["a"]
    ids = torch.randperm(len(data), generator=stage.generator("importance"))
    expected = [torch.zeros_like(weight) for weight in weights]
    with backbone.without_dropout():
        for some in torch.split(ids, 32):
            losses = cross_entropy(
                backbone.logits(data.batch(some)), torch.arange(len(some)), reduction="none"
            )
            for loss in losses:
                for total, gradient in zip(expected, grads(loss, weights), strict=True):
                    total += gradient.square() / len(data)
    found = fisher(backbone, weights, stage, FisherConfig(fisher_labels="true"))
    assert agree(found, expected)
    assert sum(float(part.sum()) for part in found) > 0


def test_numbers_of_tokens_do_not_depend_on_the_group() -> None:
    chances = torch.rand(5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([1, 4, 2, 1, 3])
    whole = chances_of_rows(chances, rows)
    assert torch.equal(torch.cat([chances_of_rows(chances[:2], rows[:2]),
                                  chances_of_rows(chances[2:], rows[2:])]), whole)  # fmt: skip
    assert whole[0] == chances[0]
    assert len(whole.unique()) == 11
    assert 0 <= float(whole.min()) <= float(whole.max()) < 1


def test_tokens_weigh_a_sample_and_not_the_other_way_round(models: Path) -> None:
    """MAS: the mean over tokens, whatever their number."""
    method, stage = learning(models, "llava-answers", "mas", "a", "b", importance_batch=1)
    backbone, weights, data = method.backbone, method.weights, stage.tasks["b"]
    expected = [torch.zeros_like(weight) for weight in weights]
    for i in range(len(data)):
        logits = backbone.logits(data.batch(torch.tensor([i])))
        rest = logits - logits.mean(dim=1, keepdim=True)
        length = rest.square().mean()
        for total, gradient in zip(expected, grads(length, weights), strict=True):
            total += gradient.abs() / len(data)
    method.importance = []
    assert agree(method.consolidate(stage), expected)


# Distillation


def test_lwf_distils_answers_token_by_token(models: Path) -> None:
    lwf, stage = learning(models, "llava-answers", "lwf", "a", "b", temperature=3.0)
    learn_a_little(lwf, stage)
    batch = first(stage, "b", 6)
    expected = []
    for i in range(6):
        one = stage.tasks["b"].batch(torch.tensor([i]))
        with torch.no_grad():
            before, now = lwf.teacher.backbone.logits(one), lwf.backbone.logits(one)
        belief = (before / 3.0).softmax(dim=1)
        expected.append(9 * -(belief * (now / 3.0).log_softmax(dim=1)).sum(dim=1).mean())
    found = lwf.distance(batch).detach()
    torch.testing.assert_close(found, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)


def test_lwf_distils_captions_both_ways(models: Path) -> None:
    lwf, stage = learning(models, "clip-pairs", "lwf", "b", "a")
    learn_a_little(lwf, stage)
    batch = first(stage, "a", 6)
    before, now = lwf.teacher.backbone.logits(batch), lwf.backbone.logits(batch)
    assert before.shape == (6, 6)
    expected = distillation_both_ways(before, now, 2.0)
    torch.testing.assert_close(lwf.distance(batch), expected, rtol=1e-4, atol=1e-5)


def test_contrast_of_captions_is_the_loss_that_a_dual_encoder_has(models: Path) -> None:
    method, stage = learning(models, "clip-pairs", "contrastive", "b", "a", strength=2.0)
    batch = first(stage, "a", 8)  # two captions of every picture
    expected = 3 * method.backbone.loss(batch).mean()
    torch.testing.assert_close(method.loss(batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("tasks", "prefix"), [("clip-pairs", "ba"), ("llava-answers", "ab")])
@pytest.mark.parametrize("method", ["modx", "contrastive"])
def test_pairs_are_images_with_their_own_texts(
    models: Path, tasks: str, prefix: str, method: str
) -> None:
    """Other captions in the place of the samples' own give another loss."""
    learner, stage = learning(models, tasks, method, *prefix)
    learn_a_little(learner, stage)
    batch = batch_of(stage)
    texts = batch.texts
    assert texts

    def added(to: Batch) -> Tensor:
        found: Tensor = learner.loss(to) - learner.backbone.loss(to).mean()
        return found

    found = added(batch)
    assert not torch.allclose(found, added(replace(batch, texts=(*texts[5:], *texts[:5]))))
    assert len(gradients(learner, found)) > 0


def test_consistency_of_captions_starts_with_the_gradient_of_the_task(models: Path) -> None:
    options = {"consistency": 2.0, "consistency_every": 1}
    method, stage = learning(models, "clip-pairs", "multimodal_ewc", "b", "a", **options)
    batch = batch_of(stage)
    loss, task = method.loss(batch), method.backbone.loss(batch).mean()
    assert loss - task > 1e-3
    for whole, alone in zip(gradients(method, loss), gradients(method, task), strict=True):
        torch.testing.assert_close(whole, alone, rtol=1e-3, atol=1e-4)
    learn_a_little(method, stage)
    method.step = 1
    moved = batch_of(stage, 1)
    assert method.loss(moved) > method.backbone.loss(moved).mean()


def test_nothing_is_consistent_where_words_are_written(models: Path) -> None:
    options = {"consistency": 2.0, "consistency_every": 1}
    method, stage = learning(models, "llava-answers", "multimodal_ewc", "a", "b", **options)
    batch = batch_of(stage)
    torch.testing.assert_close(method.loss(batch), method.backbone.loss(batch).mean())


# Memory


@pytest.mark.parametrize("buffer", ["balanced", "reservoir"])
def test_two_workers_replay_captions_from_a_memory_of_odd_size(buffer: str) -> None:
    """What is drawn differs between workers in number and in tasks; none waits for the other."""
    options = {"memory": 7, "buffer": buffer}
    study = study_of("er", options, "clip-pairs")
    one, other = two_workers.pair().report(study, LABEL)
    alone = two_workers.report(study, LABEL)
    for key, state in alone.states.items():
        assert same(one.states[key], other.states[key])
        assert distance(one.states[key], state) < 1e-3


def test_every_worker_gets_all_captions_that_are_drawn(models: Path) -> None:
    er, stage = learning(models, "clip-pairs", "er", "a", "b", "c", memory=9)

    def drawn(rank: int, workers: int) -> dict[str, list[int]]:
        mine = replace(stage, rank=rank, world_size=workers)
        er.before_task(mine)
        return {batch.task.name: sorted(batch.ids.tolist()) for batch in er.recall()[0]}

    whole, one, other = drawn(0, 1), drawn(0, 2), drawn(1, 2)
    assert set(whole) == {"a", "b"}
    assert one["a"] == other["a"] == whole["a"]  # captions
    assert sorted(one["b"] + other["b"]) == whole["b"]  # classes
