"""What figures say in a sentence: right for frames whose answer is known."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd

from analysis.data.score_array import ACCURACY
from analysis.report.figure_style import Looks
from analysis.report.panels.accuracy_over_orders import AccuracyOverOrders
from analysis.report.panels.all_contributions import AllContributions
from analysis.report.panels.contribution_heatmap import ContributionHeatmap
from analysis.report.panels.convergence_curves import ConvergenceCurves
from analysis.report.panels.failure_mode_curves import FailureModeCurves
from analysis.report.panels.feature_paths import FeaturePaths
from analysis.report.panels.forgetting_and_learning import ForgettingAndLearning
from analysis.report.panels.method_pairs_matrix import MethodPairsMatrix
from analysis.report.panels.method_places import MethodPlaces
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
from analysis.report.study_statistics import StudyStatistics

NAN = float("nan")
PAIRS = [("b", "er"), ("b", "lora")]


def frame(columns: str, *lines: tuple[object, ...]) -> pd.DataFrame:
    """A frame of backbone b; without further columns where there are no lines."""
    found = pd.DataFrame(list(lines), columns=columns.split())
    return found.assign(backbone="b")


def known(**statistics: Any) -> StudyStatistics:
    """A study of which this is known; every method is a contender that the order moves."""
    base = {
        "called": lambda backbone, method: method,
        "groups": PAIRS,
        "contenders": PAIRS,
        "moved_groups": PAIRS,
        "moved": set(PAIRS),
        "baseline_first": PAIRS,
        "unmoved": [],
        "methods": ["er", "lora"],
        "terms": [["er", "lora"]],
        "told": frozenset(),
        "looks": Looks(["er", "lora"]),
    }
    return cast(StudyStatistics, SimpleNamespace(words=ACCURACY, **base | statistics))


SPREAD = "method worst best order_sd order_sd_low order_sd_high"
ER, LORA = ("er", 0.6, 0.7, 0.02, 0.01, 0.04), ("lora", 0.4, 0.7, 0.05, 0.02, 0.09)


def test_what_the_order_moves() -> None:
    panel, runs = AccuracyOverOrders(), pd.DataFrame()
    both = known(robustness=frame(SPREAD, ER, LORA), unmoved=["joint"])
    assert panel.finding(runs, both) == (
        "The order moves most lora (runs from 0.400 to 0.700, SD over orders 0.050 [0.020, "
        "0.090]); least, er (runs from 0.600 to 0.700, SD over orders 0.020 [0.010, 0.040]); it "
        "does not move joint."
    )
    one = known(robustness=frame(SPREAD, (*ER[:4], NAN, NAN)))
    assert panel.finding(runs, one) == (
        "The order moves er (runs from 0.600 to 0.700, SD over orders 0.020)."
    )
    none = known(robustness=frame(SPREAD, ER), moved=set(), unmoved=["er"])
    assert "No method ends differently" in panel.finding(runs, none)


def test_verdicts_against_the_baseline() -> None:
    columns = "method metric mean low high word"
    judged = frame(
        columns,
        ("er", "average_accuracy", 0.1, 0.05, 0.15, "better"),
        ("lora", "average_accuracy", 0.0, NAN, NAN, "not tested"),
        ("lora", "learning", -0.2, -0.3, -0.1, "worse"),
    )
    study = known(judged=judged, baseline_called="finetune", partners={"er": "finetune"})
    assert PairedDifferences().finding(pd.DataFrame(), study) == (
        "Against finetune, better: er (+0.100 [+0.050, +0.150]); not tested: lora (+0.000)."
    )


CELLS = "method trained task mean low high order_sd p_holm decided"


def test_the_largest_decided_effect_is_named() -> None:
    """The larger one of c on b is not decided."""
    cells = frame(
        CELLS,
        ("er", "a", "a", 0.9, 0.8, 1.0, 0.1, NAN, False),
        ("er", "a", "b", -0.2, -0.3, -0.1, 0.1, 0.01, True),
        ("er", "c", "b", -0.4, -0.9, 0.1, 0.5, 0.4, False),
    )
    heatmap, robust = ContributionHeatmap(), RobustContributions()
    assert heatmap.finding(cells, known()) == (
        "Learning a harms b most, with er: -0.200 [-0.300, -0.100]; 1 of 2 effects on other tasks "
        "is decided."
    )
    open_cells = cells.assign(decided=False)
    assert heatmap.finding(open_cells, known()) == (
        "Learning c harms b most, with er: -0.400 [-0.900, +0.100]; none of 2 effects on other "
        "tasks is decided."
    )
    single = cells.assign(low=NAN, high=NAN, p_holm=NAN, decided=False)
    assert "one replicate decides nothing" in heatmap.finding(single, known())
    alone = cells[cells["trained"] == cells["task"]]
    assert heatmap.finding(alone, known()) == "Learning a task changes the accuracy on no other."
    assert robust.finding(cells, known()) == (
        "Of 2 effects of one task on another, none reliably helps and 1 reliably harms; in the "
        "other 1 the order decides."
    )
    assert robust.draw(alone, known()) is None
    assert not robust.is_open(alone, known())


def test_contributions_that_the_order_moves_are_counted() -> None:
    cells = frame(
        "kind method signal",
        ("tower", "er", 0.2),
        ("tower", "er", 0.8),
        ("tower", "er", NAN),
        ("gain", "er", 0.1),
    )
    panel = AllContributions()
    assert panel.finding(cells, known()) == (
        "The order moves more than they amount to: 1 of 2 update of a tower to accuracy on a task."
    )
    assert panel.finding(cells[cells["kind"] == "gain"], known()) == ""
    assert not panel.is_open(cells[cells["kind"] == "gain"], known())


def test_what_a_late_position_is_worth() -> None:
    """er: (0.2 + 0.4) / 2; lora is not worse off."""
    places = frame(
        "method task position final",
        *(("er", "a", 1, 0.5), ("er", "a", 2, 0.9), ("er", "a", 3, 0.7)),
        *(("er", "b", 1, 0.4), ("er", "b", 2, 0.0), ("er", "b", 3, 0.8)),
        *(("lora", "a", 1, 0.5), ("lora", "a", 3, 0.4)),
    )
    panel = PositionProfiles()
    assert panel.finding(places, known()) == (
        "A task learnt last rather than first ends higher by +0.300 with er and -0.100 with lora "
        "(mean over tasks)."
    )
    assert "No method" in panel.finding(places, known(moved_groups=[]))


def test_forgetting_and_learning_are_those_of_contenders() -> None:
    columns = "method metric mean low high"
    study = known(
        summary=frame(
            columns,
            ("er", "forgetting_last", 0.1, NAN, NAN),
            ("lora", "forgetting_last", 0.3, 0.2, 0.4),
            ("er", "learning_accuracy", 0.9, 0.8, 1.0),
            ("lora", "learning_accuracy", NAN, NAN, NAN),
            ("joint", "forgetting_last", 0.8, 0.7, 0.9),
        )
    )
    assert ForgettingAndLearning().finding(pd.DataFrame(), study) == (
        "lora forgets most: 0.300 [0.200, 0.400]; er learns: 0.900 [0.800, 1.000]."
    )


def test_failure_modes_are_measured_from_the_start() -> None:
    """lora ends at the larger cosine, but er has moved further; losses begin at 0."""
    modes = frame(
        "method measure stage mean low high",
        *(("er", "pair_cosine", 0, 0.6, 0.6, 0.6), ("er", "pair_cosine", 2, 0.3, 0.2, 0.4)),
        *(("lora", "pair_cosine", 0, 0.6, 0.6, 0.6), ("lora", "pair_cosine", 2, 0.5, 0.4, 0.6)),
        *(("er", "interference", 2, 0.0, NAN, NAN), ("lora", "interference", 2, 0.1, NAN, NAN)),
    )
    panel = FailureModeCurves()
    assert panel.finding(modes, known()) == (
        "Furthest from the untouched backbone after the last stage: er in 1 of 2 measures (Cosine "
        "of matching pairs 0.300 [0.200, 0.400]); lora in 1 of 2 measures (Lost of the task "
        "before 0.100)."
    )
    still = modes[modes["stage"] == 0]
    assert panel.finding(still, known()) == "No measure changes while tasks are learnt."


def test_features_are_near_the_text_of_their_class_or_not() -> None:
    """Both images begin at their own text; one of them goes to the other's."""
    maps = frame(
        "method task modality choice x y x_end y_end",
        ("er", "a", "text", 0, 0.0, 0.0, 0.0, 0.0),
        ("er", "a", "text", 1, 9.0, 0.0, 9.0, 0.0),
        ("er", "a", "image", 0, 1.0, 0.0, 1.0, 0.0),
        ("er", "a", "image", 1, 8.0, 0.0, 2.0, 0.0),
    )
    said = FeaturePaths().finding(maps, known())
    assert said.endswith("and after the last one: 100% and 50% with er.")


