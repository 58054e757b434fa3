"""The report: right numbers, one file, the same bytes, and no input that breaks it."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from plotly.offline import get_plotlyjs

from analysis import Panel, load, metrics, summary, write_report
from analysis.report import report_frames
from analysis.report.browser import browser_data
from analysis.report.figure_style import COLOURS, Looks
from analysis.report.panels import PANELS
from analysis.report.panels.accuracy_over_orders import AccuracyOverOrders
from analysis.report.panels.forgetting_and_learning import ForgettingAndLearning
from analysis.report.panels.order_tree import OrderTree
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.phrases import interval
from analysis.report.text.sentences import findings
from tests.analysis.embedded import write_embeddings
from tests.analysis.ood_rows import write_ood
from tests.analysis.routing_rows import write_routing
from tests.analysis.synthetic import (
    METHODS,
    World,
    failed_row,
    random_orders,
    read_rows,
    write_rows,
    write_similarity,
    write_study,
)

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 6, 2)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return write_study(tmp_path, ORDERS, World(tasks=TASKS))


class Page(HTMLParser):
    """What a page holds: its elements, its scripts, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self.inside: tuple[str, dict] = ("", {})
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = (tag, dict(attrs))
        self.elements.append(self.inside)

    def handle_endtag(self, tag: str) -> None:
        self.inside = ("", {})

    def handle_data(self, data: str) -> None:
        tag, attrs = self.inside
        if tag == "script":
            self.scripts[attrs.get("id", f"script {len(self.scripts)}")] = data
        elif tag != "style":
            self.text += data


def page_of(out: Path) -> Page:
    return Page(Path(write_report(str(out))).read_text())


def test_the_same_results_give_the_same_bytes(out: Path) -> None:
    files = ["report.html", "report.md", "tables/runs.parquet", "tables/tree.parquet"]
    write_report(str(out))
    first = [(out / file).read_bytes() for file in files]
    write_report(str(out))
    assert [(out / file).read_bytes() for file in files] == first


def test_nothing_is_loaded_from_elsewhere(out: Path) -> None:
    page = page_of(out)
    links = [
        attrs[key]
        for _, attrs in page.elements
        for key in ("src", "href", "action")
        if key in attrs
    ]
    assert links
    assert all(link.startswith(("#", "tables/")) for link in links)
    assert not {"link", "iframe", "img", "base"} & {tag for tag, _ in page.elements}
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    styles = re.findall(r"<style>(.*?)</style>", (out / "report.html").read_text(), re.DOTALL)
    assert "url(" not in "".join(styles)
    assert "@import" not in "".join(styles)


def test_plotly_is_there_once(out: Path) -> None:
    write_report(str(out))
    page = Page((out / "report.html").read_text())
    plotly = gzip.decompress(base64.b64decode(page.scripts["plotly"])).decode()
    assert plotly == get_plotlyjs()


def test_every_link_leads_somewhere(out: Path) -> None:
    page = page_of(out)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.elements:
        link = attrs.get("href", "")
        if link.startswith("#"):
            assert link[1:] in ids
        elif link:
            assert (out / link).is_file()


def test_every_figure_has_a_place_a_caption_and_data(out: Path) -> None:
    orders = random_orders(TASKS, 6, 4)
    write_study(out, orders, World(tasks=TASKS))
    write_similarity(out, {"image": np.random.default_rng(0).random((3, 3))}, orders, TASKS)
    write_embeddings(out, orders, ["finetune"], features=True)
    write_ood(out, TASKS, "finetune")
    write_routing(out, (*TASKS, "digits"), "finetune")
    (out / "study.yaml").write_text("design: {orders: [published]}")
    page = page_of(out)
    ids = {attrs.get("id") for _, attrs in page.elements}
    drawn = json.loads(page.scripts["figures"])
    figures = [panel for panel in PANELS if type(panel).draw is not Panel.draw]
    assert list(drawn) == [panel.key for panel in figures]
    assert {f"figure-{name}" for name in drawn} <= ids
    for caption in re.findall(r"<figcaption.*?</figcaption>", (out / "report.html").read_text()):
        assert "Unit: " in caption
        assert "interval" in caption
        assert 'href="tables/' in caption


def test_findings_quote_the_tables(out: Path) -> None:
    text = page_of(out).text
    found = summary(metrics(load(out))).set_index(["method", "metric"])
    best = found.loc[("replay", "average_accuracy")]
    assert f"{best['mean']:.3f} [{best['low']:.3f}, {best['high']:.3f}]" in text
    assert "The order matters most to" in text
    markdown = (out / "report.md").read_text()
    assert f"{best['mean']:.3f} [{best['low']:.3f}, {best['high']:.3f}]" in markdown


def test_figures_show_the_frames(out: Path) -> None:
    study = StudyStatistics(load(out))
    figure = AccuracyOverOrders().draw(study.runs, study)
    dots = [trace for trace in figure.data if trace.meta == "runs"]
    page = browser_data(study.results, study.groups, study.runs)
    for (backbone, method), trace in zip(study.groups, dots, strict=True):
        mine = report_frames.group(study.runs, backbone, method)
        assert list(trace.x) == list(mine["average_accuracy"])
        for place, order, replicate in zip(
            trace.customdata, mine["order"], mine["replicate"], strict=True
        ):
            found, tasks = page["runs"][place]
            assert found == replicate
            assert tuple(page["tasks"][int(i)] for i in tasks.split(".")) == order


