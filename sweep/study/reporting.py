"""Defines the `report:` section of a study: metrics and panels from outside the package."""

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from sweep.errors import InputError
from sweep.registry import KINDS, check, parts, resolve
from sweep.section import Section

if TYPE_CHECKING:  # loaded only where a report is written: panels need plotly
    from analysis.report.panels.base import Panel
    from analysis.run_metrics.metric import Metric


ELSEWHERE = "Code of the current folder is run if PYTHONPATH=. stands before the command."
"""Why a part may be missing: a report, which may be that of a stranger, runs no code but what is
installed."""


class Reporting(Section):
    """Metrics and panels that the report shows besides the shipped ones.

    Those of installed packages need not be named: the report always shows them.
    """

    metrics: tuple[str, ...] = Field(
        default=(), description="Metrics of a run, as package.module:Object."
    )
    panels: tuple[str, ...] = Field(
        default=(), description="Panels of the page, as package.module:Object."
    )

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        return _known("metrics", metrics)

    @field_validator("panels")
    @classmethod
    def _known_panels(cls, panels: tuple[str, ...]) -> tuple[str, ...]:
        return _known("panels", panels)


def _known(kind: str, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        check(kind, name)
    return tuple(dict.fromkeys(names))


def own_metrics(names: Iterable[str] = ()) -> "list[Metric]":
    """Returns the metrics of installed packages and those named, without the shipped ones.

    Args:
        names: Names of metrics, as in a study.

    Raises:
        InputError: there is no such metric, or it cannot be imported.

    >>> own_metrics(["average_accuracy"])  # shipped: the table of metrics has it already
    []
    """
    return [resolve("metrics", name) for name in _own("metrics", names)]


def parts_of_report(studies: Iterable[Mapping[str, Any]]) -> "tuple[list[Panel], list[Metric]]":
    """Returns the panels and metrics that a report shows besides the shipped ones.

    A part that cannot be imported on this machine is left out with a warning, because a report can
    be written wherever the run folder can be read.

    Args:
        studies: Content of the study files of all runs in the report.
    """
    named: dict[str, list[str]] = {"panels": [], "metrics": []}
    for study in studies:
        for kind in named:
            named[kind] += (study.get("report") or {}).get(kind, ())
        if "of" in (stopping := study.get("stopping") or {}):
            named["metrics"].append(stopping["of"])
    found: dict[str, list[Any]] = {kind: [] for kind in named}
    for kind, names in named.items():
        for name in _own(kind, names):
            try:
                part = resolve(kind, name)
            except InputError as error:
                said = f"The report lacks a {KINDS[kind].noun}: {error} {ELSEWHERE}"
                warnings.warn(said, stacklevel=2)
            else:
                found[kind].append(part() if isinstance(part, type) else part)
    return found["panels"], found["metrics"]


def _own(kind: str, names: Iterable[str]) -> list[str]:
    """Returns the names of installed parts and the given ones; each part once."""
    known = parts(kind)
    installed = {part.path: name for name, part in known.items() if part.source != "shipped"}
    others = {name: name for name in names if name not in known}
    return list((others | installed).values())
