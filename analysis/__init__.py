"""Statistics over task orders, and the report of a study."""

from analysis.accuracy import METRICS, metrics
from analysis.inference import compare, summary, t_interval
from analysis.matrices import from_matrices
from analysis.report import write_report
from analysis.results import Results, load

__all__ = [
    "METRICS",
    "Results",
    "compare",
    "from_matrices",
    "load",
    "metrics",
    "summary",
    "t_interval",
    "write_report",
]
