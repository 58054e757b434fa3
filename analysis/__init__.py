"""Statistics over task orders, and the report of a study."""

from analysis.accuracy import METRICS, metrics
from analysis.alignment import alignment_drift, alignments
from analysis.attribution import attribution_stages, attributions
from analysis.cells import agreement, cells, contribution_table
from analysis.comparing import comparison, preferred_baseline
from analysis.contributions import contributions, gains, method_contributions, profiles
from analysis.csv_files import load_csv
from analysis.failure_modes import failure_modes
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
from analysis.steadiness import steadiness
from analysis.stopping import (
    FIRST_LOOK,
    anytime_factor,
    anytime_interval,
    block_means,
    convergence,
    stopping_point,
)
from analysis.transitions import transition_models, transitions
from analysis.variance import d_study, task_factors, variance_components

__all__ = [
    "FIRST_LOOK",
    "METRICS",
    "Results",
    "agreement",
    "alignment_drift",
    "alignments",
    "anytime_factor",
    "anytime_interval",
    "attribution_stages",
    "attributions",
    "block_means",
    "cells",
    "combine",
    "compare",
    "comparison",
    "contribution_table",
    "contributions",
    "convergence",
    "d_study",
    "disparity",
    "dose_response",
    "failure_modes",
    "from_matrices",
    "gains",
    "load",
    "load_csv",
    "mantel",
    "method_contributions",
    "method_pairs",
    "metrics",
    "mrqap",
    "order_models",
    "order_scores",
    "precision",
    "preferred_baseline",
    "profiles",
    "rankings",
    "regret",
    "replicates_for",
    "robustness",
    "stability",
    "steadiness",
    "stopping_point",
    "summary",
    "t_factor",
    "t_interval",
    "task_factors",
    "transition_models",
    "transitions",
    "variance_components",
    "write_report",
]