def test_first_tasks_of_the_method_that_the_order_moves_most() -> None:
    tree = frame(
        "method prefix runs average_accuracy",
        *(("lora", (), 4, 0.5), ("lora", ("a",), 2, 0.6), ("lora", ("b",), 2, 0.4)),
        *(("lora", ("a", "b"), 2, 0.6), ("er", (), 4, 0.7), ("er", ("a",), 4, 0.7)),
    )
    study = known(robustness=frame(SPREAD, ER, LORA))
    assert OrderTree().finding(tree, study) == (
        "With lora the 4 runs end at 0.500 on average, those that begin with a at 0.600, those "
        "with b at 0.400."
    )
    assert OrderTree().finding(
        tree, known(robustness=frame(SPREAD, ER), moved_groups=PAIRS[:1])
    ) == ("With er the 4 runs end at 0.700 on average; all of them begin with a.")


def test_models_that_predict_and_methods_that_none_does() -> None:
    models = frame(
        "method model r2 p_holm",
        *(("er", "position", 0.4, 0.06), ("er", "precedence", 0.3, 0.04)),
        *(("lora", "position", -0.2, 0.01), ("lora", "precedence", 0.1, 0.2)),
    )
    panel = OrderModelBars()
    assert panel.finding(models, known()) == (
        "What predicts most of the variance over orders: precedence (er 30%); nothing of the "
        "order is shown to predict lora."
    )
    lora = models[models["method"] == "lora"]
    assert panel.finding(lora, known()) == "Nothing of the order is shown to predict lora."


