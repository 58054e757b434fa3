"""The report of a run."""

from analysis import write_report
from sweep.errors import InputError


def report(out: str) -> str:
    """Write OUT/report.html, report.md and tables; returns the report's path.

    Raises:
        InputError: the folder holds no results.
    """
    try:
        return str(write_report(out))
    except (FileNotFoundError, ValueError) as error:
        raise InputError(str(error)) from None
