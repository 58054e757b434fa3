"""The sections of the page that every study has."""

from html import escape

from analysis.inference.estimates import ROPE
from analysis.orders.ranking import DRAWS
from analysis.orders.steadiness import FEW
from analysis.report import figures, frames, panels, parts, tables, words
from analysis.report.findings import findings, plural
from analysis.report.frames import rows
from analysis.report.markup import emphasised
from analysis.report.parts import Section
from analysis.report.study import Study
from analysis.run_metrics.metric import METRICS

MAX_FAILURES = 50
"""Failed stages shown on the page; the table holds all."""


def verdict(study: Study) -> Section:
    """The numbers in sentences."""
    items = "".join(f"<li>{emphasised(sentence)}</li>" for sentence in findings(study))
    if not study.groups:
        items = "<li>No run is complete yet; what has been measured so far is below.</li>" + items
    return Section("findings", "Verdict", f"<ul>{items}</ul>")


def methods(study: Study) -> Section:
    """The table of methods."""
    if not study.groups:
        return Section("methods", "Methods", "")
    noted = "".join(f'<p class="note">{escape(note)}</p>' for note in words.notes(study))
    more = (
        "<details><summary>All metrics</summary>"
        f"{tables.all_metrics(study)}"
        f"{parts.caption(words.sample(study.summary), 'summary')}</details>"
    )
    about = "Mean over orders with its interval below; a click on a heading sorts."
    caption = (
        f"Unit: fraction; {words.sample(study.summary)}. SD over orders: inside replicates; over "
        "seeds: what replicate means differ by beyond it. Range of 5 orders: expected, of one "
        "seed. Worst tenth: mean of the worst tenth of the runs. Training time: of a run without "
        f"sharing, relative to {study.baseline or 'finetune'}."
    )
    body = tables.method_table(study) + parts.caption(caption, "methods") + noted + more
    return Section("methods", "Methods compared", parts.about(about) + body)


def orders(study: Study) -> Section:
    """Average accuracy over orders."""
    caption = (
        f"Unit: fraction; {words.sample(study.summary)}. {_drawn(study)} Diamond and bar: mean and "
    )
    caption += f"interval. Curve: density, for {figures.MIN_DENSITY} runs or more."
    about = "What one method reaches depends on the order in which it meets the tasks."
    plot = _plot(study, "orders", "Average accuracy over orders", about, caption, "runs")
    if study.steadiness.empty:
        return plot
    ending = tables.steadiness_table(study) + parts.caption(
        "Ratio of SDs over orders, geometric mean over replicates, with its 95 % interval; p: of a "
        f"ratio of 1, Holm. What {FEW} orders of one seed show: 95 % of their choices; the "
        "opposite: choices in which the other of the two methods looks steadier. Not listed: "
        "methods that no order moves.",
        "steadiness",
    )
    return plot._replace(html=plot.html + ending)


def differences(study: Study) -> Section:
    """Paired differences to the baseline."""
    if study.pairs.empty:
        return Section("differences", "", "")
    about = (
        f"Each dot is a method minus {study.baseline} on the same order and "
        "replicate; right of the line the method is better."
    )
    caption = (
        f"Unit: difference of fractions; {words.sample(study.comparison, 'pair')}. Grey band: up "
        f"to {ROPE} either way, differences that do not matter."
    )
    plot = _plot(study, "differences", "Paired differences", about, caption, "differences")
    ending = tables.comparison_table(study) + parts.caption(
        "Verdict: of the whole interval against the grey band. P(no matter): of a mean difference "
        "inside it. p: of no difference, over replicates, corrected for the number of methods "
        "(Holm; exact joint sign flips). Better, equal, worse: number of pairs; win rate counts "
        "ties as one half.",
        "comparison",
    )
    return plot._replace(html=plot.html + ending)


def contributions(study: Study) -> Section:
    """What learning one task does to another."""
    if study.contributions.empty:
        return Section("contributions", "", "")
    about = (
        "What the stage that learns a task adds to the accuracy on each task, averaged over "
        "orders; a column adds up to all that its task has gained in the end."
    )
    caption = f"Unit: fraction; {words.sample(study.summary)} (hover)."
    shown = _named(study, panels.present(study.contributions, study.baseline_first))
    control = parts.select("contribution-traces", "method", shown, traces="contributions")
    return _plot(
        study, "contributions", "Contributions of tasks", about, caption, "contributions", control
    )