def test_pairs_by_what_is_known_of_them() -> None:
    columns = "method other mean verdict verdict_low verdict_high survives wins losses runs"
    pairs = frame(
        columns,
        ("er", "lora", 0.1, "better", 0.05, 0.15, "open", 9, 1, 10),
        ("er", "ewc", 0.0, "equivalent", -0.004, 0.004, "no", 5, 5, 10),
        ("lora", "ewc", 0.02, "undecided", -0.1, 0.14, "open", 6, 4, 10),
    )
    panel = MethodPairsMatrix()
    assert panel.finding(pairs, known()) == (
        "Of 3 pairs, decided: er above lora (+0.100 [+0.050, +0.150]); equivalent: er and ewc "
        "(+0.000 [-0.004, +0.004]); undecided: lora and ewc (+0.020 [-0.100, +0.140]); turned "
        "round by the order: er and ewc."
    )
    many = pd.concat([pairs[pairs["verdict"] == "better"]] * 5)
    assert panel.finding(many, known()) == "Of 5 pairs, 5 decided."


def test_first_places() -> None:
    places = frame(
        "method rank share runs", ("er", 1, 0.25, 8), ("lora", 1, 0.75, 8), ("er", 2, 0.75, 8)
    )
    assert MethodPlaces().finding(places, known()) == (
        "Of 8 runs, first comes lora in 75% and er in 25%."
    )


