"""What a finding is about, as one number of some replicates of a study, and its interval.

A quantity is any function of a `Sample`, so it may be a difference of methods as well as something
that only many orders have together, such as an agreement. Its interval is that of the jackknife
over replicates, which for means and differences of means is the t interval over replicates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import (
    agreement,
    alignments,
    contribution_table,
    dose_response,
    failure_modes,
    gains,
    metrics,
    order_scores,
    rankings,
    regret,
    steadiness,
    transition_models,
    transitions,
)
from analysis.data.results import Results, as_runs
from analysis.inference.intervals import t_interval
from analysis.mechanisms.shapley_attribution import attribution_stages


@dataclass(frozen=True)
class Sample:
    """Holds some replicates of a study."""

    results: Results
    runs: pd.DataFrame
    """What `metrics` returns, of one backbone."""

    @classmethod
    def of(cls, results: Results) -> "Sample":
        """Returns the replicates that are complete for all methods of a study."""
        missing = results.runs.groupby("replicate")["missing"].sum()
        runs = metrics(results)
        return cls(results, runs[runs["replicate"].isin(missing.index[missing == 0])])

    @property
    def replicates(self) -> list[int]:
        """Returns their numbers."""
        return sorted(self.runs["replicate"].unique())

    def without(self, replicate: int) -> "Sample":
        """Returns all others."""
        return Sample(self.results, self.runs[self.runs["replicate"] != replicate])

    def only(self, *methods: str) -> pd.DataFrame:
        """Returns the runs of some methods."""
        found = self.runs[self.runs["method"].isin(methods)]
        if set(found["method"]) != set(methods):
            raise KeyError(f"No runs of {sorted(set(methods) - set(found['method']))}")
        return found

    def mean(self, metric: str, method: str) -> float:
        """Returns the mean of a metric over orders and replicates."""
        return float(self.only(method)[metric].mean())


Quantity = Callable[[Sample], float]


class Estimate(NamedTuple):
    """Holds a quantity with its interval."""

    mean: float
    low: float
    high: float
    sd: float
    """Of what single replicates say."""
    replicates: int


def estimated(quantity: Quantity, sample: Sample) -> Estimate:
    """Returns a quantity with the interval of the jackknife over replicates.

    From n replicates the pseudo-values n q - (n - 1) q_r, with q_r the quantity without replicate
    r, are taken for independent. Without bounds for a single replicate.
    """
    whole, replicates = quantity(sample), sample.replicates
    n = len(replicates)
    if n < 2:
        return Estimate(whole, np.nan, np.nan, np.nan, n)
    left = np.array([quantity(sample.without(replicate)) for replicate in replicates])
    values = n * whole - (n - 1) * left
    _, low, high = t_interval(values - values.mean())
    return Estimate(whole, whole + low, whole + high, float(values.std(ddof=1)), n)


def difference(metric: str, methods: str | list[str], others: str | list[str]) -> Quantity:
    """Returns a metric of a method, or its mean over several, minus that of others."""

    def quantity(sample: Sample) -> float:
        one, other = (
            np.mean([sample.mean(metric, name) for name in ([m] if isinstance(m, str) else m)])
            for m in (methods, others)
        )
        return float(one - other)

    return quantity


def share(metric: str, method: str, baseline: str) -> Quantity:
    """Returns a metric of a method as a share of a baseline's."""
    return lambda sample: sample.mean(metric, method) / sample.mean(metric, baseline)


def spread(method: str, baseline: str) -> Quantity:
    """Returns the logarithm of the SD of accuracy over orders relative to a baseline's."""

    def quantity(sample: Sample) -> float:
        found = steadiness(sample.only(method, baseline), baseline)
        return float(np.log(found["ratio"].iloc[0]))

    return quantity


def mode(measure: str, method: str) -> Quantity:
    """Returns a measure of a failure mode: interference over all stages, others after the last."""

    def quantity(sample: Sample) -> float:
        found = failure_modes(sample.results, sample.only(method))
        mine = found[found["measure"] == measure].sort_values("stage")["mean"]
        return float(mine.mean() if measure == "interference" else mine.iloc[-1])

    return quantity


def lost_pairs(method: str) -> Quantity:
    """Returns how much less matching pairs agree in the end than before any training."""

    def quantity(sample: Sample) -> float:
        found = failure_modes(sample.results, sample.only(method))
        mine = found[found["measure"] == "pair_cosine"].sort_values("stage")["mean"]
        return float(mine.iloc[0] - mine.iloc[-1])

    return quantity


