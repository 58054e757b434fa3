"""The parts of the page, one file each.

In: the statistics of a study. Out: figures, captions and tables, in the order of the page.
"""

from collections.abc import Iterable
from importlib import import_module

from analysis.report.panels.base import Panel

_PAGE: dict[str, tuple[str, ...]] = {
    "Comparison": ("compared_studies:ComparedStudies", "between_studies:BetweenStudies"),
    "Answer": ("verdict:Verdict", "overview:Overview"),
    "Methods": (
        "methods_compared:MethodsCompared",
        "accuracy_over_orders:AccuracyOverOrders",
        "paired_differences:PairedDifferences",
        "method_pairs_matrix:MethodPairsMatrix",
        "missing_and_failed:MissingAndFailed",
    ),
    "Orders": (
        "published_order:PublishedOrder",
        "worst_and_best:WorstAndBest",
        "method_places:MethodPlaces",
        "order_tree:OrderTree",
        "position_profiles:PositionProfiles",
        "order_model_bars:OrderModelBars",
    ),
    "Tasks": (
        "contribution_heatmap:ContributionHeatmap",
        "robust_contributions:RobustContributions",
        "forgetting_and_learning:ForgettingAndLearning",
        "all_contributions:AllContributions",
        "failure_mode_curves:FailureModeCurves",
        "feature_paths:FeaturePaths",
        "transition_predictions:TransitionPredictions",
        "ood_heatmap:OodHeatmap",
        "ood_curves:OodCurves",
        "routing_curves:RoutingCurves",
    ),
    "Similarity": (
        "similar_neighbours:SimilarNeighbours",
        "similar_pairs:SimilarPairs",
        "proposed_orders:ProposedOrders",
    ),
    "Certainty": (
        "ranking_stability:RankingStability",
        "variance_shares:VarianceShares",
        "ranking_reliability:RankingReliability",
        "convergence_curves:ConvergenceCurves",
    ),
    "Runs": ("matrix_browser:MatrixBrowser",),
    "Setup": (
        "study_setup:StudySetup",
        "evaluated_tasks:EvaluatedTasks",
        "final_metrics:FinalMetrics",
        "repeat_and_cite:RepeatAndCite",
        "how_computed:HowComputed",
    ),
}
"""The page, from top to bottom: chapters, and file and class of what stands in them; a new panel is
one line here."""
CHAPTERS = tuple(_PAGE)
"""What the page tells, in the order in which it is read."""


def _made(path: str, chapter: str) -> Panel:
    file, _, name = path.partition(":")
    panel: Panel = getattr(import_module(f"{__name__}.{file}"), name)()
    panel.chapter = chapter
    return panel


PANELS: tuple[Panel, ...] = tuple(
    _made(path, chapter) for chapter, paths in _PAGE.items() for path in paths
)


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
