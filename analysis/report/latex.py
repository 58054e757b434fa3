r"""Tables for papers, as LaTeX (needs \usepackage{booktabs})."""

from collections.abc import Collection

import pandas as pd

from analysis.data.results import Results
from analysis.orders.comparison import BOUNDS, COMPARED
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text import report_text
from analysis.report.text.phrases import listed
from analysis.run_metrics.metric import METRICS

ARROWS = {True: r"$\uparrow$", False: r"$\downarrow$"}
"""By whether higher is better."""
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
    "\u2192": r"$\rightarrow$",
    "\u2026": r"\ldots{}",
}
"""What LaTeX would read as something else."""


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
        best: columns in which the best value is bold; by default all metrics of the table. The
            methods of a study that are references are never the best.

    >>> from analysis import tiny_study
    >>> print(to_latex(tiny_study()).splitlines()[6])
    replay & \textbf{0.742} {\scriptsize [0.731, 0.752]} & ...
    """
    if isinstance(results, pd.DataFrame):
        return _table(results, caption, digits, best, frozenset())
    study = StudyStatistics(results)
    frame = study.methods_table
    wanted = [column for column in (*COMPARED, "order_sd") if frame[column].notna().any()]
    names = ["backbone"] * bool(frame["backbone"].nunique() > 1) + ["method"]
    chosen = [column + end for column in wanted for end in BOUNDS if column + end in frame]
    sample = report_text.sample(study.summary)
    said = f"{sample[0].upper()}{sample[1:]}."
    if study.references:
        there = sorted(study.references & set(frame["method"]))
        said += f" For reference only: {listed(there)}." if there else ""
    return _table(frame[[*names, *chosen]], caption or said, digits, best, study.references)


def _table(
    frame: pd.DataFrame,
    caption: str,
    digits: int,
    best: Collection[str] | None,
    references: Collection[str],
) -> str:
    there = [str(column) for column in frame.columns]
    bounds = {c + end for c in there for end in BOUNDS[1:] if {c + e for e in BOUNDS} <= {*there}}
    columns = [column for column in there if column not in bounds]
    chosen = [c for c in columns if c in METRICS] if best is None else list(best)
    bold = {column: _best(frame, column, references) for column in chosen}
    lines = [
        " & ".join(_cell(row, column, digits, index in bold.get(column, ())) for column in columns)
        for index, row in frame.iterrows()
    ]
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


def _best(frame: pd.DataFrame, column: str, references: Collection[str]) -> list[object]:
    """Returns the rows with the best value."""
    competing = frame[~frame["method"].isin(list(references))] if "method" in frame else frame
    values = competing[column].dropna()
    if values.empty:
        return []
    higher = column not in METRICS or METRICS[column].higher_is_better
    return list(values.index[values == (values.max() if higher else values.min())])


def _cell(row: pd.Series, column: str, digits: int, is_bold: bool) -> str:
    value = row[column]
    if isinstance(value, (tuple, list)):
        return escaped(" \u2192 ".join(map(str, value)))
    if not isinstance(value, float):
        return escaped(value)
    if pd.isna(value):
        return "--"
    shown = _number(value, digits)
    shown = rf"\textbf{{{shown}}}" if is_bold else shown
    low, high = (row.get(column + end) for end in BOUNDS[1:])
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return shown
    return rf"{shown} {{\scriptsize [{_number(low, digits)}, {_number(high, digits)}]}}"


def _number(value: float, digits: int) -> str:
    return f"{value:z.{digits}f}".replace("-", "$-$")
