"""Files of accuracies as people write them: every one gives the same run, or says what to do."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import (
    Results,
    combine,
    from_matrices,
    metrics,
    read_matrices,
    undefined_metrics,
    write_report,
)

ORDER = ("b", "a", "c")
R = np.array([[0.2, 0.1, 0.3], [0.7, 0.2, 0.3], [0.6, 0.8, 0.2], [0.5, 0.7, 0.9]])
SORTED = R[:, [1, 0, 2]]
"""The same, its columns by name."""


def same(found: Results, start: bool = True, method: str = "unnamed", replicate: int = 0) -> None:
    """A run is the one of R; without `start`, in all but row 0."""
    matrix = found.matrix("unnamed", method, replicate, ORDER)
    right = R if start else np.vstack([np.full((1, 3), np.nan), R[1:]])
    assert matrix.to_numpy() == pytest.approx(right, nan_ok=True)
    assert tuple(matrix.columns) == ORDER


def read(text: str, **options: object) -> Results:
    return read_matrices(io.StringIO(text), **options)  # type: ignore[arg-type]


def refused(text: str, match: str, **options: object) -> None:
    with pytest.raises(ValueError, match=match) as error:
        read(text, **options)
    assert re.fullmatch(r"[^\n]+[.?]", str(error.value)), "one sentence"


def csv(rows: np.ndarray, columns: object = ORDER, **options: object) -> str:
    return str(pd.DataFrame(rows, columns=columns).to_csv(**options))  # type: ignore[call-overload]


def long(order: str = "b>a>c", scale: float = 1, shift: int = 0, **also: object) -> pd.DataFrame:
    """R as a long table without row 0."""
    rows = [
        {"order": order, "stage": k + shift, "eval_task": task, "value": scale * R[k, i]} | also
        for k in (1, 2, 3)
        for i, task in enumerate(order.split(">"))
    ]
    return pd.DataFrame(rows)


MATRICES = {
    "plain": csv(R, index=False),
    "with its index": csv(R),
    "with a named index": csv(R, index_label="stage"),
    "without a header": csv(R, header=False, index=False),
    "numbered, as a frame of an array": csv(R, columns=range(3)),
    "semicolons and decimal commas": csv(R, sep=";", decimal=",", index=False),
    "tabs": csv(R, sep="\t", index=False),
    "blanks": csv(R, sep=" ", index=False),
    "quoted decimal commas": csv(R, decimal=",", index=False),
    "percent": csv(100 * R, index=False),
    "signs": "b,a,c\n" + "\n".join(",".join(f"{100 * x:g} %" for x in row) for row in R),
    "a byte order mark": "\ufeff" + csv(R, index=False),
    "Excel": "sep=;\n" + csv(R, sep=";", decimal=",", index=False).replace("\n", ";;\r\n"),
    "blanks around names": " b , a ,c \n" + csv(R, header=False, index=False),
    "an average": csv(np.c_[R, R.mean(1)], columns=[*ORDER, "Avg."], index=False),
    "empty rows at the end": csv(R, sep=";", index=False) + ";;\n" * 3,
    "comments": "# made by hand\n" + csv(R, index=False),
    "JSON": json.dumps(R.tolist()),
    "JSON records": pd.DataFrame(R, columns=ORDER).to_json(orient="records"),
}


@pytest.mark.parametrize("text", MATRICES.values(), ids=MATRICES)
def test_matrices(text: str) -> None:
    same(read(text, order=ORDER))


def test_the_order_is_the_one_of_the_columns_unless_something_else_says_it() -> None:
    same(read(csv(R, index=False)))
    same(read(csv(SORTED, columns=["a", "b", "c"], index=False), order=ORDER))
    named = pd.DataFrame(SORTED[1:], columns=["a", "b", "c"], index=ORDER)
    same(read(named.to_csv()), start=False)
    with_start = pd.DataFrame(SORTED, columns=["a", "b", "c"], index=["zero-shot", *ORDER])
    same(read(with_start.to_csv()))
    sorted_rows = with_start.loc[["zero-shot", "a", "b", "c"]]
    same(read(sorted_rows.to_csv(), order=ORDER))
    after = named.rename(index=lambda task: f"after {task}")
    same(read(after.to_csv()), start=False)


def test_without_the_untouched_backbone() -> None:
    same(read(csv(R[1:], index=False)), start=False)
    same(read(csv(R[1:])), start=False)


def test_tasks_as_rows() -> None:
    turned = pd.DataFrame(R.T, index=ORDER, columns=[f"stage {k}" for k in range(4)])
    same(read(turned.to_csv()))
    bare = csv(R.T, columns=range(4), header=False, index=False)
    refused(bare, "does not name its 4 tasks")
    refused(bare, "holds 4 tasks, but the order names 3", order=ORDER)
    same(read(bare, order=ORDER, layout="tasks_by_stages"))
    square = csv(R[1:].T, index=False)
    same(read(square, layout="tasks_by_stages", order=ORDER), start=False)


def test_a_triangle_the_wrong_way_is_not_guessed_at() -> None:
    lower = csv(np.tril(R[1:]).T, index=False)
    refused(lower, "layout='tasks_by_stages' if so, else 'stages_by_tasks'")
    refused(csv(np.where(np.tri(3), R[1:], np.nan).T, index=False), "as if its rows were tasks")
    (run,) = metrics(read(lower, layout="tasks_by_stages", order=ORDER)).itertuples()
    assert run.average_accuracy == pytest.approx(0.7)


@pytest.mark.parametrize("start", [None, R[0], np.zeros(3)], ids=["none", "measured", "zeros"])
def test_zeros_on_unseen_tasks_are_not_accuracies(start: np.ndarray | None) -> None:
    filled = np.tril(R[1:])
    results = read(csv(filled if start is None else np.vstack([start, filled]), index=False))
    (run,) = metrics(results).itertuples()
    assert np.isnan([run.transfer, run.fwt, run.zsd_text]).all()
    assert (run.last, run.bwt) == pytest.approx((0.7, (0.5 - 0.7 + 0.7 - 0.8) / 2))
    kept = results.matrix("unnamed", "unnamed", 0, ORDER).to_numpy()
    assert np.isnan(kept[1:][np.triu(np.ones((3, 3), bool), 1)]).all()
    assert np.isnan(kept[0]).all() == (start is None or not start.any())
    (note,) = results.notes
    assert note.startswith("Zeros of unnamed on tasks not learnt yet are read as not measured")


def test_other_zeros_are_accuracies() -> None:
    forgotten = R[1:].copy()
    forgotten[2, :2] = forgotten[0, 1] = 0
    results = read(csv(forgotten, index=False))
    assert results.matrix("unnamed", "unnamed", 0, ORDER).to_numpy()[1:].tolist() == (
        forgotten.tolist()
    )
    assert results.notes == ()


def test_rows_of_zeros_at_the_end_are_stages_still_to_come() -> None:
    unfinished = np.tril(R[1:])
    unfinished[2] = 0
    results = read(csv(unfinished, index=False))
    assert metrics(results).empty
    assert results.runs["missing"].tolist() == [1]
    assert any("a after stage 3 (c)" in note for note in results.notes)


def test_an_empty_row_is_a_stage_that_was_not_measured() -> None:
    gap = R.copy()
    gap[0] = np.nan
    same(read(csv(gap, index=False)), start=False)
    gap[2] = np.nan
    results = read(csv(gap, index=False))
    assert metrics(results)["last"][0] == pytest.approx(0.7)
    assert "b after stage 2 (a), a after stage 2 (a); metrics" in results.notes[0]


def test_a_triangle_may_end_where_it_ends() -> None:
    text = "b,a,c\n0.7\n0.6,0.8\n0.5,0.7,0.9"
    (run,) = metrics(read(text)).itertuples()
    assert (run.last, run.learning_accuracy) == pytest.approx((0.7, 0.8))
    assert np.isnan(run.transfer)


@pytest.mark.parametrize("gap", ["", "NaN", "nan", "-", "n/a", "None", "\u2013"])
def test_cells_that_were_not_measured(gap: str) -> None:
    text = csv(R, index=False).replace("0.8", gap)
    results = read(text)
    (run,) = metrics(results).itertuples()
    assert run.last == pytest.approx(0.7)
    assert run.transfer == pytest.approx((0.2 + (0.3 + 0.2) / 2) / 2)
    assert np.isnan([run.bwt, run.learning_accuracy]).all()
    assert results.notes == (
        "Not measured in unnamed, replicate 0, order b>a>c: a after stage 2 (a); metrics that need "
        "it leave this run out.",
    )
    (said,) = undefined_metrics(metrics(results))
    assert said.startswith("unnamed: no Average incremental accuracy, Avg (MTIL), Learning ")
    assert "Last" not in said


def test_a_run_with_a_gap_leaves_its_replicate_out_of_what_needs_the_gap_alone() -> None:
    gap = R.copy()
    gap[1, 0] = np.nan
    results = from_matrices([R, gap, R], [ORDER] * 3)
    runs = metrics(results)
    assert runs["last"].tolist() == pytest.approx([0.7] * 3)
    assert runs["bwt"].isna().tolist() == [False, True, False]
    said = " ".join(undefined_metrics(runs))
    assert "Backward transfer" in said
    assert "1 of 3 runs: b>a>c of replicate 1." in said


def test_long_tables_in_any_sequence_of_rows() -> None:
    shuffled = long().sample(frac=1, random_state=0)
    same(read(shuffled.to_csv(index=False)), start=False)
    same(read(shuffled.to_csv()), start=False)
    same(read(shuffled.to_csv(index=False, sep=";", decimal=",")), start=False)
    spelt = shuffled.rename(columns={"value": "Accuracy", "stage": "Stage ", "eval_task": "task"})
    same(read(spelt.assign(order="b -> a -> c").to_csv(index=False)), start=False)
    same(read(shuffled.drop(columns="order").to_csv(index=False), order=ORDER), start=False)


def test_methods_replicates_and_seeds_of_long_tables() -> None:
    parts = [long(method=m, seed=s, backbone="clip") for m in ("m", "n") for s in (7, 9)]
    runs = metrics(read(pd.concat(parts).to_csv(index=False)))
    found = list(zip(runs["backbone"], runs["method"], runs["replicate"], strict=True))
    assert found == [("clip", m, s) for m in ("m", "n") for s in (7, 9)]


def test_names_that_the_caller_wants() -> None:
    same(read(long(method="m").to_csv(index=False), method="mine"), start=False, method="mine")
    two = pd.concat([long(method="m"), long(method="n")]).to_csv(index=False)
    refused(two, "several methods .m, n., which cannot all be called 'mine'", method="mine")
    refused(long().to_csv(index=False), "says itself that an order is b>a>c", order=list("abc"))


def test_options_that_a_format_has_no_use_for() -> None:
    refused(long().to_csv(index=False), "layout is for matrices", layout="stages_by_tasks")
    refused(csv(R, index=False), "first_stage is for long tables", first_stage=0)
    refused(csv(R, index=False), "no numpy arrays, so its format cannot be 'zscl'", format="zscl")


def test_every_method_has_its_own_unit() -> None:
    mixed = pd.concat([long(method="mine"), long(method="paper", scale=100)])
    results = read(mixed.to_csv(index=False))
    same(results, start=False, method="mine")
    same(results, start=False, method="paper")
    assert results.unit == "mixed"
    assert results.notes == (
        "Accuracies of paper were given in percent and are held as fractions.",
    )


def test_one_method_in_two_units_is_refused() -> None:
    parts = [long(replicate=0), long(replicate=1, scale=100)]
    mixed = pd.concat(parts).to_csv(index=False)
    refused(mixed, "at most 0.7 at stage 1 of unnamed, replicate 0.*up to 70 at stage 1")
    refused(csv(np.vstack([R[:1], 100 * R[1:]]), index=False), "some like percent")
    percent = read(csv(np.vstack([R[:1], 100 * R[1:]]), index=False), unit="percent")
    assert percent.matrix("unnamed", "unnamed", 0, ORDER).loc[0].iloc[0, 0] == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("scale", "unit", "match"),
    [
        (-1, "auto", r"from 0 to 1 \(fraction\), but one is -0.2"),
        (150, "auto", r"from 0 to 100 \(percent\), but one is 105"),
        (100, "fraction", "but one is 20; give unit='percent'"),
        (1, "per cent", "Unknown unit 'per cent'; allowed: auto, fraction, percent"),
        (np.inf, "auto", "but one is inf"),
    ],
)
def test_what_is_no_accuracy(scale: float, unit: str, match: str) -> None:
    refused(csv(scale * R, index=False), match, unit=unit)


def test_a_slip_above_one_is_no_percent() -> None:
    slip = R.copy()
    slip[3, 2] = 1.35
    refused(csv(slip, index=False), "up to 1.35 at stage 3 of unnamed")
    rounded = R.copy()
    rounded[3, 2] = 1 + 1e-7
    assert metrics(read(csv(rounded, index=False)))["last"][0] == pytest.approx((0.5 + 0.7 + 1) / 3)


def test_signs_on_some_numbers_only() -> None:
    refused("b,a\n70 %,20\n60 %,80 %", "have a % sign and some not")


def test_stages_counted_from_zero() -> None:
    zero_based = long(shift=-1)
    results = read(zero_based.to_csv(index=False))
    same(results, start=False)
    assert "stage 0 is after the first task" in results.notes[0]
    same(read(zero_based.to_csv(index=False), first_stage=0), start=False)
    untouched = read(zero_based.to_csv(index=False), first_stage=1)
    assert untouched.matrix("unnamed", "unnamed", 0, ORDER).to_numpy()[0].tolist() == (
        R[1].tolist()
    )
    start = [{"order": "b>a>c", "stage": 0, "eval_task": t, "value": R[0, i]}
             for i, t in enumerate(ORDER)]  # fmt: skip
    whole = pd.concat([pd.DataFrame(start), long()])
    same(read(whole.to_csv(index=False)))
    same(read(whole.assign(stage=whole["stage"] - 1).to_csv(index=False)))  # -1 = untouched


def test_trained_tasks_say_how_stages_are_counted() -> None:
    unfinished = pd.concat(
        [long().assign(trained_task=lambda t: t["stage"].map(lambda k: ORDER[k - 1]))]
    ).query("stage < 3")
    start = [{"order": "b>a>c", "stage": 0, "eval_task": t, "value": R[0, i], "trained_task": ""}
             for i, t in enumerate(ORDER)]  # fmt: skip
    results = read(pd.concat([pd.DataFrame(start), unfinished]).to_csv(index=False))
    matrix = results.matrix("unnamed", "unnamed", 0, ORDER).to_numpy()
    assert matrix[:3] == pytest.approx(R[:3])
    assert np.isnan(matrix[3]).all()
    wrong = unfinished.assign(trained_task="b").to_csv(index=False)
    refused(wrong, "stage and trained_task do not follow the order")


def test_tasks_that_are_numbers_are_text(tmp_path: Path) -> None:
    results = read(long("0>1>2").to_csv(index=False))
    assert results.runs["order"].tolist() == [("0", "1", "2")]
    path = tmp_path / "numbers.parquet"
    table = long("0>1>2")
    table.assign(eval_task=table["eval_task"].astype(float)).to_parquet(path)
    assert metrics(read_matrices(path))["last"][0] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"eval_task": "d"}, r"Unknown task 'd' in row 3 of 'text'; known are: b, a, c"),
        ({"eval_task": "cc"}, r"Did you mean 'c'\?"),
        ({"stage": 7}, "has a stage 7, but order b>a>c has 3 tasks"),
        ({"stage": "two"}, "Row 3 of 'text': stage must be a whole number, but is 'two'"),
        ({"value": "good"}, "Row 3 of 'text': 'good' is no accuracy"),
    ],
)
def test_wrong_cells_of_long_tables(change: dict[str, object], match: str) -> None:
    table = long().astype(object)
    for column, value in change.items():
        table.loc[2, column] = value
    refused(table.to_csv(index=False), match)


def test_the_same_cell_twice() -> None:
    twice = pd.concat([long(), long()])
    same(read(twice.to_csv(index=False)), start=False)
    other = pd.concat([long(), long().iloc[:1].assign(value=0.71)])
    refused(other.to_csv(index=False), "0.7 and 0.71; if they are of two seeds, add a column")
    refused("b,a,b\n1,1,1\n1,1,1\n1,1,1", "Two columns of 'text' are called 'b'")


def test_orders_of_one_replicate_may_not_contradict_each_other() -> None:
    other = long("b>c>a")
    refused(
        pd.concat([long(), other.assign(value=other["value"] / 2)]).to_csv(index=False),
        "disagree about b after b .0.7 and 0.35.; if they are of two seeds",
    )


def test_orders_that_do_not_fit() -> None:
    refused(csv(R, index=False), "Unknown task 'bb' in the order.*Did you mean 'b'", order=["bb"])
    refused(csv(R, index=False), "does not name c, which 'text' has a column for", order=["b", "a"])
    missing = long().query("eval_task != 'c'").to_csv(index=False)
    refused(missing, "no accuracy on c, which order b>a>c names; measured are: a, b")
    refused(csv(R[1:], header=False, index=False), "does not name its 3 tasks; give their names")
    refused(csv(R, header=False, index=False), "names a task twice", order=["b", "b", "c"])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "'text' is empty"),
        (" \n \n", "'text' is empty"),
        ("b,a,c", "holds no table of accuracies"),
        ("0,1,2", "has a header but no rows"),
        ("x,y\n1,2\n", "it has 1 rows for 2 tasks"),
        ("b,a\n0.1,0.2,0.3\n0.1,0.2,0.4", "Row 1 of 'text' has 3 cells"),
        ("hello world, this is text\nand more of it", "holds no table of accuracies"),
        ("b,a,c\n,,\n" * 2, "holds no table of accuracies"),
        ("[1, 2, 3]", "holds no table of accuracies"),
        ("{broken", "holds no table of accuracies"),
        ("just a line", "holds no table of accuracies"),
        ('{"a": 1}', "no table of accuracies"),
        ("stage,b,a\n1,.7,.2\n3,.6,.8", "numbered 1, 3, with gaps"),
    ],
)
def test_what_is_no_table_of_accuracies(text: str, match: str) -> None:
    refused(text, match)


def test_arrays(tmp_path: Path) -> None:
    one, runs, named = tmp_path / "one.npy", tmp_path / "runs.npy", tmp_path / "named.npz"
    np.save(one, R)
    same(read_matrices(one, order=ORDER))
    np.save(runs, np.stack([R, R / 2]).astype(np.float32))
    results = read_matrices(runs, order=ORDER, method="m")
    assert metrics(results)["last"].tolist() == pytest.approx([0.7, 0.35])
    with pytest.raises(ValueError, match="holds numpy arrays, so its format cannot be 'long'"):
        read_matrices(one, format="long")
    np.savez(named, seed0=R, seed1=100 * R)
    with pytest.raises(ValueError, match="some like percent"):
        read_matrices(named, order=ORDER)
    with pytest.raises(ValueError, match="does not name its 3 tasks"):
        read_matrices(one)
    np.save(one, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds no arrays of numbers"):
        read_matrices(one, order=ORDER)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "matrix.csv"
    path.write_text("B\u00e4ume;H\u00e4user\n0,9;0,2\n0,7;0,8\n", encoding=encoding)
    assert read_matrices(path).runs["order"].tolist() == [("B\u00e4ume", "H\u00e4user")]


def test_several_files_are_replicates_of_a_method(tmp_path: Path) -> None:
    paths = [tmp_path / f"seed{seed}.csv" for seed in range(3)]
    for path, scale in zip(paths, (1, 0.9, 0.8), strict=True):
        path.write_text(csv(scale * R, index=False))
    runs = metrics(read_matrices(paths, method="m"))
    assert runs["replicate"].tolist() == [0, 1, 2]
    assert runs["last"].tolist() == pytest.approx([0.7, 0.63, 0.56])
    paths[1].write_text("b,a,c\n" + "\n".join(",".join(f"{90 * x:g}%" for x in row) for row in R))
    results = read_matrices(paths, method="m")
    assert metrics(results)["last"].tolist() == pytest.approx([0.7, 0.63, 0.56])
    assert results.unit == "mixed"


def test_files_that_are_not_read(tmp_path: Path) -> None:
    for name, match in {
        "x.pt": r"\.pt files need the program that wrote them.*numpy.save",
        "x.xlsx": "Save as CSV",
    }.items():
        (tmp_path / name).write_bytes(b"something")
        with pytest.raises(ValueError, match=match):
            read_matrices(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_matrices(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="is a folder; give a file"):
        read_matrices(tmp_path)
    with pytest.raises(ValueError, match="Unknown format 'excel'; allowed: auto, matrix, long"):
        read("b,a\n1,2", format="excel")
    with pytest.raises(ValueError, match="Unknown layout 'turned'; allowed: auto"):
        read(csv(R, index=False), layout="turned")


def test_notes_and_units_of_studies_put_together() -> None:
    both = combine({"A": read(csv(100 * R, index=False)), "B": read(csv(R, index=False))})
    assert both.unit == "mixed"
    assert both.notes == ("A: Accuracies were given in percent and are held as fractions.",)


def test_the_report_says_how_files_were_read_and_what_they_lack(tmp_path: Path) -> None:
    gap = pd.concat([long(method="m", scale=100), long(method="n")])
    gap = gap[(gap["method"] == "m") | (gap["stage"] != 2) | (gap["eval_task"] != "a")]
    results = read(gap.to_csv(index=False))
    page = Path(write_report(results, out=str(tmp_path))).read_text("utf-8")
    for text in (page, (tmp_path / "report.md").read_text("utf-8")):
        assert "Accuracies of m were given in percent and are held as fractions." in text
        assert "a after stage 2 (a); metrics that need it leave this run out." in text
        assert re.search(r"n: no [^.]*Backward transfer[^.]* for any run\.", text)
        assert not re.search(r"m: no [^.]*Backward transfer", text)
        assert re.search(r"m\b.*0\.700", text)


@pytest.mark.parametrize("filled", [True, False], ids=["zeros", "nothing"])
def test_a_triangle_has_a_report(tmp_path: Path, filled: bool) -> None:
    triangle = np.where(np.tri(3), R[1:], 0 if filled else np.nan)
    results = from_matrices([triangle, 0.9 * triangle], [ORDER, ORDER], "m")
    page = Path(write_report(results, out=str(tmp_path))).read_text("utf-8")
    assert "m: no Transfer (MTIL)" in page
    assert ("are read as not measured" in page) == filled
