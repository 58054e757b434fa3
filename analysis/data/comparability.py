"""Whether studies measure the same thing: what the untouched backbone scores on the same tasks."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import pandas as pd

from analysis.data.results import Results

SAME_SCORE = 0.005
"""Scores of one backbone on one test set differ by less, between machines and precisions."""


def told_apart(studies: Mapping[str, Results]) -> tuple[dict[str, Results], tuple[str, ...]]:
    """Returns studies in which a backbone has one name only where it is one backbone on one data.

    Runs are paired by the name of the backbone, but a name is only what a study calls it. Where the
    untouched backbones of two studies score differently on a task, or on another number of test
    samples, either the models or the data differ, so their runs must not be paired; the backbones
    are then called "backbone (study)".

    Returns:
        the studies, and a sentence per backbone that was told apart.

    >>> from analysis import from_matrices
    >>> R, order = [[0.9, 0.2], [0.7, 0.8]], ("a", "b")
    >>> one, other = (
    ...     from_matrices([R], [order], zero_shot={"a": start, "b": 0.2}) for start in (0.3, 0.4)
    ... )
    >>> told_apart({"A": one, "B": other})[1][0][:65]
    'unnamed scores 0.300 on a in A and 0.400 in B before any training'
    """
    start = {name: _start(results) for name, results in studies.items()}
    names: dict[str, dict[str, str]] = {study: {} for study in studies}
    said = []
    for backbone in sorted({b for found in start.values() for b, _ in found.index}):
        held = [study for study in studies if backbone in start[study].index.get_level_values(0)]
        classes: list[list[str]] = []
        for study in held:
            mine = start[study].loc[backbone]
            home = next((c for c in classes if not _apart(start[c[0]].loc[backbone], mine)), None)
            if home is None:
                classes.append([study])
            else:
                home.append(study)
        if len(classes) < 2:
            continue
        for alike in classes:
            for study in alike:
                names[study][backbone] = f"{backbone} ({', '.join(alike)})"
        said += [
            _sentence(backbone, one[0], other[0], start) for one, other in combinations(classes, 2)
        ]
    return {name: _renamed(results, names[name]) for name, results in studies.items()}, tuple(said)


def _start(results: Results) -> pd.DataFrame:
    """Returns value and n of the untouched backbones, by backbone and task."""
    stages = results.stages
    at = (stages["stage"] == 0) & (stages["split"] == "task") & (stages["status"] == "ok")
    scored = results.scores.scored
    mine = [scored.get(("task", name)) for name in stages["eval_task"]]
    found = stages[at & (stages["metric"] == pd.Series(mine, stages.index, object))]
    return found.groupby(["backbone", "eval_task"])[["value", "n"]].median()


def _apart(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """Returns the first task on which two untouched backbones differ; "" for none."""
    both = one.join(other.add_suffix("_other"), how="inner")
    counted = both["n"].notna() & both["n_other"].notna()
    differ = (both["value"] - both["value_other"]).abs() > SAME_SCORE
    differ |= counted & (both["n"] != both["n_other"])
    return str(both.index[differ][0]) if differ.any() else ""


def _sentence(backbone: str, one: str, other: str, start: Mapping[str, pd.DataFrame]) -> str:
    mine, theirs = start[one].xs(backbone), start[other].xs(backbone)
    assert isinstance(mine, pd.DataFrame)
    assert isinstance(theirs, pd.DataFrame)
    task = _apart(mine, theirs)
    a, b = mine.loc[task], theirs.loc[task]
    if abs(a["value"] - b["value"]) > SAME_SCORE:
        what = f"scores {a['value']:.3f} on {task} in {one} and {b['value']:.3f} in {other}"
    else:
        what = f"is tested on {a['n']:.0f} samples of {task} in {one} and {b['n']:.0f} in {other}"
    return (
        f"{backbone} {what} before any training, so the data or the models differ, and runs of "
        f"{one} and {other} are not paired."
    )


def _renamed(results: Results, names: Mapping[str, str]) -> Results:
    """Returns results with other names of backbones."""
    if not names:
        return results

    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        if "backbone" not in frame:
            return frame
        return frame.assign(backbone=frame["backbone"].replace(dict(names)))

    return replace(
        results,
        stages=renamed(results.stages),
        orders=renamed(results.orders),
        recorded=renamed(results.costs),
    )
