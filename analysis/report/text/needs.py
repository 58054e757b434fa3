"""Which methods serve which need best, as far as a study decides it."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.inference.estimates import ROPE
from analysis.inference.replicates import complete_replicates, has_complete
from analysis.inference.significance import verdicts
from analysis.report.text.phrases import NOTHING

SIMILAR_TIME = float(np.log(1.1))
"""Training times less than a tenth apart count as the same."""


class Need(NamedTuple):
    """Holds one thing that methods are chosen for.

    Attributes:
        title: as a sentence begins.
        column: of the metrics of runs.
        of_replicate: returns one number from those of the runs of a replicate; higher is better.
        rope: differences up to this do not matter.
        over_orders: whether it takes several orders of a seed.
    """

    title: str
    column: str
    of_replicate: Callable[[pd.Series], float]
    rope: float = ROPE
    over_orders: bool = False


def _loss(values: pd.Series) -> float:
    return -float(values.mean())


def _spread(values: pd.Series) -> float:
    # SDs differ by factors, so their logarithms are compared; one that reads as 0.000 is 0.
    return -float(np.log(max(values.std(ddof=1), NOTHING)))


def _time(values: pd.Series) -> float:
    mean = float(values.mean())
    return -float(np.log(mean)) if mean > 0 else np.nan


NEEDS = (
    Need("Least moved by the order", "average_accuracy", _spread, 0.0, True),
    Need("Best in its worst order", "average_accuracy", lambda v: float(v.min()), ROPE, True),
    Need("Least forgetting", "forgetting_max", _loss),
    Need("Least zero-shot loss", "zero_shot_erosion", _loss),
    Need("Shortest training", "train_seconds", _time, SIMILAR_TIME),
)
"""What methods are chosen for, accuracy apart."""


class Choice(NamedTuple):
    """Holds the methods that no other one is better than.

    Attributes:
        title: of the need.
        methods: best first.
        compared: how many methods are.
        is_equivalent: whether no difference between `methods` matters, rather than is undecided.
    """

    title: str
    methods: tuple[str, ...]
    compared: int
    is_equivalent: bool


def choices(runs: pd.DataFrame) -> list[Choice]:
    """Returns who serves the needs best; needs that nothing is known about are left out.

    Every need has a family of its own: all pairs of methods, over complete replicates.

    Args:
        runs: what `metrics` returns, of the methods of one backbone that compete.
    """
    found = []
    for need in NEEDS:
        values = _by_replicate(runs, need)
        pairs = {(a, b): values[a] - values[b] for a, b in combinations(values.columns, 2)}
        if not pairs:
            continue
        judged = verdicts(pd.DataFrame(pairs), need.rope)
        if judged["p_verdict"].isna().any():
            continue
        words = dict(zip(pairs, judged["verdict"], strict=True))
        better = [
            (a, b) if word == "better" else (b, a)
            for (a, b), word in words.items()
            if word in ("better", "worse")
        ]
        names = list(values.mean().sort_values(ascending=False, kind="stable").index)
        first = undominated(names, better)
        inside = [words.get((a, b), words.get((b, a))) for a, b in combinations(first, 2)]
        alike = all(word == "equivalent" for word in inside)
        found.append(Choice(need.title, tuple(first), len(names), alike))
    return found


def undominated(names: Sequence[str], better: Iterable[tuple[str, str]]) -> list[str]:
    """Returns the names that stand second in no pair.

    >>> undominated(["lora", "er", "finetune"], [("lora", "finetune"), ("er", "finetune")])
    ['lora', 'er']
    """
    behind = {loser for _, loser in better}
    return [name for name in names if name not in behind] or list(names[:1])


def _by_replicate(runs: pd.DataFrame, need: Need) -> pd.DataFrame:
    """Returns what serves a need [replicate, method], of methods with complete replicates."""
    found = {}
    for method, part in runs.dropna(subset=need.column).groupby("method"):
        used = complete_replicates(part)
        single = used.groupby("replicate").size().min() if len(used) else 0
        if has_complete(part) and not (need.over_orders and single < 2):
            found[str(method)] = used.groupby("replicate")[need.column].agg(need.of_replicate)
    return pd.DataFrame(found)


def groups_alike(names: Sequence[str], better: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Returns the largest groups of which no member is better than another (Piepho 2004).

    A method may be in several: what is close to both of its neighbours need not make them close.

    >>> groups_alike(["a", "b", "c"], [("a", "c")])
    [['a', 'b'], ['b', 'c']]
    """
    found = [frozenset(names)]
    for one, other in better:
        split: set[frozenset[str]] = set()
        for group in found:
            split |= {group - {one}, group - {other}} if {one, other} <= group else {group}
        found = [group for group in split if not any(group < rest for rest in split)]
    listed = [[name for name in names if name in group] for group in found]
    return sorted(listed, key=lambda group: [names.index(name) for name in group])
