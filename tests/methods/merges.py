"""Merging of experts that are made up: small vectors instead of trained models."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from methods.backbones import Backbone
from methods.data import Stage
from methods.merging.base import Merging
from methods.merging.task_vectors import TaskVectors
from sweep.registry import resolve

Made = Mapping[str, Sequence[Any]]
"""By weight, what each expert's task vector is there; experts are called a, b, c, ..."""


def method_of(name: str, backbone: Backbone, **options: Any) -> Merging:
    kind = resolve("methods", name)
    method = kind(backbone, kind.Config(**options))
    assert isinstance(method, Merging)
    return method


def vectors_of(made: Made, tasks: str = "abcdef", seed: int = 0) -> TaskVectors:
    """Task vectors with given rows, in the order of `tasks`."""
    rows = {weight: torch.tensor(values, dtype=torch.float32) for weight, values in made.items()}
    count = len(next(iter(rows.values())))
    experts = {
        task: {f"weights/{weight}": values[i] for weight, values in rows.items()}
        for i, task in enumerate(tasks[:count])
    }
    start = {f"weights/{weight}": torch.zeros_like(values[0]) for weight, values in rows.items()}
    return TaskVectors(experts, start, tuple(rows), None, torch.device("cpu"), seed)


def stage_of(tasks: Sequence[str], seed: int = 0) -> Stage:
    return Stage(
        prefix=tuple(tasks), tasks={}, batch_size=8, seed=1, replicate_seed=seed, stream=[]
    )


def merge(method: Merging, made: Made, **where: Any) -> dict[str, Tensor]:
    return method.merge(vectors_of(made, **where))


@st.composite
def crowds(draw: st.DrawFn) -> dict[str, list[list[int]]]:
    """Two weights of two to four experts in small whole numbers: full of ties, sums are exact."""
    count = draw(st.integers(2, 4))
    return {
        weight: [draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)) for _ in range(count)]
        for weight, n in (("w", 6), ("v", 3))
    }
