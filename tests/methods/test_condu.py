"""ConDU: unified and decoupled deltas, and who answers data of no learnt task."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from methods.data import Batch
from methods.merging.condu import ConDU, unify
from methods.merging.masked import unpacked
from methods.merging.task_vectors import Vector
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench, state_in
from sweep.stage.worker import Result
from tests.methods.merges import vectors_of

ORDER = ("a", "b", "c")


def floats(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_unified_by_hand() -> None:
    """Columns: agreement, a conflict that the mean decides, a tie of signs, nobody."""
    rows = torch.tensor([[1.0, 4.0, 1.0, 0.0], [3.0, -2.0, -1.0, 0.0]])
    unified = unify(("a", "b"), [("w", rows)])
    assert unified.vector["w"].tolist() == [3, 4, -1, 0]
    masks = unpacked(unified.masks["w"], rows[0].shape)
    assert masks.tolist() == [[True, True, False, False], [True, False, True, False]]
    torch.testing.assert_close(unified.factors, torch.tensor([6 / 7, 6 / 4]))
    torch.testing.assert_close(unified.expert("b")["w"], torch.tensor([4.5, 0, -1.5, 0]))


def test_factors_weigh_weights_alike_whatever_their_size() -> None:
    """Means over the entries of a weight are summed over weights."""
    small, large = torch.tensor([[2.0], [4.0]]), torch.tensor([[1.0, 1.0], [1.0, 3.0]])
    unified = unify(("a", "b"), [("w", small), ("v", large)])
    torch.testing.assert_close(unified.factors, torch.tensor([3 / 6, 6 / 6]))


@given(seed=st.integers(0, 99), count=st.integers(1, 4))
def test_decoupled_experts_are_as_large_as_the_experts(seed: int, count: int) -> None:
    rows = floats(seed, count, 4, 5)
    unified = unify(tuple("abcd"[:count]), [("w", rows)])
    for task, row in zip("abcd", rows, strict=False):
        torch.testing.assert_close(unified.expert(task)["w"].abs().mean(), row.abs().mean())
        sign = unified.expert(task)["w"].sign()
        assert torch.equal(sign[sign != 0], row.sign()[sign != 0])


def test_an_expert_that_learnt_nothing_stays_so() -> None:
    unified = unify(("a", "b"), [("w", torch.tensor([[0.0, 0.0], [1.0, -1.0]]))])
    assert unified.expert("a")["w"].tolist() == [0, 0]
    assert unified.expert("b")["w"].tolist() == [1, -1]


@pytest.fixture(scope="module")
def benches(models: Path) -> dict[str, Workbench]:
    study = toy_study(models, {"condu": {"experts": 2}, "condu_once": {}})
    return {name: Workbench(study, name) for name in study.methods}


@pytest.fixture(scope="module")
def results(benches: dict[str, Workbench]) -> dict[str, Result]:
    """Of all three tasks of the toy."""
    return benches["condu"].learn(ORDER)


@pytest.fixture(scope="module")
def learnt(benches: dict[str, Workbench], results: dict[str, Result]) -> ConDU:
    method = benches["condu"].worker.trainer.method
    assert isinstance(method, ConDU)
    return method.eval()


def test_iterating_is_another_thing_from_three_tasks_on(benches: dict[str, Workbench]) -> None:
    for bench in benches.values():
        bench.worker.load(bench.units(ORDER)[-1])
    iterated, once = (bench.worker.trainer.method for bench in benches.values())
    assert isinstance(iterated, ConDU)
    assert isinstance(once, ConDU)
    for count, differ in ((1, False), (2, False), (3, True)):
        # Experts of a replicate are always the same; these are others.
        vectors = vectors_of({"w": floats(0, count, 30).tolist()}, seed=count)
        one, other = (method.unify(vectors).expert("a")["w"] for method in (iterated, once))
        assert torch.allclose(one, other) is not differ


def batch_of(bench: Workbench, task: str, count: int = 12) -> Batch:
    return bench.worker.trainer._task(task).batch(torch.arange(count))


def logits(method: ConDU, vector: Vector, batch: Batch) -> Tensor:
    method.become(vector)
    return method.backbone.logits(batch)


def test_a_known_task_is_answered_by_its_expert(
    benches: dict[str, Workbench], learnt: ConDU
) -> None:
    batch = batch_of(benches["condu"], "b")
    learnt.select("b")
    given = learnt.predict(batch)
    assert torch.equal(given, logits(learnt, learnt.unified.expert("b"), batch).argmax(dim=1))


@pytest.mark.parametrize("unknown", [None, "z"])
def test_other_data_are_answered_together(
    benches: dict[str, Workbench], learnt: ConDU, unknown: str | None
) -> None:
    """Per sample: the untouched backbone and the two experts with the most similar class."""
    batch = batch_of(benches["condu"], "c")
    learnt.select(unknown)
    with learnt.backbone.frozen_texts([batch.task]):
        given = learnt.predict(batch)
        images = learnt.backbone.embed_images(batch.pixels)
    fits = torch.stack([(images @ learnt.prototypes[t].T).amax(1) for t in ORDER], dim=1)
    votes = {task: logits(learnt, learnt.unified.expert(task), batch) for task in ORDER}
    plain = logits(learnt, {}, batch)
    expected = []
    for i, fit in enumerate(fits.tolist()):
        asked = sorted(ORDER, key=lambda task, fit=fit: -fit[ORDER.index(task)])[:2]
        expected.append(int((plain[i] + sum(votes[task][i] for task in asked)).argmax()))
    assert given.tolist() == expected
    assert torch.equal(images, learnt.backbone.embed_images(batch.pixels))


def test_a_sample_is_answered_alike_in_any_company(
    benches: dict[str, Workbench], learnt: ConDU
) -> None:
    learnt.select(None)
    batch = batch_of(benches["condu"], "a")
    alone = [learnt.predict(batch.rows(torch.tensor([i]))) for i in range(len(batch))]
    assert torch.equal(learnt.predict(batch), torch.cat(alone))


def test_the_untouched_backbone_is_back_in_place(
    benches: dict[str, Workbench], learnt: ConDU
) -> None:
    """Or the data of the next task would be asked of the last expert instead."""
    batch = batch_of(benches["condu"], "c")
    learnt.select(None)
    plain = learnt.backbone.logits(batch)
    learnt.predict(batch)
    assert torch.equal(learnt.backbone.logits(batch), plain)


@pytest.mark.parametrize("task", ["known", "inferred"])
def test_every_expert_is_put_in_place_once_per_task(
    models: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once per batch; and nothing depends on how samples are cut into batches."""
    found, taken = [], []
    for size in (8, 512):
        study = toy_study(
            models,
            {"condu": {"experts": 2, "task": task}},
            evaluation={"batch_size": size, "diagnostics": ["routing"]},
        )
        bench = Workbench(study, "condu")
        bench.worker.load(bench.units(ORDER)[-1])
        method, placed, texts = bench.worker.trainer.method, [], []
        become, embed = method.become, method.backbone._embed_tokens
        monkeypatch.setattr(method, "become", lambda v, p=placed, f=become: (p.append(v), f(v)))
        monkeypatch.setattr(
            method.backbone, "_embed_tokens", lambda t, p=texts, f=embed: (p.append(t), f(t))[1]
        )
        *_, last = bench.learn(ORDER).values()
        found.append(last.record.scores)
        taken.append((len(placed), len(texts)))
    assert found[0] == found[1]
    assert taken[0] == taken[1]


