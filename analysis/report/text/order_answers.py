"""What the order does to the most accurate method, and which orders are worst for it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import permutations

import numpy as np
import pandas as pd

from analysis.inference.replicates import centred, complete_replicates
from analysis.report.report_frames import group, row_with_most, rows, shown_to_predict
from analysis.report.text.phrases import NOTHING, interval
from analysis.report.text.subject import Answer, BackboneResults

MOST_TASKS = 6
"""Tasks up to which an order is written out."""
Holds = Callable[[Sequence[str]], bool]


def order_effect(about: BackboneResults) -> Answer:
    """Returns what the order does to the contender with the highest mean."""
    if not about.methods:
        return Answer("What does the order do?", "Cannot say", "No contender has a complete run.")
    best = about.methods[0]
    question = f"What does the order do to {best}?"
    if about.orders_per_seed < 2:
        return Answer(question, "Cannot say", _single(about))
    if (about.backbone, best) not in about.study.moved:
        return Answer(question, "Nothing", f"With **{best}** all orders of a seed end alike.")
    blocks = _runs(about, best).groupby("replicate")["average_accuracy"]
    apart = float((blocks.max() - blocks.min()).mean())
    usual = " on average" if len(blocks) > 1 else ""
    said = f"The best and the worst order of a seed are {apart:.3f} apart{usual}."
    spread = next(rows(group(about.study.robustness, about.backbone, best)))
    if spread.order_sd == spread.order_sd:
        sd = interval(spread.order_sd, spread.order_sd_low, spread.order_sd_high)
        said += f" The SD over orders is {sd}{_lead(about, best)}."
    return Answer(question, f"Moves it by {apart:.3f}", said)


def _single(about: BackboneResults) -> str:
    if about.orders < 2:
        return "All runs have the same order."
    return "Every seed has a single order, so order and seed cannot be told apart."


def _lead(about: BackboneResults, best: str) -> str:
    """Returns how far the best one is ahead of the next, on the same runs."""
    others = [name for name in about.methods if name != best]
    mine = about.pairs[(about.pairs["method"] == best) & about.pairs["other"].isin(others[:1])]
    return f"; its lead over **{others[0]}** is {mine['mean'].iloc[0]:.3f}" if len(mine) else ""


def worst_orders(about: BackboneResults) -> Answer:
    """Returns the worst order of the contender with the highest mean, and what bad ones share."""
    if not about.methods:
        return Answer("Which orders are worst?", "Cannot say", "No contender has a complete run.")
    best = about.methods[0]
    question = f"Which orders are worst for {best}?"
    if about.orders_per_seed < 2:
        return Answer(question, "Cannot say", _single(about))
    if (about.backbone, best) not in about.study.moved:
        return Answer(question, "None", f"With **{best}** all orders of a seed end alike.")
    runs = _runs(about, best)
    worst = next(rows(runs.sort_values(["average_accuracy", "replicate", "order"])))
    seen = f"The worst seen is {_written(worst.order)}, at {worst.average_accuracy:.3f}"
    if runs["replicate"].nunique() < 3:
        return Answer(
            question,
            "No rule known",
            f"{seen}. What bad orders share takes three replicates to find out.",
        )
    found = rule(runs, group(about.study.order_models, about.backbone, best))
    if found is None:
        return Answer(
            question,
            "No rule found",
            f"{seen}. No model of the order is shown to predict how those of other replicates end.",
        )
    words, gap, r2 = found
    return Answer(
        question,
        words,
        f"Orders with {words} end {gap:.3f} lower; the model behind it explains "
        f"{100 * r2:.0f} % of the differences in replicates it has not seen. {seen}.",
    )


def rule(runs: pd.DataFrame, models: pd.DataFrame) -> tuple[str, float, float] | None:
    """Returns what bad orders share, how much lower they end, and R2 out of sample; None: nothing.

    Of the statements that the best model is made of, the one is given whose orders end lowest
    against all others.

    Args:
        runs: of one method, of complete replicates.
        models: of the orders of that method (`order_models`).
    """
    known = shown_to_predict(models)
    if known.empty:
        return None
    top = row_with_most(known, "r2")
    y = centred(runs["average_accuracy"].to_numpy(float), runs["replicate"].to_numpy())
    found = []
    for words, holds in _statements(top.model, sorted(runs["order"].iloc[0])):
        there = np.array([holds(order) for order in runs["order"]])
        if 2 <= there.sum() <= len(there) - 2:
            found.append((float(y[~there].mean() - y[there].mean()), words))
    gap, words = max(found, default=(0.0, ""))
    return (words, gap, float(top.r2)) if gap >= NOTHING else None


def _statements(model: str, tasks: Sequence[str]) -> Iterator[tuple[str, Holds]]:
    """Yields what a model can say of an order, with the test of whether it holds."""
    pairs = list(permutations(tasks, 2))
    if model == "position":
        yield from ((f"{task} first", partial(_is_at, 0, task)) for task in tasks)
        yield from ((f"{task} last", partial(_is_at, -1, task)) for task in tasks)
    elif model == "precedence":
        yield from ((f"{a} before {b}", partial(_is_before, a, b)) for a, b in pairs)
    else:
        yield from ((f"{b} right after {a}", partial(_follows, a, b)) for a, b in pairs)


def _is_at(place: int, task: str, order: Sequence[str]) -> bool:
    return order[place] == task


def _is_before(a: str, b: str, order: Sequence[str]) -> bool:
    return order.index(a) < order.index(b)


def _follows(a: str, b: str, order: Sequence[str]) -> bool:
    return order.index(b) == order.index(a) + 1


def _runs(about: BackboneResults, method: str) -> pd.DataFrame:
    return complete_replicates(about.runs[about.runs["method"] == method])


def _written(order: Sequence[str]) -> str:
    if len(order) > MOST_TASKS:
        order = (*order[:3], "\u2026", *order[-2:])
    return " \u2192 ".join(order)
