"""The parts of the page, one file each.

In: the statistics of a study. Out: figures, captions and tables, in the order of the page.
"""

from collections.abc import Iterable

from analysis.report.panels.accuracy_over_orders import AccuracyOverOrders
from analysis.report.panels.all_contributions import AllContributions
from analysis.report.panels.base import Panel
from analysis.report.panels.contribution_heatmap import ContributionHeatmap
from analysis.report.panels.convergence_curves import ConvergenceCurves
from analysis.report.panels.evaluated_tasks import EvaluatedTasks
from analysis.report.panels.failure_mode_curves import FailureModeCurves
from analysis.report.panels.feature_paths import FeaturePaths
from analysis.report.panels.forgetting_and_learning import ForgettingAndLearning
from analysis.report.panels.how_computed import HowComputed
from analysis.report.panels.matrix_browser import MatrixBrowser
from analysis.report.panels.method_places import MethodPlaces
from analysis.report.panels.methods_compared import MethodsCompared
from analysis.report.panels.missing_and_failed import MissingAndFailed
from analysis.report.panels.order_model_bars import OrderModelBars
from analysis.report.panels.order_tree import OrderTree
from analysis.report.panels.paired_differences import PairedDifferences
from analysis.report.panels.position_profiles import PositionProfiles
from analysis.report.panels.proposed_orders import ProposedOrders
from analysis.report.panels.ranking_reliability import RankingReliability
from analysis.report.panels.ranking_stability import RankingStability
from analysis.report.panels.robust_contributions import RobustContributions
from analysis.report.panels.similar_neighbours import SimilarNeighbours
from analysis.report.panels.similar_pairs import SimilarPairs
from analysis.report.panels.transition_predictions import TransitionPredictions
from analysis.report.panels.variance_shares import VarianceShares
from analysis.report.panels.verdict import Verdict
from analysis.report.panels.worst_and_best import WorstAndBest

PANELS: tuple[Panel, ...] = (
    Verdict(),
    MethodsCompared(),
    AccuracyOverOrders(),
    PairedDifferences(),
    ContributionHeatmap(),
    RobustContributions(),
    AllContributions(),
    PositionProfiles(),
    ForgettingAndLearning(),
    FailureModeCurves(),
    FeaturePaths(),
    TransitionPredictions(),
    OrderTree(),
    OrderModelBars(),
    SimilarNeighbours(),
    SimilarPairs(),
    ProposedOrders(),
    MethodPlaces(),
    RankingStability(),
    ConvergenceCurves(),
    VarianceShares(),
    RankingReliability(),
    WorstAndBest(),
    MatrixBrowser(),
    MissingAndFailed(),
    EvaluatedTasks(),
    HowComputed(),
)
"""The page, from top to bottom; a new panel is one line here."""


def with_own(panels: Iterable[Panel]) -> list[Panel]:
    """Returns the panels of the page with further ones where they ask to stand.

    Raises:
        ValueError: a key is taken, or there is no panel to stand after.
    """
    found = list(PANELS)
    for panel in panels:
        keys = [other.key for other in found]
        if panel.key in keys:
            raise ValueError(f"There is a panel '{panel.key}' already; give yours another key.")
        if panel.after and panel.after not in keys:
            raise ValueError(
                f"The panel '{panel.key}' cannot stand after '{panel.after}'; there are: "
                f"{', '.join(keys)}."
            )
        place = keys.index(panel.after) + 1 if panel.after else len(found)
        found.insert(place, panel)
    return found
