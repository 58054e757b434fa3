"""Methods that several studies hold: whether they are the same one, and what they are called."""

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.data.results import STAGE, Origin, Results

SCORE = [*STAGE, "split", "eval_task", "metric"]
"""What identifies a score."""


def names_of_methods(studies: Mapping[str, Results]) -> dict[str, dict[str, str]]:
    """Returns what the methods of every study are called when all studies are shown together.

    Where studies hold a method of the same name, it is one method if all scores that they have in
    common are the same, and at least one of them is of a trained stage; it then keeps its name.
    Otherwise it is called "method (study)", or "method (study, study)" where some agree.
    """
    holders: dict[str, list[str]] = {}
    for study, results in studies.items():
        for method in sorted(set(results.stages["method"])):
            holders.setdefault(method, []).append(study)
    named: dict[str, dict[str, str]] = {study: {} for study in studies}
    for method, holding in holders.items():
        classes = _classes(method, {study: studies[study] for study in holding})
        for alike in classes:
            for study in alike:
                named[study][method] = method if len(classes) == 1 else _named(method, alike)
    return named


def origins_of(names: Mapping[str, Mapping[str, str]]) -> dict[str, Origin]:
    """Returns where every method comes from, by its name among all studies.

    Args:
        names: what `names_of_methods` returns.

    >>> origins_of({"A": {"er": "er"}, "B": {"er": "er", "lwf": "lwf"}})["er"]
    Origin(method='er', studies=('A', 'B'))
    """
    found: dict[str, Origin] = {}
    for study, methods in names.items():
        for method, name in methods.items():
            known = found[name].studies if name in found else ()
            found[name] = Origin(method, (*known, study))
    return found


def _named(method: str, studies: Sequence[str]) -> str:
    return f"{method} ({', '.join(studies)})"


def _classes(method: str, studies: Mapping[str, Results]) -> list[list[str]]:
    """Returns the studies in groups within which the method is the same."""
    if len(studies) == 1:
        return [list(studies)]
    scores = {study: _scores(results, method) for study, results in studies.items()}
    classes: list[list[str]] = []
    for study in studies:
        fitting = (
            alike for alike in classes if all(_is_same(scores[study], scores[s]) for s in alike)
        )
        home = next(fitting, None)
        if home is None:
            classes.append([study])
        else:
            home.append(study)
    return classes


def _scores(results: Results, method: str) -> pd.DataFrame:
    stages = results.stages
    mine = stages[(stages["method"] == method) & (stages["status"] == "ok")]
    return mine[[*SCORE, "value"]]


def _is_same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    both = one.merge(other, on=SCORE, suffixes=("", " of other"))
    equal = both["value"].equals(both["value of other"].rename("value"))
    return equal and bool(both["prefix"].map(bool).any())
