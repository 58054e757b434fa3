"""Simulates studies with known truth: contributions, similarity, predictors, models of the order.

nice -n 19 python benchmarks/contribution_statistics.py --studies 300

It prints a table: bias is the estimate less the truth on average, in the unit that stands with the
statistic; held, the share of 95 % intervals that hold the truth; false, the share of studies
with a false finding at the 5 % level or more, where there is nothing to be found.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.inference.intervals import LEVEL
from analysis.mechanisms.contribution_table import Contributions, contribution_table
from analysis.mechanisms.task_contributions import of_gains
from analysis.orders.order_models import adjacency, order_models, position
from analysis.orders.steadiness import steadiness
from analysis.report.report_frames import decided
from benchmarks import order_designs
from benchmarks.order_statistics import CASES, REPLICATES
from benchmarks.similarity_statistics import (
    matrix_tests,
    proposals,
    similarity_slopes,
    transition_tests,
)
from benchmarks.simulated_studies import Row, Studies, held_share
from sweep.orders.exhaustive import Exhaustive

ALPHA = 1 - LEVEL
FORMATS = ("+.4f", ".3f", ".3f")
"""Of bias, held and false."""


def contribution_cells(studies: Studies) -> Iterator[Row]:
    """Means, spreads and marks of what learning one task does to another."""
    T, noise = studies.tasks, 0.01
    here = order_designs.World(T, 0.0, studies.rng)
    every = order_designs.estimands(here.scores(studies.orders), studies.orders)[:, :-1]
    mean, spread = every.mean(axis=0), np.sqrt(every.var(axis=0) + noise**2)
    drawn = studies.block()
    off = ~np.eye(T, dtype=bool).ravel()
    seeds = 0.01 * studies.noise(len(drawn), 1, T * T)
    fresh = seeds + noise * studies.noise(*drawn.shape, T * T)
    values = (every[drawn] + fresh).reshape(-1, T, T)
    tasks = list(studies.names[0])
    runs = studies.runs(drawn, np.zeros((1, *drawn.shape)))
    part = Contributions(
        kind="gain", runs=runs, players=tasks, targets=tasks, values=values, start=np.zeros((T, T))
    )
    found = contribution_table([part])
    held = ((found["low"] <= mean) & (mean <= found["high"])).mean()
    yield Row("contribution: mean", float((found["mean"] - mean).mean()), float(held))
    held = held_share(found["order_sd_low"], spread, found["order_sd_high"])
    yield Row(
        "contribution: SD over orders (ratio)", float((found["order_sd"] / spread).mean() - 1), held
    )
    for name, features in (("position", position), ("predecessor", _predecessor)):
        truth = _explained(studies.orders, every, features) / spread.reshape(T, T) ** 2
        yield Row(f"contribution: by {name}", float((found[name] - truth.ravel())[off].mean()))
    # What is left when the truth is taken away is what studies find where there is nothing.
    nothing = {column: found[column] - mean for column in ("mean", "low", "high")}
    marks = decided(of_gains(found.assign(**nothing)), found)["decided"]
    yield Row("contribution: marks", false=float(marks.any()))


def _predecessor(orders: np.ndarray) -> np.ndarray:
    """Returns dummies [orders, T * (T + 1)] of what is learnt just before every task."""
    T = orders.shape[1]
    steps = adjacency(orders).reshape(-1, T, T).swapaxes(1, 2)  # [task, task before]
    first = 1 - steps.sum(axis=2, keepdims=True)
    return np.concatenate([steps, first], axis=2).reshape(len(orders), -1)


def _explained(
    orders: np.ndarray, every: np.ndarray, features: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Returns the variance over all orders that a feature of the player explains [T, T]."""
    T = orders.shape[1]
    X = features(orders).reshape(len(orders), T, -1)
    values = every.reshape(len(orders), T, T)
    found = np.zeros((T, T))
    for player in range(T):
        x, y = (
            X[:, player] - X[:, player].mean(axis=0),
            values[:, player] - values[:, player].mean(axis=0),
        )
        found[player] = (x @ np.linalg.lstsq(x, y)[0]).var(axis=0)
    return found


