"""Results in a line, and as a small table for notebooks."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.data.results import Results


def described(results: "Results") -> str:
    """Returns the study and its size in a line.

    >>> from analysis import tiny_study
    >>> tiny_study()
    Results(tiny: 2 methods, 3 tasks, 6 orders in 4 replicates, 48 of 48 runs complete)
    """
    facts = _facts(results)
    size = ", ".join(f"{value} {what}" for what, value in list(facts.items())[1:3])
    return (
        f"Results({facts['study']}: {size}, {facts['orders']} orders in "
        f"{facts['replicates']} replicates, {facts['complete runs']} runs complete)"
    )


def described_as_html(results: "Results") -> str:
    """Returns the study, its size and the names of methods and tasks as a table."""
    names = {"methods": _methods(results), "tasks": _tasks(results)}
    lines = "".join(
        f"<tr><th>{what}</th><td>{escape(value)}</td><td>{escape(', '.join(names.get(what, [])))}"
        "</td></tr>"
        for what, value in _facts(results).items()
    )
    return f"<table>{lines}</table>"


def _facts(results: "Results") -> dict[str, str]:
    runs, orders = results.runs, results.orders
    return {
        "study": ", ".join(sorted(set(results.stages["study"]))) or "none",
        "methods": str(len(_methods(results))),
        "tasks": str(len(_tasks(results))),
        "orders": str(orders["order"].nunique()),
        "replicates": str(orders["replicate"].nunique()),
        "complete runs": f"{int((runs['missing'] == 0).sum())} of {len(runs)}",
    }


def _methods(results: "Results") -> list[str]:
    return sorted(set(results.stages["method"]))


def _tasks(results: "Results") -> list[str]:
    return sorted({task for order in results.orders["order"] for task in order})
