"""Measures when a reader sees the answer of a report, beside an empty page in the same browser.

    python -m benchmarks.first_paint RUN/report.html [OTHER/report.html ...]

Opens an empty page and each report in turn, several times, and prints the median wall time from the
request until the empty page, and the first answer of each report, is painted, with their ratio: the
machine and its load go into both. An answer is an element of the section that is found by
`--answer`, as the browser's element timing reports it.

The quickstart's page (5 methods, 24 orders), on a busy small cloud machine with two cores:

    plotly                                      answer   ratio    size
    in the head                                0.488 s    10.2  5.0 MB
    at the end of the body                     0.152 s     2.5  5.0 MB
    at the end, compressed, parsed after paint 0.120 s     1.9  2.4 MB

The time of an empty page varies there between 0.044 and 0.064 s.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from tests.analysis.chromium import Browser, browser

EMPTY = '<!DOCTYPE html><meta charset="utf-8"><title>Empty</title><p class="answer">Nothing</p>'
WATCHED = """
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.painted ??= entry.renderTime || entry.loadTime;
}).observe({ type: "element", buffered: true });
new MutationObserver((_, watching) => {
  const answer = document.querySelector(%r);
  if (answer === null) return;
  answer.setAttribute("elementtiming", "answer");
  watching.disconnect();
}).observe(document, { childList: true, subtree: true });
"""
"""Marks the answer as soon as it is parsed, before it is painted, without a change of the page."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--answer", default="#findings li, #findings p, p.answer")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.html"
        empty.write_text(EMPTY, "utf-8")
        with browser(Path(folder) / "profile") as tab:
            source = WATCHED % given.answer
            tab.call("Page.addScriptToEvaluateOnNewDocument", source=source)
            taken = {page: [] for page in (empty, *given.reports)}
            for _ in range(given.rounds):
                for page, times in taken.items():
                    times.append(seconds_to_answer(tab, page))
    base = median(taken.pop(empty))
    print(f"{'answer':>9} {'ratio':>6} {'size':>8}  page\n{base:>7.3f} s {1:>6.1f} {'':>8}  empty")
    for page, times in taken.items():
        size = page.stat().st_size / 2**20
        print(f"{median(times):>7.3f} s {median(times) / base:>6.1f} {size:>5.1f} MB  {page}")


def seconds_to_answer(tab: Browser, page: Path) -> float:
    """Returns the time from the request for a page to the paint of its answer."""
    tab.open(page)
    tab.wait("window.painted !== undefined")
    return float(tab.run("painted")) / 1000


if __name__ == "__main__":
    main()
