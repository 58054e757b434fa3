"""The numbers behind every figure and table of the report: one frame each."""

import csv
import io
import shlex
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.data.results import Results
from analysis.inference.intervals import LEVEL
from analysis.inference.significance import holm
from analysis.report.text.phrases import NOTHING
from analysis.run_metrics.metric import RECALLS

MAX_DOTS = 1000
"""Runs of one method drawn in a figure."""
NUM_EXTREMES = 3
"""Worst and best runs listed per method."""


def ranked(summary: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns all (backbone, method), by backbone and falling average accuracy."""
    accuracy = summary[summary["metric"] == "average_accuracy"]
    accuracy = accuracy.sort_values(["backbone", "mean", "method"], ascending=[True, False, True])
    return list(zip(accuracy["backbone"], accuracy["method"], strict=True))


def group(frame: pd.DataFrame, backbone: str, method: str) -> pd.DataFrame:
    """Returns the rows of one (backbone, method)."""
    return frame[(frame["backbone"] == backbone) & (frame["method"] == method)]


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Returns the rows of a frame, its columns as attributes."""
    return frame.itertuples(index=False)


def row_with_most(frame: pd.DataFrame, column: str) -> Any:
    """Returns the row with the largest value of a column, the first of several."""
    return next(rows(frame.sort_values(column, ascending=False, kind="stable").head(1)))


def by_metric(estimates: pd.DataFrame, backbone: str, method: str) -> dict[str, Any]:
    """Returns the rows of one (backbone, method) in a summary or comparison, by metric."""
    return {row.metric: row for row in rows(group(estimates, backbone, method))}


def thinned(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns at most MAX_DOTS runs per (backbone, method), evenly by rank, both ends included.

    Runs without an average accuracy have no rank.
    """
    parts, runs = [], runs.dropna(subset="average_accuracy")
    for _, part in runs.sort_values("average_accuracy").groupby(["backbone", "method"]):
        chosen = np.linspace(0, len(part) - 1, min(len(part), MAX_DOTS)).round().astype(int)
        parts.append(part.iloc[chosen])
    return pd.concat(parts).sort_index() if parts else runs


def judged(compared: pd.DataFrame) -> pd.DataFrame:
    """Returns a comparison with what stands beside a verdict.

    Returns:
        Its rows with low and high = verdict_low and verdict_high, and word = the verdict, "not
        tested" where there is no interval to base one on.
    """
    if "verdict" not in compared:
        return compared.assign(word="")
    word = compared["verdict"].where(compared["p_verdict"].notna(), "not tested")
    low, high = compared["verdict_low"], compared["verdict_high"]
    return compared.assign(low=low, high=high, word=word)


def shown_to_predict(models: pd.DataFrame) -> pd.DataFrame:
    """Returns the models of the order that explain something, and more than by chance."""
    return models[(models["r2"] > 0) & (models["p_holm"] < 1 - LEVEL)]


def moved(runs: pd.DataFrame) -> set[tuple[str, str]]:
    """Returns every (backbone, method) of which two orders of one seed do not end alike."""
    accuracy = runs.groupby(["backbone", "method", "replicate"])["average_accuracy"]
    ranges = accuracy.max() - accuracy.min()
    return {(backbone, method) for backbone, method, _ in ranges.index[ranges > 0]}


def of_pairs(runs: pd.DataFrame, pairs: Collection[tuple[str, str]]) -> pd.DataFrame:
    """Returns the rows of these (backbone, method)."""
    there = [pair in pairs for pair in zip(runs["backbone"], runs["method"], strict=True)]
    return runs[np.array(there, dtype=bool)]


def extremes(runs: pd.DataFrame, in_folder: bool = True) -> pd.DataFrame:
    """Returns the worst and the best runs of every method that the order moves at all.

    Args:
        runs: what `metrics` returns.
        in_folder: whether they are those of one run folder, where a command can be given.

    Returns:
        One row per run: backbone, method, which ("worst" | "best"), rank, average_accuracy,
        forgetting_max, replicate, order, command (which trains the run again; "" if unknown).
    """
    pair = ["backbone", "method"]
    rising = of_pairs(runs, moved(runs)).dropna(subset="average_accuracy")
    rising = rising.sort_values([*pair, "average_accuracy", "replicate", "order"])
    place = rising.groupby(pair).cumcount()
    size = rising.groupby(pair)["order"].transform("size")
    num = (size // 2).clip(1, NUM_EXTREMES)
    worst, best = place < num, (size - place <= num) & (place >= num)
    rising["which"] = np.where(worst, "worst", "best")
    rising["rank"] = np.where(worst, place + 1, size - place)
    found = rising[worst | best].sort_values(
        [*pair, "which", "rank"], ascending=[True, True, False, True]
    )
    many = runs["backbone"].nunique() > 1
    found["command"] = [
        command(row.method, row.order, row.replicate, row.backbone if many else None)
        if in_folder
        else ""
        for row in rows(found)
    ]
    shown = ["which", "rank", "average_accuracy", "forgetting_max", "replicate", "order"]
    return found[[*pair, *shown, "command"]]


def command(method: str, order: tuple[str, ...], replicate: int, backbone: str | None) -> str:
    """Returns the command that trains one run again, inside the run folder."""
    tasks = io.StringIO()
    csv.writer(tasks, lineterminator="\n").writerow(order)  # names may hold commas
    words = [
        "sweep",
        "trial",
        "study.yaml",
        "--method",
        method,
        "--order",
        tasks.getvalue().removesuffix("\n"),
    ]
    words += ["--replicate", str(replicate)]
    return shlex.join([*words, *(["--backbone", backbone] if backbone else [])])


def decided(gains: pd.DataFrame, every: pd.DataFrame) -> pd.DataFrame:
    """Returns gains with p_holm of the effects on other tasks, and decided: whether it is < 0.05.

    Args:
        gains: what `of_gains` returns.
        every: the contributions that it was made of, with their numbers of replicates.
    """
    head = ["backbone", "method", "player", "target"]
    replicates = every[every["kind"] == "gain"].set_index(head)["replicates"]
    found = gains.assign(p_holm=np.nan)
    for _, part in found[found["trained"] != found["task"]].groupby(["backbone", "method"]):
        keys = pd.MultiIndex.from_frame(part[["backbone", "method", "trained", "task"]])
        dof = replicates.loc[keys].to_numpy(float) - 1
        half = ((part["high"] - part["low"]) / 2).to_numpy()
        known = np.isfinite(half)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = part["mean"].abs().to_numpy() / half * stats.t.ppf((1 + LEVEL) / 2, dof)
        p = np.where(part["mean"].abs() < NOTHING, 1, 2 * stats.t.sf(t, dof))[known]
        found.loc[part.index[known], "p_holm"] = holm(p)
    return found.assign(decided=found["p_holm"] < 1 - LEVEL)


def progress(results: Results) -> pd.DataFrame:
    """Returns the numbers of planned, complete and failed runs of every replicate."""
    runs = results.runs
    state = runs.assign(complete=runs["missing"] == 0, failed=runs["error"].notna())
    return (
        state.groupby(["backbone", "method", "replicate"])
        .agg(planned=("order", "size"), complete=("complete", "sum"), failed=("failed", "sum"))
        .reset_index()
    )


def evaluations(results: Results) -> pd.DataFrame:
    """Returns split, eval_task, metric (the score), n, and the stage-0 score per backbone."""
    ok = results.stages[results.stages["status"] == "ok"]
    kinds = ["task", "probe", "retrieval"]
    head = ["split", "eval_task", "metric", "n"]
    start = ok[(ok["stage"] == 0) & ok["split"].isin(kinds)]
    is_shown = [
        (split == "retrieval" and metric in ("recall", *RECALLS))
        or (split, name, metric) == results.scores.score(split, name)
        for split, name, metric in start[head[:3]].itertuples(index=False)
    ]
    start = start[np.array(is_shown, bool)]
    start = start.drop_duplicates([*head[:3], "backbone"]).set_index([*head, "backbone"])
    table = start["value"].unstack().reset_index()
    return table.sort_values(
        head[:3],
        key=lambda c: c.map(kinds.index) if c.name == "split" else c.map(place),
        ignore_index=True,
    )


def place(name: str) -> tuple[int, str]:
    """Returns where a name stands: recalls by their k, all others by the alphabet."""
    return (RECALLS.index(name), "") if name in RECALLS else (len(RECALLS), name)


def accuracies(results: Results) -> pd.DataFrame:
    """Returns the accuracy on every task after every distinct stage, as a table [stage, task]."""
    scores = results.scores
    stages, columns = scores.rows, scores.columns
    keys = {name: scores.score(split, name) for split, name, _ in columns if split == "task"}
    tasks = {name: columns[key] for name, key in keys.items() if key in columns}
    head = pd.DataFrame(list(stages), columns=["backbone", "method", "replicate", "prefix"])
    values = scores.values[np.ix_(range(len(stages)), list(tasks.values()))]
    return pd.concat([head, pd.DataFrame(values, columns=list(tasks))], axis=1)
