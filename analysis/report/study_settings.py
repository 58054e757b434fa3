"""In which settings studies differ, and which of their runs are paired."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.report.phrases import plural
from analysis.report.study_statistics import StudyStatistics

Configs = Mapping[str, Mapping[str, Any]]
"""What study.yaml says, by the name of the study."""
ABSENT = object()
"""Stands for a setting that a study does not have."""


def differing_keys(configs: Configs) -> list[str]:
    """Returns the dotted keys in which studies differ; a part that some do not have is one key."""
    flat = [_flat(config) for config in configs.values()]
    keys = [key for key in dict.fromkeys(key for one in flat for key in one) if key != "name"]
    found = [key for key in keys if any(one.get(key) != flat[0].get(key) for one in flat[1:])]
    return list(dict.fromkeys(_whole(key, configs) for key in found))


def differing_settings(configs: Configs) -> pd.DataFrame:
    """Returns the keys in which studies differ, with a column per study.

    >>> one, other = {"lr": 0.1}, {"lr": 0.2, "methods": {"er": {"memory": 9}}}
    >>> differing_settings({"A": one, "B": other})
           key    A                B
    0       lr  0.1              0.2
    1  methods    -  er: {memory: 9}
    """
    if len(configs) < 2:
        return pd.DataFrame(columns=["key", *configs])
    rows = [
        {"key": key} | {name: _written(setting(config, key)) for name, config in configs.items()}
        for key in differing_keys(configs)
    ]
    return pd.DataFrame(rows, columns=["key", *configs])


def pairing(study: StudyStatistics) -> str:
    """Returns which runs of several studies are paired, or why none are."""
    between = study.between[study.between["metric"] == "average_accuracy"]
    if len(between):
        runs, seeds = int(between["runs"].max()), _other_seeds(study)
        return (
            "Paired are runs of the same backbone, replicate and order, up to "
            f"{plural(runs, 'pair')} per method.{seeds}"
        )
    if not study.twins:
        return (
            "No method of one name differs between the studies, so nothing is paired between them."
        )
    if study.apart:
        return ""
    of_method = study.results.runs.groupby("method")["order"]
    tasks = {name: {task for order in orders for task in order} for name, orders in of_method}
    if any(tasks[name] != tasks[twin] for name, twin in study.twins.items()):
        return "The studies learn different tasks, so no run of one has a partner in the other."
    return "The studies have no order of a replicate in common, so no run has a partner."


def _other_seeds(study: StudyStatistics) -> str:
    """Returns what to say where paired runs have different seeds; "" where they have the same."""
    seeds = study.runs[["backbone", "method", "replicate", "order", "seed"]]
    pairs = seeds.assign(twin=seeds["method"].map(study.twins)).dropna(subset="twin")
    both = pairs.merge(
        seeds.rename(columns={"method": "twin"}), on=["backbone", "twin", "replicate", "order"]
    )
    if (both["seed_x"] == both["seed_y"]).all():
        return ""
    return " Their seeds differ: they have the order in common, not the weights they start from."


def setting(config: Mapping[str, Any], key: str) -> Any:
    """Returns the setting of a dotted key; ABSENT where there is none."""
    found: Any = config
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return ABSENT
        found = found[part]
    return found


def _written(value: Any) -> str:
    """Returns a setting as YAML writes it in one line, without quotes; "-" for none."""
    if value is ABSENT:
        return "-"
    text = json.dumps(value).replace('"', "")
    return text[1:-1] if isinstance(value, Mapping) else text


def _flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Returns the settings of a study by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def _whole(key: str, configs: Configs) -> str:
    """Returns the shortest beginning of a key that some study does not have at all."""
    parts = key.split(".")
    for end in range(1, len(parts)):
        start = ".".join(parts[:end])
        there = [setting(config, start) for config in configs.values()]
        if any(value is ABSENT or not isinstance(value, Mapping) for value in there):
            return start
    return key
