"""Studies that cannot say everything have a page that says what it cannot say."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import METRICS, from_matrices, load, metrics, write_report
from analysis.data.results import ORDERS_SCHEMA
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.sentences import findings
from tests.analysis.chromium import CHROMIUM, Browser, browser, read_whole
from tests.analysis.mtil import mtil
from tests.analysis.synthetic import (
    METHODS,
    World,
    failed_row,
    random_orders,
    read_rows,
    write_rows,
    write_study,
)
from tests.analysis.test_report_page import Page

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 6, 3)
WORLD = World(tasks=TASKS)


def one_replicate(out: Path) -> str:
    write_study(out, random_orders(TASKS, 6, 1), WORLD)
    return write_report(str(out))


def one_order(out: Path) -> str:
    write_study(out, [[TASKS]] * 3, WORLD)
    rows = [{"design": "given", "block": r, "replicate": r, "order": list(TASKS)} for r in range(3)]
    pq.write_table(pa.Table.from_pylist(rows, ORDERS_SCHEMA), out / "orders.parquet")
    return write_report(str(out))


def failed_method(out: Path) -> str:
    """One method fails at once, another one in all replicates but the first."""
    write_study(out, ORDERS, WORLD)
    rows = [r for r in read_rows(out) if r["method"] != "ewc" or not r["prefix"]]
    rows = [r for r in rows if r["method"] != "lora" or r["replicate"] == 0 or len(r["prefix"]) < 3]
    for replicate in range(3):
        head = {"study": "synthetic", "backbone": "tiny-clip", "method": "ewc"}
        head |= {"replicate": replicate, "seed": 1000 + 17 * replicate}
        rows.append(failed_row(head, ("a",), "CUDA out of memory"))
    write_rows(out, rows)
    return write_report(str(out))


def identical_methods(out: Path) -> str:
    methods = {name: METHODS["replay"] for name in ("er", "replay")}
    write_study(out, ORDERS, WORLD, {"finetune": METHODS["finetune"], **methods})
    return write_report(str(out))


def published_percent(out: Path) -> str:
    return write_report(mtil(), out=str(out))


STUDIES: dict[str, Callable[[Path], str]] = {
    study.__name__: study
    for study in (one_replicate, one_order, failed_method, identical_methods, published_percent)
}
SAYS = {
    "one_replicate": [
        r"not tested, because a verdict needs two replicates",
        r"There are no intervals: they need at least two replicates",
        r"No verdicts here",
        r"one replicate cannot tell",
    ],
    "one_order": [
        r"Every replicate has a single order with complete runs, so what the order does cannot be",
        r"Nothing here is about other orders",
        r"cannot give a p below 0.25 with 3 replicates; with 6 they could \(0\.031\)",
    ],
    "failed_method": [
        r"ewc has no complete run: nothing here is about ewc",
        r"not tested, because a verdict needs two replicates with all runs complete: lora",
        r"Rankings and variance are over fewer runs: the 6 runs in replicate 0 that every method",
        r"30 of 90 planned runs are incomplete \(3 stages failed\)",
        r"CUDA out of memory",
        r"1 to 3 replicates|3 replicates, none for lora",
    ],
    "identical_methods": [
        r"er and replay have the same results in all runs that they share",
        r"comes first or shares the first place",
    ],
    "published_percent": [
        r"Accuracies were given in percent and are held as fractions",
        r"Unit: fraction",
        r"Every replicate has a single order",
        r"cannot give a p below 0.5 with 2 replicates",
    ],
}
NEVER = {
    "one_replicate": [r"better: ", r"worse: ", r"SD over seeds [\d.]+"],
    "one_order": [r"SD over orders [\d.]+ \[", r"The order matters most", r"end at or above"],
    "failed_method": [r"(better|worse|equivalent|undecided)[^;.]*ewc"],
    "identical_methods": [],
    "published_percent": [r"\d\d\.\d{3}", r"\[-?1\.[^0]"],
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_says_what_it_cannot_say(name: str, tmp_path: Path) -> None:
    path = Path(STUDIES[name](tmp_path / name))
    page = Page(path.read_text())
    text = " ".join(page.text.split())
    markdown = (path.parent / "report.md").read_text()
    for words in SAYS[name]:
        assert re.search(words, text), words
    verdict = text[: text.index("Methods compared")]
    for words in NEVER[name]:
        assert not re.search(words, verdict), words
    assert "nan" not in text
    assert "nan" not in markdown
    sections = {attributes.get("id") for _, attributes in page.elements}
    assert ({"tree", "extremes"} <= sections) == (name not in ("one_order", "published_percent"))


def test_methods_that_are_the_same_have_the_same_verdict(tmp_path: Path) -> None:
    write_study(
        tmp_path, ORDERS, WORLD, {m: METHODS[m] for m in METHODS} | {"er": METHODS["replay"]}
    )
    judged = StudyStatistics(load(str(tmp_path))).judged
    judged = judged[judged["metric"] == "average_accuracy"].set_index("method")
    kept = ["mean", "low", "high", "word", "p_verdict", "win_rate"]
    assert judged.loc["er", kept].equals(judged.loc["replay", kept].rename("er"))


def test_a_method_that_seeds_alone_move_is_not_shown_as_moved(tmp_path: Path) -> None:
    """Like `individual`: other results for every seed, the same for all of its orders."""
    orders = random_orders(TASKS, 6, 3)
    write_study(tmp_path, orders, WORLD)
    rows = read_rows(tmp_path)
    for row in rows:
        if row["method"] == "zero_shot" and row["split"] == "task":
            row["value"] = 0.9 + 0.01 * row["replicate"]  # the best of all, so it would come first
    write_rows(tmp_path, rows)
    study = StudyStatistics(load(str(tmp_path)))
    assert study.groups[0] == ("tiny-clip", "zero_shot")
    assert study.unmoved == ["zero_shot"]
    assert "zero_shot" not in set(study.extremes["method"])
    (said,) = [sentence for sentence in findings(study) if "No order moves" in sentence]
    assert said == "No order moves **zero_shot**: all orders of a seed end alike."
    (seen,) = [sentence for sentence in findings(study) if "end at or above" in sentence]
    assert "zero_shot" not in seen
    page = Page(Path(write_report(str(tmp_path))).read_text())
    figures = json.loads(page.scripts["figures"])
    assert "zero_shot" not in [trace["name"] for trace in figures["tree"]["data"]]
    violins = [trace for trace in figures["orders"]["data"] if trace["type"] == "violin"]
    assert len(violins) == 4  # of five methods
    assert "Left out, because no order moves them: zero_shot." in page.text
    assert figures["contributions"]["data"][0]["name"] == "finetune"


def test_a_score_that_is_nan_is_missing_not_a_number(tmp_path: Path) -> None:
    """A stage that ends in NaN, all the way to the page: its runs are incomplete, and said so."""
    write_study(tmp_path, ORDERS, WORLD)
    rows = read_rows(tmp_path)
    broken = tuple(ORDERS[1][0])
    for row in rows:
        if (row["method"], row["replicate"], tuple(row["prefix"])) == ("ewc", 1, broken):
            row["value"] = float("nan")
    write_rows(tmp_path, rows)
    results = load(str(tmp_path))
    runs = metrics(results)
    assert len(runs[runs["method"] == "ewc"]) == 17
    assert runs[list(METRICS)].notna().any(axis=1).all()
    text = Page(Path(write_report(str(tmp_path))).read_text()).text
    assert "nan" not in text
    assert "1 of 90 planned runs is incomplete" in text
    assert "Rankings and variance are over fewer runs: the 12 runs in replicates 0 and 2" in text


def test_results_without_numbers_of_test_samples_have_a_page(tmp_path: Path) -> None:
    results = from_matrices([[[0.9, 0.2], [0.7, 0.8]]], [("cars", "pets")])
    assert results.stages["n"].isna().all()
    path = write_report(results, out=str(tmp_path / "given"))
    assert Path(path) == tmp_path / "given" / "report.html"
    assert not (tmp_path / "given" / "CARD.md").exists()
    assert pd.read_parquet(tmp_path / "given" / "tables" / "runs.parquet").shape[0] == 1


def test_a_report_of_results_in_memory_needs_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_report(mtil()) == "report/report.html"
    assert (tmp_path / "report" / "report.md").exists()
    with pytest.raises(ValueError, match="put them together with `combine`"):
        write_report(mtil(), "elsewhere")


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path / "profile") as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("name", STUDIES)
def test_pages_of_awkward_studies_are_drawn_quietly(
    name: str, tmp_path: Path, tab: Browser
) -> None:
    tab.open(Path(STUDIES[name](tmp_path / name)))
    read_whole(tab)
    assert not tab.named("Runtime.exceptionThrown")
    assert not tab.named("Log.entryAdded")
    assert "NaN" not in tab.run("document.body.innerText")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_browser_rounds_as_the_tables_do(tmp_path: Path, tab: Browser) -> None:
    """The mean of these is 0.7125, and a little less when a browser adds them up."""
    final = [0.69, 0.7125, 0.735]
    assert sum(final) / 3 < 0.7125
    matrix = [[0.5, 0.2, 0.2], [0.5, 0.6, 0.2], final]
    results = from_matrices([matrix], [TASKS])
    value = metrics(results)["average_accuracy"][0]
    tab.open(Path(write_report(results, out=str(tmp_path / "rounded"))))
    shown = tab.run("document.getElementById('choose-order').selectedOptions[0].textContent")
    assert shown.split()[0] == f"{value:.3f}" == "0.713"
