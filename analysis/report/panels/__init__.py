"""The parts of the page, one file each.

In: the statistics of a study. Out: figures, captions and tables, in the order of the page.
"""

from collections.abc import Iterable
from importlib import import_module

from analysis.report.panels.base import Panel

CHAPTERS = (
    "Answer",
    "Methods",
    "Orders",
    "Tasks",
    "Similarity",
    "Certainty",
    "Runs",
    "Setup",
)
"""What the page tells, in the order in which it is read."""
_PAGE = (
    "compared_studies:ComparedStudies",
    "between_studies:BetweenStudies",
    "verdict:Verdict",
    "methods_compared:MethodsCompared",
    "accuracy_over_orders:AccuracyOverOrders",
    "paired_differences:PairedDifferences",
    "contribution_heatmap:ContributionHeatmap",
    "robust_contributions:RobustContributions",
    "all_contributions:AllContributions",
    "position_profiles:PositionProfiles",
    "forgetting_and_learning:ForgettingAndLearning",
    "failure_mode_curves:FailureModeCurves",
    "feature_paths:FeaturePaths",
    "transition_predictions:TransitionPredictions",
    "order_tree:OrderTree",
    "order_model_bars:OrderModelBars",
    "published_order:PublishedOrder",
    "similar_neighbours:SimilarNeighbours",
    "similar_pairs:SimilarPairs",
    "proposed_orders:ProposedOrders",
    "method_places:MethodPlaces",
    "ranking_stability:RankingStability",
    "convergence_curves:ConvergenceCurves",
    "variance_shares:VarianceShares",
    "ranking_reliability:RankingReliability",
    "worst_and_best:WorstAndBest",
    "matrix_browser:MatrixBrowser",
    "missing_and_failed:MissingAndFailed",
    "evaluated_tasks:EvaluatedTasks",
    "how_computed:HowComputed",
)
"""The page, from top to bottom: file and class; a new panel is one line here."""


def _made(path: str) -> Panel:
    file, _, name = path.partition(":")
    panel: Panel = getattr(import_module(f"{__name__}.{file}"), name)()
    return panel


PANELS: tuple[Panel, ...] = tuple(map(_made, _PAGE))


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