def robust(study: Study) -> Section:
    """Which contributions the order decides."""
    if study.contributions.empty:
        return Section("robustness", "", "")
    about = (
        "A dot is one task's effect on another. Low and right: it helps whatever the order; low "
        "and left: it harms; above the dotted lines the order moves it more than its mean."
    )
    caption = f"Unit: fraction; {words.sample(study.summary)}, of the mean (hover)."
    return _plot(study, "robustness", "Robust or not", about, caption, "contributions")


def positions(study: Study) -> Section:
    """What the position of a task does to it."""
    if study.profiles.empty:
        return Section("positions", "", "")
    about = "Is a task better learnt early or late? Accuracy on it at the end, by its position."
    caption = (
        f"Unit: fraction; mean over the runs with the task in that place (hover for n), of "
        f"{plural(len(study.runs), 'run')}; no interval."
    )
    return _plot(study, "positions", "Positions", about, caption, "profiles")


def models(study: Study) -> Section:
    """What of an order matters."""
    if study.order_models.empty:
        return Section("models", "", "")
    about = (
        "Does it matter who comes before whom (precedence), who stands where (position), or who "
        "follows whom (adjacency)? Each replicate is predicted by a model of the others; 0 = no "
        "better than the mean. Hover for the order that a model calls best or worst."
    )
    caption = (
        "Unit: R2 of the average accuracy inside replicates; "
        f"n = {study.order_models['runs'].max()} runs per method; no interval. Bars end at -10 %."
    )
    return _plot(study, "models", "What about the order matters", about, caption, "order_models")


def ranking(study: Study) -> Section:
    """How many orders a ranking takes."""
    if study.stability.empty:
        return Section("stability", "", "")
    about = "Had the study had only a few runs: would its ranking of the methods be the same?"
    sizes = ", ".join(
        f"Kendall's W = {row.kendalls_w:.2f} of {plural(row.runs, 'run')} and {row.methods} methods"
        for row in rows(study.rankings)
    )
    caption = (
        f"Unit: Kendall tau, and share of draws; mean over {DRAWS} random sequences of the runs; "
        f"no interval (5 % quantile: hover). {sizes}."
    )
    return _plot(study, "stability", "Does the ranking hold?", about, caption, "stability")


def variance(study: Study) -> Section:
    """Where the variance comes from, and what to buy next."""
    if study.variance.empty:
        return Section("variance", "", "")
    size = study.variance.iloc[0]
    about = "Where differences between runs come from, and which size of study tells methods apart."
    truncated = study.variance.loc[study.variance["truncated"], "effect"]
    cut = f" Estimated below 0 and set to it: {', '.join(truncated)}." if len(truncated) else ""
    caption = (
        f"Unit: share of the variance of the average accuracy; n = {size.methods} methods x "
        f"{size.seeds} seeds x {size.orders} orders; no interval.{cut}"
    )
    bars = _plot(study, "variance", "Variance and size", about, caption, "variance")
    caption = (
        "Unit: G, the reliability of the ranking of methods, 0 to 1; from the components above; "
        "no interval."
    )
    return bars._replace(
        html=bars.html + parts.figure("d_study", "Reliability by size", caption, "d_study")
    )


def forgetting(study: Study) -> Section:
    """Forgetting against learning."""
    about = "Right: new tasks are learnt better. Up: more of it is lost afterwards."
    caption = (
        f"Unit: fraction; {plural(len(study.runs), 'run')}, no interval. {_drawn(study)} Runs on "
        "one dotted line end with the average accuracy written on it: AA = learning - (T-1)/T x "
        "forgetting."
    )
    return _plot(study, "forgetting", "Forgetting and learning", about, caption, "runs")


