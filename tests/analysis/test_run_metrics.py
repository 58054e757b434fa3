"""Metrics of a run: hand-computed values, published values, undefined cases."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from analysis import METRICS, combine, compare, from_matrices, metrics, summary
from analysis.run_metrics import formulas
from tests.analysis.mtil import ORDERS, PUBLISHED, mtil

# Three tasks in learning order; row 0 is the untouched backbone.
R = np.array(
    [
        [0.10, 0.20, 0.30],
        [0.70, 0.25, 0.35],
        [0.80, 0.90, 0.20],
        [0.50, 0.60, 0.95],
    ]
)


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (formulas.average_accuracy, (0.50 + 0.60 + 0.95) / 3),
        (
            formulas.average_incremental_accuracy,
            (0.70 + (0.80 + 0.90) / 2 + (0.50 + 0.60 + 0.95) / 3) / 3,
        ),
        (formulas.mtil_avg, (0.70 + 0.80 + 0.50 + 0.25 + 0.90 + 0.60 + 0.35 + 0.20 + 0.95) / 9),
        (formulas.transfer, (0.25 + (0.35 + 0.20) / 2) / 2),
        (formulas.backward_transfer, ((0.50 - 0.70) + (0.60 - 0.90)) / 2),
        (formulas.forward_transfer, ((0.25 - 0.20) + (0.20 - 0.30)) / 2),
        (formulas.forgetting_max, ((0.80 - 0.50) + (0.90 - 0.60)) / 2),
        (formulas.forgetting_chaudhry, ((0.80 - 0.50) + (0.90 - 0.60)) / 2),
        (formulas.diaz_accuracy, (0.70 + 0.80 + 0.90 + 0.50 + 0.60 + 0.95) / 6),
        (formulas.diaz_bwt, ((0.80 - 0.70) + (0.50 - 0.70) + (0.60 - 0.90)) / 3),
        (formulas.diaz_bwt_plus, 0),
        (formulas.diaz_rem, 1 - ((0.70 - 0.80) + (0.70 - 0.50) + (0.90 - 0.60)) / 3),
        (formulas.diaz_fwt, (0.25 + 0.35 + 0.20) / 3),
        (formulas.forgetting_last, ((0.70 - 0.50) + (0.90 - 0.60)) / 2),
        (formulas.zsd_figure, ((0.25 - 0.25) + (0.35 - 0.20)) / 2),
        (formulas.zsd_text, ((0.25 - 0.25) + (0.35 - 0.20)) / 2),
        (formulas.learning_accuracy, (0.70 + 0.90 + 0.95) / 3),
        (formulas.learning, ((0.70 - 0.10) + (0.90 - 0.25) + (0.95 - 0.20)) / 3),
        (formulas.erosion, ((0.10 - 0.50) + (0.20 - 0.60) + (0.30 - 0.95)) / 3),
    ],
)
def test_formula_by_hand(function: Callable[[np.ndarray], np.ndarray], value: float) -> None:
    assert function(R) == pytest.approx(value)


def test_stacked_matrices_give_the_values_of_each() -> None:
    rng = np.random.default_rng(0)
    many = rng.random((5, 4, 3))
    for metric in METRICS.values():
        one_by_one = np.array([metric.function(matrix) for matrix in many])
        assert metric.function(many) == pytest.approx(one_by_one)


def test_chaudhrys_maximum_may_come_from_before_the_task_was_learnt() -> None:
    lost_early = np.array([[0.9, 0.8], [0.9, 0.9], [0.9, 0.5]])
    three = np.array([[0.5] * 3, [0.5, 0.9, 0.5], [0.5, 0.6, 0.5], [0.5, 0.5, 0.5]])
    assert formulas.forgetting_max(lost_early) == pytest.approx(0.0)
    assert formulas.forgetting_max(three) == pytest.approx(0.1 / 2)
    assert formulas.forgetting_chaudhry(three) == pytest.approx(0.4 / 2)


def test_what_later_tasks_improve_is_no_remembering() -> None:
    improved = np.array([[0.1, 0.1], [0.5, 0.1], [0.7, 0.9]])
    assert formulas.diaz_bwt_plus(improved) == pytest.approx(0.2)
    assert formulas.diaz_rem(improved) == 1


def test_the_two_degradations_differ_in_where_they_start() -> None:
    """One counts what the untouched backbone knew, the other what the first model knew."""
    lost_at_once = np.array([[0.5, 0.9, 0.9], [0.6, 0.7, 0.7], [0.6, 0.8, 0.8], [0.6, 0.8, 0.9]])
    assert formulas.zsd_figure(lost_at_once) == pytest.approx(((0.9 - 0.7) + (0.9 - 0.8)) / 2)
    assert formulas.zsd_text(lost_at_once) == pytest.approx(0.0)


def test_intransigence_compares_with_the_joint_model_of_the_same_prefix() -> None:
    order, joint = ("a", "b", "c"), R + 0.01
    both = combine(
        {"m": from_matrices([R], [order], "m"), "joint": from_matrices([joint], [order], "joint")}
    )
    runs = metrics(both).set_index("method")
    assert runs.loc["m", "intransigence"] == pytest.approx(0.01)
    assert runs.loc["joint", "intransigence"] == 0
    assert metrics(both, reference="upper")["intransigence"].isna().all()


def test_one_task_has_no_transfer_and_no_forgetting() -> None:
    single = np.array([[0.2], [0.8]])
    assert formulas.average_accuracy(single) == 0.8
    undefined = ["transfer", "bwt", "fwt", "forgetting_max", "forgetting_chaudhry"]
    undefined += ["zsd_figure", "zsd_text", "diaz_bwt", "diaz_bwt_plus", "diaz_rem", "diaz_fwt"]
    for name in undefined:
        assert np.isnan(METRICS[name].function(single)), name


@pytest.mark.parametrize(
    ("method", "order", "published"),
    [
        ("ContinualFT", "I", (44.6, 55.9, 77.3)),
        ("ContinualFT", "II", (46.6, 56.2, 67.4)),
        ("ZSCL", "I", (68.1, 75.4, 83.6)),
        ("ZSCL", "II", (64.2, 74.5, 83.4)),
    ],
)
def test_mtil_as_published(method: str, order: str, published: tuple[float, ...]) -> None:
    """Transfer, Avg and Last, ZSCL (arXiv 2303.06628).

    Published to one decimal, and averaged over tasks after rounding them to one decimal.
    """
    runs = metrics(mtil())
    (run,) = runs[(runs["method"] == method) & (runs["order"] == ORDERS[order])].itertuples()
    found = (run.transfer, run.avg, run.last)
    assert found == pytest.approx([percent / 100 for percent in published], abs=0.0006)
    assert run.last == run.average_accuracy


def test_matrix_of_a_run_is_the_one_given() -> None:
    matrix = mtil().matrix("clip", "ZSCL", 1, ORDERS["II"])
    published = np.array(PUBLISHED["matrices"]["II"]["ZSCL"])
    assert matrix.to_numpy()[1:] == pytest.approx(published / 100)
    assert list(matrix.columns) == list(ORDERS["II"])
    assert matrix.index[3] == (3, ORDERS["II"][2])
    zero_shot = {task: percent / 100 for task, percent in PUBLISHED["zero_shot"].items()}
    assert matrix.loc[0].squeeze().to_dict() == pytest.approx(zero_shot)


def test_renaming_tasks_renames_results() -> None:
    tasks = ("a", "b", "c")
    names = {"a": "z", "b": "y", "c": "x"}
    before = metrics(from_matrices([R], [tasks]))
    renamed = tuple(names[task] for task in tasks)
    after = metrics(from_matrices([R], [renamed]))
    assert after["order"][0] == renamed
    assert after.drop(columns="order").equals(before.drop(columns="order"))


def test_equal_accuracies_compare_equal_whatever_the_order() -> None:
    """Sums in another order differ in their last bits; that must not decide who is better."""
    final = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.7}
    orders = list(permutations(final))
    matrices = [[[final[t] for t in order]] * 4 for order in orders]
    assert metrics(from_matrices(matrices, orders))["average_accuracy"].nunique() == 1


def test_without_the_untouched_backbone_only_what_needs_it_is_undefined() -> None:
    (run,) = metrics(from_matrices([R[1:]], [("a", "b", "c")])).itertuples()
    assert run.average_accuracy == pytest.approx((0.50 + 0.60 + 0.95) / 3)
    assert np.isnan([run.fwt, run.learning, run.zsd_figure]).all()
    with_start = from_matrices([R[1:]], [("a", "b", "c")], zero_shot={"a": 0.1, "b": 0.2, "c": 0.3})
    assert metrics(with_start)["fwt"][0] == pytest.approx(formulas.forward_transfer(R))


def test_percent_becomes_fractions() -> None:
    results = from_matrices([100 * R], [("a", "b", "c")])
    (run,) = metrics(results).itertuples()
    assert run.bwt == pytest.approx(formulas.backward_transfer(R))
    assert results.unit == "percent"
    assert results.notes == ("Accuracies were given in percent and are held as fractions.",)


@pytest.mark.parametrize(
    ("matrices", "hint"),
    [
        ([R[:2]], r"shape \(3, 3\) or \(4, 3\)"),
        ([R.T], r"got shape \(3, 4\)"),
        ([-R], r"from 0 to 1 \(fraction\), but one is -0.1"),
        ([200 * R], r"from 0 to 100 \(percent\), but one is 140"),
        ([R, 100 * R], "some like percent"),
        ([np.triu(R[1:])], "transpose it"),
    ],
)
def test_matrices_that_cannot_be_are_refused(matrices: list[np.ndarray], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        from_matrices(matrices, [("a", "b", "c")] * len(matrices))


def test_runs_of_one_replicate_may_not_contradict_each_other() -> None:
    other = R[:, [0, 2, 1]].copy()
    other[1, 0] = 0.71
    given = [R, other], [("a", "b", "c"), ("a", "c", "b")]
    assert len(metrics(from_matrices(*given))) == 2
    with pytest.raises(ValueError, match="disagree about a after a"):
        from_matrices(*given, replicates=[0, 0])


def test_studies_put_together_pair_their_runs_and_keep_their_names() -> None:
    orders = [("a", "b", "c"), ("c", "b", "a")]
    one, two = from_matrices([R, R / 2], orders, "m"), from_matrices([R, R / 2], orders, "n")
    both = compare(metrics(combine({"A": one, "B": two})), "m")
    assert both.set_index("metric").loc["average_accuracy", ["mean", "ties"]].tolist() == [0, 2]
    other = from_matrices([R, R / 3], orders, "m")
    assert set(metrics(combine({"A": one, "B": other}))["method"]) == {"m (A)", "m (B)"}


def test_a_method_that_studies_agree_about_is_one() -> None:
    orders = [("a", "b", "c"), ("c", "b", "a")]
    one, more = from_matrices([R], orders[:1], "m"), from_matrices([R, R / 2], orders, "m")
    both = combine({"A": one, "B": more})
    assert metrics(both)[["method", "average_accuracy"]].equals(
        metrics(more)[["method", "average_accuracy"]]
    )
    assert both.origins["m"].studies == ("A", "B")
    other = from_matrices([R / 2], orders[:1], "m")
    three = combine({"A": one, "B": more, "C": other})
    assert set(three.origins) == {"m (A, B)", "m (C)"}
    start = from_matrices([R / 2 + (R - R / 2) * (np.arange(4) == 0)[:, None]], orders[:1], "m")
    assert set(combine({"A": one, "B": start}).origins) == {"m (A)", "m (B)"}


def test_no_interval_leaves_what_a_metric_can_be() -> None:
    """Two replicates far apart, so that t intervals would reach beyond 0, 1 and -1."""
    orders = [("a", "b", "c")] * 2
    far = [np.full_like(R, 0.99), np.tri(4, 3, -1) * 0.3 + 0.01]
    spread = summary(metrics(from_matrices(far, orders, replicates=[0, 1])))
    known = spread[spread["low"].notna()].set_index("metric")
    assert {"average_accuracy", "bwt", "diaz_rem", "learning"} <= set(known.index)
    for name, row in known.iterrows():
        lowest, highest = METRICS[name].limits
        assert lowest <= row["low"] <= row["mean"] <= row["high"] <= highest, name
    assert known.loc["average_accuracy", ["low", "high"]].tolist() == [0, 1]
