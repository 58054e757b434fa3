"""Which metric is the score of a task: chosen in the study, and nothing is mixed silently."""

from pathlib import Path
from typing import Any

import pytest

from analysis import load, metrics, write_report
from analysis.data.accuracy_matrices import combine
from tests.analysis.synthetic import World, random_orders, read_rows, write_rows, write_study

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 4, 2)
SHIFT = 0.125
"""What class_accuracy is lower by than accuracy; halves add up without rounding."""


def by_class(rows: list[dict[str, Any]], chosen: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows with both metrics for every task and probe, of which class_accuracy is `chosen`'s."""
    found = []
    for row in rows:
        scored = row["split"] in ("task", "probe")
        mine = row["eval_task"] in chosen
        found.append(row | {"is_score": scored and not mine})
        if scored:
            value = row["value"] - SHIFT
            found.append(row | {"metric": "class_accuracy", "value": value, "is_score": mine})
    return found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return write_study(tmp_path / "first", ORDERS, World(tasks=TASKS))


def test_results_of_before_are_accuracies(out: Path) -> None:
    old = [{k: v for k, v in row.items() if k != "is_score"} for row in read_rows(out)]
    before = metrics(load(out))
    write_rows(out, old)
    assert metrics(load(out)).equals(before)
    assert set(before["average_accuracy"].notna()) == {True}


def test_both_metrics_side_by_side_change_nothing(out: Path) -> None:
    before, counted = metrics(load(out)), load(out).scores.probes
    write_rows(out, by_class(read_rows(out), ()))
    assert metrics(load(out)).equals(before)
    assert load(out).scores.probes == counted


def test_the_chosen_metric_is_what_matrices_and_metrics_hold(out: Path) -> None:
    before, order = load(out), ORDERS[0][0]
    write_rows(out, by_class(read_rows(out), ("b", *[p[1] for p in before.scores.probes])))
    after = load(out)
    old, new = (r.matrix("tiny-clip", "replay", 0, order) for r in (before, after))
    assert (old["b"] - new["b"]).tolist() == pytest.approx([SHIFT] * 4)
    assert new[["a", "c"]].equals(old[["a", "c"]])
    change = metrics(before)["average_accuracy"] - metrics(after)["average_accuracy"]
    assert change.tolist() == pytest.approx([SHIFT / 3] * len(change))
    probes = metrics(before)["zero_shot_accuracy"] - metrics(after)["zero_shot_accuracy"]
    assert probes.tolist() == pytest.approx([SHIFT] * len(probes))


def test_a_run_with_two_choices_is_refused(out: Path) -> None:
    rows = read_rows(out)
    half = len(rows) // 2
    write_rows(out, by_class(rows[:half], ()) + by_class(rows[half:], ("a",)))
    with pytest.raises(ValueError, match="The score of task 'a' is accuracy after some stages"):
        load(out).scores  # noqa: B018


def test_studies_of_different_choices_are_not_compared(out: Path, tmp_path: Path) -> None:
    other = write_study(tmp_path / "second", ORDERS, World(tasks=TASKS))
    write_rows(other, by_class(read_rows(other), ("c",)))
    said = "The score of task 'c' is accuracy in 'one' and class_accuracy in 'two'"
    with pytest.raises(ValueError, match=said):
        combine({"one": load(out), "two": load(other)})
    write_rows(other, by_class(read_rows(out), ()))
    assert len(combine({"one": load(out), "two": load(other)}).runs) == 2 * len(load(out).runs)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ((), "Score: accuracy, the share of right answers"),
        (("a", "c"), "Score of a, c: class_accuracy, the mean of the accuracies on single classes"),
    ],
)
def test_the_report_names_the_score(out: Path, chosen: tuple[str, ...], said: str) -> None:
    write_rows(out, by_class(read_rows(out), chosen))
    page = Path(write_report(str(out)))
    assert said in page.read_text()
    assert said in page.with_name("report.md").read_text()
