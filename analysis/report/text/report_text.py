"""The words that the page and the Markdown report share."""

import platform
from importlib import metadata
from typing import NamedTuple

import pandas as pd

from analysis.data.final_scores import OrderScores
from analysis.data.results import Results
from analysis.data.score_array import ACCURACY
from analysis.inference.replicates import complete_replicates
from analysis.inference.significance import fewest_flips
from analysis.report.evaluation_settings import offered, offers_others
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.evaluation_sentences import kinds, stages_evaluated
from analysis.report.text.phrases import listed, number, plural
from analysis.run_metrics.undefined import undefined_metrics
from analysis.version import __version__

NEEDS_TWO = "a verdict needs two replicates with all runs complete"
MOST_NAMED = 4
"""Published orders named above the page."""
PACKAGES = ("numpy", "scipy", "pandas", "plotly")

METHODS_TEXT = (
    "Every number of a run comes from its {noun} matrix R[k, i]: the score of task i after k "
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
    "equivalent when it lies within, otherwise undecided. Verdict, interval and p of all methods "
    "of a backbone come from one procedure, Holm's step-down on paired t tests over replicates of "
    "a difference up to half a point: the clearest of K differences has an interval of level 1 - "
    "5 %/K, the next one of 1 - 5 %/(K-1), and so on until one is not clear; the others have its "
    "level. So p is below 0.05 exactly for better and worse, and some verdict is wrong in at most "
    "5 % of studies. Two replicates can give a verdict; exact sign flips of replicates, which "
    "assume no normal law, cannot reach 0.05 with fewer than six.",
    "Given its seed, a run is a function of its order. SD over orders is that of all orders of one "
    "seed, with the noise that every run adds; SD over seeds is what the replicate means differ by "
    "beyond the orders that they drew. How much of the order is in the mean of a block depends on "
    "its design: nothing if it holds all orders, less than by chance if orders balance each other, "
    "which is estimated from the runs of different replicates. Both variances are unbiased. The "
    "interval of the former is that of a log-normal mean over replicates (Cox), from three on; "
    "that of the latter holds for normal seeds (Ting et al.). No interval is given whose ends are "
    "more than a factor 100 apart, and those of {plural} end at 0 and 1. SDs of two methods are "
    "compared as a ratio, seed by seed on the same orders; its logarithm has a t interval over "
    "replicates. The range of 5 orders is the expected one of five random orders of one seed, by "
    "rarefaction, so it does not grow with the study. The worst tenth is the mean of the worst "
    "tenth of the runs (CVaR). That a share of all orders ends at or above the worst one seen "
    "follows from ((1 - confidence) / q)^(1/n) for n random orders and q methods together (Wilks, "
    "Bonferroni), for the seeds of the study.",
    "The contribution of task j to task i is R[pos(j), i] - R[pos(j)-1, i]; over j it adds up to "
    "all that i gains, and its mean over random orders is the value of Nowak and Radzik. In the "
    "embedding space contributions are expected cosines of images or texts of one task with those "
    "of another: inner products of mean embeddings (Sekeh and Wisell). G is the "
    "share of the variance of methods in that of their means; its error is the interaction of "
    "methods and replicates in the table of their means, whatever the design, and its interval "
    "comes from the noncentral F law. Order models are ridge "
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


def methods_text(study: StudyStatistics) -> list[str]:
    """Returns how the numbers come about, in paragraphs."""
    words = study.words
    return [
        part.replace("{noun}", words.noun).replace("{plural}", words.plural)
        for part in METHODS_TEXT
    ]


KINDS = ("untouched", "loaded", "trained", "combined")
"""Of stages, as a run's plan counts them."""


class Fact(NamedTuple):
    """Holds one number about the study."""

    label: str
    value: str
    detail: str = ""


def title(study: StudyStatistics) -> str:
    """Returns the name of the study."""
    if study.given is not None:
        return study.given.name
    return ", ".join(dict.fromkeys(study.results.stages["study"]))


def lead(study: StudyStatistics) -> str:
    """Returns the question of the study, with its size."""
    if study.given is not None:
        return _lead_of_scores(study.given)
    runs = study.results.runs
    backbones = ", ".join(sorted(set(runs["backbone"])))
    tasks = plural(len(_tasks(study)), "task")
    return (
        f"Do the results of {plural(len(study.methods), 'method')} on {tasks} survive another "
        f"task order? Backbone: {backbones}."
    )


def facts(study: StudyStatistics) -> list[Fact]:
    """Returns the size of the study, as far as it has come."""
    if study.given is not None:
        return _facts_of_scores(study.given)
    runs, orders = study.results.runs, study.results.orders
    complete = int((runs["missing"] == 0).sum())
    designs = ", ".join(sorted(set(orders["design"])))
    return [
        Fact("methods", f"{len(study.methods)}", ", ".join(map(study.looks.called, study.methods))),
        Fact("tasks", f"{len(_tasks(study))}", ", ".join(_tasks(study))),
        Fact("orders", number(orders["order"].nunique()), f"design: {designs}"),
        Fact("replicates", f"{orders['replicate'].nunique()}", "one seed and one block each"),
        Fact("complete runs", number(complete), f"of {number(len(runs))} planned"),
        _stages(study),
    ]


def _stages(study: StudyStatistics) -> Fact:
    """Returns how many stages were planned, or without a plan how many have scores."""
    planned = study.plan
    if "trained" not in planned:
        return Fact("stages", number(len(study.results.scores.rows)), "with scores")
    kinds = [f"{number(planned[kind])} {kind}" for kind in KINDS if planned.get(kind)]
    unshared = planned["trainings_unshared"]
    saved = f"; without sharing {number(unshared)} would be trained" if unshared else ""
    return Fact("stages", number(planned["stages"]), f"{', '.join(kinds)}{saved}")


def size(study: StudyStatistics) -> str:
    """Returns the size of the study in one line; runs that are not complete only if there are."""
    if study.given is not None:
        return _lead_of_scores(study.given)
    runs, orders = study.results.runs, study.results.orders
    num_runs = plural(len(runs), "run")
    if study.num_incomplete:
        num_runs = f"{number(int((runs['missing'] == 0).sum()))} of {num_runs} complete"
    backbones = sorted(set(runs["backbone"]))
    parts = [
        plural(len(study.methods), "method"),
        plural(len(_tasks(study)), "task"),
        f"{plural(orders['order'].nunique(), 'order')} in "
        f"{plural(orders['replicate'].nunique(), 'replicate')}",
        num_runs,
        f"{'backbone' if len(backbones) == 1 else 'backbones'} {listed(backbones)}",
    ]
    config = study.results.config
    if offers_others(config) and "choices" in kinds(study.results).values():
        parts.append(offered(config))
    return ", ".join(parts)


def _lead_of_scores(scores: OrderScores) -> str:
    """Returns the question of results with one number per order."""
    published = listed(scores.published[:MOST_NAMED])
    return (
        f"Is the published order an outlier among these? Published: {published}. "
        f"Score: {scores.score}."
    )


def _facts_of_scores(scores: OrderScores) -> list[Fact]:
    """Returns the size of results with one number per order."""
    seeds = scores.means["seeds"]
    count = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    found = [
        Fact("orders", f"{len(scores.orders)}", f"{len(scores.published)} published"),
        Fact("scores per order", count, scores.score),
    ]
    if len(scores.methods) > 1:
        found.insert(0, Fact("methods", f"{len(scores.methods)}", ", ".join(scores.methods)))
    tasks = sorted({task for order in (scores.tasks or {}).values() for task in order})
    return [*found, Fact("tasks", f"{len(tasks)}", ", ".join(tasks))] if tasks else found


def sample(
    study: StudyStatistics,
    estimates: pd.DataFrame | None = None,
    unit: str = "run",
    kind: str = "",
) -> str:
    """Returns what means rest on: runs or pairs per method, replicates, kind of interval.

    Args:
        study: that they are of.
        estimates: their table; by default that of all metrics.
        unit: what is averaged.
        kind: what else there is to say about the interval.
    """
    estimates = study.summary if estimates is None else estimates
    accuracy = estimates[estimates["metric"] == "average_accuracy"]
    if accuracy.empty:
        return "no run has an average accuracy"
    low, high = accuracy["runs"].min(), accuracy["runs"].max()
    runs = plural(high, unit) if low == high else f"{low} to {plural(high, unit)}"
    if accuracy["low"].isna().all():
        return f"n = {runs} per method; no interval (it needs two complete replicates)"
    known = accuracy.loc[accuracy["low"].notna(), "replicates"]
    replicates = plural(known.max(), "replicate")
    if known.min() < known.max():
        replicates = f"{known.min()} to {replicates}"
    without = sorted(set(accuracy.loc[accuracy["low"].isna(), "method"]))
    none = f", none for {study.looks.listed(without)}" if without else ""
    return f"n = {runs} per method; 95 % t interval over {replicates}{kind}{none}"


def of_its_study(study: StudyStatistics) -> str:
    """Returns what to add to the name of the baseline where every study has its own."""
    return " of its study" if len(set(study.partners.values())) > 1 else ""


def left_out(study: StudyStatistics) -> str:
    """Returns the sentence on methods that a panel on orders leaves out; "" for none."""
    if not study.unmoved:
        return ""
    return f" Left out, because no order moves them: {study.looks.listed(study.unmoved)}."


def sign_flips(judged: pd.DataFrame) -> str:
    """Returns what a test without any assumption about laws could say of these comparisons."""
    known = judged.loc[judged["p_verdict"].notna(), "replicates"]
    if known.empty:
        return f" No verdicts here: {NEEDS_TWO}."
    fewest, needed = int(known.min()), fewest_flips()
    if fewest >= needed:
        return " p of exact joint sign flips (max-T), which assume no normal law: in the data."
    return (
        f" Exact sign flips, which assume no normal law, cannot give a p below "
        f"{2 / 2**fewest:g} with {plural(fewest, 'replicate')}; with {needed} they could "
        f"({2 / 2**needed:.3f})."
    )


def shared(study: StudyStatistics, backbone: object) -> str:
    """Returns which runs rankings and variance rest on; "" where all methods have the same."""
    runs = study.runs[study.runs["backbone"] == backbone]
    parts = {str(m): complete_replicates(part) for m, part in runs.groupby("method")}
    used = {
        method: {*zip(part["replicate"], part["order"], strict=True)}
        for method, part in parts.items()
    }
    if len(used) < 2:
        return ""
    common, every = set.intersection(*used.values()), set.union(*used.values())
    lacking = sorted(method for method, mine in used.items() if mine != every)
    if not lacking:
        return ""
    has = "has" if len(lacking) == 1 else "have"
    fewer = f"{study.looks.listed(lacking)} {has} fewer than the others"
    if not common:
        return f"no run is there for every method, because {fewer}"
    seeds = sorted({int(replicate) for replicate, _ in common})
    which = f"replicate{'s' * (len(seeds) > 1)} {listed(seeds)}"
    return f"the {plural(len(common), 'run')} in {which} that every method has; {fewer}"


def counted(study: StudyStatistics) -> str:
    """Returns the sentence on what rankings and variance rest on, for captions; "" for all runs."""
    backbones = sorted(set(study.runs["backbone"]))
    said = {backbone: shared(study, backbone) for backbone in backbones}
    return "".join(
        f" Counted{f' on {backbone}' if len(backbones) > 1 else ''}: {which}."
        for backbone, which in said.items()
        if which
    )


def compared_within(study: StudyStatistics) -> str:
    """Returns the sentence on contenders that are not compared with others, for captions."""
    if len(study.terms) < 2:
        return ""
    return " Methods that are told the task are compared with one another alone."


def ranked_together(study: StudyStatistics) -> str:
    """Returns the sentence on methods on other terms that are ranked all the same, likewise."""
    if study.told.isdisjoint(study.methods) or study.told.issuperset(study.methods):
        return ""
    return " Methods that are told the task and others are ranked together here."


def notes(study: StudyStatistics) -> list[str]:
    """Returns what the numbers are conditional on, once per note."""
    noted = study.summary[study.summary["note"] != ""]
    conditions = [
        f"{', '.join(map(study.looks.called, sorted(set(part['method']))))}: {note}."
        for note, part in noted.groupby("note")
    ]
    called = study.runs.assign(method=study.runs["method"].map(study.looks.called))
    gaps = undefined_metrics(called, study.words.noun)
    gaps = [stages_evaluated(study), *gaps] if gaps and stages_evaluated(study) else gaps
    return [score_named(study.results), *study.results.notes, *gaps, *conditions]


def score_named(results: Results) -> str:
    """Returns a sentence that says what the score of every task and probe is."""
    scores = results.scores
    names = sorted({key[:2] for key in scores.columns if key[0] in ("task", "probe")})
    by_class = [name for split, name in names if scores.score(split, name)[2] == "class_accuracy"]
    if results.scores.words is not ACCURACY:
        return _scores_named(results)
    if not by_class:
        return "Score: accuracy, the share of right answers to the test samples."
    which = f" of {', '.join(by_class)}" if len(by_class) < len(names) else ""
    rest = "; of all others accuracy, the share of right answers" if which else ""
    return f"Score{which}: class_accuracy, the mean of the accuracies on single classes{rest}."


def _scores_named(results: Results) -> str:
    """Returns which tasks and probes are scored by what, where it is not accuracy for all."""
    names: dict[str, list[str]] = {}
    for (split, name), metric in sorted(results.scores.scored.items()):
        names.setdefault(metric, []).append(name if split == "task" else f"{name} ({split})")
    parts = [f"{metric} of {listed(those)}" for metric, those in names.items()]
    return f"Score, each between 0 and 1: {'; '.join(parts)}."


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
