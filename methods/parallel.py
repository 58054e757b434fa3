"""What data-parallel workers have to agree on; with one worker all of this does nothing."""

from collections.abc import Iterable
from typing import Any

import torch.distributed
from torch import Tensor
from torch.autograd import Function


def _alone() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1


@torch.no_grad()
def sum_over_workers(tensors: Iterable[Tensor]) -> None:
    """Replace every tensor, in place, by its sum over all workers."""
    if not _alone():
        for tensor in tensors:
            torch.distributed.all_reduce(tensor)


def mean_over_workers(tensors: Iterable[Tensor]) -> None:
    """Replace every tensor, in place, by its mean over all workers."""
    if not _alone():
        tensors = list(tensors)
        sum_over_workers(tensors)
        for tensor in tensors:
            tensor /= torch.distributed.get_world_size()


@torch.no_grad()
def first_of_workers(tensors: Iterable[Tensor]) -> None:
    """Replace every tensor, in place, by that of the first worker.

    For what unlike machines may compute differently, such as the signs of singular vectors.
    """
    if not _alone():
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)


def gather_rows(rows: Tensor) -> Tensor:
    """Returns the rows of all workers, with gradients: [B, ...] each -> [workers * B, ...].

    For losses that compare the samples of a step with one another. Every worker computes the loss
    of the whole batch; the mean over workers that data parallelism takes is then its gradient.
    """
    gathered: Tensor = rows if _alone() else _GatherRows.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


class _GatherRows(Function):
    """As torch.distributed.nn's, which on CPUs takes transposed gradients for what they are not."""

    @staticmethod
    def forward(_: Any, rows: Tensor) -> Tensor:
        """Returns the rows of all workers."""
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        """Returns what all workers together want of this worker's rows."""
        total = gradient.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total.chunk(torch.distributed.get_world_size())[torch.distributed.get_rank()]
