"""Published orders among others: closed forms, error rates, and the case of ECLIPSE."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.data.final_scores import ROWS, OrderScores
from analysis.data.given_results import read_results
from analysis.orders.published import methods_by_order, place, published_orders
from analysis.report.text import published_sentences

ECLIPSE = Path(__file__).parents[2] / "examples" / "eclipse.csv"


def scores_of(*rows: tuple[str, str, float, bool]) -> OrderScores:
    frame = [(method, order, "", value, published) for method, order, value, published in rows]
    return OrderScores(pd.DataFrame(frame, columns=ROWS))


def one_method(values: np.ndarray, published: int = 1, method: str = "er") -> OrderScores:
    """Scores of orders, the first of which are published."""
    return scores_of(*((method, str(i), v, i < published) for i, v in enumerate(values)))


def test_eclipse() -> None:
    """The published class order lies 7.4 SD above nine random ones (mean 33.5, SD 1.06)."""
    (row,) = published_orders(read_results(ECLIPSE).results).itertuples()
    assert (row.value, row.orders) == (41.4, 9)
    assert round(row.mean, 1) == 33.5
    assert round(row.sd, 2) == 1.06
    assert round(row.away, 1) == 7.4
    assert row.verdict == "outlier"
    assert (row.rank, row.p_rank, row.floor) == (1, 0.1, 0.1)
    assert row.p == pytest.approx(1.05e-4, rel=0.01)


def test_closed_form() -> None:
    """With three others, 1 2 3, and t of 2 degrees of freedom, whose law is elementary."""
    found = place(5.0, np.array([1.0, 2.0, 3.0]))
    t = 3 / math.sqrt(4 / 3)
    assert (found.mean, found.sd, found.away) == pytest.approx((2, 1, 3))
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t**2))
    quantile = 0.95 * math.sqrt(2 / (1 - 0.95**2))  # P(|T| < q) = q / sqrt(2 + q^2) = 0.95
    assert found.high - 2 == pytest.approx(quantile * math.sqrt(4 / 3))
    assert found.low == pytest.approx(4 - found.high)


def test_rank_counts_what_lies_as_far_out() -> None:
    others = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    assert place(11.0, others).p_rank == pytest.approx(2 / 6 - 1 / 6)
    assert place(9.0, others).p_rank == pytest.approx(2 / 6)  # 10 lies further out
    assert place(-1.0, np.array([1.0, 1.0, 1.0, 3.0])).p_rank == pytest.approx(2 / 5)  # a tie
    low = place(-6.0, others)
    assert low.p_rank == pytest.approx(1 / 6)
    assert low.away < 0


def test_everything_turned_over_or_scaled_gives_the_same_answer() -> None:
    others, value = np.array([0.31, 0.35, 0.30, 0.36, 0.33]), 0.44
    right = place(value, others)
    for scale, shift in ((-1, 0), (100, 0), (1, 7)):
        found = place(scale * value + shift, scale * others + shift)
        assert found.p == pytest.approx(right.p)
        assert found.p_rank == pytest.approx(right.p_rank)


def test_few_orders_and_no_spread_give_no_verdict() -> None:
    for others in (np.array([]), np.array([1.0]), np.array([1.0, 2.0])):
        assert math.isnan(place(5.0, others).p)
    same = place(0.9, np.full(5, 0.7))
    assert math.isnan(same.p)
    assert math.isnan(same.low)
    assert same.p_rank == pytest.approx(1 / 6)
    (row,) = published_orders(one_method(np.array([0.9, *[0.7] * 5]))).itertuples()
    assert row.verdict == ""
    (said, *_) = published_sentences.verdicts(
        published_orders(one_method(np.array([5.0, 1.0, 2.0]))), one_method(np.arange(3.0))
    )
    assert said.endswith("there are 2 other orders, and an answer takes at least 3.")


@pytest.mark.parametrize("n", [3, 9, 30])
def test_a_random_order_is_called_an_outlier_in_one_of_twenty_studies(n: int) -> None:
    rng = np.random.default_rng(n)
    draws = rng.normal(0.7, 0.02, (6000, n + 1))
    p = np.array([place(row[0], row[1:]).p for row in draws])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.011)  # four standard errors
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.026)


def test_ranks_hold_their_level_whatever_the_law() -> None:
    rng = np.random.default_rng(1)
    for draws in (rng.exponential(1, (6000, 20)), rng.standard_t(2, (6000, 20))):
        p = np.array([place(row[0], row[1:]).p_rank for row in draws])
        assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.011)
        assert p.min() == pytest.approx(1 / 20)


def test_a_family_errs_in_at_most_one_of_twenty_studies() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        values = rng.normal(size=(3, 12))
        scores = scores_of(
            *(
                (f"m{m}", str(i), values[m, i], i < 2)
                for m in range(3)
                for i in range(values.shape[1])
            )
        )
        wrong += (published_orders(scores)["verdict"] == "outlier").any()
    assert wrong / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert wrong  # such a study is not impossible


def test_interval_p_and_verdict_agree() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        values = rng.normal(size=8)
        values[:2] *= 4
        found = published_orders(one_method(values, published=2))
        outside = (found["value"] < found["low"]) | (found["value"] > found["high"])
        assert (outside == (found["p"] < 0.05)).all()
        assert (outside == (found["verdict"] == "outlier")).all()


def test_published_orders_do_not_count_as_others() -> None:
    found = published_orders(one_method(np.array([9.0, 8.0, 1.0, 2.0, 3.0]), published=2))
    assert found["orders"].tolist() == [3, 3]
    assert found["mean"].tolist() == [2.0, 2.0]


def test_an_order_is_the_mean_of_its_seeds() -> None:
    rows = [("er", "I", "0", 9.0, True), ("er", "I", "1", 7.0, True)]
    rows += [("er", str(i), "0", float(i), False) for i in range(3)]
    scores = OrderScores(pd.DataFrame(rows, columns=ROWS))
    found = published_orders(scores)
    assert found["value"].tolist() == [8.0]
    said = published_sentences.unsaid(found, scores)
    assert said[0].startswith("The score of an order is its mean over 1 to 2 seeds.")
    assert said[1].startswith("Orders have different numbers of seeds")


def test_single_scores_do_not_separate_order_and_seed() -> None:
    scores = one_method(np.array([9.0, 5.0, 5.2, 4.9, 5.1]))
    said = published_sentences.unsaid(published_orders(scores), scores)
    assert "the effect of the order is not separated from that of the seed" in said[0]
    assert "drawn at random" in said[1]
    assert "does not say why" in said[2]


def test_methods_are_paired_by_order() -> None:
    """Orders move both methods alike, so the difference is exact, and the published one departs."""
    base = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    gains = np.array([-5.0, 1.0, 1.2, 0.8, 1.0])
    rows = [("a", str(i), v, i == 0) for i, v in enumerate(base)]
    rows += [("b", str(i), v, i == 0) for i, v in enumerate(base + gains)]
    (row,) = methods_by_order(scores_of(*rows)).itertuples()
    assert (row.method, row.baseline, row.orders) == ("b", "a", 4)
    assert row.mean == pytest.approx(1.0)
    half = 3.182446 * gains[1:].std(ddof=1) / 2
    assert (row.low, row.high) == pytest.approx((1 - half, 1 + half), rel=1e-5)
    assert row.ahead == 1.0
    assert row.value == -5.0
    assert not row.agrees
    assert row.p == pytest.approx(place(-5.0, gains[1:]).p)
    assert published_sentences.differences(methods_by_order(scores_of(*rows)), False) == [
        "b is ahead of a on average over the other orders, but not on the published order."
    ]
