"""The report of a run."""

from analysis import write_report
from sweep.errors import InputError


def report(out: str, *others: str) -> str:
    """Writes OUT/report.html, report.md and tables/; returns the report's path.

    Given more than one run, writes one report that compares them, in a folder beside the first.

    Raises:
        InputError: a folder holds no results, or two have the same name.
    """
    try:
        return str(write_report(out, *others))
    except (FileNotFoundError, ValueError) as error:
        raise InputError(str(error)) from None
