"""95 % intervals cover 94 to 96 %, from simulated runs to the tables that a report shows.

(Intervals of means, order SDs, ranges, confidence sequences: beside the tests of their modules.)
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis import METRICS, compare, comparison, from_matrices, metrics
from analysis.mechanisms.task_contributions import contributions
from benchmarks.order_designs import World, draw, truth
from sweep.orders.williams import Williams
from tests.analysis.invented_runs import runs_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
STUDIES, REPLICATES, ORDERS = 2000, 5, 6


def many_studies(seed: int, study: Callable[[np.random.Generator], dict]) -> pd.DataFrame:
    """Simulated studies in one frame, told apart by their backbone.

    `study` gives {method: (average accuracy, seconds) [replicates, orders, 2]}.
    """
    rng = np.random.default_rng(seed)
    shape = {m: np.zeros((REPLICATES, ORDERS)) for m in study(rng)}
    frame = runs_of(shape, crossed=False)
    parts = []
    for number in range(STUDIES):
        values = study(rng)
        found = np.concatenate([values[method].reshape(-1, 2) for method in shape])
        accuracy, seconds = found.T
        columns = {"average_accuracy": accuracy, "train_seconds": seconds}
        parts.append(frame.assign(backbone=number, **columns))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("skew", [False, True], ids=["normal", "skewed"])
def test_paired_differences(skew: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders and seeds move both methods, and each of them on its own."""
    shape, gain = (REPLICATES, ORDERS), 0.02

    def noise(rng: np.random.Generator, *size: int) -> np.ndarray:
        return 2 - rng.gamma(4, 0.5, size) if skew else rng.standard_normal(size)

    def study(rng: np.random.Generator) -> dict:
        common = 0.6 + 0.03 * noise(rng, REPLICATES, 1) + 0.05 * noise(rng, *shape)
        base, other = (
            common + 0.01 * noise(rng, REPLICATES, 1) + 0.02 * noise(rng, *shape) for _ in range(2)
        )
        return {m: np.stack([y, y], -1) for m, y in {"base": base, "m": other + gain}.items()}

    runs = many_studies(int(skew), study)
    one = {"average_accuracy": METRICS["average_accuracy"]}
    monkeypatch.setattr(
        "analysis.run_metrics.metric.METRICS", one
    )  # the others would only take time
    found = compare(runs, "base")
    assert len(found) == STUDIES
    covered = ((found["low"] <= gain) & (found["high"] >= gain)).mean()
    assert 0.94 <= covered <= 0.96


def test_relative_costs() -> None:
    """What else the machine does slows a replicate down, both methods alike, and single runs."""
    factor = 1.8

    def study(rng: np.random.Generator) -> dict:
        load = rng.lognormal(0, 0.2, (REPLICATES, 1))
        seconds = {
            method: takes * load * rng.lognormal(-(0.05**2) / 2, 0.05, (REPLICATES, ORDERS))
            for method, takes in {"finetune": 100.0, "m": 100.0 * factor}.items()
        }
        return {m: np.stack([np.full_like(s, 0.5), s], -1) for m, s in seconds.items()}

    found = comparison(many_studies(2, study))
    mine = found[found["method"] == "m"]
    assert len(mine) == STUDIES
    covered = ((mine["cost_low"] <= factor) & (mine["cost_high"] >= factor)).mean()
    assert 0.94 <= covered <= 0.96


def test_contributions() -> None:
    """Of every task to every other: balanced orders, shared prefixes, the mean over all orders."""
    rng = np.random.default_rng(3)
    world = World(4, 0.01, rng)
    target = truth(world)[:-1]
    covered = []
    for _ in range(250):
        orders, replicate = draw(Williams(), 4, REPLICATES, rng)
        R, _ = world.study(orders, replicate, rng)
        columns = [run[:, order] for run, order in zip(R, orders, strict=True)]
        names = [[str(task) for task in order] for order in orders]
        results = from_matrices(columns, names, replicates=replicate.tolist())
        found = contributions(results, metrics(results))
        assert found["trained"].tolist() == [str(j) for j in range(4) for _ in range(4)]
        covered.append((found["low"] <= target) & (target <= found["high"]))
    assert 0.94 <= np.mean(covered) <= 0.96
