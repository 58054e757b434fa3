"""`MethodChecks`: what every method must promise, to be subclassed with the method's name.

    class TestMine(MethodChecks):
        method = "my_methods.mine:Mine"
        options = {"lr": 1e-3}

Checks share what is expensive: all checks of a method on a backbone look at the same trainings and
use one workbench. What that did before must not matter, which is a promise of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from methods.backbones.base import ADAPTED, Reading
from methods.base import Method, State
from methods.testing.looks import answers_by_name, distance, loss_on, readings_of
from methods.testing.toy import BACKBONES, OTHER_KINDS, STEPS
from methods.testing.trained import LABEL, Trained, reports_of, study_of, trained_on, untouched_on
from methods.testing.two_workers import Report
from methods.testing.workbench import Workbench, same, state_in, states_in
from sweep.errors import InputError
from sweep.measuring.checking import check_methods
from sweep.registry import name_of, resolve
from sweep.storage.store import Record, Store

LONGER = {"steps": 20, "batch_size": 16, "lr": 0.003, "warmup_steps": 0}
"""Enough training for a tiny model to learn a task of the toy benchmark."""


ON_ALL_KINDS = (
    "test_resume_is_exact",
    "test_goes_on_within_a_stage",
    "test_state_round_trips",
    "test_state_is_all_that_changes",
    "test_depends_on_is_true",
    "test_combines_over_is_true",
    "test_stays_untouched",
    "test_two_workers_divide_every_batch",
    "test_two_workers_learn_what_one_learns",
    "test_two_workers_score_what_one_scores",
)
"""Checks that are made on further kinds of tasks."""


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
    kinds: ClassVar[Sequence[Any]] = tuple(OTHER_KINDS)
    """Any of clip-pairs and llava-answers, the same backbones with tasks of other kinds than
    choices; nothing where a method needs classes."""
    learns_on: ClassVar[Sequence[str]] = tuple(BACKBONES)
    """Backbones on which the method has to learn. A tiny fusion model with random weights hardly
    sees anything, so that prompts cannot steer it."""
    sees_features_on: ClassVar[Sequence[str] | None] = None
    """Backbones on which it may be given features of images instead of pixels, since neither it
    nor what it puts into the backbone changes how images are read; None: those where it is."""
    gain: ClassVar[float] = 0.15
    """By how much 20 steps have to raise the score of the task that is trained, of 1."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "method"):
            for check in _beside_the_point(resolve("methods", cls.method)):
                setattr(cls, check, None)  # pytest collects functions only

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a check on every backbone, all checks on one of them before the next."""
        if "backbone" not in metafunc.fixturenames:
            return
        name = metafunc.function.__name__
        on = ("clip",) if "two_workers" in name or "memory" in name else self.backbones
        if name == "test_learns_other_kinds":
            on = self.kinds
        elif name in ON_ALL_KINDS and not resolve("methods", self.method).needs_classes:
            on = (*on, *self.kinds)
        metafunc.parametrize("backbone", on, scope="class")

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

    def test_goes_on_within_a_stage(self, backbone: str, tmp_path: Path) -> None:
        """Training with a break, and another training in it, equals never having stopped."""
        trained = self._trained(backbone)
        *_, last = trained.bench.trainings(trained.order)
        expected = state_in(trained.results[last.key])
        state = trained.bench.learn_with_break(last, trained.results, str(tmp_path))
        assert same(state, expected)

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

    def test_features_stand_for_pixels(self, backbone: str) -> None:
        """Where features are given, images are read as by the untouched backbone, and no others.

        Training on them is training on pixels, but for rounding.
        """
        trained = self._trained(backbone)
        bench, method = trained.bench, trained.method
        trainer = bench.worker.trainer
        (source,) = bench.plan.pinned.sources.values()
        untouched, now = source.load().eval(), method.eval().backbone
        is_same = True
        for last in bench.trainings(trained.order)[-1:]:  # the method may have gone on since
            method.load_state(state_in(trained.results[last.key]))
        for name in trained.order:
            task = trainer.benchmark.tasks[name]
            pixels = trainer.pixels("train", task)[torch.arange(8)]
            with torch.no_grad():
                method.select(name)
                expected, found = untouched.embed_images(pixels), now.embed_images(pixels)
                method.select(None)
            is_same &= torch.allclose(found, expected, atol=1e-6)
        assert is_same or not trainer.sees_features
        if self.sees_features_on is not None:
            assert is_same == trainer.sees_features == (backbone in self.sees_features_on)
        for first in bench.trainings(trained.order)[:1] if trainer.sees_features else ():
            bench = trained.new_bench()
            bench.worker.load(first)
            bench.worker.trainer.sees_features = False
            state = state_in(bench.worker.compute(replace(first, evaluation=""), lambda _: {}))
            assert distance(state, state_in(trained.results[first.key])) < 1e-5

    def test_knows_task_is_true(self, backbone: str) -> None:
        """Unless it says so, data are answered alike whatever task they are said to be of."""
        trained = self._trained(backbone)
        results = trained.bench.learn(trained.order[:2])  # of three: one is not learnt
        assert results
        trainer = trained.bench.worker.trainer
        if trainer.knows_task:
            return
        for task in trainer.benchmark.tasks.values():
            alike, *others = answers_by_name(trainer, task, trained.order)
            assert all(torch.equal(alike, answers) for answers in others)

    def test_reuses_training_of_is_true(self, backbone: str) -> None:
        """A method that reuses the trainings of another trains exactly as that one does."""
        trained = self._trained(backbone)
        trainer = trained.kind.reuses_training_of
        assert trainer is not None
        given = trained.study.methods[LABEL].options
        own = given.model_dump(include=set(trainer.Config.model_fields))
        bench = Workbench(study_of(name_of("methods", trainer), own, backbone), LABEL)
        results: dict[str, State] = {}
        for unit in bench.trainings(trained.order):
            results[unit.key] = state_in(
                bench.worker.compute(replace(unit, evaluation=""), results.__getitem__)
            )
        mine = states_in(trained.results)
        assert list(mine) == list(results)
        assert all(same(mine[key], state) for key, state in results.items())

    def test_keeps_to_its_towers(self, backbone: str) -> None:
        """Where a study names one tower, nothing changes in the others; something does in it."""
        reached = resolve("methods", self.method).learns_in(
            self._trained(backbone).study.methods[LABEL].options,
            "fusion" if backbone == "llava" else "dual-encoder",
        )
        for tower in reached & ADAPTED:
            training = STEPS | {"towers": [tower]}
            study = study_of(self.method, self.options, backbone, training=training)
            bench, order = Workbench(study, LABEL), study.benchmark.task_names()[:2]
            bench.worker.load(bench.units(order)[-1])
            method = bench.worker.trainer.method
            before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
            readings = readings_of(method)
            learnt = states_in(bench.learn(order)).values()
            changed = {
                method.backbone.tower(name.removeprefix("backbone."))
                for name, tensor in method.state_dict().items()
                if name.startswith("backbone.") and not torch.equal(tensor, before[name])
            }
            assert changed <= {tower}
            now = readings_of(method)
            # What a fusion model reads passes through its text tower, which prompts go to.
            left: Reading = "texts" if tower == "vision" else "images"
            assert torch.allclose(now[left], readings[left], atol=1e-6)
            assert not any(same(state, method._initial) for state in learnt)

    def test_stays_untouched(self, backbone: str) -> None:
        """Where nothing is trained, all stages are stage 0, and there is no state."""
        study = study_of(self.method, self.options, backbone)
        bench = Workbench(study, LABEL)
        (start,) = bench.units(study.benchmark.task_names())
        assert start.kind == "start"
        assert bench.learn(study.benchmark.task_names())[start.key].state is None

    def test_learns(self, backbone: str) -> None:
        """The task just trained has a better score than with the untouched backbone."""
        if backbone not in self.learns_on:
            pytest.skip(f"{self.method} is not said to learn on {backbone}")
        study = study_of(self.method, self.options, backbone, training=LONGER)
        order = study.benchmark.task_names()[:2]  # something was learned before the second one
        bench = Workbench(study, LABEL)
        bench.untouched = untouched_on(backbone)
        assert bench.gain(order) > self.gain

    def test_learns_other_kinds(self, backbone: str) -> None:
        """The first task costs less, in nats per sample, than with the untouched backbone."""
        study = study_of(self.method, self.options, backbone, training=LONGER)
        bench, order = Workbench(study, LABEL), study.benchmark.task_names()[:1]
        (before,) = untouched_on(backbone).values()
        *_, after = bench.learn(order).values()
        assert loss_on(order[0], after) < loss_on(order[0], before) - 0.1

    def test_wrong_options_are_named(self) -> None:
        """An option with a value that cannot be, or that does not exist, is named in an error."""
        study = study_of(self.method, {}, "clip")
        for option in type(study.methods[LABEL].options).model_fields:
            with pytest.raises(InputError, match=rf"{LABEL}.*{option}"):
                study_of(self.method, {option: {"no": "value"}}, "clip")
        with pytest.raises(InputError, match=r"'lrr'.*Did you mean 'lr'"):
            study_of(self.method, {"lrr": 0.1}, "clip")

    def test_needs_classes_is_heeded(self) -> None:
        """A method that needs classes is refused where a task has none, in one sentence."""
        for tasks in OTHER_KINDS:
            with pytest.raises(InputError, match=rf"'{LABEL}'.*'a' \(of kind .*\)") as refused:
                check_methods(study_of(self.method, self.options, tasks))
            assert str(refused.value).count(". ") == 0

    def test_two_workers_divide_every_batch(self, backbone: str) -> None:
        """Two data-parallel workers compute the samples of a step between them, each once."""
        first, second, whole = self._reports(backbone)
        assert first.parallel == bool(whole.ids)  # without steps there is nothing to divide
        assert not whole.parallel
        for mine, yours, ids in zip(first.ids, second.ids, whole.ids, strict=True):
            assert len(mine) == len(yours)
            assert torch.equal(torch.cat([mine, yours]).sort()[0], ids.sort()[0])

    def test_two_workers_learn_what_one_learns(self, backbone: str) -> None:
        """Two workers end with the same state, and but for rounding with that of one worker."""
        first, second, whole = self._reports(backbone)
        for key, state in whole.states.items():
            assert same(first.states[key], second.states[key])
            assert distance(first.states[key], state) < 1e-3

    def test_two_workers_go_on_within_a_stage(self, backbone: str) -> None:
        """Two workers that train with a break end as if they had never stopped."""
        *workers, _ = self._reports(backbone)
        for worker in workers:
            assert same(worker.after_break, list(worker.states.values())[-1])

    def test_two_workers_score_what_one_scores(self, backbone: str) -> None:
        """Answers are the same; losses and cosines move with the last bits of the weights."""
        first, second, whole = self._reports(backbone)
        assert first.scores == second.scores
        for mine, alone in zip(first.scores, whole.scores, strict=True):
            for row, expected in zip(mine, alone, strict=True):
                smooth = row["split"] == "alignment" or row["metric"] == "likelihood"
                slack = 5e-3 if smooth else 0
                value = pytest.approx(expected["value"], abs=slack, rel=0)
                assert row == expected | {"value": value}

    def test_models_leave_memory_one_by_one(self, backbone: str) -> None:
        """Nothing holds on to a model once the next one is loaded, in a lane or without one."""
        assert all(report.forgotten for report in self._reports(backbone))

    def _trained(self, backbone: str) -> Trained:
        return trained_on(self.method, self.options, backbone)

    def _reports(self, backbone: str) -> tuple[Report, Report, Report]:
        return reports_of(self.method, self.options, backbone)


def _beside_the_point(kind: type[Method]) -> list[str]:
    """Returns the checks that do not apply to a method."""
    nothing = kind.depends_on == "nothing"
    shares = kind.reuses_training_of is not None  # its trainings are held against another's
    left_out = {
        "test_resume_is_exact": nothing or shares,
        "test_goes_on_within_a_stage": nothing or not kind.resumes(),
        "test_state_round_trips": nothing or shares,
        "test_state_is_all_that_changes": nothing,
        "test_depends_on_is_true": nothing or shares,
        "test_combines_over_is_true": kind.combines_over is None,
        "test_reuses_training_of_is_true": not shares,
        "test_keeps_to_its_towers": nothing,
        "test_stays_untouched": not nothing,
        "test_learns": nothing,
        "test_learns_other_kinds": nothing or kind.needs_classes,
        "test_needs_classes_is_heeded": not kind.needs_classes,
        "test_two_workers_divide_every_batch": nothing,
        "test_two_workers_learn_what_one_learns": nothing,
        "test_two_workers_go_on_within_a_stage": nothing or not kind.resumes(),
        "test_models_leave_memory_one_by_one": nothing,
    }
    return [check for check, out in left_out.items() if out]
