"""Reading a run folder: nothing twice, nothing half-written, nothing incomplete averaged."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load, metrics, summary
from tests.analysis.synthetic import (
    World,
    failed_row,
    random_orders,
    read_rows,
    write_orders,
    write_rows,
    write_study,
)

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 6, 2)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return write_study(tmp_path, ORDERS, World(tasks=TASKS))


def test_stages_are_shared_by_all_orders_through_their_prefix(out: Path) -> None:
    results = load(out)
    assert len(results.runs) == 5 * 2 * 6
    assert (results.runs["missing"] == 0).all()
    stages = results.stages.drop_duplicates(["method", "replicate", "prefix"])
    assert len(stages) == 5 * 2 * (1 + 3 + 6 + 6)


def test_matrix_has_the_scores_of_its_prefixes(out: Path) -> None:
    order = ORDERS[1][2]
    matrix = load(out).matrix("tiny-clip", "replay", 1, order)
    stored = {
        (tuple(row["prefix"]), row["eval_task"]): row["value"]
        for row in read_rows(out)
        if (row["method"], row["replicate"], row["split"]) == ("replay", 1, "task")
    }
    expected = [[stored[order[:k], task] for task in order] for k in range(4)]
    assert matrix.to_numpy().tolist() == expected
    assert list(matrix.columns) == list(order)


def test_order_of_part_files_and_rows_does_not_matter(out: Path, tmp_path: Path) -> None:
    before = metrics(load(out))
    rows = read_rows(out)
    np.random.default_rng(0).shuffle(rows)
    write_rows(out, rows[:100])
    write_rows(out, rows[100:], "part-1.parquet")
    assert metrics(load(out)).equals(before)


def test_rows_written_twice_count_once(out: Path) -> None:
    before = metrics(load(out))
    write_rows(out, read_rows(out), "part-1.parquet")
    assert metrics(load(out)).equals(before)


def test_a_stage_that_failed_and_then_succeeded_is_fine(out: Path) -> None:
    before = metrics(load(out))
    row = read_rows(out)[40]
    head = {key: row[key] for key in ("study", "backbone", "method", "replicate", "seed")}
    write_rows(out, [failed_row(head, tuple(row["prefix"]), "out of memory")], "part-1.parquet")
    results = load(out)
    assert results.failures.empty
    assert metrics(results).equals(before)


def test_files_that_are_being_written_are_not_read(out: Path) -> None:
    for name in ("_part-1.parquet", ".part-1.parquet", "part-1.parquet.a3.tmp"):
        (out / "results" / name).write_bytes(b"half a file")
    assert len(metrics(load(out))) == 60


def without(rows: list[dict], method: str, replicate: int, prefix: tuple[str, ...]) -> list[dict]:
    return [
        row
        for row in rows
        if (row["method"], row["replicate"], tuple(row["prefix"][: len(prefix)]))
        != (method, replicate, prefix)
    ]


def test_incomplete_runs_are_listed_and_left_out(out: Path) -> None:
    broken = ORDERS[0][0][:2]
    rows = without(read_rows(out), "replay", 0, broken)
    write_rows(out, rows)
    runs = load(out).runs
    incomplete = runs[runs["missing"] > 0]
    assert set(incomplete["method"]) == {"replay"}
    assert all(order[:2] == broken for order in incomplete["order"])
    assert set(incomplete["missing"]) == {2}
    assert len(metrics(load(out))) == 60 - len(incomplete)


def test_a_stage_that_lacks_a_task_learnt_so_far_is_incomplete(out: Path) -> None:
    rows = read_rows(out)
    gone = next(
        i
        for i, row in enumerate(rows)
        if row["stage"] == 2 and row["eval_task"] == "a" and "a" in row["prefix"]
    )
    write_rows(out, rows[:gone] + rows[gone + 1 :])
    assert set(load(out).runs["missing"]) == {0, 1}


def test_a_failed_stage_names_its_error_for_every_run_through_it(out: Path) -> None:
    prefix = ORDERS[0][0][:1]
    rows = without(read_rows(out), "ewc", 0, prefix)
    head = {"study": "s", "backbone": "tiny-clip", "method": "ewc", "replicate": 0, "seed": 1000}
    write_rows(out, [*rows, failed_row(head, prefix, "loss is nan")])
    runs = load(out).runs
    assert {o[:1] for o in runs.loc[runs["error"] == "loss is nan", "order"]} == {prefix}
    assert (runs.loc[runs["error"].isna(), "missing"] == 0).all()


def test_an_unfinished_replicate_does_not_count_in_means(out: Path) -> None:
    """The orders that finish first share prefixes: they are no sample of the replicate."""
    rows = without(read_rows(out), "replay", 1, ORDERS[1][0])
    write_rows(out, rows)
    runs = metrics(load(out))
    found = summary(runs).set_index(["method", "metric"]).loc[("replay", "average_accuracy")]
    first = runs[(runs["method"] == "replay") & (runs["replicate"] == 0)]
    assert found["mean"] == pytest.approx(first["average_accuracy"].mean())
    assert found["replicates"] == 1
    assert np.isnan(found["low"])
    assert "5 complete runs of unfinished replicates are left out" in found["note"]


def test_probes_and_retrieval_are_not_tasks(out: Path) -> None:
    runs = metrics(load(out)).set_index(["method", "replicate", "order"])
    run = runs.loc[("finetune", 0, ORDERS[0][0])]
    stages = load(out).stages
    mine = stages[(stages["method"] == "finetune") & (stages["replicate"] == 0)]
    start, end = mine[mine["stage"] == 0], mine[mine["prefix"] == ORDERS[0][0]]

    def mean(rows: pd.DataFrame, split: str, metrics: Sequence[str]) -> float:
        chosen = (rows["split"] == split) & rows["metric"].isin(metrics)
        return float(rows.loc[chosen, "value"].mean())

    drop = mean(start, "probe", ["accuracy"]) - mean(end, "probe", ["accuracy"])
    assert run["zero_shot_erosion"] == pytest.approx(drop)
    assert run["retrieval_r1"] == pytest.approx(mean(end, "retrieval", ["i2t_r1", "t2i_r1"]))
    assert run["average_accuracy"] == pytest.approx(mean(end, "task", ["accuracy"]))


def test_without_probes_their_metrics_are_undefined_not_zero(tmp_path: Path) -> None:
    write_study(tmp_path, ORDERS, World(tasks=TASKS, probes=(), retrieval=()))
    runs = metrics(load(tmp_path))
    undefined = ["zero_shot_accuracy", "zero_shot_erosion", "retrieval_r1", "retrieval_erosion"]
    assert runs[[*undefined, "i2t_r5"]].isna().all().all()


def test_orders_of_different_lengths_stand_side_by_side(tmp_path: Path) -> None:
    write_study(tmp_path, [[("a", "b", "c"), ("b", "a")]], World(tasks=TASKS))
    runs = metrics(load(tmp_path))
    assert sorted(map(len, runs["order"])) == [2] * 5 + [3] * 5
    assert runs["average_accuracy"].notna().all()


@pytest.mark.parametrize("make", [lambda out: None, lambda out: write_orders(out, ORDERS)])
def test_a_folder_without_results_is_one_clear_sentence(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no results"):
        load(tmp_path)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "matrix.csv").write_text("a,b\n0.9,0.2\n0.7,0.8\n")
    with pytest.raises(FileNotFoundError, match=r"matrix.csv' is a file.*analysis.read_matrices"):
        load(tmp_path / "matrix.csv")


def test_a_run_whose_last_stage_was_measured_has_the_metrics_it_can_have(out: Path) -> None:
    order = ORDERS[0][0]
    rows = [
        row
        for row in read_rows(out)
        if (row["method"], row["replicate"], tuple(row["prefix"])) != ("replay", 0, order[:2])
    ]
    write_rows(out, rows)
    runs = metrics(load(out)).set_index(["method", "replicate", "order"])
    assert len(runs) == 60
    run = runs.loc[("replay", 0, order)]
    assert np.isnan(run["bwt"])
    assert run["average_accuracy"] > 0


def test_a_run_nobody_measured_is_one_clear_sentence(out: Path) -> None:
    with pytest.raises(ValueError, match=r"No stage of tiny-clip/er.*tiny-clip/replay"):
        load(out).matrix("tiny-clip", "er", 0, TASKS)


def test_folders_can_be_given_as_uris(out: Path) -> None:
    assert metrics(load(out.as_uri())).equals(metrics(load(out)))


def test_analysis_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys, analysis; print(sorted({'torch', 'ray', 'sweep', 'methods'} & {*sys.modules}))"
    )
    found = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert found.strip() == "[]"
