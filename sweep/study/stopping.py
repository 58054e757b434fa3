"""When a study has seen enough: the `stopping:` section, and the decision after a replicate."""

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
    """A contrast, and how well it has to be known before the study may stop."""

    half_width: float = Field(
        gt=0, description="Of the 95 % confidence sequence, in the unit of the metric."
    )
    of: str = Field(
        default="average_accuracy", description="A metric of a run, or package.module:Metric."
    )
    between: tuple[str, str] | None = Field(
        default=None, description="Two methods, paired: the first minus the second."
    )
    method: str | None = Field(default=None, description="Or one method: its mean.")

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
        """The labels of the methods that are looked at."""
        return self.between or (str(self.method),)

    @property
    def metric(self) -> "Metric":
        """What is looked at."""
        metric: Metric = resolve("metrics", self.of)
        return metric

    def runs(self, results: "Results") -> pd.DataFrame:
        """The metrics of every complete run, this rule's among them."""
        from analysis import metrics

        return metrics(results, extra=own_metrics([self.of]))

    @property
    def contrast(self) -> str:
        """For people: what is to be known."""
        return f"{self.metric.key.replace('_', ' ')} of {' minus '.join(self.methods)}"

    def means(self, runs: pd.DataFrame, replicates: int) -> pd.DataFrame:
        """The contrast in each of the first replicates, a column per backbone; NaN: broken.

        Args:
            runs: What `runs` returns.
            replicates: How many of them.
        """
        from analysis import block_means

        runs = runs[runs["method"].isin(self.methods) & (runs["replicate"] < replicates)]
        if set(runs["method"]) != set(self.methods):
            return pd.DataFrame(index=range(replicates))
        return block_means(runs, self.metric.key, *self.methods[1:]).reindex(range(replicates))

    def look(self, runs: pd.DataFrame, replicates: int, most: int) -> "Stop | None":
        """Whether the first so many replicates are enough, of at most so many.

        The intervals may be looked at after every replicate, see `analysis.stopping`, and later
        replicates do not change the answer. So every look finds the same, whenever it is taken.
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
    """The decision that replicates are enough."""

    replicates: int
    reason: str
