"""The run folder as a data set of the Hugging Face Hub: its card."""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.report.markdown import answered, literal
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.answers import said_in
from analysis.report.text.subject import Answer


def card(study: StudyStatistics, tables: Mapping[str, pd.DataFrame]) -> str:
    """Returns CARD.md: front matter that the Hub reads, what is inside, the answers, how to use it.

    It names no licence: the authors of the study choose it, and it follows neither from this
    project's licence nor from those of backbones and data.
    """
    front = {
        "pretty_name": f"{report_text.title(study)}: task orders",
        "tags": ["continual-learning", "vision-language", "task-order"],
        "configs": [
            {"config_name": "results", "data_files": "results/*.parquet", "default": True},
            *(
                {"config_name": name, "data_files": f"tables/{name}.parquet"}
                for name, table in sorted(tables.items())
                if len(table)
            ),
        ],
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in front.items()]  # JSON is YAML
    return "\n".join(["---", *lines, "---", "", *_body(study, said_in(tables["answers"]))]) + "\n"


def _body(study: StudyStatistics, said: Sequence[Answer]) -> list[str]:
    return [
        f"# {literal(report_text.title(study))}",
        "",
        literal(report_text.lead(study)),
        "",
        *answered(said),
        "",
        "`results/` holds one row per stage, evaluation and metric; `tables/` what the report",
        "shows, `report.html` the report. Read them with `analysis.load`, run the study again with",
        "`sweep run study.yaml`, and see `report.md` for how the numbers come about.",
    ]
