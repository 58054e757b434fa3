"""The words that the page and the Markdown report share."""

import platform
from importlib import metadata
from typing import NamedTuple

import pandas as pd

from analysis.data.results import Results
from analysis.report.phrases import number, plural
from analysis.report.study_statistics import StudyStatistics
from analysis.version import __version__

PACKAGES = ("numpy", "scipy", "pandas", "plotly")

METHODS_TEXT = (
    "Every number of a run comes from its accuracy matrix R[k, i]: the score of task i after k "
    "tasks, with the T tasks in learning order; row 0 is the untouched backbone. Scores are "
    "fractions between 0 and 1.",
    "The unit of inference is the replicate: one seed together with one block of orders. Runs of "
    "one replicate share the stages of their common prefixes, so they are not independent; "
    "replicates are. An interval is the 95 % t interval over replicate means, mean +- t(m-1) s / "
    "sqrt(m) for m replicates. With one replicate there is no interval, because nothing then "
    "tells a seed from the mean over seeds.",
    "Comparisons are paired: method minus baseline on the same backbone, replicate and order, "
    "averaged within replicates, with the t interval over replicates.",
    "A difference is called better or worse when its whole interval lies beyond half a point, "
    "equivalent when it lies within, otherwise undecided. p values are of t tests over replicates, "
    "corrected for the number of methods by Holm, and of exact joint sign flips of replicates "
    "(max-T, Westfall and Young).",
    "Given its seed, a run is a function of its order. SD over orders is the root of the mean "
    "variance inside replicates; it holds the training noise that a new order draws. Its interval "
    "is that of a log-normal mean over replicates (Cox). SD over seeds is what the replicate means "
    "differ by beyond it. Those of two methods are compared as a ratio, seed by seed on the same "
    "orders; its logarithm has a t interval over replicates. The range of 5 orders is the expected "
    "one of five orders of one seed, by rarefaction, so it does not grow with the study. The worst "
    "tenth is the mean of the worst tenth of the runs (CVaR). That a share of all orders does "
    "better than the worst one seen follows from (1 - confidence)^(1/n) for n random orders "
    "(Wilks), for the seeds of the study.",
    "The contribution of task j to task i is R[pos(j), i] - R[pos(j)-1, i]; over j it adds up to "
    "all that i gains, and its mean over random orders is the value of Nowak and Radzik. In the "
    "embedding space contributions are expected cosines of images or texts of one task with those "
    "of another: inner products of mean embeddings (Sekeh and Wisell). Variance "
    "components are solved from expected mean squares of methods x seeds x orders, truncated at "
    "0; G is the share of the variance of methods in that of their means. Order models are ridge "
    "regressions of the metric, less its replicate's mean, each replicate predicted by a model of "
    "the others.",
    "The confidence sequence is Lai's (1976) for normal means of unknown variance: with 95 % "
    "probability it holds the truth after every number of replicates at once, so a study with "
    "`until:` may look after each of them and stop. It is 1.7 to 1.8 times as wide as the t "
    "interval. Similarity is measured on the untouched backbone; r is Mantel's, over permutations "
    "of the tasks, and slopes are least squares inside replicates with the first and the last "
    "task held, with a jackknife over replicates.",
    "Only complete runs are shown. In means, intervals and the table of methods a replicate counts "
    "when all its planned runs are complete, because the orders that finish first share prefixes; "
    "if no replicate is complete, all complete runs count and there is no interval.",
)


class Fact(NamedTuple):
    """Holds one number about the study."""

    label: str
    value: str
    detail: str = ""


def title(study: StudyStatistics) -> str:
    """Returns the name of the study."""
    return ", ".join(sorted(set(study.results.stages["study"])))


def lead(study: StudyStatistics) -> str:
    """Returns the question of the study, with its size."""
    runs = study.results.runs
    backbones = ", ".join(sorted(set(runs["backbone"])))
    tasks = plural(len(_tasks(study)), "task")
    return (
        f"Do the results of {plural(len(study.methods), 'method')} on {tasks} survive another "
        f"task order? Backbone: {backbones}."
    )


def facts(study: StudyStatistics) -> list[Fact]:
    """Returns the size of the study, as far as it has come."""
    runs, orders = study.results.runs, study.results.orders
    trained = sum(bool(prefix) for *_, prefix in study.results.scores.rows)
    naive = int(runs["order"].map(len).sum())
    complete = int((runs["missing"] == 0).sum())
    designs = ", ".join(sorted(set(orders["design"])))
    return [
        Fact("methods", f"{len(study.methods)}", ", ".join(study.methods)),
        Fact("tasks", f"{len(_tasks(study))}", ", ".join(_tasks(study))),
        Fact("orders", number(orders["order"].nunique()), f"design: {designs}"),
        Fact("replicates", f"{orders['replicate'].nunique()}", "one seed and one block each"),
        Fact("complete runs", number(complete), f"of {number(len(runs))} planned"),
        Fact("stages", number(trained), f"distinct; {number(naive)} without shared prefixes"),
    ]


def sample(estimates: pd.DataFrame, unit: str = "run") -> str:
    """Returns what means rest on: runs or pairs per method, replicates, kind of interval."""
    accuracy = estimates[estimates["metric"] == "average_accuracy"]
    low, high = accuracy["runs"].min(), accuracy["runs"].max()
    runs = plural(high, unit) if low == high else f"{low} to {plural(high, unit)}"
    replicates = accuracy["replicates"].max()
    if accuracy["low"].isna().all():
        kind = "no interval (it needs two complete replicates)"
    else:
        kind = f"95 % t interval over {plural(replicates, 'replicate')}"
    return f"n = {runs} per method; {kind}"


def notes(study: StudyStatistics) -> list[str]:
    """Returns what the numbers are conditional on, once per note."""
    noted = study.summary[study.summary["note"] != ""]
    return [score_named(study.results)] + [
        f"{', '.join(sorted(set(part['method'])))}: {note}." for note, part in noted.groupby("note")
    ]


def score_named(results: Results) -> str:
    """Returns a sentence that says what the score of every task and probe is."""
    scores = results.scores
    names = sorted({key[:2] for key in scores.columns if key[0] in ("task", "probe")})
    by_class = [name for split, name in names if scores.score(split, name)[2] == "class_accuracy"]
    if not by_class:
        return "Score: accuracy, the share of right answers to the test samples."
    which = f" of {', '.join(by_class)}" if len(by_class) < len(names) else ""
    rest = "; of all others accuracy, the share of right answers" if which else ""
    return f"Score{which}: class_accuracy, the mean of the accuracies on single classes{rest}."


def versions(study: StudyStatistics) -> str:
    """Returns the software that wrote the report, and the run's own if its manifest is there."""
    found = {"task-order-sweep": __version__}
    found |= {name: metadata.version(name) for name in PACKAGES}
    ran = study.manifest.get("versions", {})
    found |= {f"{k} (run)": v for k, v in ran.items()} if isinstance(ran, dict) else {}
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    return f"Python {platform.python_version()}, {listed}"


def _tasks(study: StudyStatistics) -> list[str]:
    return sorted({task for order in study.results.orders["order"] for task in order})
