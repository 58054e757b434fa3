"""Makes the tables of docs/architectures.md: `python docs/architectures_page.py`.

They are written from docs/findings/architectures.json. With two run folders of a world, which the
commands of the page make, that table is measured first:

    python docs/architectures_page.py made runs/dual runs/fusion
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from findings.marks import marked, told_in  # noqa: E402

from analysis import compare, load, metrics, summary  # noqa: E402
from analysis.inference.replicates import complete_replicates  # noqa: E402

PAGE = ROOT / "docs" / "architectures.md"
MEASURED = ROOT / "docs" / "findings" / "architectures.json"
END = "<!-- end -->"
WORLDS = {"made": "Made world", "pictures": "Pictures"}
SHOWN = {
    "learning_accuracy": "just learnt",
    "average_accuracy": "accuracy in the end",
    "forgetting_max": "forgetting",
    "zero_shot_erosion": "zero-shot erosion",
}
"""Metrics of the tables, in percent."""
Figures = dict[str, list[float | None]]
"""By metric its mean and the bounds of its interval."""


def measure(dual: Path, fusion: Path) -> dict[str, Any]:
    """Returns figures of both architectures and of their differences, over complete replicates.

    Differences are paired: of runs with the same method, order and replicate.
    """
    parts = {"dual": metrics(load(dual)), "fusion": metrics(load(fusion))}
    found: dict[str, Any] = {"replicates": {}}
    for name, runs in parts.items():
        found["replicates"][name] = len(complete_replicates(runs)["replicate"].unique())
        found[name] = by_method(summary(runs))
    methods = [method for method in found["dual"] if method in found["fusion"]]
    both = pd.concat(
        runs.assign(backbone="", method=runs["method"] + f" {name}") for name, runs in parts.items()
    )
    pairs = {f"{method} dual": f"{method} fusion" for method in methods}
    found["difference"] = {
        method.removesuffix(" dual"): figures
        for method, figures in by_method(compare(both, pairs)).items()
    }
    return found


def by_method(table: pd.DataFrame) -> dict[str, dict[str, list[float | None]]]:
    """Returns mean, low and high of the metrics that are shown, by method and metric."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for row in table[table["metric"].isin(SHOWN)].itertuples():
        found.setdefault(row.method, {})[row.metric] = rounded((row.mean, row.low, row.high))
    return found


def rounded(values: Any) -> list[float | None]:
    """Returns numbers for JSON, which knows no NaN."""
    return [None if math.isnan(value) else round(float(value), 6) for value in values]


def shown(figures: Figures, metric: str) -> str:
    """Returns a metric in percent, with its interval."""
    mean, low, high = figures.get(metric, [None] * 3)
    if mean is None:
        return "-"
    if low is None or high is None:
        return f"{100 * mean:.1f}"
    return f"{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def table(measured: dict[str, Any], world: str) -> str:
    """Returns the table of a world: a row per method and metric."""
    found = measured.get(world)
    if found is None:
        return "Not run yet."
    lines = ["| method | | dual encoder | fusion model | difference |", "|---|---|---|---|---|"]
    for method in found["difference"]:
        named = marked(f"`{method}`", told_in("architectures"))
        for metric, title in SHOWN.items():
            cells = [shown(found[of][method], metric) for of in ("dual", "fusion", "difference")]
            if set(cells) != {"-"}:
                lines.append(f"| {named} | {title} | {' | '.join(cells)} |")
    numbers = found["replicates"]
    return "\n".join(
        [
            *lines,
            "",
            f"Complete replicates: {numbers['dual']} and {numbers['fusion']}; percent.",
        ]
    )


def with_tables(text: str, measured: dict[str, Any]) -> str:
    """Returns the page with its tables as they are now."""
    for world in WORLDS:
        start = f"<!-- {world}: made by docs/architectures_page.py -->\n"
        before, rest = text.split(start)
        text = f"{before}{start}{table(measured, world)}\n{END}{rest.split(END, 1)[1]}"
    return text


def main(world: str | None = None, *folders: str) -> None:
    """Measures what run folders hold, and writes the page."""
    measured = json.loads(MEASURED.read_text("utf-8")) if MEASURED.is_file() else {}
    if world is not None:
        if world not in WORLDS or len(folders) != 2:
            raise SystemExit(f"Give one of {', '.join(WORLDS)} and two run folders.")
        measured[world] = measure(*map(Path, folders))
        MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text("utf-8"), measured), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
