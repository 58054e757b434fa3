"""The run folder as a data set of the Hugging Face Hub: its card."""

import json

from analysis.report import words
from analysis.report.findings import findings
from analysis.report.study import Study


def card(study: Study) -> str:
    """CARD.md: front matter that the Hub reads, what is inside, the verdict, how to use it.

    It names no licence: that is for whoever ran the study to choose, and follows neither from this
    project's licence nor from those of backbones and data.
    """
    front = {
        "pretty_name": f"{words.title(study)}: task orders",
        "tags": ["continual-learning", "vision-language", "task-order"],
        "configs": [
            {"config_name": "results", "data_files": "results/*.parquet", "default": True},
            *(
                {"config_name": name, "data_files": f"tables/{name}.parquet"}
                for name, table in sorted(study.tables.items())
                if len(table)
            ),
        ],
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in front.items()]  # JSON is YAML
    return "\n".join(["---", *lines, "---", "", *_body(study)]) + "\n"


def _body(study: Study) -> list[str]:
    return [
        f"# {words.title(study)}",
        "",
        words.lead(study),
        "",
        *(f"- {sentence}" for sentence in findings(study)),
        "",
        "`results/` holds one row per stage, evaluation and metric; `tables/` what the report",
        "shows, `report.html` the report. Read them with `analysis.load`, run the study again with",
        "`sweep run study.yaml`, and see `report.md` for how the numbers come about.",
    ]