def test_a_method_has_one_colour_in_every_figure() -> None:
    few, many = Looks(["b", "a"]), Looks(["a", "b", "b"])
    assert few.colour("b") == many.colour("b")
    looks = Looks(f"m{i}" for i in range(2 * len(COLOURS)))
    pairs = {(looks.colour(f"m{i}"), looks.symbol(f"m{i}")) for i in range(2 * len(COLOURS))}
    assert len(pairs) == 2 * len(COLOURS)


def test_iso_lines_hold_the_accuracy_written_on_them(out: Path) -> None:
    study = StudyStatistics(load(out))
    figure = ForgettingAndLearning().draw(study.runs, study)
    lines = [trace for trace in figure.data if trace.mode == "lines+text"]
    assert lines
    for line in lines:
        for learning, forgetting in zip(line.x, line.y, strict=True):
            assert learning - 2 / 3 * forgetting == pytest.approx(float(line.text[1]))


def test_tree_adds_up(out: Path) -> None:
    """Every prefix holds the runs of its children; its colour is the mean over its runs."""
    study = StudyStatistics(load(out))
    tree = report_frames.group(OrderTree().frame(study), "tiny-clip", "replay").set_index("prefix")
    runs = report_frames.group(study.runs, "tiny-clip", "replay")
    for prefix, node in tree.iterrows():
        through = runs[[order[: len(prefix)] == prefix for order in runs["order"]]]
        assert node["runs"] == len(through)
        assert node["average_accuracy"] == pytest.approx(through["average_accuracy"].mean())


def test_matrices_in_the_page_are_those_of_the_results(out: Path) -> None:
    results = load(out)
    data = browser_data(results, [("tiny-clip", "replay"), ("tiny-clip", "ewc")], metrics(results))
    replicate, tasks = data["runs"][10]
    assert replicate == 1
    order = [int(i) for i in tasks.split(".")]
    names = [data["tasks"][i] for i in order]
    rows = [data["scores"][1]["1"][".".join(map(str, order[:k]))] for k in range(4)]
    shown = np.array([[row[i] for i in order] for row in rows]) / data["scale"]
    stored = results.matrix("tiny-clip", "ewc", 1, names).to_numpy()
    assert np.abs(shown - stored).max() <= 0.5 / data["scale"]


