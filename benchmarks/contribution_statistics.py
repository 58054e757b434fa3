"""Simulates studies with known truth: contributions, similarity, predictors, models of the order.

nice -n 19 python benchmarks/contribution_statistics.py --studies 300

It prints a table: bias is the estimate less the truth on average, in the unit that stands with the
statistic; held, the share of 95 % intervals that hold the truth; false, the share of studies
with a false finding at the 5 % level or more, where there is nothing to be found.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from analysis.inference.intervals import LEVEL
from analysis.inference.significance import holm
from analysis.mechanisms.contribution_table import Contributions, contribution_table
from analysis.mechanisms.transitions import RESPONSES, SCORES, WAYS, transition_models
from analysis.orders.order_models import adjacency, order_models, position
from analysis.orders.predictors import dose_response, ends, regret
from analysis.orders.similarity_effects import effects, mantel, mrqap
from analysis.orders.steadiness import steadiness
from analysis.run_metrics.metric import METRICS
from benchmarks import order_designs
from benchmarks.order_statistics import CASES, LAWS, REPLICATES, World, drawn_blocks, world
from sweep.orders.base import Design

HEAD = {"backbone": "b", "measure": "made up"}
ALPHA = 1 - LEVEL
FORMATS = ("+.4f", ".3f", ".3f")
"""Of bias, held and false."""


class Row(NamedTuple):
    """Holds what one statistic of one study is: NaN where it does not apply."""

    statistic: str
    bias: float = np.nan
    held: float = np.nan
    false: float = np.nan


@dataclass(frozen=True)
class Studies:
    """Draws studies of a design, of runs that have no effects of the order."""

    tasks: int
    design: Design
    replicates: int
    rng: np.random.Generator
    law: str = "normal"

    @cached_property
    def orders(self) -> np.ndarray:
        """Returns all orders as numbers of tasks [N, T]."""
        return np.array(list(permutations(range(self.tasks))))

    @cached_property
    def names(self) -> list[tuple[str, ...]]:
        """Returns all orders."""
        return [tuple("abcdefgh"[i] for i in row) for row in self.orders.tolist()]

    def block(self) -> np.ndarray:
        """Returns numbers of orders [replicates, n]."""
        return drawn_blocks(self.design, self.names, self.replicates, self.rng)

    def noise(self, *shape: int) -> np.ndarray:
        """Returns values with mean 0 and variance 1."""
        return LAWS[self.law](self.rng, shape)

    def world(self, **kind: Any) -> World:
        """Returns methods that orders and seeds move."""
        return world(self.rng, self.tasks, law=self.law, **kind)

    def runs(self, drawn: np.ndarray, y: np.ndarray) -> pd.DataFrame:
        """Returns runs of y [methods, replicates, n]."""
        R, n = drawn.shape
        replicate = np.repeat(np.arange(R), n)
        head = {"backbone": "b", "replicate": replicate, "seed": 0, "design": "d", "planned": n}
        head |= {"order": [self.names[i] for i in drawn.ravel()], "train_seconds": 1.0}
        head |= dict.fromkeys(METRICS, np.nan)
        parts = [
            pd.DataFrame(head | {"method": f"m{i}", "average_accuracy": values.ravel()})
            for i, values in enumerate(y)
        ]
        return pd.concat(parts, ignore_index=True)


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
    held = _held(found["order_sd_low"], spread, found["order_sd_high"])
    yield Row(
        "contribution: SD over orders (ratio)", float((found["order_sd"] / spread).mean() - 1), held
    )
    for name, features in (("position", position), ("predecessor", _predecessor)):
        truth = _explained(studies.orders, every, features) / spread.reshape(T, T) ** 2
        yield Row(f"contribution: by {name}", float((found[name] - truth.ravel())[off].mean()))
    null = replace(part, values=values - mean.reshape(T, T))
    table = contribution_table([null])
    yield Row("contribution: marks", false=float(_marked(table, off).any()))


def _marked(table: pd.DataFrame, chosen: np.ndarray) -> np.ndarray:
    """Returns which of the chosen effects differ from 0, by Holm's procedure for all of them."""
    mean, half, m = (table.loc[chosen, c].to_numpy(float) for c in ("mean", "high", "replicates"))
    t = np.abs(mean) / (half - mean) * stats.t.ppf((1 + LEVEL) / 2, m - 1)
    found: np.ndarray = holm(2 * stats.t.sf(t, m - 1)) < ALPHA
    return found


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


