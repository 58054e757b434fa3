"""What every method must promise, as checks of one method of a study of the toy benchmark.

A new method joins by its line in METHODS; a method from elsewhere is checked by calling the
functions below with a study that names it as "package.module:Class".
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from methods import METHODS, name_of, resolve
from methods.base import DependsOn, State
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.orders.order import Order
from sweep.plan.units import Unit
from sweep.single import matrix, run_single
from sweep.stage.evaluator import Scores
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Result, Worker
from sweep.storage.store import Record, Store
from sweep.study.schema import Study
from tests.toy import toy_study

SMALL: dict[str, dict[str, Any]] = {
    "lora": {"rank": 4, "alpha": 8.0},
    "adapter": {"width": 32, "lr": 0.02},
    "o_lora": {"rank": 4, "alpha": 8.0},
    "inflora": {"rank": 4, "alpha": 8.0},
    "weight_ensemble": {"every": 4},
    "ema": {"decay": 0.8},
    "ewc": {"strength": 1e5},
    "online_ewc": {"strength": 1e5},
    "multimodal_ewc": {"strength": 100.0},
    "lwf": {"strength": 0.2},
    "modx": {"strength": 5.0},
    "er": {"memory": 24},
    "der++": {"memory": 24},
    "task_arithmetic": {"scale": 0.5},
    "ties": {"density": 0.5},
    "dare": {"scale": 0.5},
    "randmix": {"scale": 0.7},
    "tall": {"threshold": 0.6},
    "coop": {"length": 4, "lr": 0.05},
    "l2p": {"lr": 0.05},
    "dualprompt": {"general_layers": 1, "expert_layers": 1, "lr": 0.05},
    "diki": {"lr": 0.05},
    "dpw": {"lr": 0.05},
    "rail": {"width": 64},
    "moe_adapters": {
        "experts": {"count": 4},
        "selector": {"width": 4},
        "lr": 0.03,
    },
    "pam": {"lora": {"rank": 4, "alpha": 8.0}, "every": 2},
}
"""Options that suit the toy; a method that is not here takes its defaults."""
BACKBONES: dict[str, dict[str, Any]] = {
    "clip": {"name": "toy", "num_tasks": 3},
    "llava": {"name": "toy", "num_tasks": 2, "questions": True},
}
"""A backbone of either family, and the toy benchmark as it can read it."""


def study_of(models: Path, backbone: str, **changes: Any) -> Study:
    """A study of all methods on one tiny backbone."""
    return toy_study(
        models,
        {name: SMALL.get(name, {}) for name in METHODS},
        **{
            "benchmark": BACKBONES[backbone],
            "backbones": {backbone: {"path": str(models / backbone)}},
        }
        | changes,
    )


def depends_on(study: Study, method: str) -> DependsOn:
    return resolve(study.methods[method].method).depends_on


def trains(study: Study, method: str) -> bool:
    return depends_on(study, method) != "nothing"


def same(one: State, other: State) -> bool:
    """Whether two states are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Desk:
    """One process that works on the units of one method."""

    def __init__(self, study: Study, method: str) -> None:
        # Alone, or trainings that it shares would be done in the name of another.
        study = study.model_copy(update={"methods": {method: study.methods[method]}})
        self.plan = make_plan(study)
        self.backbone, self.method = next(iter(study.backbones)), method
        cache = Path(study.backbones[self.backbone].path).parent / "cache"
        self.worker = Worker(study, self.plan.pinned.sources, join_lane(study), cache)

    def units(self, order: Order) -> list[Unit]:
        """What is computed for an order after stage 0, parents first."""
        stages = self.plan.run(self.backbone, self.method, 0, order).stages[1:]
        keys = [key for stage in stages for key in (*self.plan.units[stage].parents, stage)]
        return [self.plan.units[key] for key in dict.fromkeys(keys)]

    def learn(self, order: Order) -> dict[str, Result]:
        """The results of all units of an order, by key."""
        results: dict[str, Result] = {}
        for unit in self.units(order):
            results[unit.key] = self.worker.compute(unit, lambda key: state_in(results[key]))
        return results

    def accuracy(self, order: Order) -> pd.DataFrame:
        """The accuracy matrix of an order."""
        results = self.untouched | self.learn(order)
        stages = self.plan.run(self.backbone, self.method, 0, order).stages
        return matrix(order, [results[key].record for key in stages])

    @cached_property
    def untouched(self) -> dict[str, Result]:
        """The result of stage 0, by key."""
        start, *_ = self.plan.units.values()
        return {start.key: self.worker.compute(start, lambda _: {})}

    def learn_on(self, unit: Unit) -> State:
        """Train from the weights and memories as they lie in this process, restoring nothing."""

        def skip_once(_: State) -> None:
            del self.worker.trainer.method.load_state

        if unit.parents:
            vars(self.worker.trainer.method)["load_state"] = skip_once
        return state_in(self.worker.compute(replace(unit, is_evaluated=False), lambda _: {}))


