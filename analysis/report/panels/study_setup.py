"""What was run, as far as the run folder says: what a reviewer looks for."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import pandas as pd

from analysis.data.results import called
from analysis.report import html_parts
from analysis.report.html_tables import Cell, name, number, table
from analysis.report.panels.base import Panel
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.evaluation_sentences import how_evaluated
from analysis.report.text.phrases import listed, plural

HEADINGS = {
    "benchmark": "Benchmark",
    "backbones": "Backbones",
    "training": "Training",
    "evaluation": "Evaluation",
    "similarity": "Similarity",
    "stopping": "Stopping rule",
}
"""Parts of study.yaml that are listed, methods and design apart."""


class StudySetup(Panel):
    """Shows the settings of a study, and what it left out."""

    key, title, table = "setup", "What was run", "setup"
    is_always_shown = True

    def frame(self, study: StudyStatistics) -> pd.DataFrame:
        """Returns all settings, one a row; none where study.yaml is not there."""
        configs = dict(study.configs) or {report_text.title(study): study.results.config}
        found = [
            (label, *setting) for label, config in configs.items() for setting in _settings(config)
        ]
        return pd.DataFrame(found, columns=["study", "part", "name", "setting", "value"])

    def about(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns the question."""
        return "What exactly was trained and evaluated, and what was left out?"

    def below(self, frame: pd.DataFrame, study: StudyStatistics) -> str:
        """Returns settings study by study, and then what holds for all of them."""
        shown = ""
        labels = list(dict.fromkeys(frame["study"]))
        for label in labels:
            if len(labels) > 1:
                shown += f"<h4>{escape(label)}</h4>"
            mine = frame[frame["study"] == label]
            shown += method_settings(mine, study) if len(labels) == 1 else ""
            shown += _listed(
                {title: _joined(mine, part) for part, title in HEADINGS.items()}
                | ({"Methods": _joined(_marked(mine, study), "methods")} if len(labels) > 1 else {})
            )
        common = {
            "Design": design(study),
            "Data": " ".join(study.plan.get("data") or []),
            "How scores were measured": " ".join(how_evaluated(study)),
            "Left out": " ".join(omissions(study)),
            "Reference points": _references(study),
            "Trained with": trained_with(study),
        }
        settings = html_parts.caption("All settings, one a row:", self.table) if len(frame) else ""
        return f"{shown}{_listed(common)}{published_figures(study)}{settings}"


def method_settings(frame: pd.DataFrame, study: StudyStatistics) -> str:
    """Returns a table of methods: class, options, learning rate, stages trained."""
    methods = frame[frame["part"] == "methods"]
    training = frame[frame["part"] == "training"].set_index("setting")["value"]
    trainings = study.plan.get("trainings", {})
    lines = []
    for method in dict.fromkeys(methods["name"]):
        mine = methods[methods["name"] == method]
        own = dict(zip(mine["setting"], mine["value"], strict=True))
        kind, rate = own.pop("method", method), own.pop("lr", training.get("lr", ""))
        count = trainings.get(method)
        options = ", ".join(f"{key} {value}" for key, value in own.items() if key)
        title = name(study, "", method) if method in study.methods else Cell(escape(method))
        lines.append(
            [
                Cell(title.html, title.value, "text"),
                Cell(escape(kind), css="text"),
                Cell(escape(options) or "&ndash;", css="order"),
                Cell("&ndash;" if count == 0 else escape(rate)),
                Cell("&ndash;") if count is None else number(count),
            ]
        )
    if not lines:
        return ""
    head = ["method", "kind", "options", "learning rate", "stages trained"]
    return table("Methods and their options", head, lines)


def published_figures(study: StudyStatistics) -> str:
    """Returns a table of what papers report of the benchmark; "" where nothing is known of it."""
    rows = study.plan.get("published") or []
    titles = list(dict.fromkeys(title for row in rows for title in row["figures"]))
    lines = [
        [
            Cell(escape(study.looks.called(row["method"])), css="text"),
            Cell(escape(row["order"] or "") or "&ndash;", css="text"),
            *(
                Cell(f"{row['figures'][title]:g}" if title in row["figures"] else "&ndash;")
                for title in titles
            ),
            Cell(escape(row["source"]), css="order"),
        ]
        for row in rows
    ]
    if not lines:
        return ""
    said = "Published figures of this benchmark, in percent; other code, other splits"
    heads = ["method", "order", *map(escape, titles), "source"]
    return f"<p>{said}:</p>{table(said, heads, lines)}"


