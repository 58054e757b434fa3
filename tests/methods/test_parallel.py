"""Properties of what data-parallel workers share."""

import os
import socket
from pathlib import Path

import pytest
import torch
from torch import Tensor

from methods.parallel import first_of_workers, gather_rows

ROWS = torch.arange(12.0).view(4, 3)
LOSSES = {
    "rows": lambda gathered: (gathered.softmax(dim=1)[:, 0] * torch.arange(4)).sum(),
    "columns": lambda gathered: (gathered.T.softmax(dim=1) * ROWS.T).sum(),
    "pairs": lambda gathered: (gathered @ gathered.T).tanh().sum(),
}
"""Functions of all rows, with gradients in memory by rows, by columns, and both."""


def gradient(share: slice) -> dict[str, Tensor]:
    """By loss: the gradient that reaches these rows."""
    found = {}
    for name, loss in LOSSES.items():
        rows = (ROWS[share] / 10).requires_grad_()
        loss(gather_rows(rows)).backward()
        assert rows.grad is not None
        found[name] = rows.grad
    return found


def work(rank: int, out: Path, port: int) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    mine = torch.full((3,), float(rank + 1))
    first_of_workers([mine])
    found = gradient(slice(2 * rank, 2 * rank + 2)) | {"of the first": mine}
    torch.save(found, out / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def gradients(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    out = tmp_path_factory.mktemp("pair")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, (out, port), nprocs=2)
    return [torch.load(out / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_gathered_rows_sum_over_workers(
    gradients: list[dict[str, Tensor]], loss: str
) -> None:
    """Each of two workers has the whole loss, so that their rows get its gradient twice."""
    shared = torch.cat([gradients[rank][loss] for rank in range(2)])
    torch.testing.assert_close(shared, 2 * gradient(slice(None))[loss])


def test_all_workers_take_what_the_first_one_has(gradients: list[dict[str, Tensor]]) -> None:
    for found in gradients:
        assert torch.equal(found["of the first"], torch.ones(3))
