"""The page: sections in the order in which they are read, put into one template."""

import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.accuracy import METRICS
from analysis.report import figures, tables, words
from analysis.report.browser import browser_data
from analysis.report.findings import plural
from analysis.report.markup import emphasised
from analysis.report.study import Study
from analysis.report.style import INK

MAX_FAILURES = 50
"""Failed stages shown on the page; the table holds all."""


class Section(NamedTuple):
    """One part of the page; `key` is its name in the menu, an empty `html` leaves it out."""

    key: str
    title: str
    html: str


def page(study: Study) -> str:
    """The report as one HTML document that loads nothing from elsewhere."""
    sections = [part for part in (write(study) for write in SECTIONS) if part.html]
    here = resources.files("analysis.report")
    return Template((here / "template.html").read_text("utf-8")).substitute(
        title=escape(words.title(study)),
        lead=escape(words.lead(study)),
        tiles="".join(map(_tile, words.facts(study))),
        nav="".join(f'<a href="#{part.key}">{part.key.capitalize()}</a>' for part in sections),
        sections="".join(map(_framed, sections)),
        figures=_json({key: json.loads(draw(study).to_json()) for key, draw in drawn(study)}),
        ink=INK,
        browser=_json(browser_data(study.results, browsed(study))),
        footer=f"Written by {escape(words.versions(study))}.",
        css=(here / "style.css").read_text("utf-8"),
        script=(here / "report.js").read_text("utf-8"),
        plotly=get_plotlyjs(),
    )


def drawn(study: Study) -> list[tuple[str, Callable[[Study], go.Figure]]]:
    """The figures that there are data for."""
    keys = ["orders", "differences", "forgetting", "tree"] if study.groups else []
    return [(k, FIGURES[k]) for k in keys if k != "differences" or len(study.pairs)]


FIGURES: dict[str, Callable[[Study], go.Figure]] = {
    "orders": lambda s: figures.distribution(s.runs, s.summary, s.groups),
    "differences": lambda s: figures.differences(s.pairs, s.comparison, s.groups),
    "forgetting": lambda s: figures.trade_off(s.runs, s.groups),
    "tree": lambda s: figures.order_tree(s.trie, s.groups),
}


def browsed(study: Study) -> list[tuple[str, str]]:
    """Every (backbone, method), those with complete runs first."""
    runs = study.results.runs
    return list(dict.fromkeys([*study.groups, *zip(runs["backbone"], runs["method"], strict=True)]))


def findings(study: Study) -> Section:
    """The numbers in sentences."""
    items = "".join(f"<li>{emphasised(sentence)}</li>" for sentence in study.findings)
    if not study.groups:
        items = "<li>No run is complete yet; what has been measured so far is below.</li>" + items
    return Section("findings", "Findings", f"<ul>{items}</ul>")


def methods(study: Study) -> Section:
    """The table of methods."""
    if not study.groups:
        return Section("methods", "Methods", "")
    noted = "".join(f'<p class="note">{escape(note)}</p>' for note in words.notes(study))
    more = (
        "<details><summary>All metrics</summary>"
        f"{tables.all_metrics(study)}{_caption(words.sample(study.summary), 'summary')}</details>"
    )
    about = "Mean over orders with its interval below; a click on a heading sorts."
    caption = (
        f"Unit: fraction; {words.sample(study.summary)}. SD over runs holds the effects of order "
        "and seed; worst and best order: hover for the order."
    )
    body = tables.method_table(study) + _caption(caption, "summary") + noted + more
    return Section("methods", "Methods compared", _about(about) + body)


def orders(study: Study) -> Section:
    """Average accuracy over orders."""
    caption = (
        f"Unit: fraction; {words.sample(study.summary)}. Dot: one run. Diamond and bar: mean and "
    )
    caption += f"interval. Curve: density, for {figures.MIN_DENSITY} runs or more."
    about = "What one method reaches depends on the order in which it meets the tasks."
    return _plot(study, "orders", "Average accuracy over orders", about, caption, "runs")


def differences(study: Study) -> Section:
    """Paired differences to the baseline."""
    if study.pairs.empty:
        return Section("differences", "", "")
    about = (
        f"Each dot is a method minus {escape(study.baseline or '')} on the same order and "
        "replicate; right of the line the method is better."
    )
    caption = f"Unit: difference of fractions; {words.sample(study.comparison, 'pair')}."
    plot = _plot(study, "differences", "Paired differences", about, caption, "differences")
    ending = tables.comparison_table(study) + _caption(
        "Better, equal, worse: number of pairs; win rate counts ties as one half.", "comparison"
    )
    return plot._replace(html=plot.html + ending)


def forgetting(study: Study) -> Section:
    """Forgetting against learning."""
    about = "Right: new tasks are learnt better. Up: more of it is lost afterwards."
    caption = (
        f"Unit: fraction; dot: one run; {plural(len(study.runs), 'run')}, no interval. Runs on one "
        "dotted line end with the average accuracy written on it: AA = learning - (T-1)/T x "
        "forgetting."
    )
    return _plot(study, "forgetting", "Forgetting and learning", about, caption, "runs")