def similarity_slopes(studies: Studies) -> Iterator[Row]:
    """Slopes of average accuracy by the similarity of neighbours, of which it is made and not."""
    T, rng = studies.tasks, studies.rng
    S, made_up = _symmetric(rng, T), _symmetric(rng, T)
    here = studies.world(own=0.01)
    x, other = (_adjacent(studies.orders, table) for table in (S, made_up))
    cause = 0.02 * (x - x.mean()) / x.std()
    true = replace(here, effects=here.effects + cause)
    drawn = studies.block()
    runs = studies.runs(drawn, true.study(drawn, rng)[:1])
    found = dose_response(runs, _scores(studies, x))
    if found.empty:
        return
    for _, row in found.iterrows():
        truth = _slope(studies, true.effects[0], x)
        held = _held([row["low"]], np.array([truth]), [row["high"]])
        yield Row("slope by similarity (in 0.02)", (row["slope"] - truth) / 0.02, held)
    runs = studies.runs(drawn, here.study(drawn, rng)[:1])
    known = effects(runs, _scores(studies, other), _pairs(studies, made_up))
    if len(known) and np.isfinite(known["p_slope"].iloc[0]):
        row = known.iloc[0]
        yield Row("slope by similarity: p", false=float(row["p_slope"] <= ALPHA))
        yield Row(
            "slope by similarity made up: interval without 0",
            false=float(row["low"] > 0 or row["high"] < 0),
        )


def _symmetric(rng: np.random.Generator, num: int) -> np.ndarray:
    x = rng.standard_normal((num, num))
    return x + x.T


def _adjacent(orders: np.ndarray, S: np.ndarray) -> np.ndarray:
    found: np.ndarray = S[orders[:, :-1], orders[:, 1:]].mean(axis=1)
    return found


def _scores(studies: Studies, values: np.ndarray, score: str = "adjacent") -> pd.DataFrame:
    known = {"order": studies.names, "score": score, "value": values}
    return pd.DataFrame(HEAD | known)


def _pairs(studies: Studies, S: np.ndarray) -> pd.DataFrame:
    """Returns the similarities as `task_pairs` does, beside contributions of no interest."""
    tasks = studies.names[0]
    cells = [(a, b) for a in tasks for b in tasks if a != b]
    similarity = [S[tasks.index(a), tasks.index(b)] for a, b in cells]
    known = {"trained": [a for a, _ in cells], "task": [b for _, b in cells], "runs": 1}
    known |= {"similarity": similarity, "contribution": np.arange(float(len(cells)))}
    return pd.DataFrame(HEAD | {"method": "m0"} | known)


def _slope(studies: Studies, y: np.ndarray, x: np.ndarray) -> float:
    """Returns the slope over all orders per SD of x, first and last task held."""
    frame = pd.DataFrame({"order": studies.names})
    columns = [(x - x.mean()) / x.std(), *ends(frame, list(studies.names[0])).T, np.ones(len(x))]
    return float(np.linalg.lstsq(np.column_stack(columns), y)[0][0])


def matrix_tests(studies: Studies) -> Iterator[Row]:
    """Mantel and MRQAP, of matrices whose rows and columns have levels of their own."""
    T, rng = studies.tasks, studies.rng

    def table() -> np.ndarray:
        found: np.ndarray = rng.standard_normal((T, T)) + rng.standard_normal((T, 1))
        return found + rng.standard_normal((1, T))

    yield Row(f"Mantel, {T} tasks", false=float(mantel(table(), table(), 199)[1] <= ALPHA))
    cause = table()
    found = mrqap(cause + 0.5 * table(), {"cause": cause, "copy": cause + table()}, 199)
    bias = found.loc["cause", "coefficient"] - 1
    yield Row(f"MRQAP, {T} tasks", float(bias), false=float(found.loc["copy", "p"] <= ALPHA))


def proposals(studies: Studies) -> Iterator[Row]:
    """What orders are worth that three similarities propose which have nothing to do with them."""
    here, rng = studies.world(own=0.02), studies.rng
    drawn = studies.block()
    runs = studies.runs(drawn, here.study(drawn, rng)[:1])
    tables = [_adjacent(studies.orders, _symmetric(rng, studies.tasks)) for _ in range(3)]
    scores = [
        _scores(studies, x, "path_cost").assign(measure=f"made up {i}")
        for i, x in enumerate(tables)
    ]
    found = regret(runs, pd.concat(scores))
    row, y = found.iloc[0], here.effects[0]
    chosen = np.abs(tables[0] - tables[0].min()) < 1e-9
    gain, lost = y[chosen].mean() - y.mean(), y.max() - y[chosen].mean()
    held = _held([row["low"]], np.array([gain]), [row["high"]])
    yield Row("proposed order: gain", row["gain"] - gain, held, float(row["p"] <= ALPHA))
    yield Row("proposed order: regret", row["regret"] - lost)
    yield Row("proposed order: p of all", false=float((found["p_all"] <= ALPHA).any()))