def test_certainty() -> None:
    sizes = frame("k tau top_1", (1, 0.5, 0.8), (2, 0.75, 0.9))
    stability = RankingStability()
    assert stability.finding(sizes, known()) == (
        "Two studies of 2 replicates each would rank the methods with Kendall tau 0.75 and have "
        "the same best method in 90% of cases."
    )
    assert stability.draw(sizes.iloc[:1], known()) is None
    assert not stability.is_open(sizes.iloc[:1], known())
    assert stability.is_open(sizes, known())
    means = frame(
        "method replicates mean low high",
        *(("er", 1, 0.5, NAN, NAN), ("er", 2, 0.5, 0.3, 0.7)),
        *(("lora", 1, 0.5, NAN, NAN), ("lora", 2, 0.5, 0.4, 0.6)),
    )
    assert ConvergenceCurves().finding(means, known()) == (
        "After 2 replicates the mean of er is known to +-0.200, that of lora to +-0.100."
    )
    alone = known(contenders=PAIRS[:1])
    assert ConvergenceCurves().finding(means, alone).endswith("er is known to +-0.200.")
    shares = frame("effect share", ("method", 0.2), ("order", 0.7), ("seed", 0.1))
    assert VarianceShares().finding(shares, known()) == (
        "Shares of the variance between runs: order 70%, method 20% and seed 10%."
    )
    reliable = frame(
        "seeds orders g g_low g_high current",
        *((2, 8, 0.7, 0.2, 0.9, False), (3, 8, 0.8, 0.4, 0.95, True)),
        *((5, 8, 0.9, 0.5, 0.97, False), (5, 1, 0.6, 0.1, 0.8, False)),
    )
    assert RankingReliability().finding(reliable, known()) == (
        "With 3 seeds and 8 orders each, G is 0.800 [0.400, 0.950]; with 5 seeds, 0.900."
    )


def test_similarity() -> None:
    columns = "method measure r p slope low high p_slope"
    found = frame(
        columns,
        ("er", "near", 0.5, 0.01, 0.02, 0.01, 0.03, 0.04),
        ("lora", "near", NAN, NAN, -0.01, -0.03, 0.01, 0.5),
        ("er", "far", -0.5, 0.01, 0.09, 0.08, 0.1, 0.01),
    )
    study = known(adjacencies=pd.DataFrame({"measure": ["near", "far"]}), similarity=found)
    assert SimilarNeighbours().finding(found, study) == (
        "Per SD of more similar neighbours, average accuracy changes: er +0.020 [+0.010, +0.030] "
        "(p 0.040) and lora -0.010 [-0.030, +0.010] (p 0.500)."
    )
    single = found.assign(slope=NAN, low=NAN, high=NAN)
    assert "takes two replicates" in SimilarNeighbours().finding(single, study)
    assert SimilarPairs().finding(pd.DataFrame({"measure": ["near"]}), study) == (
        "Correlation of the similarity of two tasks with what one does to the other: er +0.50 (p "
        "0.010)."
    )


def test_proposals_beyond_chance() -> None:
    columns = "method measure score proposal better p p_all"
    found = frame(
        columns,
        ("er", "near", "first_last", "easiest", 0.1, 0.001, 0.02),
        ("lora", "near", "first_last", "easiest", 0.4, 0.4, 0.9),
    )
    assert ProposedOrders().finding(found, known()) == (
        "1 of 2 proposals is better or worse than chance would make the best of them; least like "
        "chance: near, first last, easiest order with er (10% of all orders are better, p 0.020 "
        "for all proposals)."
    )
    assert ProposedOrders().finding(found.iloc[1:], known()).startswith("No proposal is better")


def test_transitions() -> None:
    columns = "method response scores r2_out p_holm"
    found = frame(
        columns,
        ("er", "accuracy_new", "frozen", 0.25, 0.04),
        ("er", "loss_new", "frozen", -0.3, 0.5),
        ("lora", "loss_new", "adaptive", NAN, NAN),
    )
    panel = TransitionPredictions()
    assert panel.finding(found, known()) == (
        "In replicates left out, contributions predict 1 of 2 changes better than the mean does, "
        "at best 25% of the variance (er, accuracy, new task, frozen scores). 1 of the 2 with "
        "frozen scores explains more than these scores with their tasks permuted."
    )
    chance = found.assign(p_holm=[0.06, 0.5, NAN])
    assert "None of the 2 with" in panel.finding(chance, known())
    assert "cannot be said" in panel.finding(found.assign(p_holm=NAN), known())
    assert panel.is_open(found, known())
    worse = found.assign(r2_out=-1.0)
    assert "predict no change better than the mean" in panel.finding(worse, known())
    assert not panel.is_open(worse, known())
    assert "one replicate" in panel.finding(found.assign(r2_out=np.nan), known())
