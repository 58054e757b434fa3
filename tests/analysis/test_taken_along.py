"""What the page carries with it and gives away: data, tables, figures, permalinks."""

import base64
import gzip
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from analysis import write_report
from analysis.report.embedded_data import as_csv
from tests.analysis.chromium import CHROMIUM, Browser, read_whole
from tests.analysis.synthetic import World, random_orders, write_study
from tests.analysis.test_report_page import Page

BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
TASKS = ("a", "b", "c")
KEPT = """(() => { window.kept = []; window.save = (address, name) => kept.push([address, name]);
  window.saveText = (text, name) => kept.push([text, name]); })()"""


def carried(page: Page) -> dict[str, str]:
    found: dict[str, str] = json.loads(page.scripts["tables"])
    return found


def test_the_page_carries_every_table_that_it_links_to(report: Path) -> None:
    page = Page(report.read_text())
    linked = {a["data-table"] for _, a in page.elements if "data-table" in a}
    assert {"runs", "methods", "contributions"} <= linked
    assert carried(page).keys() == linked
    for name, content in carried(page).items():
        text = gzip.decompress(base64.b64decode(content)).decode()
        stored = pd.read_parquet(report.parent / "tables" / f"{name}.parquet")
        for column, values in stored.items():  # parquet gives arrays for lists
            if values.map(lambda value: isinstance(value, np.ndarray)).any():
                stored[column] = values.map(
                    lambda value: tuple(value) if isinstance(value, np.ndarray) else value
                )
        assert text == as_csv(stored), name


def test_a_table_too_large_for_the_page_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.embedded_data.MOST", 10)
    write_study(tmp_path, random_orders(TASKS, 6, 2), World(tasks=TASKS))
    page = Page(Path(write_report(str(tmp_path))).read_text())
    assert set(carried(page).values()) == {""}
    assert (tmp_path / "tables" / "runs.parquet").is_file()


@BROWSER
def test_a_data_link_gives_the_table_as_csv(report: Path, tab: Browser) -> None:
    tab.open(report)
    tab.run(KEPT)
    tab.run("document.querySelector('#orders a[data-table]').click()")
    tab.wait("kept.length === 1")
    ((text, name),) = tab.run("kept")
    assert name == "runs.csv"
    assert pd.read_csv(io.StringIO(text)).shape[0] == len(
        pd.read_parquet(report.parent / "tables" / "runs.parquet")
    )


@BROWSER
def test_buttons_save_figures_and_tables(report: Path, tab: Browser) -> None:
    """A figure is saved in dark ink, whatever the page looks like."""
    tab.open(report, dark=True)
    read_whole(tab, is_opened=False)
    tab.run(KEPT)
    for kind in ("svg", "png"):
        tab.run(f"document.querySelector('#orders button[data-format={kind}]').click()")
        tab.wait(f"kept.some(([, name]) => name === 'orders.{kind}')")
    for kind in ("csv", "tex"):
        tab.run(f"document.querySelector('#methods .exports [data-format={kind}]').click()")
    saved = {name: content for content, name in tab.run("kept")}
    assert saved.keys() == {"orders.svg", "orders.png", "methods-compared.csv",
                            "methods-compared.tex"}  # fmt: skip
    head, _, svg = tab.run(f"decodeURIComponent({json.dumps(saved['orders.svg'])})").partition(",")
    assert head.startswith("data:image/svg+xml")
    ElementTree.fromstring(svg)
    assert "rgb(27, 33, 41)" in svg  # ink on paper; in the dark it is light
    assert saved["orders.png"].startswith("data:image/png;base64,")
    table = pd.read_csv(io.StringIO(saved["methods-compared.csv"]))
    accuracy = "Average accuracy \u2191"
    assert {"method", accuracy, f"{accuracy} low", f"{accuracy} high"} <= set(table.columns)
    assert r"\textbf{" in saved["methods-compared.tex"]


@BROWSER
def test_a_permalink_opens_what_is_closed(report: Path, tab: Browser) -> None:
    is_open = "document.querySelector('#formulas > details').open"
    tab.open(report)
    assert not tab.run(is_open)
    tab.run("location.hash = '#formulas'")
    tab.wait(is_open)
