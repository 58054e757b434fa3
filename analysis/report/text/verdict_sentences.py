"""What comparisons say, in sentences: against the baseline and between studies."""

import json

import pandas as pd

from analysis.data.study_settings import ABSENT, Configs, differing_keys, setting
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import bold, interval, listed, plural
from analysis.run_metrics.metric import METRICS

MAX_NAMED = 6
"""Methods, or settings, named in one sentence."""
VERDICTS = ("better", "equivalent", "worse", "undecided", "not tested")
"""In the order in which they are said."""


def against_baseline(judged: pd.DataFrame, several: bool) -> str:
    """Returns what the paired differences to the baseline say.

    Args:
        judged: `StudyStatistics.judged` of one backbone.
        several: whether every study has a baseline of its own.
    """
    accuracy = _of_accuracy(judged)
    if accuracy.empty:
        return ""
    baselines = listed([f"**{name}**" for name in sorted(set(accuracy["baseline"]))])
    whose = ", each method with that of its study," if several else ""
    return (
        f"Against {baselines}{whose} on the same orders, with half a point as the least that "
        f"matters, {_verdicts(accuracy)}."
    )


def families(judged: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Returns which verdicts against the baseline are otherwise among all pairs of methods.

    The two are families of their own, each corrected for its number of comparisons.

    Args:
        judged: `StudyStatistics.judged` of one backbone.
        pairs: `StudyStatistics.survival` likewise.
    """
    words = {}
    for row in rows(pairs[pairs["verdict_low"].notna()]):
        opposite = "worse" if row.verdict == "better" else row.verdict
        words[row.method, row.other], words[row.other, row.method] = row.verdict, opposite
    other = [
        row.method
        for row in rows(_of_accuracy(judged))
        if row.word != words.get((row.method, row.baseline), row.word)
    ]
    if not other:
        return ""
    return (
        f"With {listed(bold(other))} the verdict against the baseline is not the one among all "
        "pairs of methods: the two families differ in size, and what is decided in one of them "
        "only is on the edge."
    )


def between_studies(study: StudyStatistics, judged: pd.DataFrame) -> str:
    """Returns what the paired differences between studies say.

    Args:
        study: several ones that are compared.
        judged: `StudyStatistics.between_judged` of one backbone.
    """
    if not study.twins:
        return ""
    accuracy = _of_accuracy(judged)
    apart = sorted(set(study.twins) - set(accuracy["method"]))
    said = []
    if len(accuracy):
        named = accuracy.assign(method=accuracy["method"] + " - " + accuracy["baseline"])
        said.append(f"Between the studies, on the same orders and replicates, {_verdicts(named)}.")
    if apart:
        names = listed([f"**{name}**" for name in apart])
        said.append(
            f"{names} {_has(apart)} no complete run in common with the study before, so there is "
            "no paired difference."
        )
    return " ".join(said)


def _of_accuracy(judged: pd.DataFrame) -> pd.DataFrame:
    accuracy = judged[judged["metric"] == "average_accuracy"]
    return accuracy.sort_values(["mean", "method"], ascending=[False, True])


def _verdicts(accuracy: pd.DataFrame) -> str:
    said = []
    for word in VERDICTS:
        mine = accuracy[accuracy["word"] == word]
        named = [
            f"**{row.method}** ({interval(row.mean, row.low, row.high, '+')}, ahead in "
            f"{row.win_rate:.0%} of {plural(row.runs, 'run')})"
            for row in rows(mine.head(MAX_NAMED))
        ]
        if len(mine) > MAX_NAMED:
            named.append(f"{len(mine) - MAX_NAMED} more")
        why = f", because {report_text.NEEDS_TWO}" if word == "not tested" else ""
        said += [f"{word}{why}: {', '.join(named)}"] if named else []
    return "; ".join(said)


def alike(runs: pd.DataFrame) -> str:
    """Returns which methods have the same results in all runs that both have.

    Args:
        runs: of one backbone.
    """
    of = {
        str(method): part.set_index(["replicate", "order"])[list(METRICS)].sort_index()
        for method, part in runs.groupby("method")
    }
    classes: list[list[str]] = []
    for method in of:
        home = next((c for c in classes if _are_equal(of[c[0]], of[method])), None)
        if home is None:
            classes.append([method])
        else:
            home.append(method)
    return " ".join(
        f"{listed([f'**{method}**' for method in same])} have the same results in all runs that "
        "they share: no number here tells one from the other."
        for same in classes
        if len(same) > 1
    )


def _are_equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    shared = one.index.intersection(other.index)
    return bool(len(shared)) and one.loc[shared].equals(other.loc[shared])


def not_moved(study: StudyStatistics, backbone: object) -> str:
    """Returns which methods no order moves, or that a study with one order per seed cannot say."""
    runs = study.runs[study.runs["backbone"] == backbone]
    if runs.empty:
        return ""
    if runs.groupby(["method", "replicate"]).size().max() < 2:
        others = "" if runs["order"].nunique() > 1 else " Nothing here is about other orders."
        return (
            "Every replicate has a single order with complete runs, so what the order does cannot "
            f"be told from what the seed does.{others}"
        )
    still = sorted(set(runs["method"]) - {m for b, m in study.moved if b == backbone})
    if not still:
        return ""
    names = listed([f"**{method}**" for method in still])
    return f"No order moves {names}: all orders of a seed end alike."


def not_covered(study: StudyStatistics, backbone: object) -> list[str]:
    """Returns which methods the other sentences are not about, or only in part."""
    planned = study.results.runs
    planned = planned[planned["backbone"] == backbone]
    there = {method for b, method in study.groups if b == backbone}
    absent = sorted(set(planned["method"]) - there)
    said = []
    if absent:
        names = listed([f"**{method}**" for method in absent])
        said.append(f"{names} {_has(absent)} no complete run: nothing here is about {names}.")
    counted = report_text.shared(study, backbone)
    if counted:
        said.append(f"Rankings and variance are over fewer runs: {counted}.")
    return said


def differing(configs: Configs) -> str:
    """Returns the keys of study.yaml in which studies differ, with their values.

    >>> one, other = {"seed": 1, "training": {"lr": 0.1}}, {"seed": 1, "training": {"lr": 0.2}}
    >>> differing({"A": one, "B": other})
    '**A** and **B** differ in training.lr (0.1; 0.2).'
    """
    if len(configs) < 2:
        return ""
    names = listed([f"**{name}**" for name in configs])
    whole = differing_keys(configs)
    if not whole:
        return f"{names} have the same settings."
    said = [f"{key} ({_values(key, configs)})" for key in whole[:MAX_NAMED]]
    more = f" and {len(whole) - MAX_NAMED} more" if len(whole) > MAX_NAMED else ""
    return f"{names} differ in {', '.join(said)}{more}."


def _values(key: str, configs: Configs) -> str:
    """Returns what every study says about a key, or which studies say anything."""
    values = {name: setting(config, key) for name, config in configs.items()}
    if ABSENT in values.values():
        return f"only {listed([name for name, value in values.items() if value is not ABSENT])}"
    return "; ".join(json.dumps(value).strip('"') for value in values.values())


def _has(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"
