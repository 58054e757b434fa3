"""From a study to the distinct pieces of work: the prefix tries and what may be shared.

A run is one (backbone, method, replicate, order): stages 0..T. Runs meet in units: what two
stages have in common is one unit, computed once. How much they have in common is the method's
`depends_on`:

    nothing     every stage is stage 0 of the backbone
    task        one training per task; a cheap combination per set of tasks
    set         one training per set of tasks
    sequence    one training per prefix
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from methods import resolve
from methods.base import Method
from sweep.similarity.study import settle
from sweep.sources import Source, find_source
from sweep.study import Study
from sweep.work import Order, Run, Unit, Work

VERSION = 1
"""Part of every key: raise it when the same inputs would give other results."""


class Plan(Work):
    """All runs of a study and the units they are made of, in the order they should be worked on.

    Whole replicates come first, then methods, then neighbouring orders of the trie, so that an
    interrupted study still holds balanced blocks and a lane finds its next parent in memory.
    """

    def __init__(self, study: Study, sources: Mapping[str, Source] | None = None) -> None:
        self.sources = sources or {
            label: find_source(config) for label, config in study.backbones.items()
        }
        self.study = study = settle(study, self.sources)
        self._data = {name: config.fingerprint() for name, config in study.data().items()}
        self._methods: dict[str, type[Method]] = {
            label: resolve(entry.method) for label, entry in study.methods.items()
        }
        self.blocks = study.blocks()
        super().__init__({}, [], study.keep_states, study.lanes.retries)
        self.runs += self._runs()

    def work(self) -> Work:
        """The same without the study, for processes that only hand it around."""
        return Work(self.units, self.runs, self.keep_states, self.retries)

    def _runs(self) -> Iterator[Run]:
        for replicate, block in enumerate(self.blocks):
            for backbone in self.study.backbones:
                for method in self.study.methods:
                    for order in sorted(block):
                        yield self.run(backbone, method, replicate, order)

    def run(self, backbone: str, method: str, replicate: int, order: Order) -> Run:
        """The run of any order, planned or not; adds its units to the plan."""
        seed = self.study.replicate_seed(replicate)
        start = self._add("start", backbone, "", 0, 0, (), ())
        stages = [start]
        for k in range(1, len(order) + 1):
            stages.append(self._stage(backbone, method, replicate, seed, order[:k], stages))
        return Run(
            backbone=backbone,
            method=method,
            replicate=replicate,
            seed=seed,
            order=order,
            stages=tuple(stages),
        )

    def _stage(
        self,
        backbone: str,
        method: str,
        replicate: int,
        seed: int,
        prefix: Order,
        stages: list[str],
    ) -> str:
        where = (backbone, method, replicate, seed)
        match self._methods[method].depends_on:
            case "nothing":
                return stages[0]
            case "sequence":
                return self._add("train", *where, prefix, tuple(stages[1:][-1:]))
            case "set":
                return self._add("train", *where, tuple(sorted(prefix)), ())
            case "task":
                experts = tuple(
                    self._add("train", *where, (task,), (), evaluates=False)
                    for task in sorted(prefix)
                )
                return self._add("combine", *where, tuple(sorted(prefix)), experts)

    def _add(
        self,
        kind: Literal["start", "train", "combine"],
        backbone: str,
        method: str,
        replicate: int,
        seed: int,
        prefix: Order,
        parents: tuple[str, ...],
        evaluates: bool = True,
    ) -> str:
        unit = Unit(
            key=self._key(kind, backbone, method, seed, prefix),
            kind=kind,
            backbone=backbone,
            method=method,
            replicate=replicate,
            seed=seed,
            prefix=prefix,
            parents=parents,
            evaluates=evaluates,
        )
        self.units.setdefault(unit.key, unit)
        return unit.key

    def _key(self, kind: str, backbone: str, method: str, seed: int, prefix: Order) -> str:
        facts: dict[str, Any] = {
            "version": VERSION,
            "kind": kind,
            "backbone": self.sources[backbone].fingerprint,
            "answer": self.study.backbones[backbone].answer,
            "data": self._data["benchmark"],
        }
        if kind != "start":
            entry, training = self.study.methods[method], self.study.training
            own = {t: training.per_task[t].model_dump() for t in prefix if t in training.per_task}
            facts |= {
                "method": entry.method,
                "options": entry.options.model_dump(mode="json"),
                "training": training.model_dump(mode="json") | {"per_task": own},
                "seed": seed,
                "prefix": prefix,
            }
            facts |= {need: self._data[need] for need in self._methods[method].needs}
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def steps(self, unit: Unit) -> int:
        """Optimiser steps of a unit."""
        if unit.kind != "train":
            return 0
        learnt = unit.prefix if self._methods[unit.method].depends_on == "set" else unit.prefix[-1:]
        return sum(self.study.training.steps_of(task) for task in learnt)

    @property
    def naive_stages(self) -> int:
        """Stages that would be trained without sharing, stage 0 aside."""
        return sum(len(run.order) for run in self.runs)
