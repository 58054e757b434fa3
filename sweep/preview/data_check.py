"""Looks at a study's data: what there is, and what a newcomer should know about it."""

from collections.abc import Callable, Iterable

import numpy as np

from methods.data import Task
from sweep.errors import InputError
from sweep.preview.checkup import Checkup
from sweep.stage.answer_scores import ANSWER_SCORES, never_right
from sweep.study.schema import Study
from sweep.tasks.base import Benchmark, DataConfig
from sweep.tasks.task_sentences import described, noun_of
from sweep.texts import plural

FEW = 100
"""Test samples below which a score is known to within ten points only, 95 times of 100."""
SKEWED = 2.0
"""How many times more test samples than the smallest class the largest may have without a note."""
MANY_EPOCHS = 100


def check_data(study: Study, checkup: Checkup) -> Benchmark | None:
    """Adds what is found about the data; returns the benchmark if it can be loaded."""
    checkup.about("Data")
    loaded = None
    for config in _sections(study, checkup):
        with checkup.catching():
            sentences = config.found()
            for sentence in sentences:
                checkup.add("ok", sentence)
            for sentence in config.warnings():
                checkup.add("note", sentence)
            config.check()
            if config is study.benchmark:
                loaded = study.benchmark.load()
                if not sentences:
                    _describe(loaded, checkup)
    for sentence in study.protocol_remarks():
        checkup.add("note", sentence)
    if loaded:
        _check_samples(study, loaded, checkup)
        _check_references(study, loaded, checkup)
        _check_steps(study, loaded, checkup)
    return loaded


def _sections(study: Study, checkup: Checkup) -> list[DataConfig]:
    try:
        return list(study.data().values())
    except InputError as error:  # a method needs data that the study does not name
        checkup.add("problem", str(error))
        return [study.benchmark]


def _describe(benchmark: Benchmark, checkup: Checkup) -> None:
    for task in benchmark.tasks.values():
        checkup.add("ok", described(task))
    for probe in benchmark.probes.values():
        checkup.add("ok", described(probe, is_probe=True))


def _check_samples(study: Study, benchmark: Benchmark, checkup: Checkup) -> None:
    suites = [*benchmark.tasks.values(), *benchmark.probes.values()]
    if few := [task for task in suites if len(task.test) < FEW]:
        checkup.add(
            "note",
            f"Fewer than {FEW} test {noun_of(few)}s, so a score is known only roughly: "
            f"{_listed(few, lambda task: f'{len(task.test)}')}.",
        )
    suites = [task for task in suites if task.form.has_classes]
    skewed = [
        task
        for task in suites
        if _skew(task) > SKEWED and (study.evaluation.chosen(task.name) or task.score) == "accuracy"
    ]
    if skewed:
        checkup.add(
            "note",
            "Some classes have many more test images than others, and accuracy is mostly about "
            f"those: {_listed(skewed, lambda task: f'{_skew(task):.3g} times')}. To let classes "
            "count alike, set evaluation.score to class_accuracy.",
        )
    if untested := [task for task in suites if _untested(task)]:
        checkup.add(
            "note",
            "Classes without test images: "
            f"{_listed(untested, lambda task: ', '.join(_untested(task)[:3]))}.",
        )


def _check_references(study: Study, benchmark: Benchmark, checkup: Checkup) -> None:
    for task in (*benchmark.tasks.values(), *benchmark.probes.values()):
        score = study.evaluation.chosen(task.name) or task.score
        if task.kind != "answers" or score not in ANSWER_SCORES:
            continue
        if lost := never_right(score, task.test.texts or ()):
            checkup.add(
                "problem" if lost == len(task.test) else "note",
                f"Task '{task.name}' is scored by {score}, by which {lost:,} of "
                f"{plural(len(task.test), 'test sample')} count as wrong whatever the answer: "
                "their references hold nothing that it compares.",
            )


def _check_steps(study: Study, benchmark: Benchmark, checkup: Checkup) -> None:
    batch = study.training.batch_size
    epochs = {
        name: study.training.steps_of(name) * batch / len(task.train)
        for name, task in benchmark.tasks.items()
    }
    least, most = min(epochs, key=epochs.__getitem__), max(epochs, key=epochs.__getitem__)
    said = f"Training goes through '{least}' {_times(epochs[least])}"
    if epochs[most] > epochs[least]:
        said += f", through '{most}' {_times(epochs[most])}"
    is_odd = epochs[least] < 1 or epochs[most] > MANY_EPOCHS
    checkup.add(
        "note" if is_odd else "ok",
        f"{said} (steps x batch size / training {noun_of([*benchmark.tasks.values()])}s)."
        + (" Change training.steps, or training.per_task, if that is not meant." * is_odd),
    )


def _times(epochs: float) -> str:
    return f"{epochs:.3g} times" if epochs >= 1 else f"only in part ({epochs:.0%})"


def _counts(task: Task) -> np.ndarray:
    counts: np.ndarray = np.bincount(task.test.labels, minlength=len(task.choices))
    return counts


def _skew(task: Task) -> float:
    counts = _counts(task)
    return float(counts.max() / counts[counts > 0].min())


def _untested(task: Task) -> list[str]:
    return [task.choices[i] for i in np.flatnonzero(_counts(task) == 0)]


def _listed(tasks: Iterable[Task], fact: Callable[[Task], str]) -> str:
    return "; ".join(f"'{task.name}' ({fact(task)})" for task in tasks)
