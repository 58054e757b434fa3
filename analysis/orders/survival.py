"""Does the ranking of methods survive another task order?

Two questions about every pair of methods. Which one is better on average over orders and seeds:
`significance.verdicts` over replicates, all pairs of a backbone being one family. And does that
hold order by order: in the seeds of the study, in how many orders is the other one ahead? Orders
are drawn at random in every seed, so the number of those with some property has, at most, the
spread of a binomial law (Hoeffding 1956), however much seeds differ: this second question has exact
tests, which say nothing about other seeds.
"""

from collections.abc import Collection, Iterable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from analysis.inference.estimates import ROPE
from analysis.inference.intervals import LEVEL, clustered_share
from analysis.inference.replicates import has_complete
from analysis.inference.significance import VERDICTS, holm, verdicts
from analysis.orders.ranking import values_by_method

TENTH = 0.1
"""The share of orders above which reversals count as a change, up to which as none."""
PAIR = ["backbone", "method", "other"]
COUNTS = ["wins", "ties", "losses", "ahead", "ahead_low", "ahead_high"]
SURVIVES = ["reversals", "p_holds", "p_changes", "survives"]


def method_pairs(
    runs: pd.DataFrame,
    metric: str = "average_accuracy",
    without: Collection[str] = (),
    rope: float = ROPE,
) -> pd.DataFrame:
    """Returns all methods against each other: on average, and order by order.

    Args:
        runs: what `metrics` returns.
        metric: a column of it.
        without: methods that are not compared, such as references.
        rope: differences up to this do not matter, on average or in a single run.

    Returns:
        One row per (backbone, method, other), each pair once, `method` the better one on average
        over the runs that both have (same replicate and order). On average: mean (of the
        differences of replicate means, positive = better), sd (of these differences), verdict
        ("better", "equivalent" or "undecided"), p_verdict, verdict_low, verdict_high, all of one
        family (`significance.verdicts`). Order by order: wins, ties, losses (runs), ahead (the
        share of wins) with ahead_low and ahead_high (`clustered_share`), reversals (runs in which
        `other` is ahead by more than `rope`), and survives: "yes" if with 95 % confidence at most
        a tenth of the orders are such reversals (p_holds below 5 %), "no" if in the seeds of the
        study each of the two is ahead, by more than `rope`, in more than a tenth (p_changes below
        5 %, after Holm's correction for all pairs), else "open". Then replicates and runs. NaN
        where there is one replicate, or none is complete.

    >>> from analysis import metrics, tiny_study
    >>> pairs = method_pairs(metrics(tiny_study()))
    >>> pairs[["method", "other", "mean", "verdict", "wins", "losses", "survives"]].round(3)
       method     other   mean verdict  wins  losses survives
    0  replay  finetune  0.153  better    24       0     open
    """
    kept = runs[~runs["method"].isin(list(without))]
    parts = [
        _pairs_of_backbone(str(backbone), group, metric, rope)
        for backbone, group in kept.groupby("backbone")
    ]
    names = [*PAIR, "mean", "sd", *VERDICTS, *COUNTS, *SURVIVES, "replicates", "runs"]
    found = [part for part in parts if len(part)]
    return pd.concat(found, ignore_index=True)[names] if found else pd.DataFrame(columns=names)


def _pairs_of_backbone(backbone: str, runs: pd.DataFrame, metric: str, rope: float) -> pd.DataFrame:
    wide = values_by_method(runs, metric)
    complete = {m for m, part in runs.dropna(subset=metric).groupby("method") if has_complete(part)}
    differences = {}
    for pair in combinations(wide.mean().sort_values(ascending=False, kind="stable").index, 2):
        d = (wide[pair[0]] - wide[pair[1]]).dropna().round(12)
        if len(d):
            is_better = d.groupby(level="replicate").mean().mean() >= 0
            differences[pair if is_better else pair[::-1]] = d if is_better else -d
    if not differences:
        return pd.DataFrame()
    means = {pair: d.groupby(level="replicate").mean() for pair, d in differences.items()}
    known = {pair: m if complete >= set(pair) else m * np.nan for pair, m in means.items()}
    judged = verdicts(pd.DataFrame(known), rope)
    rows = []
    for (pair, d), (_, row) in zip(differences.items(), judged.iterrows(), strict=True):
        head = dict(zip(PAIR, (backbone, *pair), strict=True)) | {"mean": means[pair].mean()}
        by_order = _by_order(d, rope, complete >= set(pair))
        rows.append(head | {"sd": known[pair].std(ddof=1)} | row.to_dict() | by_order)
    found = pd.DataFrame(rows)
    tested = found["p_changes"].notna()
    found.loc[tested, "p_changes"] = holm(found.loc[tested, "p_changes"])
    holds, changes = (found[p] < 1 - LEVEL for p in ("p_holds", "p_changes"))
    return found.assign(survives=np.select([holds, changes], ["yes", "no"], "open"))


