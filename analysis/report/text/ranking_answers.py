"""Does the ranking survive another order, how sure is that, and what to run next."""

import math
from collections.abc import Callable
from typing import Any

from scipy import stats

from analysis.inference.expected_precision import t_factor
from analysis.inference.intervals import LEVEL
from analysis.orders.survival import TENTH
from analysis.report.report_frames import rows
from analysis.report.text.phrases import about_hours, listed, number, plural
from analysis.report.text.subject import Answer, BackboneResults

FEW = 5
"""Replicates advised to those who have too few for a verdict."""
PAYABLE = 10
"""Times the replicates that there are: more are not advised."""
ONE_ORDER = "All runs have the same order, so nothing here is about other orders."
SURVIVES = "Does the ranking survive another task order?"
WORDS = {
    "yes": "Yes",
    "on average": "On average",
    "in part": "In part",
    "alike": "No difference",
    "no": "No",
    "cannot say": "Cannot say",
}
"""How a verdict of `survival` is said."""


def survives(about: BackboneResults) -> Answer:
    """Returns whether the ranking of the contenders survives another order."""
    question = SURVIVES
    reason = _nothing_to_rank(about)
    if not reason and about.orders == 1:
        reason = ONE_ORDER
    if reason:
        return Answer(question, WORDS["cannot say"], reason)
    verdict = about.survival.verdict
    return Answer(question, WORDS[verdict], _RANKING[verdict](about))


def _nothing_to_rank(about: BackboneResults) -> str:
    """Returns why there is no ranking; "" if there is one."""
    if not about.methods:
        few = "No run is complete yet." if not about.references else ""
        return few or "Only reference points have complete runs, and they are not ranked."
    if len(about.methods) == 1:
        return f"There is one method to rank, **{about.methods[0]}**; a ranking takes two."
    if not about.survival.pairs:
        return "No two methods have a complete run of the same order and seed."
    return ""


def _lasting(about: BackboneResults) -> str:
    found = about.survival
    every = "The difference between the two methods is"
    if found.methods > 2:
        every = f"All differences between the {found.methods} methods are"
    return (
        f"{every} decided, and at most a tenth of the orders reverse "
        f"{'it' if found.pairs == 1 else 'any one of them'}."
    )


def _on_average(about: BackboneResults) -> str:
    found = about.survival
    what = "it is decided which of the two methods is better"
    if found.methods > 2:
        what = f"every pair of the {found.methods} methods is decided"
    return f"Averaged over orders, {what}; {_few_promise(about)}."


def _few_promise(about: BackboneResults) -> str:
    open_ = [_pair(about, *pair) for pair in about.survival.open]
    runs, worst = min(row.runs for row in open_), max(open_, key=lambda row: row.reversals)
    if not worst.reversals:
        return f"no run reverses that, but {plural(runs, 'run')} are too few to promise it"
    return (
        f"**{worst.other}** still beats **{worst.method}** in {worst.reversals} of "
        f"{plural(worst.runs, 'run')}"
    )


def _in_part(about: BackboneResults) -> str:
    found = about.survival
    decided = found.better + found.equivalent
    is_are = "is" if decided == 1 else "are"
    return (
        f"Averaged over orders, {decided} of {plural(found.pairs, 'pair')} of methods {is_are} "
        f"decided; {_open_pairs(found.undecided)}."
    )


def _open_pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    one, other = pairs[0]
    if len(pairs) == 1:
        return f"**{one}** and **{other}** cannot be told apart"
    return f"the others, such as **{one}** and **{other}**, cannot be told apart"


def _alike(about: BackboneResults) -> str:
    return (
        f"Averaged over orders, the {about.survival.methods} methods are within half a point of "
        "one another, so there is nothing to rank."
    )


def _changing(about: BackboneResults) -> str:
    found = about.survival
    one, other = found.changing[0]
    row = _pair(about, one, other)
    many = ""
    if len(found.changing) > 1:
        many = f", as in {len(found.changing)} of {found.pairs} pairs"
    rest = [pair for pair in _pairs(about) if pair not in found.changing]
    open_ = [pair for pair in rest if pair in found.undecided]
    said = f" The other {plural(len(rest), 'pair')} of methods "
    if len(rest) == 1:
        said = " The other pair of methods "
    held = "is" if len(rest) == 1 else "are"
    if rest and not open_:
        said += f"{held} decided on average."
    elif rest and len(open_) == len(rest):
        said += f"{held} undecided."
    elif rest:
        said += f"{held} decided in {plural(len(rest) - len(open_), 'case')}."
    return (
        f"Which of **{one}** and **{other}** is better depends on the order{many}: **{other}** "
        f"wins {row.reversals} of {plural(row.runs, 'run')}, though its mean is lower."
        f"{said if rest else ''}"
    )


def _unknown(about: BackboneResults) -> str:
    found = about.survival
    if found.replicates == 1 and about.repeats_itself:
        return (
            "There is one set of experts, and nothing in it tells a better method from lucky "
            "experts; sets of other seeds can."
        )
    if found.replicates == 1:
        return (
            "There is one replicate, and nothing in it tells a better method from a lucky seed; "
            "two or more can."
        )
    if not about.has_verdicts:
        return "A verdict needs two replicates in which every run of a method is complete."
    what = "the difference between the two methods is not"
    if found.pairs > 1:
        what = f"none of the {found.pairs} differences between methods is"
    return f"With {plural(found.replicates, 'replicate')}, {what} decided."


