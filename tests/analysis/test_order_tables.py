"""Tables with one number per order: how they are read, and what is said where they cannot be."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import Results, write_report
from analysis.data.given_results import read_results
from analysis.data.order_scores import OrderScores
from analysis.data.published_orders import NAMED, find_published, known_among

ECLIPSE = Path(__file__).parents[2] / "examples" / "eclipse.csv"
ROWS = "order,acc\nI,0.9\nII,0.5\nIII,0.6\nIV,0.55\n"


def scores_in(folder: Path, text: str, name: str = "results.csv", **options: object) -> OrderScores:
    file = folder / name
    file.write_text(text)
    found = read_results(file, **options).results  # type: ignore[arg-type]
    assert isinstance(found, OrderScores)
    return found


def test_a_score_may_have_any_name(tmp_path: Path) -> None:
    found = scores_in(tmp_path, "Order;Final mIoU\nI;71,3\nII;68,1\n")
    assert found.score == "Final mIoU"
    assert found.rows["value"].tolist() == [71.3, 68.1]
    assert found.orders == ["I", "II"]
    assert found.methods == ["unnamed"]
    assert found.tasks == {}
    assert found.name == "results"


def test_methods_seeds_and_marks(tmp_path: Path) -> None:
    text = "method,order,seed,published,acc\n"
    text += "er,1,0,yes,70 %\ner,1,1,yes,72 %\ner,2,0,no,60 %\nlwf,1,0,yes,50 %\n"
    found = scores_in(tmp_path, text)
    assert found.score == "acc (%)"
    assert found.published == ["1"]
    means = found.means.set_index(["method", "order"])
    assert means.loc[("er", "1"), ["value", "seeds"]].tolist() == [71.0, 2]
    assert means.loc[("lwf", "1"), "value"] == 50.0


def test_orders_of_tasks_are_known_as_such(tmp_path: Path) -> None:
    for text in ('order,acc\n"a,b",1\n"b, a",2\n', "order,acc\na > b,1\nb->a,2\n"):
        found = scores_in(tmp_path, text)
        assert found.orders == ["a>b", "b>a"]
        assert found.tasks == {"a>b": ("a", "b"), "b>a": ("b", "a")}
        assert found.marked(["b,a"]).published == ["b>a"]
    labels = scores_in(tmp_path, "order,acc\na>b,1\nrandom,2\n")
    assert labels.orders == ["a>b", "random"]
    assert labels.tasks == {}


def test_json_and_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"order": [["a", "b"], ["b", "a"]], "acc": [0.5, 0.75]})
    frame.to_parquet(tmp_path / "x.parquet")
    (tmp_path / "x.json").write_text(json.dumps(frame.to_dict("records")))
    for name in ("x.parquet", "x.json"):
        found = read_results(tmp_path / name).results
        assert isinstance(found, OrderScores)
        assert found.orders == ["a>b", "b>a"]
        assert found.rows["value"].tolist() == [0.5, 0.75]


def test_one_of_several_columns_of_numbers_is_chosen(tmp_path: Path) -> None:
    text = "order,base,novel\nI,1,2\nII,3,4\n"
    with pytest.raises(ValueError, match=r"several columns of numbers \(base, novel\)"):
        scores_in(tmp_path, text)
    found = scores_in(tmp_path, text, score="novel")
    assert found.rows["value"].tolist() == [2.0, 4.0]
    assert found.notes == ("Columns of the file that are not used: base.",)
    with pytest.raises(ValueError, match="no column of numbers 'old'; there are: base, novel"):
        scores_in(tmp_path, text, score="old")
    assert scores_in(tmp_path, text.replace("novel", "accuracy")).score == "accuracy"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("order,acc\nI,1\nI,2\n", "two scores of order I; if they are of two seeds"),
        ("order,acc\nI,good\n", "no column of scores"),
        ("order,published,acc\nI,maybe,1\n", "must hold true or false, but holds 'maybe'"),
        ("order,acc\n,1\n", "Row 1 of .* names no order"),
        ("order,acc\nI,1 %\nII,2\n", "have a % sign and some not"),
        ("order,acc\nI,inf\n", "cannot be infinite"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores_in(tmp_path, text)


def test_rows_without_a_score_are_counted(tmp_path: Path) -> None:
    assert scores_in(tmp_path, ROWS + "V,nan\n").notes == ("Rows without a score: 1.",)


def test_a_mark_holds_for_the_order_in_every_row(tmp_path: Path) -> None:
    text = "order,seed,published,acc\nI,0,true,1\nI,1,,2\nII,0,,3\n"
    assert scores_in(tmp_path, text).rows["published"].tolist() == [True, True, False]


def test_a_page_needs_a_published_order_and_others(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(ROWS)
    with pytest.raises(ValueError, match="does not say which order is the published one"):
        write_report(str(file))
    with pytest.raises(ValueError, match=r"no order 'V' among these: I, II, III, IV\."):
        write_report(str(file), published=["V"])
    with pytest.raises(ValueError, match="All orders of 'results' are published ones"):
        write_report(str(file), published=["I", "II", "III", "IV"])
    assert not (tmp_path / "results-report").exists()


def test_the_page_of_eclipse(tmp_path: Path) -> None:
    copy = tmp_path / "eclipse.csv"
    copy.write_text(ECLIPSE.read_text())
    path = Path(write_report(str(copy)))
    assert path == tmp_path / "eclipse-report" / "report.html"
    text = path.read_text()
    verdict = "Yes. The published order scores 41.4: 7.4 SD above the mean of the other 9 orders"
    assert f"{verdict} (33.5, SD 1.06), outside the 95 % prediction interval [31.0, 36.1]" in text
    assert "the least that 10 orders can give; 0.05 takes 20 orders." in text
    assert "not separated from that of the seed" in text
    assert "<h1>eclipse</h1>" in text
    assert "Nothing" not in text
    assert "Do methods" not in text  # there is one
    (row,) = pd.read_parquet(path.parent / "tables" / "published_orders.parquet").itertuples()
    assert row.verdict == "outlier"
    markdown = (path.parent / "report.md").read_text()
    assert "nan" not in markdown
    assert "7.4 SD above" in markdown
    assert not (path.parent / "CARD.md").exists()
    again = Path(write_report(str(copy), out=str(tmp_path / "there")))
    assert again.read_bytes() == path.read_bytes()


def test_matrices_in_a_file_are_results_of_that_name(tmp_path: Path) -> None:
    file = tmp_path / "lwf.csv"
    file.write_text("cars,pets\n0.9,0.2\n0.7,0.8\n")
    given = read_results(file)
    assert isinstance(given.results, Results)
    assert given.home == str(tmp_path / "lwf-report")
    assert set(given.results.runs["method"]) == {"lwf"}
    with pytest.raises(ValueError, match="no column 'acc' to choose"):
        read_results(file, score="acc")


def test_a_folder_of_matrices_is_read_whole(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name, order in (("x", ["a", "b"]), ("y", ["b", "a"])):
        pd.DataFrame([[0.9, 0.2], [0.7, 0.8]], columns=order).to_csv(
            folder / f"{name}.csv", index=False
        )
    (folder / "notes.md").write_text("not a table")
    given = read_results(folder)
    assert isinstance(given.results, Results)
    assert set(given.results.runs["order"]) == {("a", "b"), ("b", "a")}
    assert given.home == str(tmp_path / "theirs-report")
    (folder / "z.csv").write_text(ROWS)
    with pytest.raises(ValueError, match="holds one number per order, and such results"):
        read_results(folder)


def test_files_that_number_tasks_need_their_names(tmp_path: Path) -> None:
    file = tmp_path / "r.npy"
    np.save(file, np.array([[0.9, 0.2], [0.7, 0.8]]))
    with pytest.raises(ValueError, match="--order"):
        read_results(file)
    found = read_results(file, order=["cars", "pets"]).results
    assert isinstance(found, Results)
    assert set(found.runs["order"]) == {("cars", "pets")}


def test_a_long_table_may_mark_published_orders(tmp_path: Path) -> None:
    rows = [
        f"{'>'.join(order)},{order == ('a', 'b')},{stage},{task},0.{stage}{i}"
        for order in (("a", "b"), ("b", "a"))
        for stage in (1, 2)
        for i, task in enumerate(order[:stage])
    ]
    file = tmp_path / "long.csv"
    file.write_text("\n".join(["order,published,stage,eval_task,value", *rows]))
    given = read_results(file)
    assert isinstance(given.results, Results)
    assert given.published == ("a>b",)


def test_published_orders_are_found_by_name_and_by_tasks() -> None:
    spelt = tuple(f"{task.lower()[:3]}_{task.lower()[3:]}" for task in NAMED["mtil-1"])
    assert find_published("mtil-1", [spelt[::-1], spelt]) == spelt
    assert known_among([spelt, spelt[::-1]]) == {"mtil-1": spelt}
    assert find_published("mtil-2", [spelt]) is None
