r"""Tables for papers, as LaTeX (needs \usepackage{booktabs})."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from analysis.data.results import Results, called
from analysis.orders.comparison import BOUNDS, COMPARED
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.task_knowledge import NOTE
from analysis.run_metrics.metric import METRICS
from analysis.run_metrics.metrics_table import told_in

NAMES = ("method", "other", "baseline", "top", "player")
"""Columns that name methods; contributions have tasks or methods as players."""
ARROWS = {True: r"$\uparrow$", False: r"$\downarrow$"}
"""By whether higher is better."""
GREEK = {
    "\u03b1": "alpha",
    "\u03b2": "beta",
    "\u03b3": "gamma",
    "\u03b4": "delta",
    "\u03b5": "varepsilon",
    "\u03b7": "eta",
    "\u03bb": "lambda",
    "\u03bc": "mu",
    "\u03c1": "rho",
    "\u03c3": "sigma",
    "\u03c4": "tau",
    "\u0394": "Delta",
}
"""Letters that stand in names of methods and options."""
MARKS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\u00a0": "~",
    "\u2020": r"\dag{}",
    "\u2190": r"$\leftarrow$",
    "\u2191": r"$\uparrow$",
    "\u2192": r"$\rightarrow$",
    "\u2193": r"$\downarrow$",
    "\u2212": "$-$",
    "\u2248": r"$\approx$",
    "\u2264": r"$\leq$",
    "\u2265": r"$\geq$",
    "\u2013": "--",
    "\u2014": "---",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
    "\u2026": r"\ldots{}",
} | {letter: rf"$\{name}$" for letter, name in GREEK.items()}
"""What LaTeX would read as something else, or pdflatex not at all; the page reads them, too."""


def escaped(text: object) -> str:
    r"""Returns a text as LaTeX shows it; other characters than those of pdflatex become "?".

    >>> print(escaped("er_500 & 5 %"))
    er\_500 \& 5 \%
    """
    shown = "".join(MARKS.get(character, character) for character in str(text))
    return shown.encode("latin-1", "replace").decode("latin-1")


def to_latex(
    results: Results | pd.DataFrame,
    caption: str = "",
    digits: int = 3,
    best: Collection[str] | None = None,
) -> str:
    r"""Returns a table with values, intervals and the best in bold.

    Args:
        results: those of a study, of which the methods are compared; or any table. Columns X,
            X_low and X_high of a table become one, X with its interval; columns of metrics get
            their title and an arrow.
        caption: below the table; for results by default what the numbers rest on. Plain text.
        digits: after the point.
        best: columns in which the best value of each backbone is bold; by default all metrics of
            the table. The methods of a study that are references are never the best; those that
            are told the task, which a column `knows_task` of a table says, have a mark and a best
            value among themselves, and the caption explains the mark.

    >>> from analysis import tiny_study
    >>> print(to_latex(tiny_study()).splitlines()[6])
    replay & \textbf{0.742} {\scriptsize [0.731, 0.752]} & ...
    """
    if isinstance(results, pd.DataFrame):
        return latex_table(results, (), told_in(results), caption, digits, best)
    study = StudyStatistics(results)
    frame = study.methods_table
    wanted = [column for column in (*COMPARED, "order_sd") if frame[column].notna().any()]
    names = ["backbone"] * bool(frame["backbone"].nunique() > 1) + ["method"]
    chosen = [column + end for column in wanted for end in BOUNDS if column + end in frame]
    sample = report_text.sample(study)
    sample = sample if sample.startswith("n = ") else f"{sample[0].upper()}{sample[1:]}"
    said = f"{sample}. Bold: the best mean, whether or not the others are decided to be worse."
    there = sorted(study.references & set(frame["method"]))
    said += f" For reference only: {study.looks.listed(there)}." if there else ""
    shown = frame[[*names, *chosen]]
    return latex_table(shown, study.references, study.told, caption or said, digits, best)


def latex_table(
    frame: pd.DataFrame,
    references: Collection[str],
    told: Collection[str],
    caption: str = "",
    digits: int = 3,
    best: Collection[str] | None = None,
) -> str:
    """Returns any table, see `to_latex`.

    Args:
        frame: the table; its column `knows_task` becomes the marks of names.
        references: methods that are never the best.
        told: methods that are told the task.
        caption: without what the mark means, which is added where a name has it.
        digits: after the point.
        best: columns in which the best values are bold; by default all metrics.
    """
    frame = frame.reset_index(drop=True)  # rows of tables put together may share their index
    frame = frame.drop(columns="knows_task", errors="ignore")
    there = [str(column) for column in frame.columns]
    bounds = {c + end for c in there for end in BOUNDS[1:] if {c + e for e in BOUNDS} <= {*there}}
    columns = [column for column in there if column not in bounds]
    chosen = [c for c in columns if c in METRICS] if best is None else list(best)
    bold = {column: _best(frame, column, references, told) for column in chosen if column in there}
    named = [column for column in NAMES if column in there and frame[column].isin(told).any()]
    for column in named:
        frame[column] = [called(method, told) for method in frame[column]]
    caption = " ".join([caption] * bool(caption) + [NOTE] * bool(named))
    cells = [_cells(frame, column, digits, bold.get(column, [])) for column in columns]
    lines = [" & ".join(row) for row in zip(*cells, strict=True)]
    kinds = "".join("r" if pd.api.types.is_numeric_dtype(frame[c]) else "l" for c in columns)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            " & ".join(map(_heading, columns)) + r" \\",
            r"\midrule",
            *(rf"{line} \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            *([rf"\caption{{{escaped(caption)}}}"] if caption else []),
            r"\end{table}",
            "",
        ]
    )


def _heading(column: str) -> str:
    if column not in METRICS:
        return escaped(column.replace("order_sd", "SD over orders").replace("_", " "))
    return f"{escaped(METRICS[column].title)} {ARROWS[METRICS[column].higher_is_better]}"


def _best(
    frame: pd.DataFrame, column: str, references: Collection[str], told: Collection[str]
) -> list[object]:
    """Returns the rows with the best value of their backbone, among those told the task or not."""
    competing = frame[~frame["method"].isin(list(references))] if "method" in frame else frame
    values = competing[column]
    higher = column not in METRICS or METRICS[column].higher_is_better
    by = [competing["backbone"] if "backbone" in competing else pd.Series("", competing.index)]
    if "method" in competing:
        by.append(competing["method"].isin(list(told)))
    best = values.groupby(by).transform("max" if higher else "min")
    return list(values.index[values.notna() & (values == best)])


def _cells(frame: pd.DataFrame, column: str, digits: int, bold: Collection[object]) -> list[str]:
    """Returns a column, with its intervals where the table has them."""
    found = [_cell(v, digits, i in bold) for i, v in frame[column].items()]
    if not {column + end for end in BOUNDS} <= {*frame.columns}:
        return found
    bounds = zip(*(frame[column + end] for end in BOUNDS[1:]), strict=True)
    return [
        cell
        if pd.isna(low) or pd.isna(high)
        else rf"{cell} {{\scriptsize [{_number(low, digits)}, {_number(high, digits)}]}}"
        for cell, (low, high) in zip(found, bounds, strict=True)
    ]


def _cell(value: Any, digits: int, is_bold: bool) -> str:
    if isinstance(value, (tuple, list)):
        return escaped(" \u2192 ".join(map(str, value)))
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "--"
    shown = _number(float(value), digits) if pd.api.types.is_float(value) else escaped(value)
    return rf"\textbf{{{shown}}}" if is_bold else shown


def _number(value: float, digits: int) -> str:
    return f"{value:z.{digits}f}".replace("-", "$-$")
