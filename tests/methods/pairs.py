"""What a method does in one process, and in each of a data-parallel pair of them."""

import os
import socket
import weakref
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from methods.base import State
from sweep.stage.rows import Scores
from sweep.study.schema import Study
from tests.methods.conformance import Desk, states_in, trains


@dataclass(frozen=True)
class Report:
    """What one worker saw and got when a method learnt an order."""

    ids: list[Tensor]
    """The sample ids of every loss it computed."""
    parallel: bool
    states: dict[str, State]
    scores: list[Scores]
    forgotten: bool
    """Whether the model left memory when the next one came."""


def work(study: Study, method: str) -> Report:
    """Learn one order, alone or together with the other worker of a pair."""
    order = study.benchmark.task_names()
    desk = Desk(study, method)
    desk.learn(order[:1])
    trainer, ids = desk.worker.trainer, []
    trainer.method.register_forward_pre_hook(lambda _, batch: ids.append(batch[0].ids))
    results = desk.learn(order)
    parallel = isinstance(trainer._step, DistributedDataParallel)
    model = weakref.ref(trainer.method)
    del trainer
    results |= desk.untouched
    scores = [list(result.record.scores) for result in results.values()]
    return Report(ids, parallel, states_in(results), scores, forgotten=model() is None)


def _work_in_a_pair(rank: int, study: Study, out: Path, port: int) -> None:
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in here.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
    reports = {name: work(study, name) for name in study.methods if trains(study, name)}
    torch.save(reports, out / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def pair_reports(study: Study, out: Path) -> list[dict[str, Report]]:
    """What both workers of a data-parallel pair report, by method."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_work_in_a_pair, (study, out, port), nprocs=2)
    return [torch.load(out / f"{rank}.pt", weights_only=False) for rank in range(2)]
