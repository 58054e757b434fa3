"""Metrics of a run: hand-computed values, published values, undefined cases."""

from itertools import permutations

import numpy as np
import pytest

from analysis import accuracy, from_matrices, metrics
from tests.analysis.mtil import ORDERS, mtil

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
        (accuracy.average_accuracy, (0.50 + 0.60 + 0.95) / 3),
        (
            accuracy.average_incremental_accuracy,
            (0.70 + (0.80 + 0.90) / 2 + (0.50 + 0.60 + 0.95) / 3) / 3,
        ),
        (accuracy.mtil_avg, (0.70 + 0.80 + 0.50 + 0.25 + 0.90 + 0.60 + 0.35 + 0.20 + 0.95) / 9),
        (accuracy.transfer, (0.25 + (0.35 + 0.20) / 2) / 2),
        (accuracy.backward_transfer, ((0.50 - 0.70) + (0.60 - 0.90)) / 2),
        (accuracy.forward_transfer, ((0.25 - 0.20) + (0.20 - 0.30)) / 2),
        (accuracy.forgetting_max, ((0.80 - 0.50) + (0.90 - 0.60)) / 2),
        (accuracy.forgetting_last, ((0.70 - 0.50) + (0.90 - 0.60)) / 2),
        (accuracy.learning_accuracy, (0.70 + 0.90 + 0.95) / 3),
        (accuracy.drop, ((0.10 - 0.50) + (0.20 - 0.60) + (0.30 - 0.95)) / 3),
    ],
)
def test_formula_by_hand(function, value):
    assert function(R) == pytest.approx(value)


def test_stacked_matrices_give_the_values_of_each():
    rng = np.random.default_rng(0)
    many = rng.random((5, 4, 3))
    for metric in accuracy.METRICS.values():
        one_by_one = np.array([metric.function(matrix) for matrix in many])
        assert metric.function(many) == pytest.approx(one_by_one)


def test_chaudhrys_maximum_may_come_from_before_the_task_was_learnt():
    lost_early = np.array([[0.9, 0.8], [0.9, 0.9], [0.9, 0.5]])
    three = np.array([[0.5] * 3, [0.5, 0.9, 0.5], [0.5, 0.6, 0.5], [0.5, 0.5, 0.5]])
    assert accuracy.forgetting_max(lost_early) == pytest.approx(0.0)
    assert accuracy.forgetting_max(three) == pytest.approx(0.1 / 2)
    assert accuracy.forgetting_max(three, since_learnt=False) == pytest.approx(0.4 / 2)


def test_one_task_has_no_transfer_and_no_forgetting():
    single = np.array([[0.2], [0.8]])
    assert accuracy.average_accuracy(single) == 0.8
    for name in ("transfer", "bwt", "fwt", "forgetting_max", "forgetting_last"):
        assert np.isnan(accuracy.METRICS[name].function(single)), name


@pytest.mark.parametrize(
    ("method", "order", "published"),
    [
        ("ContinualFT", "I", (44.6, 55.9, 77.3)),
        ("ContinualFT", "II", (46.6, 56.2, 67.4)),
        ("ZSCL", "I", (68.1, 75.4, 83.6)),
        ("ZSCL", "II", (64.2, 74.5, 83.4)),
    ],
)
def test_mtil_as_published(method, order, published):
    """Transfer, Avg and Last in percent, ZSCL (arXiv 2303.06628).

    Published to one decimal, and averaged over tasks after rounding them to one decimal.
    """
    runs = metrics(from_matrices(mtil()))
    (run,) = runs[(runs["method"] == method) & (runs["order"] == ORDERS[order])].itertuples()
    computed = (100 * run.transfer, 100 * run.avg, 100 * run.average_accuracy)
    assert computed == pytest.approx(published, abs=0.06)


def test_matrix_of_a_run_is_the_one_given():
    given = mtil()
    results = from_matrices(given, backbone="clip")
    matrix = results.matrix("clip", "ZSCL", 0, ORDERS["II"])
    assert matrix.to_numpy() == pytest.approx(given["ZSCL", 0, ORDERS["II"]])
    assert list(matrix.columns) == list(ORDERS["II"])
    assert matrix.index[3] == (3, ORDERS["II"][2])


def test_renaming_tasks_renames_results():
    tasks = ("a", "b", "c")
    names = {"a": "z", "b": "y", "c": "x"}
    before = metrics(from_matrices({("m", 0, tasks): R}))
    renamed = tuple(names[task] for task in tasks)
    after = metrics(from_matrices({("m", 0, renamed): R}))
    assert after["order"][0] == renamed
    assert after.drop(columns="order").equals(before.drop(columns="order"))


def test_equal_accuracies_compare_equal_whatever_the_order():
    """Sums in another order differ in their last bits; that must not decide who is better."""
    final = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.7}
    orders = list(permutations(final))
    given = {
        ("m", 0, order): np.array([[0.0] * 4, *[[final[t] for t in order]] * 4]) for order in orders
    }
    assert metrics(from_matrices(given))["average_accuracy"].nunique() == 1


@pytest.mark.parametrize(
    ("matrix", "hint"), [(R[:3], r"shape \(4, 3\)"), (100 * R, "fractions"), (R.T, "shape")]
)
def test_matrices_that_cannot_be_are_refused(matrix, hint):
    with pytest.raises(ValueError, match=hint):
        from_matrices({("m", 0, ("a", "b", "c")): matrix})


def test_matrices_that_contradict_each_other_are_refused():
    other = R[:, [0, 2, 1]]
    other[1, 0] = 0.71
    with pytest.raises(ValueError, match="disagree about a after a"):
        from_matrices({("m", 0, ("a", "b", "c")): R, ("m", 0, ("a", "c", "b")): other})
