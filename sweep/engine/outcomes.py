"""What the coordinator answers: how a unit ended, how far the study is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sweep.engine.left_out import UnfitMachine
from sweep.storage.store import Record


@dataclass(frozen=True)
class Outcome:
    """How a unit ended."""

    status: Literal["ok", "failed", "skipped"]
    """skipped: the study stopped before it was trained."""
    record: Record | None = None
    error: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a study is."""

    units: int
    done: list[str]
    """Keys of all finished units."""
    restored: int
    """Units that were finished before this run."""
    working: list[str]
    """Titles of the units being worked on, one per lane."""
    failed: dict[str, str]
    is_settled: bool
    stopped: str = ""
    """Why later replicates are left out; "" if none are."""
    damaged: int = 0
    """Stages that were finished, but are computed again because a file of theirs is damaged."""
    idle: str = ""
    """Why no lane has been there for long: "no lane has started for ... because ..."."""
    losses: tuple[str, ...] = ()
    """What ended lanes that were at work, and which machines are left out, a sentence each."""
    left_out: Mapping[str, UnfitMachine] = field(default_factory=dict)
    """Machines that are left out, by their Ray ids."""


def flat(record: Record) -> dict[str, Any]:
    """Returns the scores of a stage as Tune metrics: "shapes/accuracy", "captions/i2t_r1"."""
    return {f"{row['eval_task']}/{row['metric']}": row["value"] for row in record.scores}
