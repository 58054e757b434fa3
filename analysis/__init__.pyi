"""The public names of the package, for type checkers and for `analysis/__init__.py`."""

from .data.accuracy_matrices import combine, from_matrices
from .data.final_scores import OrderScores
from .data.given_results import read_results
from .data.matrix_files import read_matrices
from .data.results import Results, load
from .data.tiny_study import tiny_study
from .inference.confidence_sequences import (
    FIRST_LOOK,
    anytime_factor,
    anytime_interval,
    block_means,
    convergence,
    stopping_point,
)
from .inference.estimates import compare, summary
from .inference.expected_precision import precision, replicates_for, t_factor
from .inference.intervals import t_interval
from .mechanisms.contribution_table import (
    agreement,
    contribution_table,
    contribution_types,
    contribution_values,
)
from .mechanisms.embedding_alignment import alignment_drift, alignments
from .mechanisms.failure_modes import failure_modes
from .mechanisms.ood_relations import ood_pairs, ood_relations, ood_stages
from .mechanisms.shapley_attribution import attribution_stages, attributions
from .mechanisms.task_contributions import contributions, gains, method_contributions, profiles
from .mechanisms.transitions import transition_models, transitions
from .orders.comparison import comparison, preferred_baseline
from .orders.order_models import order_models
from .orders.predictors import dose_response, order_scores, regret
from .orders.published import published_orders
from .orders.ranking import rankings, stability
from .orders.robustness import disparity, robustness
from .orders.settling import replicate_hours, settling
from .orders.similarity_effects import mantel, mrqap
from .orders.steadiness import steadiness
from .orders.survival import method_pairs, survival_verdicts
from .orders.variance import d_study, task_factors, variance_components
from .report import write_report
from .report.latex import to_latex
from .report.panels.base import Panel
from .report.text.answers import answers
from .report.text.subject import Answer
from .run_metrics.metric import METRICS, Metric
from .run_metrics.metrics_table import metrics
from .run_metrics.undefined import undefined_metrics

__all__ = [
    "FIRST_LOOK",
    "METRICS",
    "Answer",
    "Metric",
    "OrderScores",
    "Panel",
    "Results",
    "agreement",
    "alignment_drift",
    "alignments",
    "answers",
    "anytime_factor",
    "anytime_interval",
    "attribution_stages",
    "attributions",
    "block_means",
    "combine",
    "compare",
    "comparison",
    "contribution_table",
    "contribution_types",
    "contribution_values",
    "contributions",
    "convergence",
    "d_study",
    "disparity",
    "dose_response",
    "failure_modes",
    "from_matrices",
    "gains",
    "load",
    "mantel",
    "method_contributions",
    "method_pairs",
    "metrics",
    "mrqap",
    "ood_pairs",
    "ood_relations",
    "ood_stages",
    "order_models",
    "order_scores",
    "precision",
    "preferred_baseline",
    "profiles",
    "published_orders",
    "rankings",
    "read_matrices",
    "read_results",
    "regret",
    "replicate_hours",
    "replicates_for",
    "robustness",
    "settling",
    "stability",
    "steadiness",
    "stopping_point",
    "summary",
    "survival_verdicts",
    "t_factor",
    "t_interval",
    "task_factors",
    "tiny_study",
    "to_latex",
    "transition_models",
    "transitions",
    "undefined_metrics",
    "variance_components",
    "write_report",
]