def transition_tests(studies: Studies) -> Iterator[Row]:
    """The regression of transitions on scores that have nothing to do with them, and on others."""
    T, rng = studies.tasks, studies.rng
    pairs, IT, TI = (rng.standard_normal((T, T)) for _ in range(3))
    drawn = studies.block()
    prefixes = [
        sorted({studies.names[i][:k] for i in block for k in range(2, T + 1)}) for block in drawn
    ]
    found = pd.DataFrame(
        [(r, prefix) for r, part in enumerate(prefixes) for prefix in part],
        columns=["replicate", "prefix"],
    ).assign(backbone="b", method="m0", complete=True)
    tasks = studies.names[0]
    s, t = (np.array([tasks.index(prefix[k]) for prefix in found["prefix"]]) for k in (-2, -1))
    found = found.assign(before=[tasks[i] for i in s], new=[tasks[i] for i in t])
    found = found.assign(**{f"{score}_{way}": table[s, t] for score in SCORES
                            for way, table in zip(WAYS, (IT, TI), strict=True)})  # fmt: skip
    shift = 0.3 * studies.noise(studies.replicates)[found["replicate"]]
    nothing = pairs[s, t] + shift + studies.noise(len(found))
    responses = dict.fromkeys(RESPONSES, np.nan) | {"accuracy_before": nothing}
    fitted = transition_models(found.assign(**responses)).set_index("scores").loc["frozen"]
    yield Row("transitions: p", false=float(fitted["p"] <= ALPHA))
    yield Row(
        "transitions by scores made up: R2 outside above 0",
        false=float(fitted["r2_out"] > 0),
    )
    own = 0.5 + 0.2 * studies.noise(studies.replicates)[found["replicate"]]
    caused = own * IT[s, t] + shift + studies.noise(len(found))
    fitted = transition_models(found.assign(**responses | {"accuracy_before": caused}))
    row = fitted.set_index("scores").loc["frozen"]
    held = _held([row["image_text_low"]], np.array([0.5]), [row["image_text_high"]])
    yield Row("transitions: coefficient (in 0.5)", (row["image_text"] - 0.5) / 0.5, held)


def steadiness_ratios(studies: Studies) -> Iterator[Row]:
    """Ratios of SDs over orders of three methods that orders move equally strongly."""
    here, drawn = studies.world(methods=3, own=0.02), studies.block()
    deviation = here.effects - here.effects.mean(axis=1, keepdims=True)
    alike = 0.6 + 0.03 * deviation / deviation.std(axis=1, keepdims=True)
    y = replace(here, effects=alike).study(drawn, studies.rng)
    found = steadiness(studies.runs(drawn, y), "m0")
    held = _held(found["ratio_low"], np.ones(len(found)), found["ratio_high"])
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


def _held(low: Any, truth: np.ndarray, high: Any) -> float:
    """Returns the share of intervals that hold the truth; NaN where none is given."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    given = np.isfinite(high)
    return float(((low <= truth) & (truth <= high))[given].mean()) if given.any() else np.nan


STATISTICS: dict[str, Callable[[Studies], Iterator[Row]]] = {
    "contributions": contribution_cells,
    "similarity": similarity_slopes,
    "steadiness": steadiness_ratios,
    "models": models_of_the_order,
    "transitions": transition_tests,
    "proposals": proposals,
    "matrices": matrix_tests,
}


def measure(
    name: str, case: str, replicates: int, num: int, law: str = "normal", seed: int = 0
) -> pd.DataFrame:
    """Returns means over studies by statistic: bias, held, false."""
    tasks, design = CASES[case]
    rng = np.random.default_rng([tasks, replicates, seed])
    studies = Studies(tasks, design, replicates, rng, law)
    rows = [row for _ in range(num) for row in STATISTICS[name](studies)]
    return pd.DataFrame(rows).groupby("statistic", sort=False).mean()


def cases(name: str) -> list[tuple[str, int, str]]:
    """Returns the design, number of replicates and law of everything that is tried."""
    if name == "matrices":
        return [
            ("exhaustive", 3, "normal"),
            ("random", 3, "normal"),
            ("Williams, even", 3, "normal"),
        ]
    designs = ["exhaustive"] if name == "proposals" else list(CASES)
    tried = [(design, replicates, "normal") for design in designs for replicates in REPLICATES]
    return [*tried, (designs[-1] if name == "proposals" else "Williams, even", 5, "heavy tails")]


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
