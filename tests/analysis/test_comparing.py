"""The comparison table: the same numbers as the parts it is made of."""

from pathlib import Path

import numpy as np
import pytest

from analysis import comparison, load, metrics, summary
from analysis.orders.comparison import COMPARED
from analysis.orders.robustness import by_order, spread
from tests.analysis.synthetic import (
    World,
    random_orders,
    read_rows,
    write_rows,
    write_study,
)

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 5, 3)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return write_study(tmp_path, ORDERS, World(tasks=TASKS))


def test_every_method_has_one_row_best_first(out: Path) -> None:
    found = comparison(load(out))
    assert sorted(found["method"]) == ["ewc", "finetune", "lora", "replay", "zero_shot"]
    assert found["average_accuracy"].is_monotonic_decreasing


def test_numbers_are_those_of_the_summary(out: Path) -> None:
    runs = metrics(load(out))
    expected = summary(runs).set_index(["method", "metric"])
    for row in comparison(runs).to_dict("records"):
        for metric in COMPARED:
            found = (row[metric], row[f"{metric}_low"], row[f"{metric}_high"])
            assert found == pytest.approx(
                expected.loc[(row["method"], metric), ["mean", "low", "high"]]
            )
        mine = runs[runs["method"] == row["method"]]
        assert row["order_sd"] == spread(by_order(mine, "average_accuracy")).order_sd


def test_cost_is_relative_to_the_baseline(out: Path) -> None:
    """In this world a stage takes as long as its method's name."""
    found = comparison(load(out)).set_index("method")
    assert found.loc["ewc", "cost"] == pytest.approx(3 / 8)
    assert found.loc["finetune", "cost"] == 1
    assert found.loc["ewc", "train_seconds"] == 3 * len(TASKS)
    assert comparison(load(out), "lora").set_index("method").loc["ewc", "cost"] == pytest.approx(
        3 / 4
    )


def test_without_recorded_times_only_costs_are_unknown(out: Path) -> None:
    (out / "costs" / "part-0.parquet").unlink()
    found = comparison(load(out))
    assert found[["cost", "cost_low", "train_seconds"]].isna().all().all()
    assert found["average_accuracy_low"].notna().all()


def test_an_unfinished_method_has_no_interval(out: Path) -> None:
    gone = {("ewc", r, tuple(block[0])) for r, block in enumerate(ORDERS)}
    rows = [
        r for r in read_rows(out) if (r["method"], r["replicate"], tuple(r["prefix"])) not in gone
    ]
    write_rows(out, rows)
    found = comparison(load(out)).set_index("method")
    assert np.isnan(
        found.loc["ewc", ["average_accuracy_low", "order_sd", "cost_low"]].astype(float)
    ).all()
    assert found.loc["lora", "average_accuracy_low"] < found.loc["lora", "average_accuracy"]
