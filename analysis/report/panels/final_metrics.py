"""What was measured of every task at the end, each metric by its own name."""

from html import escape

import numpy as np
import pandas as pd

from analysis.data.results import Results, as_runs
from analysis.report import html_parts
from analysis.report.evaluation_settings import SAMPLING_ERROR
from analysis.report.html_tables import Cell, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import place, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import plural

SHOWN = ("task", "probe", "retrieval")
HEAD = ["backbone", "method", "split", "eval_task", "metric", "is_score", "value", "runs"]


class FinalMetrics(Panel):
    """Shows the mean over runs of all metrics after the last stage, by method."""

    key, title, table, section = "final_metrics", "All metrics at the end", "final_metrics", "setup"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns them; nothing where tasks have no metric but their score."""
        found = final_metrics(study.results, study.runs)
        others = found[(found["split"] == "task") & ~found["is_score"]]
        return found if len(others) else found.iloc[:0]

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table, to be opened."""
        groups = [pair for pair in study.groups if pair in set(_pairs(frame))]
        values = frame.set_index(["split", "eval_task", "metric", "backbone", "method"])["value"]
        scores = frame.drop_duplicates(["split", "eval_task", "metric"])
        lines = [
            [
                Cell(escape(row.eval_task), css="text"),
                Cell(escape(row.split), css="text"),
                Cell(_named(row.metric, row.is_score), css="text"),
                *(
                    number(values.get((row.split, row.eval_task, row.metric, *pair), np.nan))
                    for pair in groups
                ),
            ]
            for row in rows(scores)
        ]
        head = ["name", "part", "metric", *(name(study, *pair).html for pair in groups)]
        runs = plural(int(frame["runs"].max()), "run")
        caption = (
            f"Unit: as each metric has it; mean over {runs} per method at most, after the last "
            "stage; no interval. Bold: the score, which all else on this page is made of."
        )
        shown = table(self.title, head, lines) + html_parts.caption(caption, self.table)
        return html_parts.details(self.title, shown)


def final_metrics(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the mean over runs of every metric after the last stage.

    Returns:
        One row per (backbone, method, split, eval_task, metric) of tasks, probes and retrieval:
        is_score, value, runs.

    >>> from analysis import metrics, tiny_study
    >>> found = final_metrics(tiny_study(), metrics(tiny_study()))
    >>> found[["method", "eval_task", "metric"]].head(1)
         method eval_task    metric
    0  finetune      cars  accuracy
    """
    scores = results.scores
    keys = [key for key in scores.columns if key[0] in SHOWN and key[2] != SAMPLING_ERROR]
    keys.sort(
        key=lambda key: (SHOWN.index(key[0]), key[1], key != scores.score(*key[:2]), place(key[2]))
    )
    columns = [scores.columns[key] for key in keys]
    found = []
    for (backbone, method), part in runs.groupby(["backbone", "method"]):
        last = [scores.rows[run.stages[-1]] for run in as_runs(part)]
        ends = scores.values[np.ix_(last, columns)]
        for key, mine in zip(keys, ends.T, strict=True):
            known = mine[np.isfinite(mine)]
            if len(known):
                is_score = key == scores.score(*key[:2])
                found.append((backbone, method, *key, is_score, known.mean(), len(known)))
    return pd.DataFrame(found, columns=HEAD)


def _pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(frame["backbone"], frame["method"], strict=True))


def _named(metric: str, is_score: bool) -> str:
    return f"<b>{escape(metric)}</b>" if is_score else escape(metric)