def steadiness_ratios(studies: Studies) -> Iterator[Row]:
    """Ratios of SDs over orders of three methods that orders move equally strongly."""
    here, drawn = studies.world(methods=3, own=0.02), studies.block()
    deviation = here.effects - here.effects.mean(axis=1, keepdims=True)
    alike = 0.6 + 0.03 * deviation / deviation.std(axis=1, keepdims=True)
    y = replace(here, effects=alike).study(drawn, studies.rng)
    found = steadiness(studies.runs(drawn, y), "m0")
    held = held_share(found["ratio_low"], np.ones(len(found)), found["ratio_high"])
    bias = float(np.log(found["ratio"].astype(float)).mean())
    yield Row("steadiness: log ratio", bias, held, float((found["p_holm"] < ALPHA).any()))


def models_of_the_order(studies: Studies) -> Iterator[Row]:
    """Models of runs that the order does not move at all, of two methods."""
    drawn = studies.block()
    seeds = 0.02 * studies.noise(2, studies.replicates, 1)
    y = 0.6 + seeds + 0.02 * studies.noise(2, *drawn.shape)
    found = order_models(studies.runs(drawn, y))
    yield Row(
        "model of the order: R2", float(found["r2"].mean()), false=float((found["r2"] > 0).any())
    )
    yield Row("model of the order: p", false=float((found["p_holm"] <= ALPHA).any()))


STATISTICS: dict[str, Callable[[Studies], Iterator[Row]]] = {
    "contributions": contribution_cells,
    "similarity": similarity_slopes,
    "steadiness": steadiness_ratios,
    "models": models_of_the_order,
    "transitions": transition_tests,
    "proposals": proposals,
    "matrices": matrix_tests,
}


ALL = {"exhaustive, 5 tasks": (5, Exhaustive())}
"""Beside CASES: with all orders of four tasks no p of a proposed order is below 0.083."""


def measure(
    name: str, case: str, replicates: int, num: int, law: str = "normal", seed: int = 0
) -> pd.DataFrame:
    """Returns means over studies by statistic: bias, held, false."""
    tasks, design = (CASES | ALL)[case]
    rng = np.random.default_rng([tasks, replicates, seed])
    studies = Studies(tasks, design, replicates, rng, law)
    rows = [row for _ in range(num) for row in STATISTICS[name](studies)]
    return pd.DataFrame(rows, columns=Row._fields).groupby("statistic", sort=False).mean()


def cases(name: str) -> list[tuple[str, int, str]]:
    """Returns the design, number of replicates and law of everything that is tried."""
    if name == "matrices":  # of 4, 5 and 6 tasks, whatever the orders are
        return [(case, 3, "normal") for case in ("exhaustive", "random", "Williams, even")]
    designs = [*ALL] if name == "proposals" else [*CASES]
    tried = [(design, replicates, "normal") for design in designs for replicates in REPLICATES]
    return [*tried, (designs[0] if name == "proposals" else "Williams, even", 5, "heavy tails")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=300, help="per statistic and design")
    parser.add_argument("--only", choices=STATISTICS, help="one group of statistics")
    options = parser.parse_args()
    print("| statistic | design | replicates | bias | held | false |\n|---|---|---|---|---|---|")
    for name in [options.only] if options.only else STATISTICS:
        for case, replicates, law in cases(name):
            found = measure(name, case, replicates, options.studies, law)
            for statistic, row in found.iterrows():
                shown = [
                    "" if np.isnan(v) else f"{v:{f}}" for v, f in zip(row, FORMATS, strict=True)
                ]
                tails = "" if law == "normal" else f", {law}"
                print(
                    f"| {statistic} | {case}{tails} | {replicates} | {' | '.join(shown)} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
