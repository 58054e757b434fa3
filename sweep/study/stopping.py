"""Decides when a study may stop early: the `stopping:` section of a study file."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field, field_validator, model_validator

from sweep.errors import InputError
from sweep.registry import check, resolve
from sweep.section import Section
from sweep.study.reporting import own_metrics

if TYPE_CHECKING:
    from analysis import Metric, Results


class StoppingRule(Section):
    """A contrast, and how precisely it has to be known before the study may stop."""

    half_width: float = Field(
        gt=0,
        description="Largest half-width of the 95 % confidence sequence, in the metric's unit.",
    )
    of: str = Field(
        default="average_accuracy", description="A metric of a run, or package.module:Object."
    )
    between: tuple[str, str] | None = Field(
        default=None, description="Two methods, compared in pairs: the first minus the second."
    )
    method: str | None = Field(default=None, description="Or one method, for its mean.")

    @field_validator("of")
    @classmethod
    def _metric(cls, of: str) -> str:
        check("metrics", of)
        return of

    @model_validator(mode="after")
    def _one_contrast(self) -> "StoppingRule":
        if (self.between is None) == (self.method is None):
            raise InputError("give either between: [a, b], for their difference, or method: a.")
        if self.between and self.between[0] == self.between[1]:
            raise InputError(f"between: got '{self.between[0]}' twice; give two methods.")
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """The labels of the methods that the contrast is about."""
        return self.between or (str(self.method),)

    @property
    def metric(self) -> "Metric":
        """The metric that the contrast is about."""
        metric: Metric = resolve("metrics", self.of)
        return metric

    def runs(self, results: "Results") -> pd.DataFrame:
        """Returns the metrics of every complete run, with this rule's among them."""
        from analysis import metrics

        return metrics(results, extra=own_metrics([self.of]))

    @property
    def contrast(self) -> str:
        """For people: what is to be known."""
        return f"{self.metric.key.replace('_', ' ')} of {' minus '.join(self.methods)}"

    def means(self, runs: pd.DataFrame, replicates: int) -> pd.DataFrame:
        """Returns the contrast per replicate (rows) and backbone; NaN where runs are missing.

        Args:
            runs: What `runs` returns.
            replicates: Number of replicates, counted from the first.
        """
        from analysis import block_means

        runs = runs[runs["method"].isin(self.methods) & (runs["replicate"] < replicates)]
        if set(runs["method"]) != set(self.methods):
            return pd.DataFrame(index=range(replicates))
        return block_means(runs, self.metric.key, *self.methods[1:]).reindex(range(replicates))

    def look(self, runs: pd.DataFrame, replicates: int, most: int) -> "Stop | None":
        """Returns the decision to stop within the first `replicates`, if there is one.

        Intervals stay valid when they are computed after every replicate (`anytime_interval`).
        Later replicates do not change the decision, so it is the same whenever it is made.
        """
        from analysis import stopping_point

        means = self.means(runs, replicates)
        enough = stopping_point(means, self.half_width)
        return Stop(enough, self._reason(means[:enough], most)) if enough else None

    def _reason(self, means: pd.DataFrame, most: int) -> str:
        from analysis import anytime_interval

        found = [anytime_interval(means[column].dropna()) for column in means.columns]
        widest = max(found, key=lambda interval: interval.high - interval.low)
        return (
            f"stopped after {len(means)} of {most} replicates: {self.contrast} is "
            f"{widest.mean:.4f} [{widest.low:.4f}, {widest.high:.4f}], half-width "
            f"{widest.high - widest.mean:.4f} < {self.half_width:g} (95 % confidence sequence)"
        )


@dataclass(frozen=True)
class Stop:
    """The decision to stop early."""

    replicates: int
    """Number of replicates that count; later ones are left out."""
    reason: str
    """Why, as a sentence without capital and full stop."""