def test_samples_ask_different_experts(benches: dict[str, Workbench], learnt: ConDU) -> None:
    """Else the tests above would not see who is asked."""
    learnt.select(None)
    pixels = torch.cat([batch_of(benches["condu"], task).pixels for task in ORDER])
    asked = learnt.nearest(learnt.backbone.embed_images(pixels))
    assert asked.sum(dim=1).tolist() == [2] * len(pixels)
    assert len(asked.unique(dim=0)) > 1


def test_prototypes_are_of_images_and_texts(benches: dict[str, Workbench], learnt: ConDU) -> None:
    data = benches["condu"].worker.trainer._task("a")
    learnt.select(None)
    batch = data.batch(torch.arange(len(data)))
    images = learnt.backbone.embed_images(batch.pixels)
    texts = learnt.backbone.embed_texts(batch.task.prompts())
    for choice, text in enumerate(texts):
        mean = images[batch.labels == choice].mean(dim=0)
        expected = mean / mean.norm() + text
        torch.testing.assert_close(learnt.prototypes["a"][choice], expected / expected.norm())


def test_prototypes_are_made_once(
    benches: dict[str, Workbench],
    learnt: ConDU,
    results: dict[str, Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learnt, "class_prototypes", lambda stage: pytest.fail(stage.task))
    bench = benches["condu"]
    unit = next(unit for unit in bench.units(("c", "a")) if len(unit.prefix) == 2)
    bench.worker.trainer.combine(unit, [state_in(results[key]) for key in unit.parents])
    assert learnt.unified.tasks == ("c", "a")
