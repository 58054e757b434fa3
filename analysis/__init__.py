"""Statistics over task orders, and the report of a study."""

from analysis.accuracy import METRICS, metrics
from analysis.comparing import comparison
from analysis.csv_files import load_csv
from analysis.inference import compare, summary, t_interval
from analysis.matrices import combine, from_matrices
from analysis.report import write_report
from analysis.results import Results, load
from analysis.robustness import disparity, robustness

__all__ = [
    "METRICS",
    "Results",
    "combine",
    "compare",
    "comparison",
    "disparity",
    "from_matrices",
    "load",
    "load_csv",
    "metrics",
    "robustness",
    "summary",
    "t_interval",
    "write_report",
]
