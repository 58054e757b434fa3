"""Pins down a study's data, backbones and parts to the versions that they have now."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from methods.base import Method
from sweep.errors import ChangedError, unknown
from sweep.registry import name_of, parts
from sweep.source_code import code_from, code_of, places_of
from sweep.study.backbones import Source, find_source
from sweep.study.expert_sources import ExpertSource, find_experts
from sweep.study.schema import Study
from sweep.tasks.base import BenchmarkConfig, DataConfig, TaskFingerprint

CHANGED = (
    "{} has changed since the study was planned, or is another on this machine; run the study "
    "again to train with it as it is"
)
"""What a worker says that finds something else than was planned."""


@dataclass(frozen=True)
class Pinned:
    """Everything that a plan depends on besides the study."""

    tasks: tuple[str, ...]
    """Names of the benchmark's tasks."""
    data: Mapping[str, str]
    """Fingerprints of the data, by section: benchmark, reference, generator."""
    fingerprints: Mapping[str, TaskFingerprint]
    """Those of every task, probe and retrieval set, by name."""
    sources: Mapping[str, Source]
    """The backbones, by label."""
    code: Mapping[str, Mapping[str, str]]
    """Digests of the modules that methods and diagnostics of one's own are made of, by part."""
    experts: Mapping[tuple[str, str], ExpertSource] = field(default_factory=dict)
    """Experts that are loaded, by label of the backbone and task; none if they are trained."""

    def of_backbone(self, label: str) -> dict[str, ExpertSource]:
        """Returns the experts that are loaded for a backbone, by task; none if they are trained."""
        return {task: found for (name, task), found in self.experts.items() if name == label}

    def own_code(self, study: Study) -> list[Path]:
        """Returns the files and folders of code of one's own, which workers have to import."""
        modules = {module for found in self.code.values() for module in found}
        for config in study.data().values():
            modules |= code_of(type(config)).keys()
        return places_of(modules)

    def verify_data(self, study: Study) -> None:
        """Makes sure that what is about to be loaded is what the study was planned with.

        Looks at the data only where this process has not yet, as in a worker.

        Raises:
            ChangedError: some data have changed since.
        """
        for section, config in study.data().items():
            if section != "benchmark" and _identified(config) != self.data[section]:
                raise ChangedError(CHANGED.format(f"the {section}"))
        now = _fingerprints(study.benchmark)
        for name, planned in self.fingerprints.items():
            if now.get(name) != planned:
                raise ChangedError(CHANGED.format(f"the content of '{name}'"))

    def verify_code(self, kind: type[Method]) -> None:
        """Makes sure that a method's code is what the study was planned with.

        Raises:
            ChangedError: it has changed since.
        """
        name = name_of("methods", kind)
        now = code_of(kind)
        for module, planned in self.code.get(name, now).items():
            if now.get(module) != planned:
                raise ChangedError(CHANGED.format(f"the code of method '{name}' ({module})"))


def pin(study: Study) -> Pinned:
    """Identifies data, backbones, experts and the code of a study's parts without loading them.

    Raises:
        InputError: some of them cannot be found, or `evaluation.score` does not fit them.
    """
    kinds = {entry.kind for entry in study.methods.values()}
    kinds |= {kind.reuses_training_of for kind in kinds if kind.reuses_training_of}
    code = {name_of("methods", kind): code_of(kind) for kind in kinds}
    for name in study.evaluation.diagnostics:
        code[name] = own_code("diagnostics", name)
    data = study.data()
    tasks = study.benchmark.task_names()
    _check_score(study, tasks)
    return Pinned(
        tasks=tasks,
        data={
            section: _with_code(config, config.fingerprint()) for section, config in data.items()
        },
        fingerprints=_fingerprints(study.benchmark),
        sources={label: find_source(config) for label, config in study.backbones.items()},
        code=code,
        experts=find_experts(study.experts, tasks, list(study.backbones)) if study.experts else {},
    )


def _check_score(study: Study, tasks: Sequence[str]) -> None:
    """Makes sure that `evaluation.score` names tasks and probes of the benchmark.

    Raises:
        InputError: it names something else.
    """
    score = study.evaluation.score
    others = [name for name in score if name not in tasks] if isinstance(score, dict) else []
    if others:  # perhaps a probe, which only the loaded benchmark knows
        known = (
            *tasks,
            *(p.name for p in study.benchmark.load().probes.values() if p.kind != "pairs"),
        )
        for name in others:
            if name not in known:
                raise unknown("task or probe in evaluation.score", name, known)


def _fingerprints(benchmark: BenchmarkConfig) -> dict[str, TaskFingerprint]:
    return {
        name: TaskFingerprint(_with_code(benchmark, part.train), _with_code(benchmark, part.test))
        for name, part in benchmark.fingerprints().items()
    }


def own_code(kind: str, name: str) -> dict[str, str]:
    """Returns digests of the modules of a part; none for a part that ships with this package.

    What shipped parts other than methods compute is covered by `sweep.plan.plan.VERSION`.
    """
    known = parts(kind)
    path = known[name].path if name in known else name
    module = path.partition(":")[0]
    return {} if module.startswith("sweep.") else code_from({module})


def _identified(config: DataConfig) -> str:
    return _with_code(config, config.fingerprint())


def _with_code(config: DataConfig, fingerprint: str) -> str:
    """Returns a fingerprint that also covers the code that reads or makes the data."""
    module = type(config).__module__
    code = {} if module.startswith("sweep.") else code_of(type(config))
    if not code:
        return fingerprint
    return hashlib.sha256(repr((fingerprint, code)).encode()).hexdigest()
