"""Statistics over task orders, and the report of a study."""

from analysis.accuracy import METRICS, metrics
from analysis.comparing import comparison, preferred_baseline
from analysis.csv_files import load_csv
from analysis.inference import compare, summary, t_interval
from analysis.matrices import combine, from_matrices
from analysis.order_models import order_models
from analysis.precision import precision, replicates_for, t_factor
from analysis.predictors import dose_response, order_scores, regret
from analysis.ranking import method_pairs, rankings, stability
from analysis.report import write_report
from analysis.results import Results, load
from analysis.robustness import disparity, robustness
from analysis.similarity_effects import mantel, mrqap
from analysis.stopping import (
    FIRST_LOOK,
    anytime_factor,
    anytime_interval,
    block_means,
    convergence,
    stopping_point,
)
from analysis.variance import d_study, task_factors, variance_components

__all__ = [
    "FIRST_LOOK",
    "METRICS",
    "Results",
    "anytime_factor",
    "anytime_interval",
    "block_means",
    "combine",
    "compare",
    "comparison",
    "convergence",
    "d_study",
    "disparity",
    "dose_response",
    "from_matrices",
    "load",
    "load_csv",
    "mantel",
    "method_pairs",
    "metrics",
    "mrqap",
    "order_models",
    "order_scores",
    "precision",
    "preferred_baseline",
    "rankings",
    "regret",
    "replicates_for",
    "robustness",
    "stability",
    "stopping_point",
    "summary",
    "t_factor",
    "t_interval",
    "task_factors",
    "variance_components",
    "write_report",
]