def state_in(result: Result) -> State:
    assert result.state is not None
    return result.state


def states_in(results: Mapping[str, Result]) -> dict[str, State]:
    return {key: result.state for key, result in results.items() if result.state is not None}


def check_resume_is_exact(study: Study, method: str, out: Path) -> None:
    order = study.benchmark.task_names()
    steady, store = Desk(study, method), Store(str(out))
    *past, last = (unit for unit in steady.units(order) if unit.kind == "train")
    for unit in past:
        store.save(Record(key=unit.key), steady.learn_on(unit))
    expected = steady.learn_on(last)

    resumed = Desk(study, method)
    resumed.learn(order[:1])  # has met the last task's test data before it trains it
    resumed.learn(order[::-1])
    result = resumed.worker.compute(last, store.state)
    assert same(state_in(result), expected)
    if last.is_evaluated:
        assert list(result.record.scores) == steady.worker.evaluator.evaluate()[0]


def check_state_round_trips(study: Study, method: str) -> None:
    desk = Desk(study, method)
    for state in states_in(desk.learn(study.benchmark.task_names())).values():
        desk.worker.trainer.method.load_state(state)
        assert same(desk.worker.trainer.method.state(), state)


def check_state_is_all_that_changes(study: Study, method: str) -> None:
    """Training changes the state; loading an old state undoes whatever training changed."""
    order = study.benchmark.task_names()
    desk = Desk(study, method)
    desk.learn(order[:1])
    trainer = desk.worker.trainer.method
    trainer.reset(0)
    weights = {name: tensor.clone() for name, tensor in trainer.state_dict().items()}
    initial = trainer.state()
    assert not any(same(state, initial) for state in states_in(desk.learn(order)).values())
    trainer.load_state(initial)
    assert same(trainer.state_dict(), weights)


def check_depends_on_is_true(study: Study, method: str) -> None:
    """Orders of the same tasks train the same exactly where the method says so."""
    order = study.benchmark.task_names()
    turned = (*order[-2::-1], order[-1])
    desk = Desk(study, method)
    one, other = (
        {unit.prefix[-1]: results[unit.key] for unit in desk.units(tasks) if unit.kind == "train"}
        for tasks, results in ((tasks, desk.learn(tasks)) for tasks in (order, turned))
    )
    claim = depends_on(study, method)
    if claim == "sequence" and turned != order:
        assert not same(state_in(one[order[-1]]), state_in(other[order[-1]]))
    if claim in ("set", "task"):
        last = sorted(order)[-1] if claim == "set" else order[-1]
        assert same(state_in(one[last]), state_in(other[last]))


