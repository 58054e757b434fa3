"""The report in a real browser: quiet, offline, complete, and it answers to clicks."""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis.chromium import CHROMIUM, Browser, read_whole

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
TASKS = ("a", "b", "c")


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"width": 390, "height": 800}])
def test_every_figure_is_drawn_quietly_and_offline(
    report: Path, tab: Browser, look: dict[str, Any]
) -> None:
    tab.open(report, **look)
    read_whole(tab)
    assert not tab.named("Runtime.exceptionThrown")
    assert not tab.named("Runtime.consoleAPICalled")
    assert not tab.named("Log.entryAdded")
    asked = {
        sent["request"]["url"].split(":")[0] for sent in tab.named("Network.requestWillBeSent")
    }
    assert asked <= {"file", "data", "blob"}
    width = look.get("width", 1200)
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_dark_paper_has_light_ink(report: Path, tab: Browser) -> None:
    shades = []
    for dark in (False, True):
        tab.open(report, dark=dark)
        shades.append(tab.run("getComputedStyle(document.body).color"))
    assert shades[0] != shades[1]


def test_an_order_is_selected_in_all_figures(report: Path, tab: Browser) -> None:
    """Clicked in one place, marked in every other, and shown in the matrix browser."""
    tab.open(report)
    read_whole(tab)
    tab.run("document.querySelector('button.mark').click()")
    tab.wait("!document.getElementById('selection').hidden")
    marked = tab.run("""["orders", "differences", "forgetting"].map((name) =>
      document.getElementById(`figure-${name}`).data.filter(({ meta }) => meta === "runs")
        .every(({ customdata, selectedpoints }) =>
          selectedpoints.length === 1 && customdata[selectedpoints[0]] === selected))""")
    assert marked == [True, True, True]
    replicate, order = tab.run("study.runs[selected]")
    shown = tab.run("[choose.replicate.value, choose.order.value]")
    assert shown == [str(replicate), order]
    tab.run("document.querySelector('#selection button').click()")
    assert tab.run("document.getElementById('selection').hidden")
    cleared = "document.getElementById('figure-orders').data.every((t) => !t.selectedpoints)"
    assert tab.run(cleared)


def test_a_click_on_a_dot_selects_its_order(report: Path, tab: Browser) -> None:
    tab.open(report)
    read_whole(tab)
    clicked = """(() => {
      const figure = document.getElementById("figure-orders");
      const trace = figure.data.findIndex(({ meta }) => meta === "runs");
      figure.emit("plotly_click", { points: [{ data: figure.data[trace],
        customdata: figure.data[trace].customdata[2] }] });
      return [selected, figure.data[trace].customdata[2]];
    })()"""
    found, expected = tab.run(clicked)
    assert found == expected


def test_hovering_a_dot_names_its_order(report: Path, tab: Browser) -> None:
    tab.open(report)
    read_whole(tab)
    tab.run("""(() => {
      const figure = document.getElementById("figure-orders");
      figure.scrollIntoView({ behavior: "instant" });
      const curve = figure.data.findIndex(({ meta }) => meta === "runs");
      Plotly.Fx.hover(figure, [{ curveNumber: curve, pointNumber: 0 }]);
    })()""")
    text = "document.querySelector('#figure-orders .hoverlayer').textContent"
    tab.wait(f"{text}.includes('replicate')")
    assert " > " in tab.run(text)


def test_a_heading_sorts_its_table(report: Path, tab: Browser) -> None:
    tab.open(report)
    column = """[...document.querySelectorAll(".methods table.sortable tbody tr")]
      .map((row) => Number(row.cells[1].dataset.value))"""
    tab.run("document.querySelectorAll('.methods th button')[1].click()")
    falling = tab.run(column)
    tab.run("document.querySelectorAll('.methods th button')[1].click()")
    assert tab.run(column) == sorted(falling)
    assert falling == sorted(falling, reverse=True)
