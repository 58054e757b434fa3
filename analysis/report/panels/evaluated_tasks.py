"""What is evaluated after every stage."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from analysis.report import html_parts
from analysis.report.evaluation_settings import sampling_errors
from analysis.report.html_tables import Cell, number, table
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.evaluation_sentences import kinds, stages_evaluated
from analysis.run_metrics.metric import RECALLS


class EvaluatedTasks(Panel):
    """Shows all tasks and probes, with the score of the untouched backbone."""

    key, title, table, section = "evaluations", "Tasks and probes", "evaluations", "setup"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns what is evaluated."""
        return study.evaluations

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of evaluations."""
        backbones = list(frame.columns[4:])
        sizes = study.plan.get("tasks") or {}
        of_kind, drawn = kinds(study.results), sampling_errors(study.results)
        errors = dict(
            zip(zip(drawn["split"], drawn["eval_task"], strict=True), drawn["error"], strict=True)
        )
        lines = [
            [
                Cell(escape(row["eval_task"]), css="text"),
                Cell(escape(row["split"]), css="text"),
                Cell(escape(of_kind[row["split"], row["eval_task"]]), css="text"),
                Cell(escape(row["metric"].replace("_", " ")), css="text"),
                *(_size(sizes, row, what) for what in ("train", "choices") if sizes),
                number(int(row["n"]) if pd.notna(row["n"]) and row["n"] else math.nan),
                *([number(_error(errors, row))] if errors else []),
                *(number(row[backbone]) for backbone in backbones),
            ]
            for _, row in frame.iterrows()
        ]
        head = ["name", "part", "kind", "score", *(["train samples", "choices"] if sizes else [])]
        head += ["test samples", *(["sampling error"] if errors else [])]
        head += [*(f"stage 0, {escape(backbone)}" for backbone in backbones)]
        caption = (
            "Unit: fraction; no interval. "
            f"{'' if stages_evaluated(study) else 'After every stage all of these are evaluated; '}"
            "stage 0 is the untouched backbone."
        )
        if errors:
            caption += (
                " Sampling error: standard error of a score that is measured on some of the test "
                "samples, at most."
            )
        if study.results.stages["split"].eq("retrieval").any():
            caption += " Recall at k: from image to text (i2t) and from text to image (t2i)."
        shown = table(self.title, head, lines) + html_parts.caption(caption, self.table)
        return f"<h4>{escape(self.title)}</h4>{shown}"


def _error(errors: Mapping[tuple[str, str], float], row: pd.Series) -> float:
    """Returns the sampling error of a score; NaN for recalls at single k, which are none."""
    is_score = row["metric"] not in RECALLS
    return errors.get((row["split"], row["eval_task"]), math.nan) if is_score else math.nan


def _size(sizes: Mapping[str, Any], row: pd.Series, what: str) -> Cell:
    """Returns how many training samples or choices a task has, as far as the plan says."""
    task = sizes.get(row["eval_task"]) if row["split"] == "task" else None
    count = (task or {}).get(what)
    return number(math.nan if count is None else int(count))
