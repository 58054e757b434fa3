"""Results of other tools: the same run in four layouts has the same metrics."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import Results, from_matrices, load_csv, metrics

ORDER = ("b", "a", "c")
R = np.array([[0.2, 0.1, 0.3], [0.7, 0.2, 0.3], [0.6, 0.8, 0.2], [0.5, 0.7, 0.9]])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


def same(found: Results, start: bool = True) -> None:
    """Whether a run is the one of R; without `start`, in what rows 1..T decide."""
    left = metrics(found).drop(columns=["design", "block"])
    right = metrics(from_matrices([R if start else R[1:]], [ORDER])).drop(
        columns=["design", "block"]
    )
    pd.testing.assert_frame_equal(left, right)


def test_matrix(path: Path) -> None:
    pd.DataFrame(R, columns=ORDER).to_csv(path, index=False)
    same(load_csv(path))


def test_matrix_without_the_untouched_backbone(path: Path) -> None:
    pd.DataFrame(R[1:], columns=ORDER).to_csv(path, index=False)
    same(load_csv(path), start=False)


def test_long_table_in_any_sequence_of_rows(path: Path) -> None:
    rows = [
        {"order": "b > a > c", "stage": k, "eval_task": task, "value": R[k, i]}
        for k in range(4)
        for i, task in enumerate(ORDER)
    ]
    pd.DataFrame(rows).sample(frac=1, random_state=0).to_csv(path, index=False)
    same(load_csv(path))


def test_long_table_of_several_methods_and_replicates(path: Path) -> None:
    rows = [
        {"method": m, "replicate": r, "order": "b>a>c", "stage": k, "eval_task": t, "value": 0.5}
        for m in ("m", "n")
        for r in (0, 1)
        for k in range(4)
        for t in ORDER
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    runs = metrics(load_csv(path))
    assert sorted(zip(runs["method"], runs["replicate"], strict=True)) == [
        ("m", 0), ("m", 1), ("n", 0), ("n", 1)
    ]  # fmt: skip


def test_avalanche(path: Path) -> None:
    rows = [(i, k - 1 if k else "None", R[k, i], 0, 0) for k in range(4) for i in range(3)]
    head = ["eval_exp", "training_exp", "eval_accuracy", "eval_loss", "forgetting"]
    pd.DataFrame(rows, columns=head).to_csv(path, index=False)
    same(load_csv(path, ORDER))


def test_mammoth_knows_no_unseen_tasks(path: Path) -> None:
    cells = {
        f"accuracy_{i + 1}_task{k + 1}": 100 * R[k + 1, i] for k in range(3) for i in range(k + 1)
    }
    pd.DataFrame([{"model": "derpp", "seed": 1, **cells}]).to_csv(path, index=False)
    (run,) = metrics(load_csv(path)).itertuples()
    assert (run.method, run.order) == ("derpp", ("task 1", "task 2", "task 3"))
    assert run.last == pytest.approx(100 * R[3].mean())
    assert run.bwt == pytest.approx(100 * ((0.5 - 0.7) + (0.7 - 0.8)) / 2)
    assert np.isnan(run.transfer)


@pytest.mark.parametrize(("content", "hint"), [("x,y\n1,2\n", "is no matrix"), (None, "holds 3")])
def test_what_does_not_fit_is_one_clear_sentence(path: Path, content: str, hint: str) -> None:
    path.write_text(content or "eval_exp,training_exp,eval_accuracy\n0,0,1\n1,1,1\n2,2,1\n")
    with pytest.raises(ValueError, match=hint):
        load_csv(path, order=["a", "b"])
