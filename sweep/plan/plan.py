"""Turns a study into distinct pieces of work: the prefix tries and what may be shared.

A run is one (backbone, method, replicate, order): stages 0..T. Runs share units: what two stages
have in common is one unit, computed once. How much they have in common is the method's
`depends_on`:

    nothing     every stage is stage 0 of the backbone
    task        one training per task
    set         one training per set of tasks
    sequence    one training per prefix

If a result is made of several trainings, `combines_over` says what the cheap second step depends
on: there is one combination per set of tasks or per prefix. Methods that train alike
(`Method.reuses_training_of`) share their trainings. Where a study has experts of others, these are
loaded in place of the trainings of `individual`, and are the same in all replicates.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from methods.base import Method
from sweep.errors import InputError
from sweep.orders.order import Order
from sweep.plan.units import Run, Unit, UnitGraph, UnitKind
from sweep.registry import name_of
from sweep.study.expert_sources import loads_experts
from sweep.study.pinned import Pinned
from sweep.study.schema import Study
from sweep.texts import plural

Where = tuple[str, str, int, int]
"""Backbone, method, replicate and its seed."""
VERSION = 7
"""Part of every key: raise it when the same inputs would give other results. The code of methods is
part of their keys, so this is about everything else: training, evaluation, made data, backbones."""


class Plan(UnitGraph):
    """All runs of a study and the units they are made of, in the order they should be worked on.

    Replicates come one after another, within one the methods, then neighbouring orders of the trie,
    so that an interrupted study has complete replicates and a lane has its next parent in memory.

    >>> from sweep import Study, make_plan
    >>> plan = make_plan(Study.load("quickstart"))
    >>> plan.trainings_unshared("individual"), plan.counts()["trainings"]["individual"]
    (120, 15)
    """

    def __init__(self, study: Study, pinned: Pinned) -> None:
        """Plans a study; a pure function of its arguments.

        Args:
            study: Its design is resolved: whatever it has to measure has been measured (see
                `sweep.measuring.measure.make_plan`).
            pinned: Versions of the study's data and backbones.

        Raises:
            InputError: the study does not fit its tasks.
        """
        self.study, self.pinned = study, pinned
        self._methods = {label: entry.kind for label, entry in study.methods.items()}
        self.blocks = study.blocks(pinned.tasks)
        self._trainings = {
            label: self._identity(label, kind.reuses_training_of)
            for label, kind in self._methods.items()
        }
        """By method; equal for methods that share their trainings."""
        self._identities = {label: self._identity(label) for label in self._methods}
        # A study of all orders asks for the same stages and evaluations a million times.
        self._added: dict[tuple[str, str, str, int, Order, bool], str] = {}
        self._known_stages: dict[tuple[Where, Order, bool], str] = {}
        self._known_evaluations: dict[tuple[str, Order], str] = {}
        self._settings = study.training.settings
        self._shown = {
            self._trainings[label]
            for label, kind in self._methods.items()
            if not kind.combines_over
        }
        super().__init__({}, [], {}, study.keep_states, study.lanes.retries)
        self.runs += self._runs()

    def _runs(self) -> Iterator[Run]:
        for replicate, block in enumerate(self.blocks):
            for backbone in self.study.backbones:
                for method in self.study.methods:
                    for order in sorted(block):
                        yield self.run(backbone, method, replicate, order)

    def run(self, backbone: str, method: str, replicate: int, order: Order) -> Run:
        """Returns the run of any order, planned or not; adds its units to the plan."""
        seed = self.study.replicate_seed(replicate)
        stages, path = [self._start(backbone, ())], list[str]()
        for k in range(1, len(order) + 1):
            where = (backbone, method, replicate, seed)
            is_due = k % self.study.evaluation.every == 0 or k == len(order)
            stages.append(self._stage(where, order[:k], path, is_due))
        return Run(
            backbone=backbone,
            method=method,
            replicate=replicate,
            seed=seed,
            order=order,
            stages=tuple(stages),
        )

    def _start(self, backbone: str, learnt: Order) -> str:
        """Returns the unit of the untouched backbone; which classes it is offered may depend."""
        offered = tuple(sorted(learnt)) if self.study.evaluation.choices == "seen" else ()
        return self._add("start", backbone, "", 0, 0, offered, ())

    def _stage(self, where: Where, prefix: Order, path: list[str], is_due: bool) -> str:
        """Returns the unit with the result of a prefix; extends `path`, the trainings before it.

        Args:
            where: The run.
            prefix: The tasks learnt so far.
            path: Trainings of the shorter prefixes.
            is_due: Whether it is evaluated on everything, and not on what was just learnt alone.
        """
        known = self._known_stages.get((where, prefix, is_due))
        if known:
            return known
        kind = self._methods[where[1]]
        tasks = prefix if kind.combines_over == "sequence" else tuple(sorted(prefix))
        match kind.depends_on:
            case "nothing":
                return self._start(where[0], prefix)
            case "task" if self.loads(where[1]):
                expert = where[0], where[1], 0, 0
                trained = [self._add("load", *expert, (task,), (), is_due) for task in tasks]
            case "task":
                trained = [self._add("train", *where, (task,), (), is_due) for task in tasks]
            case "set":
                trained = [self._add("train", *where, tasks, (), is_due)]
            case "sequence":
                path.append(self._add("train", *where, prefix, tuple(path[-1:]), is_due))
                trained = path
        if not kind.combines_over:
            if kind.depends_on == "task" and self.study.evaluation.choices == "seen":
                raise InputError(
                    f"method '{where[1]}' keeps the last task alone, so there are no choices seen "
                    "for evaluation.choices 'seen'; allowed: task, all."
                )
            return trained[tasks.index(prefix[-1])] if kind.depends_on == "task" else trained[-1]
        stage = self._add("combine", *where, tasks, tuple(trained), is_due)
        if kind.depends_on == "task":  # the path of a sequence is made along with its stages
            self._known_stages[where, prefix, is_due] = stage
        return stage

    def _add(
        self,
        kind: UnitKind,
        backbone: str,
        method: str,
        replicate: int,
        seed: int,
        prefix: Order,
        parents: tuple[str, ...],
        is_due: bool = True,
    ) -> str:
        """Returns the key of a unit, which is new or known; one that is due once is."""
        asked = (kind, backbone, method, replicate, prefix, is_due)
        if asked in self._added:
            return self._added[asked]
        is_shown = kind not in ("load", "train") or self._trainings[method] in self._shown
        of_set = self._of_sets(method, kind)  # sorted: any of its tasks may be an order's last
        only = () if is_due else prefix if of_set else prefix[-1:]
        unit = Unit(
            key=self._key(kind, backbone, method, seed, prefix),
            kind=kind,
            backbone=backbone,
            method=method,
            replicate=replicate,
            seed=seed,
            prefix=prefix,
            parents=parents,
            evaluation=self._evaluation(backbone, only) if is_shown else "",
            only=only,
        )
        known = self.units.setdefault(unit.key, unit)
        if is_due and known.only:
            self.units[unit.key] = unit
        self._added[asked] = unit.key
        return unit.key

    def _of_sets(self, method: str, kind: UnitKind) -> bool:
        """Returns whether a unit of a method serves all orders of a set of tasks."""
        if kind == "combine":
            return self._methods[method].combines_over == "set"
        return kind == "train" and self._methods[method].depends_on == "set"

    def _evaluation(self, backbone: str, only: Order) -> str:
        """Returns the key of what a unit is evaluated on, among `evaluations`."""
        if (backbone, only) not in self._known_evaluations:
            covered = self._covers(backbone, only)
            key = _digest(covered)[:16]
            self.evaluations[key] = covered
            self._known_evaluations[backbone, only] = key
        return self._known_evaluations[backbone, only]

    def _covers(self, backbone: str, only: Order) -> dict[str, str]:
        """Returns what stages of a backbone are evaluated on; no training depends on it.

        Args:
            backbone: Its label.
            only: Some tasks, or none: then it is everything.
        """
        evaluation = self.study.evaluation
        how: list[str | int] = []
        if evaluation.choices != "task":
            tests = [self.pinned.fingerprints[task].test for task in self.pinned.tasks]
            how += [evaluation.choices, *tests]
        if evaluation.samples is not None:
            how += [evaluation.samples, evaluation.seed]
        suites = {
            name: _digest([found.test, *how]) if how else found.test
            for name, found in self.pinned.fingerprints.items()
            if not only or name in only
        }
        covered = {f"data {name}": fingerprint for name, fingerprint in suites.items()}
        if not only:
            for name in evaluation.diagnostics:
                covered[f"diagnostic {name}"] = _digest([suites, self.pinned.code.get(name)])
        return covered | {"answers": self.pinned.sources[backbone].config.answer}

    def _key(self, kind: str, backbone: str, method: str, seed: int, prefix: Order) -> str:
        source = self.pinned.sources[backbone]
        facts: dict[str, Any] = {
            "version": VERSION,
            "kind": kind,
            "backbone": source.identity,
        }
        if kind == "start" and prefix:
            facts["offered"] = prefix
        if kind == "load":
            expert = self.pinned.experts[backbone, prefix[0]]
            facts |= {"expert": expert.fingerprint, "prefix": prefix}
        elif kind != "start":
            training = self.study.training
            own = {t: training.per_task[t].model_dump() for t in prefix if t in training.per_task}
            facts |= {
                "data": {task: self.pinned.fingerprints[task].train for task in prefix},
                "method": (self._trainings if kind == "train" else self._identities)[method],
                "training": self._settings | {"per_task": own},
                "seed": seed,
                "prefix": prefix,
            }
            facts |= {need: self.pinned.data[need] for need in self.study.methods[method].needs}
            if self.loads(method):  # what is left of the settings is how forward passes are made
                made = {name: getattr(training, name) for name in ("batch_size", "precision")}
                experts = [self.pinned.experts[backbone, task].fingerprint for task in prefix]
                if training.towers:  # nothing else of the experts is merged
                    made["towers"] = training.towers
                facts |= {"training": made, "experts": experts}
        return _digest(facts)[:24]

    def _identity(self, label: str, trainer: type[Method] | None = None) -> str:
        """Returns what identifies a method: its class, its code, and options that `trainer` has."""
        kind = trainer or self._methods[label]
        options = self.study.methods[label].options
        own = options.model_dump(mode="json", include=set(kind.Config.model_fields))
        name = name_of("methods", kind)
        return json.dumps([name, self.pinned.code[name], own], sort_keys=True)

    def loads(self, method: str) -> bool:
        """Returns whether a method's experts are loaded, and not trained."""
        return self.study.experts is not None and loads_experts(self._methods[method])

    def steps(self, unit: Unit) -> int:
        """Returns the optimiser steps of a unit."""
        if unit.kind != "train":
            return 0
        learnt = self._methods[unit.method].tasks_trained_on(unit.prefix)
        return sum(self.study.training.steps_of(task) for task in learnt)

    def trainings_unshared(self, method: str) -> int:
        """Returns how many stages of a method would be trained if no two runs shared any."""
        if self._methods[method].depends_on == "nothing" or self.loads(method):
            return 0
        return sum(len(run.order) for run in self.runs if run.method == method)

    def trainings(self, method: str) -> set[str]:
        """Returns keys of all trainings that a method's runs need, shared ones included."""
        stages = {key for run in self.runs if run.method == method for key in run.stages}
        parents = {parent for key in stages for parent in self.units[key].parents}
        return {key for key in stages | parents if self.units[key].kind == "train"}

    def counts(self) -> dict[str, Any]:
        """Returns the plan in numbers: its stages, and of which kinds they are.

        A stage is the untouched backbone, an expert that is loaded, or is trained, or is combined
        from such ones.
        """
        kinds = Counter(unit.kind for unit in self.units.values())
        trainings = {label: self.trainings(label) for label in self.study.methods}
        return {
            "study": self.study.name,
            "orders": sum(len(block) for block in self.blocks),
            "runs": len(self.runs),
            "stages": len(self.units),
            "untouched": kinds["start"],
            "loaded": kinds["load"],
            "trained": kinds["train"],
            "combined": kinds["combine"],
            "trainings": {label: len(keys) for label, keys in trainings.items()},
            "trainings_unshared": sum(map(self.trainings_unshared, self.study.methods)),
        }

    def data_sentences(self) -> list[str]:
        """Returns what is there of the data, what is left out and why, and what differs."""
        sections = self.study.data().values()
        found = [s for config in sections for s in (*config.found(), *config.warnings())]
        return [*found, *self._experts_sentences(), *self.study.protocol_remarks()]

    def _experts_sentences(self) -> list[str]:
        """Returns which experts are loaded, and what it means that they are."""
        if not self.pinned.experts:
            return []
        named = ", ".join(
            f"{task} {expert.path} ({(expert.commit or expert.fingerprint)[:12]})"
            for (_, task), expert in self.pinned.experts.items()
        )
        said = f"Experts are loaded, so settings of training have no effect on them: {named}."
        if len(self.blocks) == 1:
            return [said]
        return [
            said,
            "They are the same in all replicates, which differ in their orders and in what is "
            "drawn at random in a merge, but not in a training.",
        ]

    def stages_sentence(self) -> str:
        """Returns how many stages there are, of which kinds, and what sharing saves."""
        counts = self.counts()
        from_what = "them" if counts["loaded"] else "trained ones"
        kinds = {
            "untouched": f"{counts['untouched']:,} untouched",
            "loaded": f"{plural(counts['loaded'], 'expert')} loaded",
            "trained": f"{counts['trained']:,} trained",
            "combined": f"{counts['combined']:,} combined from {from_what}",
        }
        always = {"trained"} if counts["loaded"] else set()
        parts = ", ".join(text for kind, text in kinds.items() if counts[kind] or kind in always)
        unshared = counts["trainings_unshared"]
        saved = 1 - counts["trained"] / unshared if unshared else 0.0
        said = f"{plural(counts['stages'], 'stage')}: {parts}"
        if saved <= 0:
            return said
        return f"{said}; without sharing {unshared:,} would be trained ({saved:.0%} saved)"


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
