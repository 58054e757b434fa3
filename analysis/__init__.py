"""Statistics over task orders, and the report of a study."""

from analysis.accuracy import METRICS, metrics
from analysis.csv_files import load_csv
from analysis.inference import compare, summary, t_interval
from analysis.matrices import combine, from_matrices
from analysis.report import write_report
from analysis.results import Results, load

__all__ = [
    "METRICS",
    "Results",
    "combine",
    "compare",
    "from_matrices",
    "load",
    "load_csv",
    "metrics",
    "summary",
    "t_interval",
    "write_report",
]
