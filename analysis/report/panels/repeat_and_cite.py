"""How to run a study again, and how to cite it."""

from html import escape

import pandas as pd

from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.version import __version__

SHIPPED = (
    "architectures",
    "architectures-tuning",
    "mechanisms",
    "methods",
    "methods-tuning",
    "mtil",
    "pam",
    "pam-ablation",
    "pam-long",
    "pam-tuning",
    "quickstart",
    "similarity",
    "t3",
    "contrastive",
)
"""Studies that come with the software and run by their names."""
CITATION = """@software{{task_order_sweep,
  title   = {{task-order-sweep}},
  author  = {{{{The task-order-sweep authors}}}},
  version = {{{version}}},
  license = {{Apache-2.0}},
  note    = {{Study: {study}}}
}}"""
"""The software as CITATION.cff has it, with the name of the study."""


class RepeatAndCite(Panel):
    """Shows the command that runs the study again, and the BibTeX entry of the software."""

    key, title, section = "citation", "Repeat and cite", "setup"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns the orders that are run again."""
        return study.results.orders

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns commands and entry, each to be copied."""
        return f"{reproduction(study)}{cite(study)}"


def reproduction(study: StudyStatistics) -> str:
    """Returns the commands that run the study again; "" where there is no run folder."""
    if study.results.folder is None or not study.results.config:
        return ""
    title = report_text.title(study)
    shown = (
        "<h4>Run it again</h4><p>In the folder of this report; the same seeds give the same "
        f"orders and stages:</p>{_copied('sweep run study.yaml --out ../again')}"
    )
    if title in SHIPPED:
        shown += (
            f"<p>The study of this name comes with the software:</p>{_copied(f'sweep run {title}')}"
        )
    return shown


def cite(study: StudyStatistics) -> str:
    """Returns the BibTeX entry of the software, naming the study."""
    entry = CITATION.format(version=__version__, study=report_text.title(study))
    return f"<h4>Cite</h4>{_copied(entry)}"


def _copied(content: str) -> str:
    """Returns text to be copied, with a button that does it."""
    shown = escape(content)
    return (
        f'<pre tabindex="0"><code>{shown}</code></pre>'
        f'<p><button class="copy" data-text="{shown}">copy</button></p>'
    )