def _by_order(d: pd.Series, rope: float, is_complete: bool) -> dict[str, object]:
    """Returns what the differences [(replicate, order)] of a pair say order by order."""
    by_seed = d.groupby(level="replicate")
    won, lost, sizes = (d > 0).sum(), (d < 0).sum(), by_seed.size()
    share = clustered_share((d > 0).groupby(level="replicate").sum(), sizes)
    for_one, for_other = (x.groupby(level="replicate").sum() for x in (d > rope, d < -rope))
    both_ways = np.minimum(for_one, for_other).sum()
    found: dict[str, object] = {
        "wins": int(won),
        "ties": int(len(d) - won - lost),
        "losses": int(lost),
        **dict(zip(COUNTS[3:], share.only_if(is_complete), strict=True)),
        "reversals": int(for_other.sum()),
        "p_holds": float(stats.binom.cdf(for_other.sum(), len(d), TENTH)),
        "p_changes": float(stats.binom.sf(both_ways - 1, len(d), TENTH)),
        "replicates": len(sizes),
        "runs": len(d),
    }
    return found if is_complete else found | {"p_holds": np.nan, "p_changes": np.nan}


VERDICT_WORDS = {
    "yes": "every pair is decided on average, and no difference is undone by the order",
    "on average": "every pair is decided on average; order by order something is open",
    "in part": "some pairs are decided, others are not",
    "alike": "no difference between methods matters, and none comes up order by order",
    "no": "which method of some pair is better demonstrably changes with the order",
    "cannot say": "there is one method, one replicate, no complete one, or no pair is decided",
}
"""What the verdict of a backbone means."""


class Survival(NamedTuple):
    """Holds whether the ranking of the methods of a backbone survives another order.

    Attributes:
        backbone: its name.
        verdict: one of VERDICT_WORDS.
        methods: how many are compared; 0 without pairs.
        pairs: of methods.
        better: pairs of which one is better on average.
        equivalent: pairs whose difference on average does not matter.
        changing: (method, other) whose order demonstrably changes with the task order.
        undecided: (method, other) that are not decided on average.
        open: (method, other), one of them better on average, of which the data do not show that
            at most a tenth of orders reverse it.
        replicates: the fewest of a pair; 0 without pairs.
        runs: likewise.
        runs_needed: so many runs show, if none of those to come is reversed, that the pairs of
            `open` hold in nine tenths of orders; 0 if there are none.
    """

    backbone: str
    verdict: str
    methods: int
    pairs: int
    better: int
    equivalent: int
    changing: tuple[tuple[str, str], ...]
    undecided: tuple[tuple[str, str], ...]
    open: tuple[tuple[str, str], ...]
    replicates: int
    runs: int
    runs_needed: int


def survival_verdicts(pairs: pd.DataFrame, backbones: Iterable[str] = ()) -> list[Survival]:
    """Returns, for every backbone, whether the ranking of methods survives another order.

    The first that fits: "cannot say" with one replicate or none that is complete; "no" if a pair
    demonstrably changes with the order; "alike" if all pairs are equivalent, "yes" if all are
    decided and those that differ hold in nine tenths of orders, "on average" if all are decided;
    "in part" if some are; else "cannot say". A false "no" is as rare as one false result of the
    family (5 %). So is a false "yes", which needs every single pair to pass its test. With no
    reversal, "yes" takes 29 runs: so many orders show that a tenth, at most, are otherwise.

    Args:
        pairs: what `method_pairs` returns.
        backbones: that get a verdict even though they have no pair.

    >>> from analysis import metrics, tiny_study
    >>> (found,) = survival_verdicts(method_pairs(metrics(tiny_study())))
    >>> found.verdict, found.better, found.open, found.runs, found.runs_needed
    ('on average', 1, (('replay', 'finetune'),), 24, 29)
    """
    names = sorted({*pairs["backbone"], *backbones})
    return [_survival(name, pairs[pairs["backbone"] == name]) for name in names]


def _survival(backbone: str, pairs: pd.DataFrame) -> Survival:
    better, equivalent = (pairs["verdict"] == word for word in ("better", "equivalent"))
    known = pairs["verdict_low"].notna()
    if not known.any():
        word = "cannot say"
    elif (known & (pairs["survives"] == "no")).any():
        word = "no"
    elif equivalent.all():
        word = "alike"
    elif (better | equivalent).all():
        word = "yes" if (pairs.loc[better, "survives"] == "yes").all() else "on average"
    else:
        word = "in part" if (better | equivalent).any() else "cannot say"

    unsure = better & (pairs["survives"] != "yes")

    def named(chosen: pd.Series) -> tuple[tuple[str, str], ...]:
        part = pairs[chosen]
        return tuple(zip(part["method"], part["other"], strict=True))

    return Survival(
        backbone=backbone,
        verdict=word,
        methods=len({*pairs["method"], *pairs["other"]}),
        pairs=len(pairs),
        better=int(better.sum()),
        equivalent=int(equivalent.sum()),
        changing=named(known & (pairs["survives"] == "no")),
        undecided=named(~better & ~equivalent),
        open=named(unsure),
        replicates=int(pairs["replicates"].min()) if len(pairs) else 0,
        runs=int(pairs["runs"].min()) if len(pairs) else 0,
        runs_needed=max(map(runs_needed, pairs.loc[unsure, "reversals"]), default=0),
    )


def runs_needed(reversals: int) -> int:
    """Returns how many runs, so many of them reversed, show that at most a tenth of orders are.

    >>> runs_needed(0), runs_needed(1)
    (29, 46)
    """
    runs = 1
    while stats.binom.cdf(reversals, runs, TENTH) >= 1 - LEVEL:
        runs += 1
    return runs
