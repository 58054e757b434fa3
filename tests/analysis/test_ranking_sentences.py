"""What is said of unseen orders and of another study: only what the data can say."""

import numpy as np
import pandas as pd
import pytest

from analysis import robustness, stability, variance_components
from analysis.report.text.phrases import perhaps_none
from analysis.report.text.ranking_sentences import next_runs, ranking_agreement, worst_seen
from tests.analysis.invented_runs import runs_of


def study(replicates: int, orders: int, gap: float = 0.05, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {
        f"m{i}": 0.5 + gap * i + 0.02 * rng.standard_normal((replicates, orders)) for i in range(4)
    }
    return runs_of(values, crossed=False)


def said_next(runs: pd.DataFrame) -> str:
    return next_runs(variance_components(runs), *runs[["replicate", "method"]].nunique())


def test_one_replicate_gives_no_reliability_and_no_advice() -> None:
    text = said_next(study(1, 6))
    assert "one replicate cannot tell" in text
    assert not any(word in text for word in ("G =", "worth", "Twice"))


def test_one_order_in_each_replicate_gives_no_advice_between_orders_and_seeds() -> None:
    text = said_next(study(5, 1))
    assert "G = " in text
    assert "cannot be separated" in text
    assert "worth" not in text


def test_a_ranking_by_chance_is_said_to_be_one() -> None:
    texts = [said_next(study(3, 4, gap=0.0, seed=seed)) for seed in range(40)]
    chance = ["not distinguishable from chance" in text for text in texts]
    assert np.mean(chance) > 0.85
    assert all("worth" not in text for text in texts if "G = 0.000 " in text)


@pytest.mark.parametrize(
    ("own_seed", "possible", "advice"),
    [
        (0.001, np.inf, "worth the same"),
        (1.0, np.inf, "new seeds, with orders of their own, are worth more"),
        (0.001, 12.0, "more orders in a seed are worth more"),
        (0.001, 10.0, "there are not twice as many orders"),
    ],
)
def test_orders_and_seeds_are_compared_both_ways(
    own_seed: float, possible: float, advice: str
) -> None:
    parts = {"method": (9.0, 9.0), "order": (0.0, 0.0), "seed": (0.0, 0.0)}
    parts |= {"method:order": (6.0, 1.0), "method:seed": (own_seed, own_seed)}
    frame = pd.DataFrame(
        [(effect, *values) for effect, values in parts.items()],
        columns=["effect", "variance", "in_replicate"],
    )
    frame = frame.assign(low=3.0, high=30.0, seeds=3, orders=6, possible=possible)
    assert advice in next_runs(frame, 3, 4)


def test_agreement_is_not_said_of_more_than_half_of_the_study() -> None:
    few = study(3, 4, gap=0.004)
    assert "3 replicates cannot tell" in ranking_agreement(few, stability(few))
    more = study(8, 4, gap=0.004)
    assert "how many this study cannot tell" in ranking_agreement(more, stability(more))
    clear = study(3, 4, gap=0.2)
    assert ranking_agreement(clear, stability(clear)).endswith("Kendall tau 1.00 to each other.")
    one = study(1, 4)
    assert "tau" not in ranking_agreement(one, stability(one))


def test_bounds_on_unseen_orders_are_for_all_methods_and_rounded_down() -> None:
    found = robustness(study(2, 12)).assign(worst=0.71299)
    text = worst_seen(found)
    assert (
        "at least 83% of all orders end at or above 0.712 with" in text
    )  # (0.05/4)^(1/24) = 0.833
    assert "of all these methods together" in text
    still = found.assign(order_sd=0.0)
    assert worst_seen(still) == ""


def test_a_spread_over_seeds_is_never_said_to_be_none() -> None:
    assert perhaps_none(0.0, np.nan, np.nan) == "not distinguishable from 0"
    assert perhaps_none(0.01, 0.0, 0.0301) == "not distinguishable from 0, below 0.031"
    assert perhaps_none(0.02, 0.01, 0.05) == "0.020 [0.010, 0.050]"
    assert perhaps_none(0.0, 0.0, 0.0) == "0.000 [0.000, 0.000]"  # all replicates are alike
