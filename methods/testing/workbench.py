"""One process that works on the units of one method, as a worker of the engine does."""

import gc
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

import pandas as pd
import torch

from methods.base import State
from sweep.measuring.measure import make_plan
from sweep.orders.order import Order
from sweep.plan.units import Unit
from sweep.single import matrix
from sweep.stage.steps.checkpoints import Checkpoints, HandedOverError
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Result, Worker
from sweep.storage.checkpoint_files import CheckpointFiles
from sweep.storage.folder import Folder
from sweep.study.schema import Study

AFTER = 3
"""Steps after which a training is left that has a break; fewer if it has no more."""


class Workbench:
    """The plan, the worker and the results of one method of a study."""

    def __init__(self, study: Study, method: str) -> None:
        """Plan the runs of a method; nothing is loaded before a unit is computed.

        Args:
            study: With `method` among its methods, and one backbone.
            method: Label of the method.
        """
        set_libraries_aside()
        # By itself: of two methods that share trainings, one would do them for the other.
        study = study.model_copy(update={"methods": {method: study.methods[method]}})
        self.plan = make_plan(study)
        self.backbone, self.method = next(iter(study.backbones)), method
        cache = Path(study.backbones[self.backbone].path).parent / "cache"
        self.worker = Worker(study, self.plan.pinned, join_lane(study), cache)

    def units(self, order: Order) -> list[Unit]:
        """Returns what is computed for an order after stage 0, parents first."""
        stages = self.plan.run(self.backbone, self.method, 0, order).stages[1:]
        keys = [key for stage in stages for key in (*self.plan.units[stage].parents, stage)]
        return [self.plan.units[key] for key in dict.fromkeys(keys)]

    def trainings(self, order: Order) -> list[Unit]:
        """Those of them that train."""
        return [unit for unit in self.units(order) if unit.kind == "train"]

    def learn(self, order: Order) -> dict[str, Result]:
        """Returns the results of all units of an order, by key."""
        results: dict[str, Result] = {}
        for unit in self.units(order):
            results[unit.key] = self.worker.compute(unit, lambda key: state_in(results[key]))
        return results

    def accuracy(self, order: Order) -> pd.DataFrame:
        """Returns the accuracy matrix of an order."""
        results = self.untouched | self.learn(order)
        stages = self.plan.run(self.backbone, self.method, 0, order).stages
        records = [results[key].record for key in stages]
        return matrix(order, records, self.plan.study.evaluation)

    def gain(self, order: Order) -> float:
        """Returns by how much training a task raises the accuracy on it over the untouched one.

        The mean over the tasks of an order, each right after it was trained.
        """
        accuracy = self.accuracy(order).to_numpy(dtype=float)
        return float((accuracy[1:].diagonal() - accuracy[0]).mean())

    @cached_property
    def untouched(self) -> dict[str, Result]:
        """The result of stage 0, by key."""
        start, *_ = self.plan.units.values()
        return {start.key: self.worker.compute(start, lambda _: {})}

    def learn_with_break(self, unit: Unit, results: Mapping[str, Result], folder: str) -> State:
        """Train a unit, leave it in the middle, train something else, and go on from there.

        Args:
            unit: What to train.
            results: Of the units that it starts from, by key.
            folder: Where its checkpoint goes, the same for all workers.
        """
        worker, training = self.worker, self.plan.study.training
        after = min(AFTER, training.steps_of(unit.prefix[-1]) - 1)
        steps = iter(range(1, after + 1))
        unit = replace(unit, evaluation="")
        worker.checkpoints = Checkpoints(
            CheckpointFiles(Folder(folder)),
            worker.accelerator,
            every=math.inf,
            is_leaving=lambda: next(steps, 0) == after,
            look=0,
        )
        try:
            with suppress(HandedOverError):
                self.worker.compute(unit, lambda key: state_in(results[key]))
                raise AssertionError("no checkpoint was written")
            first = replace(unit, key="other", parents=(), prefix=unit.prefix[-1:])
            worker.compute(first, lambda _: {})
            state = state_in(worker.compute(unit, lambda key: state_in(results[key])))
        finally:
            worker.checkpoints = None
        return state

    def learn_on(self, unit: Unit) -> State:
        """Train from the weights and memories as they lie in this process, restoring nothing."""

        def skip_once(_: State) -> None:
            del self.worker.trainer.method.load_state

        if unit.parents:
            vars(self.worker.trainer.method)["load_state"] = skip_once
        return state_in(self.worker.compute(replace(unit, evaluation=""), lambda _: {}))


@cache
def set_libraries_aside() -> None:
    """Exempt from garbage collection, once, whatever this process has imported so far.

    A worker collects garbage between two models. That walks over all objects of torch and
    transformers, which takes more than half of the time of a check on a tiny model.
    """
    gc.collect()
    gc.freeze()


def same(one: State, other: State) -> bool:
    """Returns whether two states are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def state_in(result: Result) -> State:
    """Returns the state of a training."""
    assert result.state is not None
    return result.state


def states_in(results: Mapping[str, Result]) -> dict[str, State]:
    """Returns the states of all trainings among some results, by key."""
    return {key: result.state for key, result in results.items() if result.state is not None}


def with_updates(state: State) -> State:
    """Returns a state with the sum of B A in the place of factors, whose signs mean nothing."""
    first = "extra/merged/A/"
    layers = [name.removeprefix(first) for name in state if name.startswith(first)]
    updates = {
        f"extra/merged/{layer}": torch.einsum(
            "tor,tri->oi", state[f"extra/merged/B/{layer}"], state[first + layer]
        )
        for layer in layers
    }
    return updates or state