def matrices(study: Study) -> Section:
    """The accuracy-matrix browser."""
    groups = study.browsed
    several = len({backbone for backbone, _ in groups}) > 1
    names = [figures.label(*pair, several) for pair in groups]
    data = study.browser
    controls = parts.select("choose-method", "method", names)
    replicates = list(dict.fromkeys(str(data["runs"][place][0]) for place in data["shown"]))
    controls += parts.select("choose-replicate", "replicate", replicates, replicates)
    controls += parts.select("choose-order", "order, worst first", [], css="wide")
    omitted = f" {plural(data['omitted'], 'more order')}: only in the data."
    caption = (
        "Unit: fraction; one run, n = 1, no interval. Rows: after each stage; columns: tasks in "
        "learning order; framed: the task just learnt. Below: the same, one panel per task over "
        f"stages, with a star where it is learnt.{omitted * bool(data['omitted'])}"
    )
    plots = "".join(f'<div class="plot" id="figure-{key}"></div>' for key in ("matrix", "curves"))
    body = f'<div class="controls">{controls}</div>'
    body += f"<figure>{plots}{parts.caption(caption, 'accuracies', True)}</figure>"
    about = "Choose a run: how accurate is it on every task, after every stage?"
    return Section("matrices", "Accuracy matrices", parts.about(about) + body)


def tree(study: Study) -> Section:
    """The tree of orders."""
    control = parts.select("tree-traces", "method", _named(study, study.groups), traces="tree")
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
    if study.results.folder is None:
        about = "The commands that train these runs again are in the reports of the single studies."
    caption = "Unit: fraction; single runs. Methods that no order moves are left out."
    body = tables.extremes_table(study) + parts.caption(caption, "extremes")
    return Section("extremes", "Worst and best orders", parts.about(about) + body)


def gaps(study: Study) -> Section:
    """Missing and failed stages."""
    runs, failures = study.results.runs, study.results.failures
    missing = int((runs["missing"] > 0).sum())
    if not missing:
        text = f"All {plural(len(runs), 'planned run')} are complete; no stage is missing."
        return Section("gaps", "Missing and failed", parts.about(text))
    text = (
        f"{missing} of {plural(len(runs), 'planned run')} lack a stage and are left out of all "
        "statistics. Replicates that are not whole:"
    )
    body = tables.progress_table(study) + parts.caption("Unit: runs.", "progress")
    if len(failures):
        shown = f"{min(MAX_FAILURES, len(failures))} of {plural(len(failures), 'failed stage')}."
        body += f"<h3>Failed stages</h3>{tables.failures_table(study, MAX_FAILURES)}"
        body += parts.caption(shown, "failures")
    return Section("gaps", "Missing and failed", parts.about(text) + body)


def data(study: Study) -> Section:
    """What is evaluated."""
    about = "After every stage the model is evaluated on all of these."
    body = tables.evaluations_table(study) + parts.caption(
        "Unit: fraction; no interval.", "evaluations"
    )
    return Section("evaluations", "Tasks and probes", parts.about(about) + body)


def formulas(study: Study) -> Section:
    """How the numbers come about."""
    text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in words.METHODS_TEXT)
    listed = "".join(
        f"<dt>{tables.heading(key)}</dt><dd>{escape(metric.formula)}"
        f"{'' if metric.of == 'task' else f' Here i are the {metric.of} evaluations.'}</dd>"
        for key, metric in METRICS.items()
    )
    return Section("formulas", "How it is computed", f'{text}<dl class="formulas">{listed}</dl>')


def _plot(
    study: Study, key: str, title: str, about: str, caption: str, table: str, control: str = ""
) -> Section:
    if not study.groups:
        return Section(key, title, "")
    controls = f'<div class="controls">{control}</div>' if control else ""
    plot = parts.figure(key, title, caption, table)
    return Section(key, title, f"{parts.about(about)}{controls}{plot}")


def _drawn(study: Study) -> str:
    """What dots are."""
    largest = max(study.runs.groupby(["backbone", "method"]).size(), default=0)
    if largest <= frames.MAX_DOTS:
        return "Dot: one run."
    return (
        f"Dot: one run, {frames.MAX_DOTS} of {plural(largest, 'run')} per method, evenly by rank."
    )


def _named(study: Study, groups: figures.Groups) -> list[str]:
    """Methods as they are called in figures."""
    several = len({backbone for backbone, _ in study.groups}) > 1
    return [figures.label(*pair, several) for pair in groups]