def matrices(study: Study) -> Section:
    """The accuracy-matrix browser."""
    groups = browsed(study)
    several = len({backbone for backbone, _ in groups}) > 1
    names = [figures.label(*pair, several) for pair in groups]
    data = browser_data(study.results, groups)
    controls = _select("choose-method", "method", names)
    controls += _select("choose-replicate", "replicate", list(data["orders"]), data["orders"])
    controls += _select("choose-order", "order, worst first", [], css="wide")
    omitted = f" {plural(data['omitted'], 'more replicate')}: only in the data."
    caption = (
        "Unit: fraction; one run, n = 1, no interval. Rows: after each stage; columns: tasks in "
        "learning order; framed: the task just learnt. Below: the same, one panel per task over "
        f"stages, with a star where it is learnt.{omitted * bool(data['omitted'])}"
    )
    plots = "".join(f'<div class="plot" id="figure-{key}"></div>' for key in ("matrix", "curves"))
    body = f'<div class="controls">{controls}</div>'
    body += f"<figure>{plots}{_caption(caption, 'accuracies', True)}</figure>"
    about = "Choose a run: how accurate is it on every task, after every stage?"
    return Section("matrices", "Accuracy matrices", _about(about) + body)


def tree(study: Study) -> Section:
    """The tree of orders."""
    several = len({backbone for backbone, _ in study.groups}) > 1
    names = [figures.label(*pair, several) for pair in study.groups]
    control = _select("tree-traces", "method", names, traces="tree")
    about = (
        "Every path from the top is an order; the colour of a prefix is the mean average accuracy "
        "at which the runs through it end. A click zooms in."
    )
    caption = (
        f"Unit: fraction; mean over the runs through a prefix, {plural(len(study.runs), 'run')} in "
        "all methods and replicates, no interval; width: number of runs. Every method has its own "
        "colour range."
    )
    return _plot(study, "tree", "Orders as a tree", about, caption, "tree", control)


def extremes(study: Study) -> Section:
    """The worst and best orders."""
    if study.extremes.empty:
        return Section("extremes", "", "")
    about = "The command trains one of these runs again; start it in the folder of this report."
    caption = "Unit: fraction; single runs. Methods that no order moves are left out."
    body = tables.extremes_table(study) + _caption(caption, "extremes")
    return Section("extremes", "Worst and best orders", _about(about) + body)


def gaps(study: Study) -> Section:
    """Missing and failed stages."""
    runs, failures = study.results.runs, study.results.failures
    missing = int((runs["missing"] > 0).sum())
    if not missing:
        text = f"All {plural(len(runs), 'planned run')} are complete; no stage is missing."
        return Section("gaps", "Missing and failed", _about(text))
    text = (
        f"{missing} of {plural(len(runs), 'planned run')} lack a stage and are left out of all "
        "statistics. Replicates that are not whole:"
    )
    body = tables.progress_table(study) + _caption("Unit: runs.", "progress")
    if len(failures):
        shown = f"{min(MAX_FAILURES, len(failures))} of {plural(len(failures), 'failed stage')}."
        body += f"<h3>Failed stages</h3>{tables.failures_table(study, MAX_FAILURES)}"
        body += _caption(shown, "failures")
    return Section("gaps", "Missing and failed", _about(text) + body)


def data(study: Study) -> Section:
    """What is evaluated."""
    about = "After every stage the model is evaluated on all of these."
    body = tables.evaluations_table(study) + _caption("Unit: fraction; no interval.", "evaluations")
    return Section("evaluations", "Tasks and probes", _about(about) + body)


def formulas(study: Study) -> Section:
    """How the numbers come about."""
    text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in words.METHODS_TEXT)
    listed = "".join(
        f"<dt>{tables.heading(key)}</dt><dd>{escape(metric.formula)}"
        f"{'' if metric.of == 'task' else f' Here i are the {metric.of} evaluations.'}</dd>"
        for key, metric in METRICS.items()
    )
    return Section("formulas", "How it is computed", f'{text}<dl class="formulas">{listed}</dl>')


SECTIONS: Sequence[Callable[[Study], Section]] = (
    *(findings, methods, orders, differences, forgetting, matrices, tree, extremes),
    *(gaps, data, formulas),
)


def _plot(
    study: Study, key: str, title: str, about: str, caption: str, table: str, control: str = ""
) -> Section:
    if not study.groups:
        return Section(key, title, "")
    controls = f'<div class="controls">{control}</div>' if control else ""
    plot = f'<div class="plot" id="figure-{key}" role="img" aria-label="{title}"></div>'
    plot += _caption(caption, table, True)
    return Section(key, title, f"{_about(about)}{controls}<figure>{plot}</figure>")


def _about(text: str) -> str:
    return f'<p class="about">{text}</p>'


def _caption(text: str, table: str, in_figure: bool = False) -> str:
    content = f'{escape(text)} <a href="tables/{table}.parquet">data</a>'
    return (
        f"<figcaption>{content}</figcaption>" if in_figure else f'<p class="caption">{content}</p>'
    )


def _select(
    key: str,
    title: str,
    options: Sequence[str],
    values: Iterable[object] | None = None,
    css: str = "",
    traces: str = "",
) -> str:
    values = range(len(options)) if values is None else values
    listed = "".join(
        f'<option value="{value}">{option}</option>'
        for value, option in zip(values, options, strict=True)
    )
    drives = f' data-traces="{traces}"' if traces else ""
    return f'<label class="{css}">{title}<select id="{key}"{drives}>{listed}</select></label>'


def _tile(fact: words.Fact) -> str:
    detail = f"<small>{escape(fact.detail)}</small>" if fact.detail else ""
    return f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}{detail}</dd></div>"


def _framed(part: Section) -> str:
    return f'<section id="{part.key}" class="{part.key}"><h2>{part.title}</h2>{part.html}</section>'


def _json(content: object) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
