"""What studies differ in, before their results are compared."""

from html import escape

import pandas as pd

from analysis.data.study_settings import differing_settings
from analysis.report import html_parts
from analysis.report.evaluation_settings import offered
from analysis.report.html_tables import Cell, table
from analysis.report.panels.base import Panel
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.evaluation_sentences import classes_offered
from analysis.report.text.phrases import plural


class ComparedStudies(Panel):
    """Shows the settings in which several studies differ, and no others."""

    key, title, table = "settings", "What differs between the studies", "settings"
    chapter = "Answer"

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the keys of study.yaml that differ; nothing for a single study."""
        return differing_settings(study.configs)

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns which runs are paired, and what is not comparable."""
        said = ["All other settings are the same.", *study.apart, pairing(study)]
        if len({offered(config) for config in study.configs.values()}) > 1:
            said.append(classes_offered(study))
        return " ".join(sentence for sentence in said if sentence)

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the table of settings."""
        head = [escape(str(column)) for column in frame.columns]
        lines = [[Cell(escape(cell), css="text") for cell in row] for row in rows(frame)]
        caption = "Settings of study.yaml that differ; - where a study has none."
        return table(self.title, head, lines) + html_parts.caption(caption, self.table)


def pairing(study: StudyStatistics) -> str:
    """Returns which runs of several studies are paired, or why none are."""
    between = study.between[study.between["metric"] == "average_accuracy"]
    if len(between):
        runs, seeds = int(between["runs"].max()), _other_seeds(study)
        return (
            "Paired are runs of the same backbone, replicate and order, up to "
            f"{plural(runs, 'pair')} per method.{seeds}"
        )
    if not study.twins:
        shared = any(len(origin.studies) > 1 for origin in study.results.origins.values())
        if not shared:
            return "The studies have no method in common."
        return (
            "Methods of the same name have the same results in all studies: each counts once, and "
            "there is nothing to compare between the studies."
        )
    if study.apart:
        return ""
    of_method = study.results.runs.groupby("method")["order"]
    tasks = {name: {task for order in orders for task in order} for name, orders in of_method}
    if any(tasks[name] != tasks[twin] for name, twin in study.twins.items()):
        return "The studies learn different tasks, so no run of one has a partner in the other."
    return "The studies have no order of a replicate in common, so no run has a partner."


def _other_seeds(study: StudyStatistics) -> str:
    """Returns what to say where paired runs have different seeds; "" where they have the same."""
    seeds = study.runs[["backbone", "method", "replicate", "order", "seed"]]
    pairs = seeds.assign(twin=seeds["method"].map(study.twins)).dropna(subset="twin")
    both = pairs.merge(
        seeds.rename(columns={"method": "twin"}), on=["backbone", "twin", "replicate", "order"]
    )
    if (both["seed_x"] == both["seed_y"]).all():
        return ""
    return " Their seeds differ: they have the order in common, not the weights they start from."
