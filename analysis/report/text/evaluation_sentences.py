"""How scores were measured, in sentences: among which classes, on which samples, when."""

from typing import Any

import pandas as pd

from analysis.data.results import Results
from analysis.inference.estimates import ROPE
from analysis.report.evaluation_settings import (
    error_of_mean,
    kind_of,
    offered,
    sampling_errors,
)
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import listed, number, plural


def kinds(results: Results) -> dict[tuple[str, str], str]:
    """Returns the kind of every task, probe and retrieval set, by split and name."""
    measured: dict[tuple[str, str], list[str]] = {}
    for split, name, metric in results.scores.columns:
        if split in ("task", "probe", "retrieval"):
            measured.setdefault((split, name), []).append(metric)
    return {key: kind_of(metrics) for key, metrics in measured.items()}


def how_evaluated(study: StudyStatistics) -> list[str]:
    """Returns all there is to say, for the chapter on the setup."""
    said = [classes_offered(study), *samples_drawn(study), stages_evaluated(study)]
    return [sentence for sentence in said if sentence]


def classes_offered(study: StudyStatistics) -> str:
    """Returns among which classes samples are classified; "" without any, or if it is not known."""
    if "choices" not in kinds(study.results).values():
        return ""
    if study.configs:
        known = {name: offered(config) for name, config in study.configs.items()}
        if len(set(known.values())) < 2:
            return _sentence(next(iter(known.values())))
        each = [f"{name}: {words or 'not said'}" for name, words in known.items()]
        return (
            f"Studies classify a sample among different classes ({'; '.join(each)}), so they ask "
            "different questions, and their scores are not those of one."
        )
    return _sentence(offered(study.results.config))


def _sentence(words: str) -> str:
    return f"Every sample is classified {words}." if words else ""


def samples_drawn(study: StudyStatistics) -> list[str]:
    """Returns which scores are measured on a part of the test samples, and what that leaves open.

    Nothing if all are measured on all.
    """
    errors = sampling_errors(study.results)
    if errors.empty:
        return []
    plan = study.plan.get("tasks") or {}
    parts = [_part(row, (plan.get(row.eval_task) or {}).get("tested_of")) for row in rows(errors)]
    return [
        f"Measured on a fixed part of the test samples: {listed(parts)}.",
        f"{_moves(study, errors)} The part is the same for all methods, orders, stages and "
        "replicates, so more of them do not lessen it. Intervals and verdicts hold for these "
        "samples and do not cover what others would have shown. Of a difference of two methods or "
        "orders that is the less, the more their answers agree, and at most 1.4 times as much.",
    ]


def sampling_matters(study: StudyStatistics) -> str:
    """Returns the sentence beside the first answer; "" where samples move means by too little."""
    errors = sampling_errors(study.results)
    if errors.empty or error_of_mean(errors, _num_tasks(study)) < ROPE:
        return ""
    return f"{_moves(study, errors)} Intervals hold for the samples drawn."


def _moves(study: StudyStatistics, errors: pd.DataFrame) -> str:
    mine = errors[errors["split"] == "task"]
    noun = study.words.noun
    if mine.empty:
        return (
            f"The choice of test samples alone moves a {noun} by up to "
            f"{errors['error'].max():.3f} (standard error)."
        )
    mean = error_of_mean(errors, _num_tasks(study))
    return (
        f"The choice of test samples alone moves the {noun} of a task by up to "
        f"{mine['error'].max():.3f} (standard error) and the mean over tasks by up to {mean:.3f}."
    )


def _num_tasks(study: StudyStatistics) -> int:
    orders = study.results.orders["order"]
    return max(map(len, orders), default=1)


def _part(row: Any, of: int | None) -> str:
    whole = f" of {number(int(of))}" if of else ""
    return f"{row.eval_task} on {number(int(row.n))}{whole}"


def stages_evaluated(study: StudyStatistics) -> str:
    """Returns after which stages not all is evaluated, and what that costs; "" if after none."""
    every = {study.results.every_of(method) for method in study.methods} - {1}
    if not every:
        return ""
    after = " or ".join(f"every {plural(step, 'stage')}" for step in sorted(every))
    return (
        f"Everything is evaluated before the first stage, after {after} and after the last one; "
        "after the others the task just learnt alone. Metrics that need the others are undefined, "
        "the matrices of runs have gaps there, and contributions of tasks and the curves and "
        "positions that need every stage are left out."
    )
