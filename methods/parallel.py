"""What data-parallel workers have to agree on; with one worker all of this does nothing."""

from collections.abc import Iterable

import torch.distributed
from torch import Tensor
from torch.distributed.nn.functional import all_gather


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


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all workers, with gradients: [B, ...] each -> [workers * B, ...].

    For losses that compare the samples of a step with one another. Every worker computes the loss
    of the whole batch; the mean over workers that data parallelism takes is then its gradient.
    """
    return rows if _alone() else torch.cat(all_gather(rows.contiguous()))  # type: ignore[no-untyped-call]
