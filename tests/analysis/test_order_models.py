"""Order models: truths they can and cannot hold, and the exact search for extreme orders."""

from collections.abc import Callable, Sequence
from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest

from analysis.orders.order_models import adjacency, best_order, order_models, position, precedence
from tests.analysis.invented_runs import runs_of

TASKS = tuple("abcde")


def study(
    score: Callable[[tuple[str, ...]], float],
    replicates: int = 6,
    size: int = 20,
    noise: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Runs with random orders and the given score of an order of task numbers."""
    rng = np.random.default_rng(seed)
    frame = runs_of({"m": np.full((replicates, size), 0.5)}, crossed=False)
    orders = [rng.permutation(len(TASKS)) for _ in range(len(frame))]
    frame["order"] = [tuple(TASKS[i] for i in order) for order in orders]
    frame["average_accuracy"] = [score(o) + noise * rng.standard_normal() for o in orders]
    return frame


def r2(runs: pd.DataFrame) -> pd.Series:
    return order_models(runs).set_index("model")["r2"]


def test_every_model_finds_its_own_truth() -> None:
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((5, 5))
    truths = {
        "position": lambda o: sum(weights[task, k] for k, task in enumerate(o)),
        "precedence": lambda o: sum(weights[o[i], o[j]] for i in range(5) for j in range(i + 1, 5)),
        "adjacency": lambda o: sum(weights[i, j] for i, j in pairwise(o)),
    }
    for name, truth in truths.items():
        assert r2(study(truth, size=40))[name] > 0.95, name


def test_noise_is_not_explained() -> None:
    """In the sample an adjacency model would explain a good part of it."""
    found = r2(study(lambda order: 0.0, noise=1.0))
    assert (found < 0.1).all()


def test_seeds_are_not_explained() -> None:
    """What a whole replicate has in common is no matter of its orders."""
    runs = study(lambda order: float(order[0] == 0))
    runs["average_accuracy"] += 100.0 * runs["replicate"]
    assert r2(runs)["position"] > 0.95


def test_predicted_orders_are_the_extremes_of_the_truth() -> None:
    rng = np.random.default_rng(2)
    places = rng.standard_normal((5, 5))
    score = lambda o: sum(places[task, k] for k, task in enumerate(o))  # noqa: E731
    found = order_models(study(score, size=60)).set_index("model").loc["position"]
    ranked = sorted(permutations(range(5)), key=score)
    assert found["worst_order"] == tuple(TASKS[i] for i in ranked[0])
    assert found["best_order"] == tuple(TASKS[i] for i in ranked[-1])


@pytest.mark.parametrize("seed", range(5))
def test_search_is_exact(seed: int) -> None:
    pairs, places, steps = np.random.default_rng(seed).standard_normal((3, 6, 6))

    def gain(o: Sequence[int]) -> float:
        total = sum(places[task, k] for k, task in enumerate(o))
        total += sum(steps[i, j] for i, j in pairwise(o))
        return total + sum(pairs[o[i], o[j]] for i in range(6) for j in range(i + 1, 6))

    assert tuple(best_order(pairs, places, steps)) == max(permutations(range(6)), key=gain)


def test_features_of_one_order_by_hand() -> None:
    order = np.array([[2, 0, 1]])
    assert precedence(order).tolist() == [[1, -1, -1]]
    assert position(order).reshape(3, 3).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert adjacency(order).reshape(3, 3).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_too_few_replicates_are_not_modelled() -> None:
    assert order_models(study(lambda order: float(order[0]), replicates=2)).empty
