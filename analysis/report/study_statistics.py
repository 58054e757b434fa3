"""Everything that a report shows, computed once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.data.final_scores import OrderScores, order_scores_of, published_in
from analysis.data.locations import read_mapping
from analysis.data.results import Results
from analysis.data.score_array import ScoreWords
from analysis.inference.estimates import compare, summary
from analysis.inference.replicates import paired
from analysis.mechanisms.contribution_table import (
    Contributions,
    agreement,
    contribution_table,
    contribution_types,
)
from analysis.mechanisms.embedding_alignment import alignment_drift, alignments
from analysis.mechanisms.ood_relations import ood_relations
from analysis.mechanisms.shapley_attribution import attribution_stages, attributions
from analysis.mechanisms.task_contributions import gains, method_contributions, of_gains
from analysis.orders.comparison import comparison, preferred_baselines
from analysis.orders.order_models import order_models
from analysis.orders.ranking import rankings, stability
from analysis.orders.robustness import disparity, robustness
from analysis.orders.settling import replicate_hours, settling
from analysis.orders.similarity_effects import adjacencies, effects, task_pairs
from analysis.orders.steadiness import steadiness
from analysis.orders.survival import method_pairs
from analysis.orders.variance import task_factors, variance_components
from analysis.report import report_frames
from analysis.report.browser import browser_data, places
from analysis.report.figure_style import Looks
from analysis.report.text.phrases import plural
from analysis.run_metrics.metric import Metric, with_extra
from analysis.run_metrics.metrics_table import metrics


@dataclass(frozen=True, eq=False)
class StudyStatistics:
    """Computes what several parts of a report show, once.

    Attributes:
        results: of the study.
        extra: metrics of your own.
        configs: what study.yaml says, by the name of the study, where several are compared.
        apart: what several studies do not have in common, so that their runs are not paired.
        published: orders to count as published ones, by name or as "a>b>c".
        given: scores of orders without accuracy matrices, in place of results.
    """

    results: Results
    extra: tuple[Metric, ...] = ()
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    given: OrderScores | None = None

    @cached_property
    def words(self) -> ScoreWords:
        """Returns what sentences call the scores of the tasks."""
        return self.results.scores.words

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Returns all metrics by the names of their columns."""
        return with_extra(self.extra, self.words.noun)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Returns the metrics of every complete run."""
        return metrics(self.results, extra=self.extra)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Returns every metric of every method."""
        return summary(self.runs, self.extra)

    @cached_property
    def groups(self) -> list[tuple[str, str]]:
        """(backbone, method) with complete runs, best first."""
        return report_frames.ranked(self.summary)

    @cached_property
    def methods(self) -> list[str]:
        """Returns all methods seen, whether or not a run is complete."""
        return sorted(set(self.results.runs["method"]))

    @property
    def references(self) -> frozenset[str]:
        """Returns the methods that are reference points, see `Results.references`."""
        return self.results.references

    @cached_property
    def told(self) -> frozenset[str]:
        """Returns the methods that are told which task test data are of."""
        return frozenset(name for name, knows in self.results.knows_task.items() if knows)

    @cached_property
    def contenders(self) -> list[tuple[str, str]]:
        """(backbone, method) with complete runs, references left out, best first."""
        return [pair for pair in self.groups if pair[1] not in self.references]

    @cached_property
    def terms(self) -> list[list[str]]:
        """Returns the contenders that compete on equal terms: not told the task, and told it.

        Those of which nothing is known count as not told. One list at least, none of them empty
        where there are contenders.
        """
        names = sorted(set(self.methods) - self.references)
        kinds = [[name for name in names if (name in self.told) == told] for told in (False, True)]
        return [kind for kind in kinds if kind] or [[]]

    @cached_property
    def looks(self) -> Looks:
        """Returns the colours and symbols of the methods, the same in all figures and tables."""
        backbones = self.results.runs["backbone"]
        holders = {*self.partners.values()}
        shared = {str(self.baseline)} if holders and holders <= self.told else set()
        return Looks(self.methods, self.references, backbones, self.told | shared)

    def called(self, backbone: str, method: str) -> str:
        """Returns how a sentence calls a method: with its backbone where there are several."""
        several = self.results.runs["backbone"].nunique() > 1
        return f"{self.looks.called(method)}{f' on {backbone}' if several else ''}"

    @cached_property
    def partners(self) -> dict[str, str]:
        """Returns the baseline of every other method, as `preferred_baselines` does."""
        return preferred_baselines(self.runs, self.results.origins)

    @cached_property
    def baseline(self) -> str | None:
        """Returns what the method is called that others are compared with; None without others.

        Where studies are compared whose methods of that name differ, it is the name they share.
        """
        holders = sorted(set(self.partners.values()))
        if len(holders) > 1:
            return self.results.origins[holders[0]].method
        return holders[0] if holders else None

    @property
    def baseline_called(self) -> str:
        """Returns what sentences call the baseline: with its mark; "" without others."""
        return self.looks.called(self.baseline or "")

    @cached_property
    def baseline_first(self) -> list[tuple[str, str]]:
        """(backbone, method) with complete runs: the baseline's first, what no order moves last."""
        others = set(self.partners)
        return sorted(self.groups, key=lambda pair: (pair not in self.moved, pair[1] in others))

    @cached_property
    def ood_relations(self) -> pd.DataFrame:
        """Returns how contributions are related to telling tasks apart."""
        return ood_relations(self.results, self.runs)

    @cached_property
    def moved(self) -> set[tuple[str, str]]:
        """Returns every (backbone, method) that the order moves."""
        return report_frames.moved(self.runs)

    @cached_property
    def moved_groups(self) -> list[tuple[str, str]]:
        """(backbone, method) with complete runs that the order moves, best first."""
        return [pair for pair in self.groups if pair in self.moved]

    @cached_property
    def unmoved(self) -> list[str]:
        """Returns the methods with complete runs that no order moves, on no backbone."""
        moving = {method for _, method in self.moved}
        return sorted({method for _, method in self.groups} - moving)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Returns runs minus the baseline's run."""
        if not self.partners:
            return self.runs.iloc[:0]
        return paired(self.runs, self.partners, self.extra)

    @cached_property
    def twins(self) -> dict[str, str]:
        """Returns the method of an earlier study that a method of a later one is called after."""
        first: dict[str, str] = {}
        found = {}
        there = {method for _, method in self.groups}
        for name, origin in self.results.origins.items():
            if name in there and first.setdefault(origin.method, name) != name:
                found[name] = first[origin.method]
        return found

    @cached_property
    def between(self) -> pd.DataFrame:
        """Returns methods of a study minus those of the same name in an earlier study."""
        if not self.twins:
            return self.summary.iloc[:0].assign(baseline="")
        return compare(self.runs, self.twins, extra=self.extra)

    @cached_property
    def order_scores(self) -> OrderScores:
        """Returns one number per order and which orders are published: as given, or of the runs."""
        if self.given is not None:
            return self.given
        of_order = report_frames.of_pairs(self.runs, self.moved)
        published = published_in(self.results, self.published)
        score = f"average {self.words.noun}"
        return order_scores_of(of_order, published, "average_accuracy", score, self.told)

    @cached_property
    def methods_table(self) -> pd.DataFrame:
        """Returns every method on one line."""
        return comparison(self.runs, self.partners or None, self.extra)

    @cached_property
    def robustness(self) -> pd.DataFrame:
        """Returns what the order does to the average accuracy."""
        return robustness(self.runs)

    @cached_property
    def steadiness(self) -> pd.DataFrame:
        """Returns the spread over orders of the methods, relative to the baseline's."""
        return steadiness(self.runs, self.partners)

    @cached_property
    def contributions(self) -> pd.DataFrame:
        """Returns what learning one task does to another, and which effects are decided."""
        return report_frames.decided(of_gains(self.contribution_table), self.contribution_table)

    @cached_property
    def contribution_table(self) -> pd.DataFrame:
        """Returns every contribution of every kind, with its robustness."""
        return contribution_table(self._contributions())

    @cached_property
    def contribution_types(self) -> pd.DataFrame:
        """Returns how robust the contributions of a kind are, all together."""
        return contribution_types(self.contribution_table, agreement(self._contributions()))

    def _contributions(self) -> Iterator[Contributions]:
        """Yields those of all kinds, one method after another: together they may be large."""
        yield from gains(self.results, self.runs)
        yield from alignments(self.results, self.runs)
        yield from attributions(self.results, self.runs)
        if self.partners:
            yield from method_contributions(self.runs, self.partners)

    @cached_property
    def rankings(self) -> pd.DataFrame:
        """Returns how well the runs agree about which method is better."""
        return rankings(self.runs)

    @cached_property
    def survival(self) -> pd.DataFrame:
        """Returns the contenders of equal terms against each other, see `method_pairs`."""
        parts = [method_pairs(self.runs, without={*self.methods} - set(of)) for of in self.terms]
        found = [part for part in parts if len(part)] or parts[:1]
        return pd.concat(found, ignore_index=True).sort_values(
            "backbone", kind="stable", ignore_index=True
        )

    @cached_property
    def settling(self) -> pd.DataFrame:
        """Returns what would settle the pairs of methods that are undecided."""
        return settling(self.survival, replicate_hours(self.results, self.manifest))

    @cached_property
    def adjacencies(self) -> pd.DataFrame:
        """Returns how similar neighbours are in every order."""
        return adjacencies(self.results)

    @cached_property
    def similarity_pairs(self) -> pd.DataFrame:
        """Returns similarity and contribution of pairs of tasks."""
        return task_pairs(self.results, self.contributions)

    @cached_property
    def similarity(self) -> pd.DataFrame:
        """Returns what similarity does."""
        return effects(self.runs, self.adjacencies, self.similarity_pairs)

    @cached_property
    def stability(self) -> pd.DataFrame:
        """Returns how soon the ranking is the one of all runs."""
        return stability(self.runs)

    @cached_property
    def variance(self) -> pd.DataFrame:
        """Returns the variance by source."""
        return variance_components(self.runs)

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """Returns methods minus the baseline."""
        if not self.partners:
            return self.summary.iloc[:0].assign(baseline="")
        return compare(self.runs, self.partners, extra=self.extra)

    @cached_property
    def judged(self) -> pd.DataFrame:
        """Returns `comparison` as the page shows it, see `report_frames.judged`."""
        return report_frames.judged(self.comparison)

    @cached_property
    def between_judged(self) -> pd.DataFrame:
        """Returns `between`, likewise."""
        return report_frames.judged(self.between)

    @cached_property
    def extremes(self) -> pd.DataFrame:
        """Returns the worst and best runs."""
        return report_frames.extremes(self.runs, self.results.folder is not None)

    @cached_property
    def progress(self) -> pd.DataFrame:
        """Returns how far every replicate is."""
        return report_frames.progress(self.results)

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """Returns what is evaluated."""
        return report_frames.evaluations(self.results)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Returns the run's manifest.json; {} while the study runs."""
        return read_mapping(self.results.folder, "manifest.json")

    @cached_property
    def order_models(self) -> pd.DataFrame:
        """Returns what models of the order explain of every method."""
        return order_models(self.runs)

    @cached_property
    def plan(self) -> dict[str, Any]:
        """Returns the run's plan.json; {} where there is none."""
        return read_mapping(self.results.folder, "plan.json")

    @cached_property
    def browsed(self) -> list[tuple[str, str]]:
        """Returns every (backbone, method), those with complete runs first."""
        runs = self.results.runs
        pairs = zip(runs["backbone"], runs["method"], strict=True)
        return list(dict.fromkeys([*self.groups, *pairs]))

    @cached_property
    def browser(self) -> dict[str, Any]:
        """Returns every accuracy matrix, for the page."""
        extremes = zip(self.extremes["replicate"], self.extremes["order"], strict=True)
        return browser_data(self.results, self.browsed, self.runs, extremes)

    def dots(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Returns the runs that figures draw, see `placed`."""
        return self.placed(report_frames.thinned(runs))

    def placed(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Returns runs with the number by which dots in figures name their order."""
        numbers = places(self.results)
        pairs = zip(runs["replicate"], runs["order"], strict=True)
        return runs.assign(place=[numbers[pair] for pair in pairs])

    @property
    def dot(self) -> str:
        """Returns what a dot of a figure is, for captions."""
        largest = max(self.runs.groupby(["backbone", "method"]).size(), default=0)
        if largest <= report_frames.MAX_DOTS:
            return "Dot: one run."
        runs = plural(largest, "run")
        return f"Dot: one run, {report_frames.MAX_DOTS} of {runs} per method, evenly by rank."

    @property
    def num_incomplete(self) -> int:
        """Returns how many planned runs lack a stage."""
        return int((self.results.runs["missing"] > 0).sum())

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Returns what is written beside the report by file name, panels' own frames apart."""
        return {
            "summary": self.summary,
            "robustness": self.robustness,
            "steadiness": self.steadiness,
            "disparity": disparity(self.results, self.runs),
            "contribution_types": self.contribution_types,
            "alignment_drift": alignment_drift(self.results, self.runs),
            "attribution_stages": attribution_stages(self.results, self.runs),
            "ood_relations": self.ood_relations,
            "rankings": self.rankings,
            "method_pairs": self.survival,
            "settling": self.settling,
            "similarity_orders": self.adjacencies,
            "task_factors": task_factors(self.results, self.runs),
            "comparison": self.comparison,
            "failures": self.results.failures,
        }