_RANKING: dict[str, Callable[[BackboneResults], str]] = {
    "yes": _lasting,
    "on average": _on_average,
    "in part": _in_part,
    "alike": _alike,
    "no": _changing,
    "cannot say": _unknown,
}


def _pairs(about: BackboneResults) -> list[tuple[str, str]]:
    return list(zip(about.pairs["method"], about.pairs["other"], strict=True))


def _pair(about: BackboneResults, one: str, other: str) -> Any:
    chosen = (about.pairs["method"] == one) & (about.pairs["other"] == other)
    return next(rows(about.pairs[chosen]))


def certainty(about: BackboneResults) -> Answer:
    """Returns what the answers rest on, and what one more replicate would do."""
    question = "How sure is that?"
    known = [row for m, row in about.estimates.items() if m in about.methods and row.low == row.low]
    seen = {row.replicates for m, row in about.estimates.items() if m in about.methods}
    if not seen:
        return Answer(question, "Not known", "Nothing is complete yet.")
    if not known:
        if about.repeats_itself:
            reason = (
                "One set of experts gives no interval and no verdict on methods. The spread over "
                "orders is that of this set."
            )
        elif max(seen) > 1:
            reason = "No replicate is complete, so there is no interval and no verdict."
        else:
            narrower = 1 - t_factor(3) / t_factor(2)
            reason = (
                "One replicate gives no interval and no verdict. A second one gives both, and a "
                f"third makes the intervals {_percent(narrower)} narrower."
            )
        return Answer(question, "Not known", reason)
    low, high = (f(row.replicates for row in known) for f in (min, max))
    word = plural(high, "replicate") if low == high else f"{low} to {plural(high, 'replicate')}"
    if about.study.manifest.get("stopped"):
        first = "The study stopped itself early, so intervals miss about 8 % of the time."
    elif about.has_verdicts:
        first = "Intervals miss 5 % of the time, and so does the whole family of verdicts on pairs."
    else:
        first = "Intervals miss 5 % of the time."
    narrower = 1 - t_factor(low + 1) / t_factor(low)
    return Answer(
        question,
        word,
        f"{first} One more replicate would make them about {_percent(narrower)} narrower.",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def next_step(about: BackboneResults) -> Answer:
    """Returns what to run next."""
    return Answer("What should I run next?", *_advice(about))


def _advice(about: BackboneResults) -> tuple[str, str]:
    missing, planned = about.incomplete
    if missing:
        is_are = "is" if missing == 1 else "are"
        return "What is missing", (
            f"Of {plural(planned, 'planned run')} {number(missing)} {is_are} incomplete: run the "
            "same command again, and it takes up what is left."
        )
    if len(about.methods) < 2:
        return "Another method", "A ranking takes a second method, under 'methods' in the study."
    if about.orders == 1:
        return "More orders", "Give the study a design with several orders per replicate."
    found = about.survival
    if not about.has_verdicts and about.repeats_itself:
        return "Other experts", (
            "Experts are loaded, so another replicate would merge the same ones again: run the "
            "study with experts of other seeds, and compare the runs with sweep report."
        )
    if not about.has_verdicts:
        return _run_more(
            about,
            max(FEW, found.replicates + 1),
            "can be expected to show differences that one cannot",
        )
    settled = about.study.settling
    settled = settled[settled["backbone"] == about.backbone]
    settled = settled[settled["method"].isin(about.methods)]
    if len(settled):
        return _settle(about, next(rows(settled)), len(settled))
    if found.verdict == "on average":
        return _promise(about)
    return "Nothing", "No pair of methods is open; more replicates would only narrow the intervals."


def _settle(about: BackboneResults, row: Any, pairs: int) -> tuple[str, str]:
    """Returns what would settle the pair that takes least."""
    which = f"**{row.method}** against **{row.other}**"
    what = f"settle {which}" + (f", the closest to it of {pairs} open pairs" if pairs > 1 else "")
    have = about.survival.replicates
    if not math.isfinite(row.more) or row.more > PAYABLE * have:
        return "Nothing that pays off", (
            f"To {what} would take more than {PAYABLE} times the replicates there are, so choose "
            f"by something other than {about.words.noun}."
        )
    time = f" (about {about_hours(row.hours)})" if math.isfinite(row.hours) else ""
    return _run_more(about, int(row.replicates), f"can be expected to {what}", time)


def _run_more(about: BackboneResults, replicates: int, why: str, time: str = "") -> tuple[str, str]:
    how = f"Add replicates, {number(replicates)} in all"
    if about.study.results.folder is not None:
        how = f"Run the study again with --set replicates={replicates}"
    more = replicates - about.survival.replicates
    return f"{plural(more, 'more replicate')}", f"{how}: that {why}{time}."


def _promise(about: BackboneResults) -> tuple[str, str]:
    """Returns how many replicates would show that the order reverses few differences."""
    open_ = about.pairs[(about.pairs["verdict"] == "better") & (about.pairs["survives"] != "yes")]
    needed = 0
    for row in rows(open_):
        share, per_replicate = row.reversals / row.runs, row.runs / row.replicates
        for more in range(1, PAYABLE * row.replicates + 1):
            n = round(per_replicate * (row.replicates + more))
            if share < TENTH and stats.binom.cdf(round(share * n), n, TENTH) < 1 - LEVEL:
                needed = max(needed, row.replicates + more)
                break
        else:
            names = listed([f"**{row.method}**", f"**{row.other}**"])
            return "Nothing", (
                f"Averages are decided. How often the order reverses {names}, more replicates "
                "would only tell more exactly."
            )
    return _run_more(
        about, needed, "would show that at most a tenth of the orders reverse what is decided"
    )
