"""Pictures of features: the right run and samples, and neighbourhoods that hold."""

import numpy as np
import pandas as pd
import pytest
from sklearn.manifold import trustworthiness

from analysis import load, metrics
from analysis.data.results import Results
from analysis.mechanisms.feature_motion import feature_maps
from tests.analysis.embedded import samples_after, write_embeddings
from tests.analysis.synthetic import METHODS, World, random_orders, write_study

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 6, 2)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    out = tmp_path_factory.mktemp("world")
    methods = {name: METHODS[name] for name in ("finetune", "ewc")}
    write_study(out, ORDERS, World(tasks=TASKS), methods)
    write_embeddings(out, ORDERS, methods, features=True)
    return load(str(out))


def test_single_samples_are_not_mistaken_for_means(results: Results) -> None:
    assert not set(results.embeddings) & {"sample", "choice"}
    stages = results.embeddings[["method", "replicate", "prefix"]].drop_duplicates()
    assert len(results.embeddings) == len(stages) * len(TASKS) * 2
    assert len(results.features) == len(stages) * len(TASKS) * (7 + 5)


def test_every_task_but_the_last_of_the_run_that_ends_worst(results: Results) -> None:
    runs = metrics(results)
    found = feature_maps(results, runs)
    means = runs.groupby(["replicate", "order"])["average_accuracy"].mean()
    assert set(zip(found["replicate"], found["order"], strict=True)) == {means.idxmin()}
    (order,) = set(found["order"])
    for method in ("finetune", "ewc"):
        mine = found[found["method"] == method]
        assert list(mine["task"].unique()) == list(order[:-1])
        assert list(mine.groupby(["task", "modality"]).size()) == [7, 5] * 2
        assert set(mine["choice"]) == {0, 1}


def test_neighbours_in_the_picture_are_neighbours_in_space(results: Results) -> None:
    found = feature_maps(results, metrics(results))
    run = found.iloc[0]
    task, replicate, order = run["task"], run["replicate"], run["order"]
    mine = found[(found["method"] == "ewc") & (found["task"] == task)]
    space = [
        samples_after(prefix, TASKS, replicate)[task, modality]
        for prefix in (order[: order.index(task) + 1], order)
        for modality in ("image", "text")
    ]
    columns = (["x", "y"], ["x_end", "y_end"])
    plane = np.concatenate([mine[place].to_numpy() for place in columns])
    assert trustworthiness(np.concatenate(space), plane, n_neighbors=5) > 0.8


def test_without_features_there_is_no_picture(results: Results) -> None:
    without = Results(results.stages, results.orders)
    found = feature_maps(without, metrics(without))
    assert found.empty
    assert isinstance(found, pd.DataFrame)