def pairs_when_learnt(method: str) -> Quantity:
    """Returns the mean cosine of matching pairs of a task right after it is learnt."""

    def quantity(sample: Sample) -> float:
        runs, scores = sample.only(method), sample.results.scores
        tasks = sorted(runs["order"].iloc[0])
        columns = [("alignment", task, "cosine") for task in tasks]
        values = scores.along(scores.locate(as_runs(runs)), columns)
        learnt = [
            [row[k, tasks.index(task)] for k, task in enumerate(order, start=1)]
            for row, order in zip(values, runs["order"], strict=True)
        ]
        return float(np.mean(learnt))

    return quantity


def minus(one: Quantity, other: Quantity) -> Quantity:
    """Returns a difference of two quantities of the same replicates."""
    return lambda sample: one(sample) - other(sample)


def ratio(one: Quantity, other: Quantity) -> Quantity:
    """Returns a quotient of two quantities of the same replicates."""
    return lambda sample: one(sample) / other(sample)


def mean_of(*quantities: Quantity) -> Quantity:
    """Returns the mean of some quantities of the same replicates."""
    return lambda sample: float(np.mean([quantity(sample) for quantity in quantities]))


def agreement_of(kind: str, method: str) -> Quantity:
    """Returns Kendall's tau of contributions of a kind in two runs."""

    def quantity(sample: Sample) -> float:
        source = gains if kind == "gain" else alignments
        parts = [p for p in source(sample.results, sample.only(method)) if p.kind == kind]
        return float(agreement(parts)["tau"].iloc[0])

    return quantity


def of_gains(column: str, method: str) -> Quantity:
    """Returns the median over pairs of tasks of what is known of their gain contributions."""

    def quantity(sample: Sample) -> float:
        return float(
            contribution_table(gains(sample.results, sample.only(method)))[column].median()
        )

    return quantity


def worth_of(tower: str, method: str) -> Quantity:
    """Returns what the update of a tower is worth in final accuracy (Shapley)."""

    def quantity(sample: Sample) -> float:
        found = attribution_stages(sample.results, sample.only(method))
        mine = found[(found["kind"] == "tower") & (found["player"] == tower)]
        return float(mine.sort_values("stage")["mean"].iloc[-1])

    return quantity


def effect_on_loss(way: str, method: str) -> Quantity:
    """Returns the slope of the loss on the task before over a cross-modal contribution."""

    def quantity(sample: Sample) -> float:
        found = transition_models(transitions(sample.results, sample.only(method)))
        mine = found[(found["scores"] == "frozen") & (found["response"] == "loss_before")]
        return float(mine[way].iloc[0])

    return quantity


def last_minus_first(method: str) -> Quantity:
    """Returns the final accuracy on what was learnt last, minus that on what was learnt first."""

    def quantity(sample: Sample) -> float:
        R = sample.results.scores.matrices(as_runs(sample.only(method)))
        return float((R[:, -1, -1] - R[:, -1, 0]).mean())

    return quantity


def proposed(measure: str, score: str, method: str) -> Quantity:
    """Returns the accuracy of the order that a predictor calls easiest, minus the mean of all."""

    def quantity(sample: Sample) -> float:
        scores = order_scores(sample.results)
        scores = scores[(scores["measure"] == measure) & (scores["score"] == score)]
        found = regret(sample.only(method), scores)
        return float(found[found["proposal"] == "easiest"]["gain"].iloc[0])

    return quantity


def most_similar_minus_least(metric: str, method: str) -> Quantity:
    """Returns a metric over the third of orders with the most similar neighbours minus the least.

    Thirds of each replicate: the bands of the design `similarity`.
    """

    def quantity(sample: Sample) -> float:
        similar = _similarity_of_neighbours(sample.results).set_index("order")["value"]
        runs = sample.only(method)
        rank = runs["order"].map(similar).groupby(runs["replicate"]).rank(pct=True)
        return float(runs[rank > 2 / 3][metric].mean() - runs[rank <= 1 / 3][metric].mean())

    return quantity


def slope_of_similarity(metric: str, method: str) -> Quantity:
    """Returns a metric's slope per SD of the similarity of neighbours, with the ends held fixed."""

    def quantity(sample: Sample) -> float:
        scores = _similarity_of_neighbours(sample.results)
        found = dose_response(sample.only(method), scores, metric)
        return float(found["slope"].iloc[0])

    return quantity


def _similarity_of_neighbours(results: Results) -> pd.DataFrame:
    """Returns how similar the neighbours of every order are, as the design measures it."""
    scores = order_scores(results)
    measure = results.config["design"]["measure"]
    return scores[(scores["score"] == "adjacent") & (scores["measure"] == measure)]


def best_of_a_run() -> Quantity:
    """Returns in which share of the runs the method that is best on average is the best."""

    def quantity(sample: Sample) -> float:
        contenders = ~sample.runs["method"].isin(sample.results.references)
        return float(rankings(sample.runs[contenders])["top_1"].iloc[0])

    return quantity
