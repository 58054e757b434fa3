"""What is said of a published order among others, in sentences."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.data.final_scores import OrderScores
from analysis.data.results import called
from analysis.inference.intervals import LEVEL
from analysis.orders.published import FEWEST
from analysis.report.report_frames import rows
from analysis.report.text.phrases import plural
from analysis.report.text.subject import Answer

WORDS = {"outlier": "an outlier", "within": "not shown to be one", "": "cannot say"}
NEEDED = round(1 / (1 - LEVEL))
"""Orders, the published one included, from which on the rank alone can say that it is one."""
MOST_NAMED = 4
"""Methods or orders that have a sentence of their own."""


def digits(scores: OrderScores) -> int:
    """Returns after how many digits numbers are rounded: one more than they were given with."""
    values = scores.means["value"].abs()
    given = scores.rows["value"].map(lambda value: len(f"{value:.10g}".partition(".")[2]))
    return int(min(given.max(), 3)) if values.max() >= 1 else 3


def p_text(p: float) -> str:
    """Returns p as a sentence has it.

    >>> p_text(0.0001047), p_text(0.2)
    ('p < 0.001', 'p = 0.200')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def whose(row: Any, scores: OrderScores) -> str:
    """Returns which order of which method a row is about, as a sentence begins."""
    several = len(scores.published) > 1
    order = f"The published order {row.order}" if several else "The published order"
    if len(scores.methods) == 1:
        return order
    return f"{called(row.method, scores.told)}: {order[0].lower()}{order[1:]}"


def verdicts(found: pd.DataFrame, scores: OrderScores) -> list[str]:
    """Returns one sentence per method and published order, the clearest first."""
    ordered = found.sort_values("p", na_position="last", kind="stable")
    said = [_verdict(row, scores) for row in rows(ordered.head(MOST_NAMED))]
    if len(found) > MOST_NAMED:
        said.append(f"{len(found) - MOST_NAMED} more are in the table.")
    known = ordered[ordered["verdict"] != ""]
    if len(found) == 1 and len(known):
        said.append(_by_rank(next(iter(rows(known)))))
    elif len(known) and known["floor"].min() > 1 - LEVEL:
        said.append(
            f"By rank alone no p can be below {known['floor'].min():.3g} here; 0.05 takes "
            f"{NEEDED} orders."
        )
    return said


def short_answer(found: pd.DataFrame) -> str:
    """Returns the answer in a word or two."""
    out, asked = int((found["verdict"] == "outlier").sum()), int((found["verdict"] != "").sum())
    if not asked:
        return "These results cannot say."
    if len(found) == 1:
        return "Yes." if out else "Not shown."
    if out == len(found):
        return f"Yes, in all {len(found)} cases."
    return f"Yes, in {out} of {len(found)} cases." if out else "Not shown."


def answer(found: pd.DataFrame) -> Answer:
    """Returns the answer as those of a study are."""
    return Answer("Is the published order an outlier?", short_answer(found).rstrip("."), "")


def _verdict(row: Any, scores: OrderScores) -> str:
    n, d = int(row.orders), digits(scores)
    start = f"{whose(row, scores)} scores {row.value:.{d}f}"
    if n < FEWEST:
        there = f"{plural(n, 'other order')}" if n else "no other order"
        return (
            f"{start}; there {'is' if n < 2 else 'are'} {there}, and an answer takes at least "
            f"{FEWEST}."
        )
    if np.isnan(row.p):
        tied = "the same" if row.value == row.mean else f"{row.mean:.{d}f}"
        return (
            f"{start}, and the other {plural(n, 'order')} all score {tied}: without any spread "
            "nothing says how far apart orders lie."
        )
    side = "above" if row.away > 0 else "below"
    place = f"{abs(row.away):.1f} SD {side} the mean of the other {plural(n, 'order')}"
    level = f"the {LEVEL * 100:.0f} % prediction interval [{row.low:.{d}f}, {row.high:.{d}f}]"
    what = (
        f"outside {level} of one more order like them" if row.verdict == "outlier"
        else f"inside {level} of one more order like them"
    )  # fmt: skip
    return f"{start}: {place} ({row.mean:.{d}f}, SD {row.sd:.{d + 1}f}), {what} ({p_text(row.p)})."


def _by_rank(row: Any) -> str:
    total = int(row.orders) + 1
    least = row.p_rank <= row.floor * 1.000001
    found = f"By rank alone p is {row.p_rank:.3g}"
    if least and row.floor > 1 - LEVEL:
        return f"{found}, the least that {total} orders can give; 0.05 takes {NEEDED} orders."
    return f"{found}{f', the least that {total} orders can give' if least else ''}."


def unsaid(found: pd.DataFrame, scores: OrderScores) -> list[str]:
    """Returns what the answer does not say, or rests on."""
    seeds = scores.means["seeds"]
    said = []
    if seeds.max() == 1:
        said.append(
            "Every order has a single score, so the effect of the order is not separated from "
            "that of the seed. Several seeds per order, in a column 'seed', would do that."
        )
    else:
        few, many = int(seeds.min()), int(seeds.max())
        count = plural(many, "seed") if few == many else f"{few} to {many} seeds"
        said.append(
            f"The score of an order is its mean over {count}. What is left of the seeds' effect "
            "is part of the spread over orders."
        )
        mine = scores.means.loc[scores.means["published"], "seeds"]
        if mine.min() < many or (mine.max() > few and few < many):
            said.append(
                "Orders have different numbers of seeds, and the fewer there are, the further a "
                "score can stray: the p values do not allow for that."
            )
    said.append(
        "The other orders count as drawn at random from all orders. If they were chosen by "
        "similarity, by difficulty or by their scores, neither p is valid."
    )
    if (found["verdict"] == "outlier").any():
        said.append(
            "It does not say why. The order may suit the method, settings may have been tuned on "
            "it, or its run may differ in something else."
        )
    inside = found[found["verdict"] == "within"]
    if len(inside):
        row = max(rows(inside), key=lambda row: row.high - row.mean)
        d = digits(scores)
        said.append(
            "Not shown is not the same as alike: with "
            f"{plural(int(row.orders), 'other order')} only a score at least "
            f"{row.high - row.mean:.{d}f} away from their mean would count as an outlier."
        )
    if len(found) > 1:
        said.append(
            f"{plural(len(found), 'question')} are asked at once, so p is multiplied by their "
            "number and intervals are widened to match (Bonferroni)."
        )
    return said


def differences(found: pd.DataFrame, several_orders: bool) -> list[str]:
    """Returns where the published order ranks two methods otherwise than the others do."""
    said = []
    for row in rows(found[~found["agrees"]].head(MOST_NAMED)):
        known = row.low > 0 or row.high < 0
        ahead, behind = (row.method, row.baseline) if row.mean > 0 else (row.baseline, row.method)
        where = f"the published order {row.order}" if several_orders else "the published order"
        how = "" if known else ", though not clearly"
        said.append(
            f"{ahead} is ahead of {behind} on average over the other orders{how}, but not on "
            f"{where}."
        )
    return said or ["The method ahead on the other orders is ahead on the published one, too."]
