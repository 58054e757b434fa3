"""Two data-parallel workers as threads of one process, which can be looked into, and spoilt."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

T = TypeVar("T")
_SECONDS = 60
"""Until a worker that the other one does not join gives up."""


def side_by_side(work: Callable[[int], T]) -> list[T]:
    """Returns what two workers give, who exchange tensors by torch.distributed; by rank.

    Raises:
        BrokenBarrierError: one of them exchanges something, and the other does not.
    """
    here = threading.local()
    meeting = threading.Barrier(2)
    lying: dict[int, Tensor] = {}

    def exchanged(tensor: Tensor) -> list[Tensor]:
        lying[here.rank] = tensor.detach().clone()
        meeting.wait(_SECONDS)
        found = [lying[rank].clone() for rank in range(2)]
        meeting.wait(_SECONDS)
        return found

    def all_reduce(tensor: Tensor) -> None:
        with torch.no_grad():
            tensor.copy_(sum(exchanged(tensor)))

    def all_gather(parts: list[Tensor], rows: Tensor) -> None:
        for part, found in zip(parts, exchanged(rows), strict=True):
            part.copy_(found)

    def as_worker(rank: int) -> T:
        here.rank = rank
        return work(rank)

    replaced: dict[str, Any] = {
        "is_initialized": lambda: True,
        "get_world_size": lambda: 2,
        "get_rank": lambda: here.rank,
        "all_reduce": all_reduce,
        "all_gather": all_gather,
    }
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
        for name, stand_in in replaced.items():
            patch.setattr(torch.distributed, name, stand_in)
        return list(threads.map(as_worker, range(2)))
