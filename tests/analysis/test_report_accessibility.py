"""The report for readers who cannot see it or use no mouse, as axe-core checks it."""

from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.chromium import CHROMIUM, Browser, read_whole

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
TASKS = ("a", "b", "c")
LOOKS = {"light": {}, "dark": {"dark": True}, "narrow": {"width": 390, "height": 844}}
GRAVE = ("serious", "critical")
FOUND = """axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) =>
  ({ id, impact, at: nodes.map((node) => [node.target.join(" "), node.failureSummary]) })
))"""


def grave_findings(tab: Browser) -> dict[str, Any]:
    """What axe-core finds of serious or critical impact: where, by the name of the rule."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    tab.run(f"{axe}; 0")
    return {rule["id"]: rule["at"] for rule in tab.run(FOUND) if rule["impact"] in GRAVE}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_no_grave_barrier(report: Path, tab: Browser, look: dict[str, Any]) -> None:
    """As it opens, and with all that is closed opened and every figure drawn."""
    tab.open(report, **look)
    assert not grave_findings(tab)
    read_whole(tab)
    assert not grave_findings(tab)


def test_a_barrier_would_be_found(report: Path, tab: Browser) -> None:
    """Faint text and a choice without a name: axe-core runs, and it looks at colours."""
    tab.open(report)
    tab.run("""document.querySelector("main").insertAdjacentHTML("afterbegin",
      '<p style="color: #ccc; background: #fff">faint</p><select><option>x</option></select>')""")
    assert {"color-contrast", "select-name"} <= set(grave_findings(tab))
