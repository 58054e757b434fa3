"""Everything that a report shows, computed once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from pyarrow import fs

from analysis.data.results import Results
from analysis.inference.confidence_sequences import block_means, convergence
from analysis.inference.estimates import compare, summary
from analysis.inference.replicates import paired
from analysis.mechanisms.contribution_table import Contributions, agreement, by_kind, cells
from analysis.mechanisms.embedding_alignment import alignment_drift, alignments
from analysis.mechanisms.failure_modes import failure_modes
from analysis.mechanisms.feature_motion import feature_maps
from analysis.mechanisms.shapley_attribution import attribution_stages, attributions
from analysis.mechanisms.task_contributions import gains, method_contributions, of_gains, profiles
from analysis.mechanisms.transitions import transition_models, transitions
from analysis.orders.comparison import PREFERRED_BASELINE, comparison, preferred_baseline
from analysis.orders.order_models import order_models
from analysis.orders.predictors import order_scores, regret
from analysis.orders.ranking import method_pairs, rank_shares, rankings, stability
from analysis.orders.robustness import disparity, robustness
from analysis.orders.similarity_effects import adjacencies, effects, task_pairs
from analysis.orders.steadiness import steadiness
from analysis.orders.variance import d_study, task_factors, variance_components
from analysis.report import frames
from analysis.report.browser import browser_data, places
from analysis.run_metrics.metrics_table import metrics


@dataclass(frozen=True, eq=False)
class Study:
    """The frames behind the report of one study."""

    results: Results

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The metrics of every complete run."""
        return metrics(self.results)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Every metric of every method."""
        return summary(self.runs)

    @cached_property
    def groups(self) -> list[tuple[str, str]]:
        """(backbone, method) with complete runs, best first."""
        return frames.ranked(self.summary)

    @cached_property
    def methods(self) -> list[str]:
        """All methods seen, whether or not a run is complete."""
        return sorted(set(self.results.runs["method"]))

    @cached_property
    def baseline(self) -> str | None:
        """The method that the others are compared with; None if there are no others."""
        return preferred_baseline(self.runs)

    @cached_property
    def baseline_first(self) -> list[tuple[str, str]]:
        """(backbone, method) with complete runs, the baseline's before the others."""
        return sorted(self.groups, key=lambda pair: pair[1] != self.baseline)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Runs minus the baseline's run."""
        return paired(self.runs, self.baseline) if self.baseline else self.runs.iloc[:0]

    @cached_property
    def methods_table(self) -> pd.DataFrame:
        """Every method on one line."""
        return comparison(self.runs, self.baseline or PREFERRED_BASELINE)

    @cached_property
    def robustness(self) -> pd.DataFrame:
        """What the order does to the average accuracy."""
        return robustness(self.runs)

    @cached_property
    def steadiness(self) -> pd.DataFrame:
        """Spread over orders of the methods, relative to the baseline's."""
        return steadiness(self.runs, self.baseline or PREFERRED_BASELINE)

    @cached_property
    def contributions(self) -> pd.DataFrame:
        """What learning one task does to another."""
        return of_gains(self.cells)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Every contribution of every kind, with its robustness."""
        return cells(self._contributions())

    @cached_property
    def kinds(self) -> pd.DataFrame:
        """How robust the contributions of a kind are, all together."""
        return by_kind(self.cells, agreement(self._contributions()))

    def _contributions(self) -> Iterator[Contributions]:
        """Those of all kinds, one method after another: together they may be large."""
        yield from gains(self.results, self.runs)
        yield from alignments(self.results, self.runs)
        yield from attributions(self.results, self.runs)
        if self.baseline:
            yield from method_contributions(self.runs, self.baseline)

    @cached_property
    def failure_modes(self) -> pd.DataFrame:
        """What goes wrong, mode by mode and stage by stage."""
        return failure_modes(self.results, self.runs)

    @cached_property
    def feature_maps(self) -> pd.DataFrame:
        """Where the features of a task go."""
        return feature_maps(self.results, self.runs)

    @cached_property
    def transition_models(self) -> pd.DataFrame:
        """Whether contributions foretell transitions."""
        return transition_models(transitions(self.results, self.runs))

    @cached_property
    def profiles(self) -> pd.DataFrame:
        """What a task gains and loses by its position."""
        return profiles(self.results, self.runs)

    @cached_property
    def rankings(self) -> pd.DataFrame:
        """How well the runs agree about which method is better."""
        return rankings(self.runs)

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Which places every method takes."""
        return rank_shares(self.runs)

    @cached_property
    def convergence(self) -> pd.DataFrame:
        """What was known after every replicate."""
        found = convergence(block_means(self.runs, "average_accuracy"))
        return found if (found["replicates"] > 1).any() else found.iloc[:0]

    @cached_property
    def adjacencies(self) -> pd.DataFrame:
        """How similar neighbours are in every order."""
        return adjacencies(self.results)

    @cached_property
    def similarity_pairs(self) -> pd.DataFrame:
        """Similarity and contribution of pairs of tasks."""
        return task_pairs(self.results, self.contributions)

    @cached_property
    def similarity(self) -> pd.DataFrame:
        """What similarity does."""
        return effects(self.runs, self.adjacencies, self.similarity_pairs)

    @cached_property
    def regret(self) -> pd.DataFrame:
        """What the orders are worth that similarities propose."""
        return regret(self.runs, order_scores(self.results))

    @cached_property
    def stability(self) -> pd.DataFrame:
        """How soon the ranking is the one of all runs."""
        return stability(self.runs)

    @cached_property
    def variance(self) -> pd.DataFrame:
        """Variance by source."""
        return variance_components(self.runs)

    @cached_property
    def order_models(self) -> pd.DataFrame:
        """What of an order decides how a run ends."""
        return order_models(self.runs)

    @cached_property
    def d_study(self) -> pd.DataFrame:
        """How reliable other sizes of study would be."""
        return d_study(self.variance)

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """Methods minus the baseline."""
        empty = self.summary.iloc[:0].assign(baseline="")
        return compare(self.runs, self.baseline) if self.baseline else empty

    @cached_property
    def trie(self) -> pd.DataFrame:
        """Where the runs through every prefix end."""
        return frames.trie(self.runs)

    @cached_property
    def extremes(self) -> pd.DataFrame:
        """The worst and best runs."""
        return frames.extremes(self.runs, self.results.folder is not None)

    @cached_property
    def progress(self) -> pd.DataFrame:
        """How far every replicate is."""
        return frames.progress(self.results)

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """What is evaluated."""
        return frames.evaluations(self.results)

    @cached_property
    def manifest(self) -> dict[str, object]:
        """The run's manifest.json; {} while the study runs."""
        folder = self.results.folder
        if folder is None or folder.get_file_info("manifest.json").type != fs.FileType.File:
            return {}
        with folder.open_input_stream("manifest.json") as stream:
            content: dict[str, object] = json.loads(stream.read())
        return content

    @cached_property
    def browsed(self) -> list[tuple[str, str]]:
        """Every (backbone, method), those with complete runs first."""
        runs = self.results.runs
        pairs = zip(runs["backbone"], runs["method"], strict=True)
        return list(dict.fromkeys([*self.groups, *pairs]))

    @cached_property
    def browser(self) -> dict[str, Any]:
        """Every accuracy matrix, for the page."""
        extremes = zip(self.extremes["replicate"], self.extremes["order"], strict=True)
        return browser_data(self.results, self.browsed, extremes)

    def dots(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs that figures draw, see `placed`."""
        return self.placed(frames.thinned(runs))

    def placed(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Runs with the number by which dots in figures name their order."""
        numbers = places(self.results)
        pairs = zip(runs["replicate"], runs["order"], strict=True)
        return runs.assign(place=[numbers[pair] for pair in pairs])

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What is written beside the report, by file name."""
        return {
            "runs": self.runs,
            "methods": self.methods_table,
            "summary": self.summary,
            "robustness": self.robustness,
            "steadiness": self.steadiness,
            "disparity": disparity(self.results, self.runs),
            "contributions": self.contributions,
            "cells": self.cells,
            "kinds": self.kinds,
            "alignment_drift": alignment_drift(self.results, self.runs),
            "attribution_stages": attribution_stages(self.results, self.runs),
            "failure_modes": self.failure_modes,
            "feature_maps": self.feature_maps,
            "transition_models": self.transition_models,
            "profiles": self.profiles,
            "rankings": self.rankings,
            "method_pairs": method_pairs(self.runs),
            "stability": self.stability,
            "ranks": self.ranks,
            "convergence": self.convergence,
            "similarity": self.similarity,
            "similarity_pairs": self.similarity_pairs,
            "similarity_orders": self.adjacencies,
            "regret": self.regret,
            "variance": self.variance,
            "task_factors": task_factors(self.results, self.runs),
            "d_study": self.d_study,
            "order_models": self.order_models,
            "comparison": self.comparison,
            "differences": self.pairs,
            "tree": self.trie,
            "extremes": self.extremes,
            "accuracies": frames.accuracies(self.results),
            "evaluations": self.evaluations,
            "progress": self.progress,
            "failures": self.results.failures,
        }