def check_combines_is_true(study: Study, method: str) -> None:
    """Material in another order gives the same predictor exactly where the method says so."""
    kind = resolve(study.methods[method].method)
    desk, order = Desk(study, method), study.benchmark.task_names()
    if kind.depends_on == "sequence":  # its material differs already
        return
    results = desk.learn(order)
    whole = desk.units(order)[-1]
    turned = replace(whole, prefix=whole.prefix[::-1], parents=whole.parents[::-1])

    def combined(unit: Unit) -> tuple[Scores, list[State]]:
        """The scores, and the weights that data of every task meet."""
        record = desk.worker.compute(unit, lambda key: state_in(results[key])).record
        method, states = desk.worker.trainer.method, []
        for task in order:
            method.select(task)
            states.append(method.state())
        return list(record.scores), states

    scores, states = combined(whole)
    other_scores, other_states = combined(turned)
    alike = all(same(one, other) for one, other in zip(states, other_states, strict=True))
    if kind.combines_over == "set":
        assert alike
        assert scores == other_scores
    elif len(order) > 2:  # two may commute
        assert not alike


def check_trainings_are_those_of(study: Study, method: str) -> None:
    """A method whose trainings are said to be another's trains exactly as that one does."""
    kind, options = resolve(study.methods[method].method), study.methods[method].options
    assert kind.reuses_training_of
    own = options.model_dump(include=set(kind.reuses_training_of.Config.model_fields))
    entry = {"method": name_of(kind.reuses_training_of)} | own
    raw = study.model_dump(mode="json", by_alias=True)
    other = Study.from_dict(raw | {"methods": {"trainer": entry}})
    order = study.benchmark.task_names()
    mine, theirs = (
        [(unit, state_in(results[unit.key])) for unit in desk.units(order) if unit.kind == "train"]
        for desk, results in (
            (desk, desk.learn(order)) for desk in (Desk(study, method), Desk(other, "trainer"))
        )
    )
    assert [unit.key for unit, _ in mine] == [unit.key for unit, _ in theirs]
    assert all(same(one, two) for (_, one), (_, two) in zip(mine, theirs, strict=True))


def check_stays_untouched(study: Study, method: str) -> None:
    """All stages are stage 0, and there is no state."""
    order = study.benchmark.task_names()
    records, state = run_single(study, method, order)
    assert state is None
    assert {record.key for record in records} == {records[0].key}


def check_learns(study: Study, method: str, gain: float) -> None:
    """The task just trained is answered better than by the untouched backbone."""
    order = study.benchmark.task_names()
    accuracy = Desk(study, method).accuracy(order)
    gained = [accuracy.loc[task, task] - accuracy.loc["untouched", task] for task in order]
    assert sum(gained) / len(gained) > gain


def forgetting(study: Study, method: str) -> float:
    """By how much accuracy on the tasks before the last fell since they were trained."""
    falls, desk = [], Desk(study, method)
    for order in study.blocks(study.benchmark.task_names())[0]:
        accuracy = desk.accuracy(order)
        falls += [accuracy.loc[task, task] - accuracy.loc[order[-1], task] for task in order[:-1]]
    return float(np.mean(falls))


def check_bad_options_are_named(study: Study, method: str) -> None:
    raw = study.model_dump(mode="json", by_alias=True)
    given = {"method": study.methods[method].method}
    for option in type(study.methods[method].options).model_fields:
        with pytest.raises(InputError, match=rf"{method}.*{option}"):
            Study.from_dict(raw | {"methods": {method: given | {option: {"no": "value"}}}})
    with pytest.raises(InputError, match=r"'lrr'.*Did you mean 'lr'"):
        Study.from_dict(raw | {"methods": {method: given | {"lrr": 0.1}}})


def distance(one: State, other: State) -> float:
    """Euclidean distance of the weights, or of all else, relative to the length of the second.

    Biases of keys are left out: softmax cancels them, so that their gradient is rounding noise,
    which AdamW scales up.
    """
    names = [
        name
        for name in one
        if name.startswith(("weights/", "extra/merged/")) and not name.endswith("k_proj.bias")
    ] or list(one)
    first, second = (torch.cat([state[name].flatten() for name in names]) for state in (one, other))
    return float((first - second).norm() / second.norm())
