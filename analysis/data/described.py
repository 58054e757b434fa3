"""Results in a line, and as a small table for notebooks."""

from html import escape

import pandas as pd


def described(stages: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Returns the study and its size in a line.

    Args:
        stages: those of the results.
        runs: likewise.

    >>> from analysis import tiny_study
    >>> tiny_study()
    Results(...: 2 methods, 3 tasks, 6 orders in 4 replicates, 48 of 48 runs complete)
    """
    facts = _facts(stages, runs)
    return (
        f"Results({facts['study']}: {facts['methods']} methods, {facts['tasks']} tasks, "
        f"{facts['orders']} orders in {facts['replicates']} replicates, "
        f"{facts['complete runs']} runs complete)"
    )


def described_as_html(stages: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Returns the study, its size and the names of methods and tasks as a table."""
    names = {"methods": _methods(stages), "tasks": _tasks(runs)}
    lines = "".join(
        f"<tr><th>{what}</th><td>{escape(value)}</td><td>{escape(', '.join(names.get(what, [])))}"
        "</td></tr>"
        for what, value in _facts(stages, runs).items()
    )
    return f"<table>{lines}</table>"


def _facts(stages: pd.DataFrame, runs: pd.DataFrame) -> dict[str, str]:
    return {
        "study": ", ".join(sorted(set(stages["study"]))) or "none",
        "methods": str(len(_methods(stages))),
        "tasks": str(len(_tasks(runs))),
        "orders": str(runs["order"].nunique()),
        "replicates": str(runs["replicate"].nunique()),
        "complete runs": f"{int((runs['missing'] == 0).sum())} of {len(runs)}",
    }


def _methods(stages: pd.DataFrame) -> list[str]:
    return sorted(set(stages["method"]))


def _tasks(runs: pd.DataFrame) -> list[str]:
    return sorted({task for order in runs["order"] for task in order})
