"""What the numbers say, in sentences."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from analysis.data.results import Results
from analysis.data.score_array import ScoreWords
from analysis.inference.intervals import LEVEL
from analysis.orders.ranking import stability
from analysis.orders.steadiness import FEW
from analysis.report.report_frames import of_pairs, rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import NOTHING, interval, perhaps_none, plural
from analysis.report.text.ranking_sentences import next_runs, ranking_agreement, worst_seen
from analysis.report.text.task_knowledge import marked
from analysis.report.text.verdict_sentences import (
    MAX_NAMED,
    against_baseline,
    alike,
    between_studies,
    differing,
    families,
    not_covered,
    not_moved,
)

ZERO_SHOT = ("zero_shot_erosion", "zero-shot {noun} on held-out probes")
RETRIEVAL = ("retrieval_erosion", "retrieval recall at 1")


def findings(study: StudyStatistics) -> list[str]:
    """Returns sentences on accuracy, order, ranking, size, zero-shot loss, gaps; names **bold**."""
    found = [differing(study.configs)]
    for backbone, part in study.summary.groupby("backbone"):
        mine = study.runs[study.runs["backbone"] == backbone]
        contending = mine[~mine["method"].isin(study.references)]
        said = [
            _accuracy(part, study.references, study.words),
            alike(mine),
            against_baseline(_of(study.judged, backbone), len(set(study.partners.values())) > 1),
            families(_of(study.judged, backbone), _of(study.survival, backbone)),
            between_studies(study, _of(study.between_judged, backbone)),
            not_moved(study, backbone),
            *not_covered(study, backbone),
            _moved(mine, _of(study.robustness, backbone), study.words.noun),
            _steadier(_of(study.steadiness, backbone)),
            worst_seen(of_pairs(_of(study.robustness, backbone), study.moved)),
            *_agreements(study, contending, str(backbone)),
            _with_both(
                study,
                next_runs(_of(study.variance, backbone), *mine[["replicate", "method"]].nunique()),
            ),
            _lost(part, *ZERO_SHOT, study),
            _lost(part, *RETRIEVAL, study),
        ]
        where = f"{backbone}: " if study.summary["backbone"].nunique() > 1 else ""
        found += [where + sentence for sentence in said if sentence]
    ending = [_stopped(study.manifest), _gaps(study.results), _condition(study.summary)]
    said = [sentence for sentence in [*found, *ending, *study.results.notes] if sentence]
    return [marked(sentence, study.told) for sentence in said]


def _agreements(study: StudyStatistics, runs: pd.DataFrame, backbone: str) -> list[str]:
    """Returns how far runs agree about the contenders, for each kind that is on equal terms."""
    if len(study.terms) == 1:
        return [ranking_agreement(runs, _of(study.stability, backbone))]
    parts = (runs[runs["method"].isin(kind)] for kind in study.terms)
    return [ranking_agreement(part, stability(part)) for part in parts]


def _with_both(study: StudyStatistics, sentence: str) -> str:
    return sentence and f"{sentence}{report_text.ranked_together(study)}"


def _of(frame: pd.DataFrame, backbone: object) -> pd.DataFrame:
    return frame[frame["backbone"] == backbone]


def _accuracy(summary: pd.DataFrame, references: Collection[str], words: ScoreWords) -> str:
    """Returns what methods keep, the best first, and after them what references do."""
    best = summary[summary["metric"] == "average_accuracy"]
    best = best.assign(is_reference=best["method"].isin(references))
    best = best.sort_values(
        ["is_reference", "mean", "method"], ascending=[True, False, True], ignore_index=True
    )
    if best.empty:
        return f"No run has a score on each of its tasks, so there is no average {words.noun}."
    sizes = {(row.runs, row.replicates): _size(row.runs, row.replicates) for row in rows(best)}
    alike = len(sizes) == 1
    start = f"Over {_size(best['runs'].iloc[0], best['replicates'].iloc[0], ' per method')}, "
    named = [
        f"{'as a reference ' if row.is_reference else ''}"
        f"**{row.method}** {'keeps ' if i == 0 else ''}{_interval(row)}"
        f"{f' average {words.noun}' if i == 0 else ''}"
        f"{'' if alike else f' (over {sizes[row.runs, row.replicates]})'}"
        for i, row in enumerate(rows(best.head(MAX_NAMED)))
    ]
    rest = f" and {len(best) - MAX_NAMED} more" if len(best) > MAX_NAMED else ""
    return f"{start if alike else ''}{', '.join(named)}{rest}."


def _size(runs: int, replicates: int, per: str = "") -> str:
    return f"{plural(runs, 'run')}{per} in {plural(replicates, 'replicate')}"


def _moved(runs: pd.DataFrame, robustness: pd.DataFrame, noun: str) -> str:
    """Returns the method that the order moves most, within one replicate."""
    accuracy = runs.groupby(["method", "replicate"])["average_accuracy"]
    ranges = (accuracy.max() - accuracy.min()).dropna()
    if ranges.empty or ranges.max() < NOTHING:
        return ""
    # The most moved is the one of which the table of methods says so, not that of the widest range.
    sds = robustness.dropna(subset="order_sd").sort_values(["order_sd", "method"])
    if len(sds):
        ranges = ranges[[sds["method"].iloc[-1]]]
    method, replicate = ranges.sort_values().index[-1]
    block = runs[(runs["method"] == method) & (runs["replicate"] == replicate)]
    low, *_, high = rows(block.sort_values("average_accuracy"))
    row = next(rows(robustness[robustness["method"] == method]))
    spread = ""
    if row.order_sd == row.order_sd:
        bounds = interval(row.order_sd, row.order_sd_low, row.order_sd_high)
        spread = f"SD over orders {bounds}"
        if row.seed_sd == row.seed_sd:
            spread += f", over seeds {perhaps_none(row.seed_sd, row.seed_sd_low, row.seed_sd_high)}"
        spread += "; "
    return (
        f"The order matters most to **{method}**: {spread}within one replicate its average "
        f"{noun} ranges from {low.average_accuracy:.3f} ({', '.join(low.order)}) to "
        f"{high.average_accuracy:.3f} ({', '.join(high.order)})."
    )


def _steadier(steadiness: pd.DataFrame) -> str:
    """Returns how much more or less the order moves the methods, and what few orders hide of it."""
    if steadiness.empty:
        return ""
    found = steadiness.sort_values(["ratio", "method"])
    named = [
        f"**{row.method}** {interval(row.ratio, row.holm_low, row.holm_high)} times"
        for row in rows(found.head(MAX_NAMED))
    ]
    rest = f", {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    said = (
        f"SD over orders, relative to **{found['baseline'].iloc[0]}** on the same orders: "
        f"{', '.join(named)}{rest}."
    )
    decided = found[found["p_holm"] < 1 - LEVEL]
    if decided.empty:
        return said
    hidden = next(rows(decided.sort_values("reversed", ascending=False)))
    return (
        f"{said} With only {FEW} orders of one seed the ratio for **{hidden.method}** could come "
        f"out anywhere from {hidden.few_low:.2f} to {hidden.few_high:.2f}; {hidden.reversed:.0%} "
        "of such choices rank the two methods the other way round."
    )


def _lost(summary: pd.DataFrame, metric: str, what: str, study: StudyStatistics) -> str:
    """Returns what the method that loses most loses, and what the most accurate method loses."""
    lost = {row.method: row for row in rows(summary[summary["metric"] == metric])}
    most = max(lost.values(), key=lambda row: row.mean, default=None)
    if most is None or most.mean < NOTHING:
        return ""
    accuracy = summary[(summary["metric"] == "average_accuracy") & summary["method"].isin(lost)]
    noun, superlative = study.words.noun, study.words.most
    sentence = (
        f"The {what.format(noun=noun)} falls most with **{most.method}**, by {_interval(most)}"
    )
    accuracy = accuracy[accuracy["method"].isin(study.terms[0])]  # those told the task come last
    best = lost[accuracy["method"].iloc[accuracy["mean"].argmax()]] if len(accuracy) else most
    if best is most:
        return f"{sentence}."
    return f"{sentence}; with **{best.method}**, the {superlative} method, by {_interval(best)}."


def _stopped(manifest: dict[str, object]) -> str:
    """Returns why the study ended early, and what that does to its intervals."""
    reason = str(manifest.get("stopped") or "")
    if not reason:
        return ""
    return (
        f"The study {reason}. It stops where the spread happens to look small, so its other "
        "intervals, which are those of a fixed number of replicates, miss about 8 % of the time "
        "instead of 5 %."
    )


def _gaps(results: Results) -> str:
    missing = int((results.runs["missing"] > 0).sum())
    if not missing:
        return ""
    failed = plural(len(results.failures), "stage")
    planned = plural(len(results.runs), "planned run")
    return f"{missing} of {planned} {'is' if missing == 1 else 'are'} incomplete ({failed} failed)."


def _condition(summary: pd.DataFrame) -> str:
    if summary.empty or summary["low"].notna().any():
        return ""
    return (
        "There are no intervals: they need at least two replicates with all runs complete; "
        "orders of one replicate share a seed and prefixes, so they are not an independent sample."
    )


def _interval(row: Any, sign: str = "") -> str:
    return interval(row.mean, row.low, row.high, sign)
