"""Predicts how precise a study gets with more replicates, from the replicates it has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.table import Table

from analysis import (
    FIRST_LOOK,
    Results,
    anytime_factor,
    block_means,
    d_study,
    load,
    metrics,
    precision,
    preferred_baseline,
    replicates_for,
    t_factor,
    variance_components,
)
from sweep.storage.folder import Folder
from sweep.study.schema import Study
from sweep.texts import duration

SIZES = (3, 5, 8, 12, 20, 40)
"""Numbers of replicates to predict for, besides the number that exist and the number planned."""
TARGETS = (0.02, 0.01, 0.005)
"""Half-widths of intervals, in the unit of the metric, for a study without `stopping:`."""


@dataclass(frozen=True)
class Contrast:
    """A mean or a difference of means, and its precision with more replicates."""

    name: str
    is_sequence: bool
    """Whether intervals are those of the confidence sequence of `stopping:`, or t intervals."""
    known: int
    """Complete replicates that the prediction is based on."""
    sd: float
    """Standard deviation over replicates, with its 95 % interval:"""
    sd_low: float
    sd_high: float
    half_widths: list[float]
    """By number of replicates, as in `PrecisionForecast.sizes`."""
    needs: dict[float, int | None]
    """Replicates by half-width; None: out of reach."""


@dataclass(frozen=True)
class PrecisionForecast:
    """The precision of a study by number of replicates."""

    known: int
    """Complete replicates that it is based on."""
    sizes: list[int]
    """Numbers of replicates."""
    lane_seconds: list[float]
    """What these cost."""
    reliability: list[float] | None
    """Generalisability G of the ranking of methods, by size; None for a single method."""
    contrasts: list[Contrast]

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for programs."""
        rows = [
            {"replicates": n, "lane_seconds": round(seconds, 1)}
            | ({"reliability": self.reliability[i]} if self.reliability else {})
            | {"half_widths": {c.name: c.half_widths[i] for c in self.contrasts}}
            for i, (n, seconds) in enumerate(zip(self.sizes, self.lane_seconds, strict=True))
        ]
        needs = [
            {"contrast": c.name, "half_width": target, "replicates": n}
            for c in self.contrasts
            for target, n in c.needs.items()
        ]
        sd = {c.name: [c.sd_low, c.sd, c.sd_high] for c in self.contrasts}
        return {"known_replicates": self.known, "sd": sd, "budgets": rows, "needs": needs}

    def table(self) -> Table:
        """Returns the precision for each number of replicates, one per row."""
        table = Table(
            title=f"Precision by number of replicates, estimated from {self.known}",
            title_justify="left",
        )
        for title in ("replicates", "lane time", *(f"+- {c.name}" for c in self.contrasts)):
            table.add_column(title, justify="right", overflow="fold")
        if self.reliability:
            table.add_column("reliability G", justify="right")
        for i, n in enumerate(self.sizes):
            row = [str(n), duration(self.lane_seconds[i])]
            row += [f"{c.half_widths[i]:.4f}" for c in self.contrasts]
            table.add_row(*row, *([f"{self.reliability[i]:.3f}"] if self.reliability else []))
        return table

    def sentences(self) -> list[str]:
        """Returns how many replicates a precision needs, or why this is not known yet."""
        if not self.contrasts:
            return [
                "Precision cannot be estimated yet: it needs two complete replicates in --out; "
                f"there {'is one' if self.known == 1 else 'are none'}."
            ]
        return [self._needs(contrast) for contrast in self.contrasts]

    def _needs(self, contrast: Contrast) -> str:
        seconds = self.lane_seconds[0] / self.sizes[0]
        parts = [
            f"+-{target:g} needs {n} replicates ({duration(n * seconds)} of lane time)"
            if n
            else f"+-{target:g} is out of reach"
            for target, n in contrast.needs.items()
        ]
        kind = "confidence sequence" if contrast.is_sequence else "95 % t interval"
        return (
            f"{contrast.name} ({kind}): {', '.join(parts)}. This assumes an SD of "
            f"{contrast.sd:.4f}, which {contrast.known} replicates determine only to within "
            f"[{contrast.sd_low:.4f}, {contrast.sd_high:.4f}]."
        )


def precision_forecast(study: Study, folder: Folder, lane_seconds: float) -> PrecisionForecast:
    """Returns how precise the results become with more replicates.

    Args:
        study: Its `stopping:` names the contrast. Without it there are two: the least precise mean
            average accuracy of a method, and the least precise difference to a baseline.
        folder: The run's folder.
        lane_seconds: What one replicate costs.
    """
    results = results_in(folder)
    runs = _runs(study, results) if results else None
    found = [] if runs is None or runs.empty else _means(study, runs)
    factor = anytime_factor if study.stopping else t_factor
    known = max((int(means.notna().sum().max()) for _, means in found if means.size), default=0)
    least = FIRST_LOOK if study.stopping else 2
    sizes = sorted(n for n in {*SIZES, study.replicates, known} if n >= least)
    contrasts = [c for name, means in found if (c := _contrast(study, name, means, sizes, factor))]
    return PrecisionForecast(
        known=known,
        sizes=sizes,
        lane_seconds=[n * lane_seconds for n in sizes],
        reliability=_reliability(runs, sizes) if contrasts and runs is not None else None,
        contrasts=contrasts,
    )


def results_in(folder: Folder) -> Results | None:
    """Returns the results in a run folder so far; None if there are none."""
    try:
        return load(folder.uri)
    except FileNotFoundError:
        return None


def _runs(study: Study, results: Results) -> pd.DataFrame:
    return study.stopping.runs(results) if study.stopping else metrics(results)


def _means(study: Study, runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Returns what is estimated, by name: a column per method and a row per replicate."""
    if study.stopping:
        return [(study.stopping.contrast, study.stopping.means(runs, study.replicates))]
    found = [("mean of {}", block_means(runs, "average_accuracy"))]
    baseline = preferred_baseline(runs)
    if baseline:
        differences = block_means(runs, "average_accuracy", baseline)
        found.append((f"{{}} minus {baseline}", differences))
    return found


def _contrast(
    study: Study, name: str, means: pd.DataFrame, sizes: list[int], factor: Callable[[int], float]
) -> Contrast | None:
    """Returns the least precise column of `means`."""
    table = precision(means, sizes, factor)
    if table.empty:
        return None
    worst = table.sort_values("sd", kind="stable").iloc[-1]
    sd = float(worst["sd"])
    targets: Sequence[float] = [study.stopping.half_width] if study.stopping else TARGETS
    return Contrast(
        name=name.format(worst["method"]),
        is_sequence=study.stopping is not None,
        known=int(worst["known"]),
        sd=sd,
        sd_low=float(worst["sd_low"]),
        sd_high=float(worst["sd_high"]),
        half_widths=[sd * factor(n) for n in sizes],
        needs={target: replicates_for(target, sd, factor) for target in targets},
    )


def _reliability(runs: pd.DataFrame, sizes: list[int]) -> list[float] | None:
    """Returns G of the backbone whose methods are told apart least; None for one method."""
    components = variance_components(runs)
    if components.empty:
        return None
    orders = [int(components["orders"].iloc[0])]
    by_size = d_study(components, sizes, orders).groupby("seeds")["g"].min()
    return [float(by_size[n]) for n in sizes]
