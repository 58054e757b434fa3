"""Going on from what a beginning has become is the same, bit for bit, as beginning anew."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch

from methods.backbones import Backbone, load_backbone
from methods.merging import beginnings
from methods.merging.masked import Masked
from methods.merging.task_vectors import TaskVectors
from tests.methods.merges import method_of, vectors_of


@pytest.fixture(scope="module")
def backbone(models: Path) -> Backbone:
    return load_backbone(str(models / "clip"))


def experts(tasks: tuple[str, ...], seed: int) -> TaskVectors:
    """Of every task and seed the same expert, wherever it comes."""

    def floats(task: str, *shape: int) -> Any:
        generator = torch.Generator().manual_seed(1000 * seed + ord(task))
        return torch.randn(*shape, generator=generator).tolist()

    made = {"w": [floats(t, 5, 7) for t in tasks], "v": [floats(t.upper(), 6) for t in tasks]}
    return vectors_of(made, "".join(tasks), seed)


def merged(method: Any, vectors: TaskVectors) -> list[torch.Tensor]:
    if isinstance(method, Masked):
        unified = method.unify(vectors)
        parts = [*unified.masks.values(), unified.factors]
        return [*unified.vector.values(), *parts]
    return list(method.merge(vectors).values())


@pytest.mark.parametrize("room", [beginnings.MOST_BYTES, 300, 0], ids=["all", "some", "one"])
@pytest.mark.parametrize("name", ["opcm", "condu"])
def test_all_orders_are_merged_as_each_is_by_itself(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, name: str, room: int
) -> None:
    monkeypatch.setattr(beginnings, "MOST_BYTES", room)
    goes_on = method_of(name, backbone)
    orders = [order for length in (1, 2, 3, 4) for order in permutations("abcd", length)]
    orders += reversed(orders[::3])
    results = {}
    for i, order in enumerate(orders):
        vectors = experts(order, i % 5 // 4)  # of one replicate, and now and then of another
        found = merged(goes_on, vectors)
        anew = merged(method_of(name, backbone), vectors)
        assert all(torch.equal(one, other) for one, other in zip(found, anew, strict=True))
        results[order] = found[0]
    assert not torch.equal(results["a", "b", "c"], results["c", "b", "a"])


@pytest.mark.parametrize("name", ["opcm", "condu"])
def test_one_expert_more_is_one_merge_more(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[str] = []
    only = TaskVectors.only

    def noted(self: TaskVectors, task: str) -> TaskVectors:
        asked.append(task)
        return only(self, task)

    monkeypatch.setattr(TaskVectors, "only", noted)
    method = method_of(name, backbone)
    for order in ("a", "ab", "abc", "abd", "acd", "b"):
        merged(method, experts(tuple(order), 0))
    assert asked == ["a", "b", "c", "d", "c", "d", "b"]
