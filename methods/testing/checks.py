"""`MethodChecks`: what every method must promise, to be subclassed with the method's name.

    class TestMine(MethodChecks):
        method = "my_methods.mine:Mine"
        options = {"lr": 1e-3}

Checks share what is expensive: all checks of a method on a backbone look at the same trainings and
use one workbench. What that did before must not matter, which is a promise of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from methods.base import Method, State
from methods.testing import two_workers
from methods.testing.tiny_models import tiny_models
from methods.testing.toy import BACKBONES, TOY, toy_study
from methods.testing.two_workers import Report
from methods.testing.workbench import Workbench, same, state_in, states_in
from sweep.errors import InputError
from sweep.orders.order import Order
from sweep.plan.units import Unit
from sweep.registry import name_of, resolve
from sweep.stage.rows import Scores
from sweep.stage.worker import Result
from sweep.storage.store import Record, Store
from sweep.study.schema import Study

LABEL = "checked"
"""Of the method in its study."""
LONGER = {"steps": 20, "batch_size": 16, "lr": 0.003}
"""Enough training for a tiny model to learn a task of the toy benchmark."""


class MethodChecks:
    """The promises of `methods.base.Method`, as tests of one method with some options.

    A subclass names the method; pytest finds and runs the checks. Those that cannot apply to a
    method are not there: `test_combines_over_is_true` is for methods that combine states only.
    """

    method: ClassVar[str]
    """A shipped name, or package.module:Class."""
    options: ClassVar[Mapping[str, Any]] = {}
    """As in a study file; choose them so that the method has an effect within six steps."""
    backbones: ClassVar[Sequence[Any]] = tuple(BACKBONES)
    """Any of clip and llava, a tiny dual encoder and a tiny fusion model; `pytest.param` may mark
    them."""
    learns_on: ClassVar[Sequence[str]] = tuple(BACKBONES)
    """Backbones on which the method has to learn. A tiny fusion model with random weights hardly
    sees anything, so that prompts cannot steer it."""
    gain: ClassVar[float] = 0.15
    """By how much 20 steps have to raise the accuracy on the task that is trained, of 1."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "method"):
            for check in _beside_the_point(resolve("methods", cls.method)):
                setattr(cls, check, None)  # pytest collects functions only

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a check on every backbone, all checks on one of them before the next."""
        if "backbone" in metafunc.fixturenames:
            metafunc.parametrize("backbone", self.backbones, scope="class")

    def test_resume_is_exact(self, backbone: str, tmp_path: Path) -> None:
        """Training from the stored state of a prefix equals never having stopped.

        It neither matters what the process that goes on did before.
        """
        trained = self._trained(backbone)
        steady, store = trained.new_bench(), Store(str(tmp_path))
        *past, last = steady.trainings(trained.order)
        for unit in past:
            store.save(Record(key=unit.key), steady.learn_on(unit))
        expected = steady.learn_on(last)
        assert same(state_in(trained.results[last.key]), expected)
        assert trained.turned  # the same bench has learned all tasks in another order
        result = trained.bench.worker.compute(last, store.state)
        assert same(state_in(result), expected)
        if last.is_evaluated:
            assert list(result.record.scores) == steady.worker.evaluator.evaluate()[0]

    def test_state_round_trips(self, backbone: str) -> None:
        """A state that is loaded is the state that is taken."""
        trained = self._trained(backbone)
        for state in states_in(trained.results).values():
            trained.method.load_state(state)
            assert same(trained.method.state(), state)

    def test_state_is_all_that_changes(self, backbone: str) -> None:
        """Training changes the state; loading an old state undoes whatever training changed."""
        trained = self._trained(backbone)
        method = trained.method
        method.reset(0)
        weights = {name: tensor.clone() for name, tensor in method.state_dict().items()}
        initial = method.state()
        assert not any(same(state, initial) for state in states_in(trained.results).values())
        for unit in trained.bench.units(trained.order)[-2:]:
            trained.compute(unit)
        method.load_state(initial)
        assert same(method.state_dict(), weights)

    def test_depends_on_is_true(self, backbone: str) -> None:
        """Orders of the same tasks train the same exactly where the method says so."""
        trained = self._trained(backbone)
        claim, order = trained.kind.depends_on, trained.order
        one, other = (
            {unit.prefix[-1]: results[unit.key] for unit in trained.bench.trainings(tasks)}
            for tasks, results in (
                (order, trained.results),
                (trained.turned_order, trained.turned),
            )
        )
        if claim == "sequence" and trained.turned_order != order:
            assert not same(state_in(one[order[-1]]), state_in(other[order[-1]]))
        if claim in ("set", "task"):
            last = sorted(order)[-1] if claim == "set" else order[-1]
            assert same(state_in(one[last]), state_in(other[last]))

    def test_combines_over_is_true(self, backbone: str) -> None:
        """States in another order combine to the same predictor only where the method says so."""
        trained = self._trained(backbone)
        if trained.kind.depends_on == "sequence":  # other orders have other states
            return
        whole = trained.bench.units(trained.order)[-1]
        turned = replace(whole, prefix=whole.prefix[::-1], parents=whole.parents[::-1])
        scores, states = trained.combined(whole)
        other_scores, other_states = trained.combined(turned)
        alike = all(same(one, other) for one, other in zip(states, other_states, strict=True))
        if trained.kind.combines_over == "set":
            assert alike
            assert scores == other_scores
        elif len(trained.order) > 2:  # two may commute
            assert not alike

    def test_reuses_training_of_is_true(self, backbone: str) -> None:
        """A method that reuses the trainings of another trains exactly as that one does."""
        trained = self._trained(backbone)
        trainer = trained.kind.reuses_training_of
        assert trainer is not None
        given = trained.study.methods[LABEL].options
        own = given.model_dump(include=set(trainer.Config.model_fields))
        bench = Workbench(_study(name_of("methods", trainer), own, backbone), LABEL)
        results: dict[str, State] = {}
        for unit in bench.trainings(trained.order):
            results[unit.key] = state_in(
                bench.worker.compute(replace(unit, evaluation=""), results.__getitem__)
            )
        mine = states_in(trained.results)
        assert list(mine) == list(results)
        assert all(same(mine[key], state) for key, state in results.items())

    def test_stays_untouched(self, backbone: str) -> None:
        """Where nothing is trained, all stages are stage 0, and there is no state."""
        study = _study(self.method, self.options, backbone)
        bench = Workbench(study, LABEL)
        (start,) = bench.units(study.benchmark.task_names())
        assert start.kind == "start"
        assert bench.learn(study.benchmark.task_names())[start.key].state is None

    def test_learns(self, backbone: str) -> None:
        """The task just trained is answered better than by the untouched backbone."""
        if backbone not in self.learns_on:
            pytest.skip(f"{self.method} is not said to learn on {backbone}")
        study = _study(self.method, self.options, backbone, training=LONGER)
        order = study.benchmark.task_names()[:2]  # something was learned before the second one
        bench = Workbench(study, LABEL)
        bench.untouched = _untouched(backbone)
        assert bench.gain(order) > self.gain

    def test_wrong_options_are_named(self) -> None:
        """An option with a value that cannot be, or that does not exist, is named in an error."""
        study = _study(self.method, {}, "clip")
        for option in type(study.methods[LABEL].options).model_fields:
            with pytest.raises(InputError, match=rf"{LABEL}.*{option}"):
                _study(self.method, {option: {"no": "value"}}, "clip")
        with pytest.raises(InputError, match=r"'lrr'.*Did you mean 'lr'"):
            _study(self.method, {"lrr": 0.1}, "clip")

    def test_two_workers_divide_every_batch(self) -> None:
        """Two data-parallel workers compute the samples of a step between them, each once."""
        first, second, whole = self._reports()
        assert first.parallel == bool(whole.ids)  # without steps there is nothing to divide
        assert not whole.parallel
        for mine, yours, ids in zip(first.ids, second.ids, whole.ids, strict=True):
            assert len(mine) == len(yours)
            assert torch.equal(torch.cat([mine, yours]).sort()[0], ids.sort()[0])

    def test_two_workers_learn_what_one_learns(self) -> None:
        """Two workers end with the same state, and but for rounding with that of one worker."""
        first, second, whole = self._reports()
        for key, state in whole.states.items():
            assert same(first.states[key], second.states[key])
            assert distance(first.states[key], state) < 1e-3

    def test_two_workers_score_what_one_scores(self) -> None:
        """Answers are the same; losses and cosines move with the last bits of the weights."""
        first, second, whole = self._reports()
        assert first.scores == second.scores
        for mine, alone in zip(first.scores, whole.scores, strict=True):
            for row, expected in zip(mine, alone, strict=True):
                slack = 5e-3 if row["split"] == "alignment" else 0
                value = pytest.approx(expected["value"], abs=slack, rel=0)
                assert row == expected | {"value": value}

    def test_models_leave_memory_one_by_one(self) -> None:
        """Nothing holds on to a model once the next one is loaded, in a lane or without one."""
        assert all(report.forgotten for report in self._reports())

    def _trained(self, backbone: str) -> "Trained":
        return _trained(self.method, _text(self.options), backbone)

    def _reports(self) -> tuple[Report, Report, Report]:
        return _reports(self.method, _text(self.options))


def distance(one: State, other: State) -> float:
    """Returns the Euclidean distance of all weights, relative to the length of the second.

    Of methods without weights it is that of all they keep. Biases of keys are left out: softmax
    cancels them, so that their gradient is rounding noise, which AdamW scales up.
    """
    names = [
        name
        for name in one
        if name.startswith(("weights/", "extra/merged/")) and not name.endswith("k_proj.bias")
    ] or list(one)
    first, second = (torch.cat([state[name].flatten() for name in names]) for state in (one, other))
    return float((first - second).norm() / second.norm())


@dataclass
class Trained:
    """A method that has learned all tasks of the toy benchmark, on one tiny backbone."""

    study: Study

    def new_bench(self) -> Workbench:
        """Returns a workbench that has done nothing yet."""
        return Workbench(self.study, LABEL)

    @property
    def kind(self) -> type[Method]:
        """The class of the method."""
        return self.study.methods[LABEL].kind

    @property
    def order(self) -> Order:
        """All tasks."""
        return self.study.benchmark.task_names()

    @property
    def turned_order(self) -> Order:
        """All tasks, the last one in its place, the others turned around."""
        return (*self.order[-2::-1], self.order[-1])

    @cached_property
    def bench(self) -> Workbench:
        """The workbench that all checks share."""
        return self.new_bench()

    @cached_property
    def results(self) -> dict[str, Result]:
        """Of all units of `order`, by key."""
        return self.bench.learn(self.order)

    @cached_property
    def turned(self) -> dict[str, Result]:
        """Of all units of `turned_order`, learned on the same bench afterwards."""
        assert self.results
        return self.bench.learn(self.turned_order)

    @property
    def method(self) -> Method:
        """The method on the bench, which has learned something."""
        assert self.results
        return self.bench.worker.trainer.method

    def compute(self, unit: Unit) -> Result:
        """Do a unit again."""
        return self.bench.worker.compute(unit, lambda key: state_in(self.results[key]))

    def combined(self, unit: Unit) -> tuple[Scores, list[State]]:
        """Returns the scores of a combination, and the weights with which it answers each task."""
        record, states = self.compute(unit).record, []
        for task in self.order:
            self.method.select(task)
            states.append(self.method.state())
        return list(record.scores), states


def _beside_the_point(kind: type[Method]) -> list[str]:
    """Returns the checks that do not apply to a method."""
    nothing = kind.depends_on == "nothing"
    shares = kind.reuses_training_of is not None  # its trainings are held against another's
    left_out = {
        "test_resume_is_exact": nothing or shares,
        "test_state_round_trips": nothing or shares,
        "test_state_is_all_that_changes": nothing,
        "test_depends_on_is_true": nothing or shares,
        "test_combines_over_is_true": kind.combines_over is None,
        "test_reuses_training_of_is_true": not shares,
        "test_stays_untouched": not nothing,
        "test_learns": nothing,
        "test_two_workers_divide_every_batch": nothing,
        "test_two_workers_learn_what_one_learns": nothing,
        "test_models_leave_memory_one_by_one": nothing,
    }
    return [check for check, out in left_out.items() if out]


def _study(method: str, options: Mapping[str, Any], backbone: str, **changes: Any) -> Study:
    models = tiny_models()
    sections = {
        "benchmark": BACKBONES[backbone],
        "backbones": {backbone: {"path": str(models / backbone)}},
    }
    return toy_study(models, {LABEL: {"method": method, **options}}, **sections | changes)


def _text(options: Mapping[str, Any]) -> str:
    """Options as a key of the caches below."""
    return json.dumps(options, sort_keys=True)


@lru_cache(maxsize=2)
def _trained(method: str, options: str, backbone: str) -> Trained:
    return Trained(_study(method, json.loads(options), backbone))


@lru_cache(maxsize=1)
def _reports(method: str, options: str) -> tuple[Report, Report, Report]:
    """Returns reports by two data-parallel workers, and by this process alone."""
    small = _study(method, json.loads(options), "clip", benchmark={"name": TOY, "num_tasks": 2})
    first, second = two_workers.pair().report(small, LABEL)
    return first, second, two_workers.report(small, LABEL)


@lru_cache
def _untouched(backbone: str) -> dict[str, Result]:
    """Stage 0, which is the same for all methods."""
    return Workbench(_study("zero_shot", {}, backbone), LABEL).untouched
