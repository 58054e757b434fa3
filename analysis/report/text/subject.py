"""What answers are about: the methods that compete on one backbone."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd

from analysis.data.score_array import ScoreWords
from analysis.orders.survival import Survival, survival_verdicts
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.task_knowledge import TERMS


class Answer(NamedTuple):
    """Holds the answer to a question of a reader; names in it are **bold**.

    Attributes:
        question: as a reader asks it.
        word: the answer in a few words.
        sentence: the answer in one or two sentences.
        detail: further sentences, each one short.
        backbone: that it is about.
        terms: on which its methods compete; "" where all do on the same.

    >>> Answer("Which method is the most accurate?", "lora", "**lora** is.").word
    'lora'
    """

    question: str
    word: str
    sentence: str
    detail: tuple[str, ...] = ()
    backbone: str = ""
    terms: str = ""

    @property
    def about(self) -> str:
        """Returns what it is about, for headings."""
        return ", ".join(part for part in (self.backbone, self.terms) if part)


@dataclass(frozen=True, eq=False)
class BackboneResults:
    """Holds what is known of the contenders on one backbone that compete on equal terms.

    Attributes:
        study: that they are in.
        backbone: its name.
        competing: their names.
        is_first: whether they stand before others on that backbone.
        terms: what tells them from those; "" where there are none.
    """

    study: StudyStatistics
    backbone: str
    competing: tuple[str, ...]
    is_first: bool = True
    terms: str = ""

    @property
    def words(self) -> ScoreWords:
        """Returns what sentences call a score."""
        return self.study.words

    @cached_property
    def methods(self) -> list[str]:
        """Returns the contenders with complete runs, most accurate first."""
        return [
            method
            for backbone, method in self.study.contenders
            if backbone == self.backbone and method in self.competing
        ]

    @cached_property
    def references(self) -> list[str]:
        """Returns the reference points with complete runs, most accurate first; once a backbone."""
        if not self.is_first:
            return []
        groups = [method for backbone, method in self.study.groups if backbone == self.backbone]
        return [method for method in groups if method in self.study.references]

    @property
    def repeats_itself(self) -> bool:
        """Returns whether another replicate would be made of the same experts, which were loaded.

        Orders may differ, and what a method draws; but no seed trains anything.
        """
        return bool(self.study.results.config.get("experts"))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Returns the runs of the contenders."""
        runs = self.study.runs
        return runs[(runs["backbone"] == self.backbone) & runs["method"].isin(self.methods)]

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Returns the contenders against each other."""
        found = self.study.survival
        return found[(found["backbone"] == self.backbone) & found["method"].isin(self.competing)]

    @cached_property
    def survival(self) -> Survival:
        """Returns the verdict on the ranking."""
        return survival_verdicts(self.pairs, [self.backbone])[0]

    @cached_property
    def estimates(self) -> dict[str, Any]:
        """Returns mean, low, high, replicates and runs of the average accuracy by method."""
        found = self.study.summary
        found = found[
            (found["metric"] == "average_accuracy") & (found["backbone"] == self.backbone)
        ]
        return {str(row.method): row for row in rows(found)}

    @cached_property
    def better(self) -> list[tuple[str, str]]:
        """Returns the pairs of which the first one is better on average."""
        found = self.pairs[self.pairs["verdict"] == "better"]
        return list(zip(found["method"], found["other"], strict=True))

    @cached_property
    def orders(self) -> int:
        """Returns how many different orders the contenders' runs have."""
        return int(self.runs["order"].nunique())

    @cached_property
    def orders_per_seed(self) -> int:
        """Returns the most orders of one seed."""
        sizes = self.runs.groupby(["method", "replicate"]).size()
        return int(sizes.max()) if len(sizes) else 0

    @cached_property
    def has_verdicts(self) -> bool:
        """Returns whether some pair has been tested."""
        return bool(self.pairs["verdict_low"].notna().any())

    @cached_property
    def incomplete(self) -> tuple[int, int]:
        """Returns how many of the planned runs on this backbone are incomplete, and of how many."""
        planned = self.study.results.runs
        planned = planned[planned["backbone"] == self.backbone]
        return int((planned["missing"] > 0).sum()), len(planned)


def subjects(study: StudyStatistics) -> Iterator[BackboneResults]:
    """Yields one subject per backbone; two where some of its contenders are told the task."""
    for backbone in sorted(set(study.results.runs["backbone"])):
        there = {method for b, method in study.contenders if b == backbone}
        kinds = [kind for kind in study.terms if there.intersection(kind)] or study.terms[:1]
        for i, kind in enumerate(kinds):
            terms = TERMS[kind[0] in study.told] if len(kinds) > 1 else ""
            yield BackboneResults(study, str(backbone), tuple(kind), i == 0, terms)
