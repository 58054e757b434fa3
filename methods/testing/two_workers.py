"""What a method does in one process, and in each of two data-parallel workers.

Two workers cost seconds to start, so they are started once and serve all methods.
"""

import atexit
import multiprocessing
import os
import pickle
import socket
import traceback
import weakref
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryDirectory
from typing import NoReturn

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from methods.base import State
from methods.testing.workbench import Workbench, states_in
from sweep.orders.order import Order
from sweep.stage.rows import Scores
from sweep.stage.worker import Result
from sweep.study.schema import Study

_SECONDS = 300
"""Until workers that do not answer are given up."""


@dataclass(frozen=True)
class Report:
    """What one worker saw and got when a method learnt an order."""

    ids: list[Tensor]
    """The sample ids of every loss it computed."""
    parallel: bool
    """Whether it shared batches with another worker."""
    states: dict[str, State]
    scores: list[Scores]
    after_break: State
    """Of the last training, left in the middle and gone on with; empty without steps."""
    forgotten: bool
    """Whether the model left memory when the next one came."""


def report(study: Study, method: str) -> Report:
    """Learn one order, alone or together with the other worker of a pair."""
    bench, ids = Workbench(study, method), []
    order = study.benchmark.task_names()
    units = bench.units(order)
    # Loads the method, so that there is something to watch.
    bench.worker.compute(replace(units[0], evaluation=""), lambda _: {})
    trainer = bench.worker.trainer
    trainer.method.register_forward_pre_hook(lambda _, batch: ids.append(batch[0].ids))
    results = bench.learn(order)
    parallel = isinstance(trainer._step, DistributedDataParallel)
    seen, after_break = list(ids), _after_break(bench, order, results)
    model = weakref.ref(trainer.method)
    del trainer
    start, *_ = bench.plan.units.values()
    bench.worker.compute(replace(start, evaluation=""), lambda _: {})
    scores = [list(result.record.scores) for result in results.values()]
    states, forgotten = states_in(results), model() is None
    return Report(seen, parallel, states, scores, after_break, forgotten)


def _after_break(bench: Workbench, order: Order, results: dict[str, Result]) -> State:
    trainings, steps = bench.trainings(order), bench.plan.study.training.steps
    if not trainings or steps < 2 or not bench.worker.trainer.method.resumes():
        return {}
    with TemporaryDirectory() as mine:
        (folder,) = broadcast_object_list([mine])  # that of the first worker
        state = bench.learn_with_break(trainings[-1], results, folder)
        bench.worker.accelerator.wait_for_everyone()
    return state


class Pair:
    """Two data-parallel workers on this machine."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        start = multiprocessing.get_context("spawn")  # torch does not survive a fork
        self._ends: list[Connection] = []
        self._workers = []
        for rank in range(2):
            here, there = start.Pipe()
            worker = start.Process(target=_serve, args=(rank, port, there), daemon=True)
            worker.start()
            there.close()  # a worker that dies then ends the connection
            self._ends.append(here)
            self._workers.append(worker)

    def report(self, study: Study, method: str) -> list[Report]:
        """Returns what both report when a method learns an order.

        Raises:
            RuntimeError: one of them failed; what it said is in the message.
        """
        for end in self._ends:
            end.send_bytes(pickle.dumps((study, method)))
        answers: dict[int, Report] = {}
        while len(answers) < len(self._ends):
            # Whichever comes first: if one fails, the other waits for it for ever.
            waiting = [end for rank, end in enumerate(self._ends) if rank not in answers]
            ready = wait(waiting, _SECONDS)
            if not ready:
                self._give_up("it does not answer")
            for rank, end in enumerate(self._ends):
                if end in ready:
                    answers[rank] = self._answer(end)
        return [answers[rank] for rank in sorted(answers)]

    def _answer(self, end: Connection) -> Report:
        try:
            answer = pickle.loads(end.recv_bytes())
        except EOFError:
            answer = "it died"
        return answer if isinstance(answer, Report) else self._give_up(str(answer))

    def _give_up(self, reason: str) -> NoReturn:
        self.stop()
        raise RuntimeError(f"a data-parallel worker failed: {reason}")

    def stop(self) -> None:
        """End both workers; the next call of `pair` starts new ones."""
        pair.cache_clear()
        for worker in self._workers:
            worker.kill()


@cache
def pair() -> Pair:
    """Returns the two workers of this process, started when they are first asked for."""
    started = Pair()
    atexit.register(started.stop)
    return started


def _serve(rank: int, port: int, requests: Connection) -> None:
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in here.items()}
    # Two workers on one GPU are not allowed to talk to each other.
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "CUDA_VISIBLE_DEVICES": ""}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")  # in a lane, Ray Train has done this
    while True:
        try:
            study, method = pickle.loads(requests.recv_bytes())
        except EOFError:  # the process that asked has ended
            return
        try:
            answer: Report | str = report(study, method)
        except Exception:
            answer = traceback.format_exc()
        requests.send_bytes(pickle.dumps(answer))
