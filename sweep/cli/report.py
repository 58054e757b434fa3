"""The report of a run."""

from typing import Any

import yaml

from analysis import answers, write_report
from analysis.report.answers import spoken
from analysis.report.ranking_answers import SURVIVES
from sweep.errors import InputError
from sweep.storage.folder import Folder
from sweep.storage.planned import NOWHERE
from sweep.study.reporting import parts_of_report


def report(out: str, *others: str) -> str:
    """Writes OUT/report.html, report.md and tables/; returns the report's path.

    Given more than one run, writes one report that compares them, in a folder beside the first. It
    has the metrics and panels of installed packages, and those that any of the studies names.

    Raises:
        InputError: a folder holds no results, or two have the same name.
    """
    folders = [Folder(path) for path in (out, *others)]
    for folder in folders:
        if not folder.exists():
            raise InputError(NOWHERE.format(folder.uri))
    panels, metrics = parts_of_report([_study_in(folder) for folder in folders])
    try:
        return str(write_report(out, *others, panels=panels, metrics=metrics))
    except (FileNotFoundError, ValueError) as error:
        raise InputError(str(error)) from None


def verdict(out: str) -> str:
    """Returns, in a line per backbone, whether the ranking of a run survives another order."""
    found = [answer for answer in answers(out) if answer.question == SURVIVES]
    return "\n".join(spoken(answer, len(found) > 1) for answer in found)


def _study_in(folder: Folder) -> dict[str, Any]:
    """Returns a run's study as written; does not validate it, since its data may be elsewhere."""
    if not folder.exists("study.yaml"):
        return {}
    content: dict[str, Any] = yaml.safe_load(folder.read("study.yaml"))
    return content