def design(study: StudyStatistics) -> str:
    """Returns how many orders of which design every replicate has, and its seed."""
    orders = study.results.orders
    sizes = orders.groupby("replicate").size()
    each = (
        plural(int(sizes.iloc[0]), "order")
        if sizes.nunique() == 1
        else f"{sizes.min()} to {plural(int(sizes.max()), 'order')}"
    )
    designs = listed(sorted(set(orders["design"])))
    said = (
        f"{designs}: {plural(len(sizes), 'replicate')} of {each}, "
        f"{orders['order'].nunique()} different ones"
    )
    config = study.results.config
    own = config.get("design")
    if isinstance(own, Mapping) and (options := {k: v for k, v in own.items() if k != "name"}):
        said += f" ({', '.join(f'{key} {_written(value)}' for key, value in options.items())})"
    if "seed" in config:
        said += f"; seed of the study {config['seed']}"
    seeds = study.results.stages.groupby("replicate")["seed"].unique()
    if all(len(found) == 1 for found in seeds) and len(seeds) <= 12:
        said += f"; seeds of the replicates {listed([int(found[0]) for found in seeds])}"
    return f"{said}."


def omissions(study: StudyStatistics) -> list[str]:
    """Returns a sentence on everything that the study planned or ran and the statistics lack."""
    runs, found = study.results.runs, []
    if study.num_incomplete:
        failed = int(runs["error"].notna().sum()) if "error" in runs else 0
        why = f", {failed} of them because a stage failed" if failed else ""
        found.append(f"{study.num_incomplete} of {len(runs)} planned runs are incomplete{why}.")
    gone = sorted(set(study.methods) - {method for _, method in study.groups})
    if gone:
        found.append(f"Without a complete run: {study.looks.listed(gone)}.")
    judged = study.judged[study.judged["metric"] == "average_accuracy"]
    untested = sorted(set(judged.loc[judged["word"] == "not tested", "method"]))
    if untested:
        found.append(
            f"Without a verdict ({report_text.NEEDS_TWO}): {study.looks.listed(untested)}."
        )
    stopped = study.manifest.get("stopped")
    return [*found, *([f"The study {stopped}."] if stopped else [])] or ["Nothing."]


def trained_with(study: StudyStatistics) -> str:
    """Returns software and machines of the run; "" without its manifest."""
    manifest = study.manifest
    if not manifest:
        return ""
    versions = manifest.get("versions") or {}
    software = [f"Python {manifest['python']}"] if "python" in manifest else []
    software += [f"{key} {value}" for key, value in versions.items()]
    workers = manifest.get("workers") or []
    devices = sorted({str(worker["device"]) for worker in workers if "device" in worker})
    where = f"; device: {listed(devices)}" if devices else ""
    finished = f"; finished {manifest['finished']}" if "finished" in manifest else ""
    return f"{', '.join(software)}{where}{finished}."


def _listed(entries: Mapping[str, str]) -> str:
    """Returns a list of headings with what is said below each; empty ones are left out."""
    lines = "".join(
        f"<dt>{escape(title)}</dt><dd>{escape(content)}</dd>"
        for title, content in entries.items()
        if content
    )
    return f'<dl class="formulas">{lines}</dl>' if lines else ""


def _marked(frame: pd.DataFrame, study: StudyStatistics) -> pd.DataFrame:
    """Returns the settings of one of several studies, with the marks of its own methods."""
    origins = study.results.origins
    home = set(frame["study"])
    its = {label: origin for label, origin in origins.items() if home <= set(origin.studies)}
    told = {origin.method for label, origin in its.items() if label in study.told}
    return frame.assign(name=[called(name, told) for name in frame["name"]])


def _joined(frame: pd.DataFrame, part: str) -> str:
    """Returns the settings of a part in one line."""
    mine = frame[frame["part"] == part]
    parts = []
    for owner in dict.fromkeys(mine["name"]):
        own = mine[mine["name"] == owner]
        settings = ", ".join(
            f"{setting} {value}".strip()
            for setting, value in zip(own["setting"], own["value"], strict=True)
        )
        parts.append(f"{owner}: {settings}" if owner else settings)
    return "; ".join(parts)


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yields part, name (of a method or backbone), setting and value; none that is not set."""
    for part, content in config.items():
        owners = {"": content}
        if part in ("methods", "backbones") and isinstance(content, Mapping):
            owners = {str(owner): own or {} for owner, own in content.items()}
        for owner, own in owners.items():
            found = list(_flat(own))
            for setting, value in found or [("", "")] * bool(owner):
                yield str(part), owner, setting, _written(value)


def _flat(content: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yields settings by their dotted names, those that are not set left out."""
    if not isinstance(content, Mapping):
        if content is not None and content != []:
            yield above, content
        return
    for key, value in content.items():
        yield from _flat(value, f"{above}.{key}" if above else str(key))


def _written(value: Any) -> str:
    """Returns a setting as text."""
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _references(study: StudyStatistics) -> str:
    names = sorted(study.references)
    return f"{study.looks.listed(names)}." if names else ""
