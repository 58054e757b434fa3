"""Simulates studies to see how often the verdict on a ranking is false, and what shares are worth.

nice -n 19 python benchmarks/ranking_survival.py --studies 200
"""

import argparse
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.inference.estimates import ROPE
from analysis.orders.survival import TENTH, method_pairs, survival_verdicts
from benchmarks.order_statistics import CASES, REPLICATES, World, drawn_blocks, world
from sweep.orders.base import Design

KINDS: dict[str, dict[str, Any]] = {
    "close methods, weak interaction": {"gap": 0.006, "own": 0.01},
    "far methods, weak interaction": {"gap": 0.025, "own": 0.01},
    "far methods, strong interaction": {"gap": 0.03, "own": 0.04},
    "two methods, at the border": {"gap": 0.025, "own": 0.015, "methods": 2},
    "two methods, strong seeds": {"gap": 0.04, "own": 0.01, "methods": 2, "own_seed": 0.015},
    "heavy tails": {"gap": 0.025, "own": 0.02, "law": "heavy tails"},
}
"""How far methods are apart, and how much orders and seeds move each otherwise."""


@dataclass(frozen=True)
class Survived:
    """How often a study says what, as shares of studies; the last three of pairs."""

    false_yes: float
    """Says "yes" though a pair is otherwise on average, or turned round by over a tenth of orders
    in the seeds of the study."""
    false_no: float
    """Some pair is said to change, and in the seeds of the study no more than a tenth of orders
    turn it round."""
    false_pair: float
    """The verdict on average of some pair is false."""
    yes: float
    no: float
    share_held: float
    """Intervals of the share in which a method is ahead, that hold the share over all seeds."""
    share_width: float


def measure(
    design: Design,
    replicates: int,
    studies: int,
    rng: np.random.Generator,
    worlds: int = 10,
    own_seed: float = 0.004,
    **kind: Any,
) -> Survived:
    """Returns how often verdicts of studies of a design are false, in random worlds of a kind."""
    rows = []
    for _ in range(worlds):
        here = replace(world(rng, **kind), own_seed=own_seed)
        pool = drawn_blocks(design, here.names, 300, rng)
        every = here.study(np.tile(np.arange(len(here.names)), (200, 1)), rng)
        rows += [
            _judged(here, every, pool[rng.integers(0, len(pool), replicates)], rng)
            for _ in range(studies // worlds)
        ]
    names = [field.name for field in fields(Survived)]
    return Survived(**dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True)))


def _judged(
    here: World, every: np.ndarray, drawn: np.ndarray, rng: np.random.Generator
) -> list[float]:
    """Returns the numbers of `Survived` for one study; `every`: all orders in many seeds."""
    R = len(drawn)
    # What all orders would give in the seeds of the study, of which it runs some.
    y = here.study(np.tile(np.arange(len(here.names)), (R, 1)), rng)
    runs = _runs(here, np.take_along_axis(y, drawn[None], axis=2), drawn)
    pairs = method_pairs(runs)
    (found,) = survival_verdicts(pairs)
    means = here.effects.mean(axis=1)
    wrong, false_holds, false_changes, held = [], [], [], []
    for row in pairs.itertuples():
        i, j = int(row.method), int(row.other)
        gain, d = means[i] - means[j], y[i] - y[j]
        right = "better" if gain > ROPE else "equivalent" if gain >= -ROPE else "worse"
        wrong.append(row.verdict not in ("undecided", right))
        turned = (d < -ROPE).mean()
        both_ways = np.minimum((d > ROPE).mean(axis=1), (d < -ROPE).mean(axis=1)).mean()
        false_holds.append(row.verdict == "better" and turned > TENTH)
        false_changes.append(row.survives == "no" and both_ways <= TENTH)
        held.append(row.ahead_low <= (every[i] > every[j]).mean() <= row.ahead_high)
    is_yes, is_no = found.verdict == "yes", found.verdict == "no"
    return [
        is_yes and any(wrong + false_holds),
        any(false_changes),
        any(wrong),
        is_yes,
        is_no,
        float(np.mean(held)),
        float((pairs["ahead_high"] - pairs["ahead_low"]).mean()),
    ]


def _runs(here: World, y: np.ndarray, drawn: np.ndarray) -> pd.DataFrame:
    """Returns the runs of a study y [methods, replicates, orders], as a frame."""
    method, replicate, _ = (axis.ravel() for axis in np.indices(y.shape))
    orders = [here.names[i] for i in drawn.ravel()] * len(y)
    columns = {"method": method.astype(str), "replicate": replicate, "order": orders}
    rest = {"backbone": "b", "planned": drawn.shape[1], "average_accuracy": y.ravel()}
    return pd.DataFrame(columns | rest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200, help="per design, size and kind")
    options = parser.parse_args()
    head = [field.name for field in fields(Survived)]
    print(f"| kind | design | replicates | {' | '.join(head)} |")
    print("|---" * (len(head) + 3) + "|")
    for kind, parts in KINDS.items():
        for name in ("Williams, even", "Williams, odd", "random", "antithetic"):
            tasks, design = CASES[name]
            for replicates in REPLICATES:
                rng = np.random.default_rng([tasks, replicates])
                found = measure(design, replicates, options.studies, rng, tasks=tasks, **parts)
                shown = " | ".join(f"{getattr(found, column):.3f}" for column in head)
                print(f"| {kind} | {name} | {replicates} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
