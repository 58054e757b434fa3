"""The figures of the page, one function each, for notebooks and papers.

In: results, or where they lie. Out: plotly figures that stand alone.

>>> from analysis import figures, tiny_study
>>> figures.orders(tiny_study()).layout.xaxis.title.text is None
False
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go

from analysis.data.final_scores import OrderScores
from analysis.data.given_results import read_results
from analysis.data.results import Results
from analysis.report.export import alone
from analysis.report.figure_style import SCALE, empty_figure, text, titled
from analysis.report.panels import PANELS
from analysis.report.study_statistics import StudyStatistics

__all__ = [
    "contributions",
    "convergence",
    "d_study",
    "differences",
    "features",
    "forgetting",
    "matrix",
    "method_pairs",
    "models",
    "modes",
    "ood",
    "ood_stages",
    "orders",
    "overview",
    "pairs",
    "positions",
    "proposals",
    "published",
    "ranks",
    "robustness",
    "routing",
    "similar_pairs",
    "similarity",
    "stability",
    "transitions",
    "tree",
    "variance",
]

Source = str | Path | Results
"""Results, or the path or URI of a run folder or of a file of another tool."""


class NothingToDraw(ValueError):
    """Says that results lack what a figure shows."""


_PANELS = {panel.key: panel for panel in PANELS}
_STATISTICS = "_statistics"
KNOWN = 8
"""Names that an error lists."""


def overview(results: Source) -> go.Figure:
    """Draws all methods at a glance, best first."""
    return _drawn("overview", results)


def orders(results: Source) -> go.Figure:
    """Draws the average accuracy of every order, by method."""
    return _drawn("orders", results)


def differences(results: Source) -> go.Figure:
    """Draws how far every method is from the baseline, paired by order and replicate."""
    return _drawn("differences", results)


def published(results: Source) -> go.Figure:
    """Draws where published orders stand among all others."""
    return _drawn("published", results)


def ranks(results: Source) -> go.Figure:
    """Draws how often every method takes which place."""
    return _drawn("ranks", results)


def positions(results: Source) -> go.Figure:
    """Draws the accuracy of tasks by the position at which they are learnt."""
    return _drawn("positions", results)


def models(results: Source) -> go.Figure:
    """Draws how much of the variance simple models of the order explain."""
    return _drawn("models", results)


def robustness(results: Source) -> go.Figure:
    """Draws contributions of tasks against how much they vary over orders."""
    return _drawn("robustness", results)


def forgetting(results: Source) -> go.Figure:
    """Draws forgetting against what is learnt, by run."""
    return _drawn("forgetting", results)


def modes(results: Source) -> go.Figure:
    """Draws how accuracy, alignment and loss of a task change after it is learnt."""
    return _drawn("modes", results)


def transitions(results: Source) -> go.Figure:
    """Draws how well contributions predict transitions between tasks."""
    return _drawn("transitions", results)


def ood(results: Source, method: str | None = None, backbone: str | None = None) -> go.Figure:
    """Draws how well images of one task are told from those of another, for one method.

    What is not chosen is the first that the page offers.
    """
    return _drawn("ood", results, method=method, backbone=backbone)


def ood_stages(results: Source) -> go.Figure:
    """Draws how well images of learnt tasks are told from all others, stage by stage."""
    return _drawn("ood_stages", results)


def routing(results: Source) -> go.Figure:
    """Draws for whose task methods take samples, stage by stage."""
    return _drawn("routing", results)


def similarity(results: Source) -> go.Figure:
    """Draws accuracy against the similarity of neighbouring tasks."""
    return _drawn("similarity", results)


def similar_pairs(results: Source) -> go.Figure:
    """Draws contributions against the similarity of two tasks."""
    return _drawn("similar_pairs", results)


def proposals(results: Source) -> go.Figure:
    """Draws how good the orders are that similarity scores propose."""
    return _drawn("proposals", results)


def stability(results: Source) -> go.Figure:
    """Draws how often fewer orders give the same ranking."""
    return _drawn("stability", results)


def variance(results: Source) -> go.Figure:
    """Draws what the variance of accuracy is made of."""
    return _drawn("variance", results)


def d_study(results: Source) -> go.Figure:
    """Draws how reliable the ranking is by number of orders and replicates."""
    return _drawn("d_study", results)


def convergence(results: Source) -> go.Figure:
    """Draws how intervals narrow while runs are completed."""
    return _drawn("convergence", results)


def contributions(
    results: Source, method: str | None = None, backbone: str | None = None
) -> go.Figure:
    """Draws what learning a task does to every task, for one method.

    What is not chosen is the first that the page offers.
    """
    return _drawn("contributions", results, method=method, backbone=backbone)


def tree(results: Source, method: str | None = None, backbone: str | None = None) -> go.Figure:
    """Draws all orders of one method as a tree, coloured by accuracy.

    What is not chosen is the first that the page offers.
    """
    return _drawn("tree", results, method=method, backbone=backbone)


def method_pairs(results: Source, backbone: str | None = None) -> go.Figure:
    """Draws the difference between every two methods, on one backbone.

    What is not chosen is the first that the page offers.
    """
    return _drawn("method_pairs", results, backbone=backbone)


def pairs(
    results: Source, kind: str | None = None, method: str | None = None, backbone: str | None = None
) -> go.Figure:
    """Draws contributions of one kind, for one method.

    What is not chosen is the first that the page offers.
    """
    return _drawn("pairs", results, kind=kind, method=method, backbone=backbone)


def features(
    results: Source, method: str | None = None, task: str | None = None, backbone: str | None = None
) -> go.Figure:
    """Draws how the features of one task move, for one method.

    What is not chosen is the first that the page offers.
    """
    return _drawn("features", results, method=method, task=task, backbone=backbone)


def matrix(
    results: Source,
    method: str | None = None,
    replicate: int | None = None,
    order: str | Sequence[str] | None = None,
    backbone: str | None = None,
) -> go.Figure:
    """Draws the accuracy matrix of one run, a frame around the task just learnt.

    What is not chosen is that of the worst run that fits; an order is tasks, or "a>b>c".

    Raises:
        ValueError: no complete run fits.
    """
    study = statistics(results)
    chosen: dict[str, object] = {"method": method, "replicate": replicate, "backbone": backbone}
    tasks = order.split(">") if isinstance(order, str) else order
    chosen["order"] = None if tasks is None else tuple(task.strip() for task in tasks)
    runs = study.runs
    for column, value in chosen.items():
        if value is None:
            continue
        fits = [found == value for found in runs[column]]
        if not any(fits):
            known = [_said(found) for found in runs[column].unique()]
            more = f" and {len(known) - KNOWN} more" if len(known) > KNOWN else ""
            raise ValueError(
                f"There is no complete run of {column} {_said(value)!r}; there are: "
                f"{', '.join(known[:KNOWN]) or 'none'}{more}."
            )
        runs = runs[fits]
    if runs.empty:
        raise ValueError("There is no complete run yet, so there is no accuracy matrix to draw.")
    run = runs.sort_values("average_accuracy", kind="stable").iloc[0]
    found = study.results.matrix(run["backbone"], run["method"], run["replicate"], run["order"])
    names = [text(task) for task in found.columns]
    stages = ["before", *(f"after {task}" for task in names)]
    figure = empty_figure(height=160 + 40 * len(stages))
    figure.add_heatmap(
        x=list(range(len(names))), y=list(range(len(stages))), z=found.to_numpy(), zmin=0, zmax=1,
        colorscale=SCALE, texttemplate="%{z:.2f}", colorbar={"title": {"text": study.words.noun}},
        name=study.looks.name(run["method"]),
    )  # fmt: skip
    for i in range(len(names)):
        figure.add_shape(type="rect", x0=i - 0.5, x1=i + 0.5, y0=i + 0.5, y1=i + 1.5)
    ticks = {"tickmode": "array", "showgrid": False}
    figure.update_xaxes(title="task", tickvals=list(range(len(names))), ticktext=names, **ticks)
    figure.update_yaxes(
        title="stage", tickvals=list(range(len(stages))), ticktext=stages, autorange="reversed",
        **ticks,
    )  # fmt: skip
    run_name = f"{study.looks.name(run['method'])}, replicate {run['replicate']}"
    return titled(figure, f"{study.words.noun.capitalize()} matrix: {run_name}")


def statistics(results: Source) -> StudyStatistics:
    """Returns what the figures show; of the same results it is computed once.

    Raises:
        ValueError: there is one number per order, and no accuracy matrix.
    """
    if not isinstance(results, Results):
        found = read_results(str(results)).results
        if isinstance(found, OrderScores):
            raise ValueError(
                f"'{results}' holds one number per order, but figures need accuracy matrices."
            )
        return StudyStatistics(found)
    # Kept with the results themselves, so that both go together.
    if _STATISTICS not in vars(results):
        vars(results)[_STATISTICS] = StudyStatistics(results)
    kept: StudyStatistics = vars(results)[_STATISTICS]
    return kept


def _drawn(key: str, results: Source, **chosen: str | None) -> go.Figure:
    """Returns the figure of a panel, of its traces only the chosen one.

    Raises:
        NothingToDraw: these results lack what it shows.
        ValueError: there is no such choice.
    """
    panel, study = _PANELS[key], statistics(results)
    frame, figure = panel.frame(study), None
    if not frame.empty:
        options = panel.options(frame, study)
        figure = alone(panel, frame, study, _place(options, chosen) if options else 0)
    if figure is None:
        raise NothingToDraw(f"These results hold nothing to draw in '{key}' ({panel.title}).")
    return figure


def _place(options: list[dict[str, str]], chosen: Mapping[str, str | None]) -> int:
    """Returns which option is the first that fits."""
    places = list(range(len(options)))
    for name, value in chosen.items():
        if value is None:
            continue
        fits = [i for i in places if options[i][name] == value]
        if not fits:
            known = ", ".join(dict.fromkeys(options[i][name] for i in places))
            raise ValueError(f"There is no {name} '{value}' to draw; there are: {known}.")
        places = fits
    return places[0]


def _said(value: object) -> str:
    return ">".join(value) if isinstance(value, tuple) else str(value)