def test_large_studies_leave_orders_out_of_the_page_and_say_so(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.browser.MAX_SCORES", 400)
    results = load(out)
    data = browser_data(results, [("tiny-clip", "replay")], metrics(results), [(1, ORDERS[1][3])])
    assert data["omitted"] == 12 - len(data["shown"]) > 0
    runs = [data["runs"][place] for place in data["shown"]]
    wanted = ".".join(str(data["tasks"].index(task)) for task in ORDERS[1][3])
    assert [1, wanted] in runs
    for replicate, order in runs:
        assert order in data["scores"][0][str(replicate)]
    assert re.search(r"\d more orders?: only in the data", page_of(out).text)


def test_worst_and_best_orders_come_with_their_command(out: Path) -> None:
    found = report_frames.extremes(metrics(load(out)))
    worst = found[(found["method"] == "ewc") & (found["which"] == "worst")].iloc[0]
    runs = metrics(load(out))
    assert worst["average_accuracy"] == runs.loc[runs["method"] == "ewc", "average_accuracy"].min()
    assert worst["command"] == (
        f"sweep trial study.yaml --method ewc --order {','.join(worst['order'])} "
        f"--replicate {worst['replicate']}"
    )
    assert report_frames.command("my method", ("a b", "c"), 0, "clip") == (
        "sweep trial study.yaml --method 'my method' --order 'a b,c' --replicate 0 --backbone clip"
    )


def test_methods_with_fewer_complete_replicates_say_so(out: Path) -> None:
    """While a study runs, methods rest on different numbers of runs."""
    gone = ORDERS[1][0]
    rows = [
        r
        for r in read_rows(out)
        if (r["method"], r["replicate"], tuple(r["prefix"])) != ("ewc", 1, gone)
    ]
    write_rows(out, rows)
    (text,) = [sentence for sentence in findings(StudyStatistics(load(out))) if "keeps" in sentence]
    assert "per method" not in text
    assert re.search(r"\*\*ewc\*\* [\d.]+ \(over 6 runs in 1 replicate\)", text)
    assert text.count("(over 12 runs in 2 replicates)") == 4


def test_verdicts_are_those_of_the_comparison(out: Path) -> None:
    study = StudyStatistics(load(out))
    (text,) = [sentence for sentence in findings(study) if "the least that matters" in sentence]
    accuracy = study.comparison[study.comparison["metric"] == "average_accuracy"]
    for row in accuracy.itertuples():
        said = text.split(f"{row.verdict}: ")[1].split(";")[0]
        assert f"**{row.method}** ({row.mean:+.3f}" in said


def test_steadiness_is_said_and_tabled(out: Path) -> None:
    study = StudyStatistics(load(out))
    (text,) = [sentence for sentence in findings(study) if "relative to" in sentence]
    page = Page(Path(write_report(str(out))).read_text())
    assert list(study.steadiness["method"]) == ["ewc", "lora", "replay"]  # zero_shot does not move
    for row in study.steadiness.itertuples():
        said = interval(row.ratio, row.holm_low, row.holm_high)
        assert f"**{row.method}** {said} times" in text
        assert f"{row.few_low:.2f} to {row.few_high:.2f}" in page.text


def test_runs_are_compared_in_one_report(out: Path, tmp_path: Path) -> None:
    other = write_study(tmp_path / "other", ORDERS, World(tasks=TASKS), {"er": METHODS["replay"]})
    path = Path(write_report(str(out), str(other)))
    assert path == out.parent / f"{out.name}+other" / "report.html"
    page = Page(path.read_text())
    assert "er" in {row["method"] for row in json.loads(page.scripts["browser"])["groups"]}
    found = pd.read_parquet(path.parent / "tables" / "methods.parquet").set_index("method")
    assert found.loc["er", "average_accuracy"] == found.loc["replay", "average_accuracy"]
    assert found.loc["er", "cost"] == pytest.approx(2 / 8)
    with pytest.raises(ValueError, match="is given twice"):
        write_report(str(out), str(out))


def test_methods_that_no_order_moves_have_no_worst_order(out: Path) -> None:
    assert "zero_shot" not in set(report_frames.extremes(metrics(load(out)))["method"])


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    names = ("<b>x", "y & z", "</script><script>alert(1)</script>")
    write_study(
        tmp_path,
        random_orders(names, 6, 2),
        World(tasks=names),
        {"<i>m": METHODS["ewc"], "n": METHODS["replay"]},
        ("<u>clip",),
    )
    page = page_of(tmp_path)
    tags = {tag for tag, _ in page.elements}
    assert not {"b", "i", "u"} & tags
    assert sum(tag == "script" for tag, _ in page.elements) == 7
    assert "<i>m" in page.text
    for figure in json.loads(page.scripts["figures"]).values():
        for trace in figure["data"]:
            shown = [
                trace.get("name", ""),
                *(trace.get("text") or []),
                *(trace.get("labels") or []),
            ]
            assert not any("<b>x" in label or "<i>m" in label for label in shown)


CASES: dict[str, dict[str, Any]] = {
    "one method": {"methods": {"ewc": METHODS["ewc"]}},
    "one order": {"orders": [[TASKS]]},
    "one replicate": {"orders": random_orders(TASKS, 6, 1)},
    "one task": {"orders": [[("a",)], [("a",)]], "world": World(tasks=("a",))},
    "no probes, no retrieval": {"world": World(tasks=TASKS, probes=(), retrieval=())},
    "two backbones": {"backbones": ("clip", "siglip")},
    "only the untouched backbone": {"methods": {"zero_shot": METHODS["zero_shot"]}},
    "orders of different lengths": {"orders": [[("a", "b", "c"), ("b", "a")]]},
    "long names": {
        "orders": [[("t" * 90, "b", "c")]] * 2,
        "world": World(tasks=("t" * 90, "b", "c")),
    },
}


@pytest.mark.parametrize("case", CASES)
def test_unusual_studies_have_a_report(tmp_path: Path, case: str) -> None:
    settings = {"orders": ORDERS, "world": World(tasks=TASKS)} | CASES[case]
    write_study(tmp_path, **settings)
    page = page_of(tmp_path)
    assert "nan" not in page.text
    assert "Average accuracy over orders" in page.text
    assert "nan" not in (tmp_path / "report.md").read_text()


def test_a_study_without_a_complete_run_has_a_report(out: Path) -> None:
    rows = [row for row in read_rows(out) if row["stage"] < 2]
    head = {"study": "s", "backbone": "tiny-clip", "method": "ewc", "replicate": 0, "seed": 1000}
    write_rows(out, [*rows, failed_row(head, ("a", "b"), "device lost <here>")])
    page = page_of(out)
    assert "No run is complete yet" in page.text
    assert "60 of 60 planned runs lack a stage" in page.text
    assert "device lost <here>" in page.text
    assert "a → b" in page.text


def test_the_card_is_one_that_the_hub_can_read(out: Path) -> None:
    write_report(str(out))
    _, front, body = (out / "CARD.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["configs"][0]["data_files"] == "results/*.parquet"
    for config in facts["configs"]:
        assert list(out.glob(config["data_files"]))
    assert "Does the ranking survive another task order? **" in body


def test_tables_can_be_read_back(out: Path) -> None:
    write_report(str(out))
    tables = {path.stem: pd.read_parquet(path) for path in (out / "tables").iterdir()}
    runs = metrics(load(out))
    assert tables["runs"]["average_accuracy"].tolist() == runs["average_accuracy"].tolist()
    assert [tuple(order) for order in tables["runs"]["order"]] == runs["order"].tolist()
    assert set(tables["accuracies"].columns) >= set(TASKS)
