"""Avalanche's accuracies by experience: eval_results.csv, text logs, metrics as JSON. Fractions.

Formats (github.com/ContinualAI/avalanche, read in versions 0.1 to 0.6):

- eval_results.csv, avalanche/logging/csv_logger.py: eval_exp, training_exp ("None" before any
  training), eval_accuracy, ...; accuracies are all 0 unless experience accuracy was asked for;
- what TextLogger and InteractiveLogger print, avalanche/logging/text_logging.py: "-- Starting
  training on experience 0 ...", "Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp000 = 0.8815".
  Evaluations during training (eval_every) are no stages;
- a JSON list of the dictionaries that `strategy.eval` returned after every experience, or the
  dictionary of `EvaluationPlugin.get_all_metrics()`: for every metric, iterations and values.
"""

import json
import re
from typing import Any

import numpy as np

from analysis.data.accuracy_matrices import UNNAMED, MatrixRun
from analysis.data.formats.base import GivenFile, Reading, Wanted, named
from analysis.data.formats.cells import number

KEY = re.compile(r"Top1_Acc_Exp/eval_phase/test_stream(?:/Task\d+)?/Exp(\d+)")
_LOGGED = re.compile(rf"{KEY.pattern} = (\S+)")
_TRAINING = re.compile(r"-- Starting training on (?:experience|step) (\d+)")
COLUMNS = {"eval_exp", "training_exp", "eval_accuracy"}

Scores = dict[tuple[int, int], float]
"""Accuracies keyed (stage, experience); stage 0 is before any training."""


def read_avalanche(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns the run of a file; `order` names experiences in the order they were trained in."""
    head = [cell.lower() for cell in given.cells[0]] if given.cells else []
    if set(head) >= COLUMNS:
        trained, scores = _from_csv(given, head)
    elif {"training_exp", "training_accuracy"} <= set(head):
        raise ValueError(
            f"'{given.name}' holds accuracies during training; give eval_results.csv beside it."
        )
    elif given.text.lstrip().startswith(("{", "[")):
        trained, scores = _from_json(given)
    else:
        trained, scores = _from_log(given)
    if not any(scores.values()):
        raise ValueError(
            f"'{given.name}' holds no accuracy above 0 on single experiences; have Avalanche "
            f"monitor it: EvaluationPlugin(accuracy_metrics(experience=True), loggers=[...])."
        )
    places = trained + sorted({experience for _, experience in scores} - set(trained))
    order = named(wanted.order, len(places), given.name)
    R = np.full((len(order) + 1, len(order)), np.nan)
    for (stage, experience), value in scores.items():
        R[stage, places.index(experience)] = value
    method, backbone = wanted.method or UNNAMED, wanted.backbone or UNNAMED
    return Reading([MatrixRun(method, order, R, None, backbone, "fraction")])


def _stage(given: GivenFile, trained: list[int], experience: int) -> None:
    """Notes that an experience is trained, again or for the first time."""
    if trained[-1:] == [experience]:
        return
    if experience in trained:
        raise ValueError(
            f"'{given.name}' trains experience {experience} twice, with others between; an order "
            f"learns a task once."
        )
    trained.append(experience)


def _keep(given: GivenFile, scores: Scores, stage: int, experience: int, value: float) -> None:
    """Keeps a score that is new or equal to the one known."""
    known = scores.setdefault((stage, experience), value)
    if known != value:
        raise ValueError(
            f"'{given.name}' holds two accuracies on experience {experience} after {stage} "
            f"trained ones, {known:g} and {value:g}; leave the right one in it."
        )


def _from_csv(given: GivenFile, head: list[str]) -> tuple[list[int], Scores]:
    trained: list[int] = []
    scores: Scores = {}
    at = {name: head.index(name) for name in COLUMNS}
    for row in given.cells[1:]:
        training = row[at["training_exp"]]
        if training.lower() not in ("none", "", "nan"):
            _stage(given, trained, int(float(training)))
        value, _ = number(row[at["eval_accuracy"]])
        _keep(given, scores, len(trained), int(float(row[at["eval_exp"]])), value)
    return trained, scores


def _from_log(given: GivenFile) -> tuple[list[int], Scores]:
    trained: list[int] = []
    scores: Scores = {}
    in_training = False
    for line in given.text.splitlines():
        if "Start of training phase" in line or "End of training phase" in line:
            in_training = "Start of" in line
        elif started := _TRAINING.search(line):
            _stage(given, trained, int(started[1]))
        elif not in_training and (found := _LOGGED.search(line)):
            _keep(given, scores, len(trained), int(found[1]), number(found[2])[0])
    return trained, scores


def _from_json(given: GivenFile) -> tuple[list[int], Scores]:
    content = json.loads(given.text)
    stages = content if isinstance(content, list) else _by_iteration(given, content)
    rows = [
        {int(m[1]): float(value) for key, value in stage.items() if (m := KEY.fullmatch(key))}
        for stage in stages
    ]
    experiences = sorted(set().union(*rows))
    start = len(rows) == len(experiences) + 1
    if not start and len(rows) > len(experiences):
        raise ValueError(
            f"'{given.name}' holds {len(rows)} evaluations of {len(experiences)} experiences; "
            f"there must be one after every experience, and at most one before."
        )
    scores = {
        (stage, experience): value
        for stage, row in enumerate(rows, 0 if start else 1)
        for experience, value in row.items()
    }
    return experiences[: len(rows) - start], scores


def _by_iteration(given: GivenFile, content: dict[str, Any]) -> list[dict[str, float]]:
    """Returns the metrics of `get_all_metrics`, one dictionary per iteration with evaluations."""
    found: dict[float, dict[str, float]] = {}
    for key, series in content.items():
        if KEY.fullmatch(key):
            if not isinstance(series, list):
                raise ValueError(
                    f"'{given.name}' holds the metrics of one evaluation; give a list with those "
                    f"after every experience."
                )
            for iteration, value in zip(*series, strict=True):
                found.setdefault(iteration, {})[key] = value
    return [found[iteration] for iteration in sorted(found)]
