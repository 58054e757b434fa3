"""Studies of several kinds of tasks, on parts of their test samples, or not after every stage."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from tests.analysis.synthetic import (
    METHODS,
    Prefix,
    Trainer,
    World,
    read_rows,
    write_rows,
    write_study,
)

MEASURED = {
    "choices": {"accuracy": 0.0, "class_accuracy": -0.01},
    "pairs": {"recall": 0.0, "i2t_r1": 0.02, "i2t_r5": 0.1, "i2t_r10": 0.15}
    | {"t2i_r1": -0.02, "t2i_r5": 0.08, "t2i_r10": 0.12},
    "answers": {"anls": 0.0, "exact_match": -0.05, "likelihood": -0.1},
}
"""What is measured of a task, by kind, as differences to its score, which is the first one."""
PAIRS_AND_ANSWERS = {"captions": "pairs", "charts": "answers", "signs": "answers"}


def write_kinds(
    out: Path,
    orders: Sequence[Sequence[Prefix]],
    kinds: Mapping[str, str] = PAIRS_AND_ANSWERS,
    error: float = 0.0,
    evaluation: Mapping[str, object] | None = None,
    methods: Mapping[str, Trainer] | None = None,
) -> Path:
    """Writes a finished study of tasks of these kinds; `error`: sampling error of every score."""
    methods = methods or {name: METHODS[name] for name in ("finetune", "replay")}
    world = World(tasks=tuple(kinds), probes=(), retrieval=("photos",))
    write_study(out, orders, world, dict(methods))
    evaluation = dict(evaluation or {})
    every = evaluation.get("every", 1)
    assert isinstance(every, int)
    rows = []
    for row in read_rows(out):
        is_own = row["split"] == "task" and row["eval_task"] == row["trained_task"]
        if is_own or row["stage"] % every == 0 or row["stage"] == len(kinds):
            rows += _measured(row, kinds, error)
    write_rows(out, rows)
    (out / "study.yaml").write_text(yaml.safe_dump({"name": "kinds", "evaluation": evaluation}))
    return out


def _measured(row: dict, kinds: Mapping[str, str], error: float) -> Iterator[dict]:
    if row["split"] != "task":
        yield row
        return
    for metric, shift in MEASURED[kinds[row["eval_task"]]].items():
        value = min(max(row["value"] + shift, 0.0), 1.0)
        yield row | {"metric": metric, "value": value, "is_score": not shift}
    if error:
        yield row | {"metric": "sampling_error", "value": error, "is_score": False}
