"""Makes the tables of docs/findings.md: `python docs/findings_page.py`.

They are written from docs/findings/measured.json. With two folders of run folders that table is
measured first, study by study, as far as they are there:

    python docs/findings_page.py runs/world runs/pictures

where runs/world/mechanisms, say, is what `sweep run mechanisms` left. The page says which commands
make these folders.
"""

import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from findings import of_analysis, of_methods  # noqa: E402
from findings.marks import marked, told_in  # noqa: E402
from findings.quantities import Estimate, Sample, estimated  # noqa: E402
from findings.studies import STUDIES, Finding  # noqa: E402

from analysis import comparison, load  # noqa: E402
from analysis.inference.expected_precision import replicates_for  # noqa: E402
from sweep.storage.inputs import INPUTS  # noqa: E402
from sweep.storage.run_folder import dump  # noqa: E402
from sweep.study.schema import Study  # noqa: E402

FINDINGS: list[Finding] = [*of_analysis.FINDINGS, *of_methods.FINDINGS]
WORLDS = {"made": "made world", "pictures": "real pictures"}
PAGE = ROOT / "docs" / "findings.md"
END = "<!-- end -->"
MEASURED = ROOT / "docs" / "findings" / "measured.json"
SHOWN = {
    "average_accuracy": "accuracy",
    "forgetting_max": "forgetting",
    "zero_shot_erosion": "zero-shot erosion",
}
"""Of every method, in percent."""
Measured = dict[str, dict[str, dict[str, Any]]]
"""By study and world: how it was run, values of findings and of methods."""


def measure(study: str, world: str, folder: Path) -> dict[str, Any]:
    """Returns what a run folder says; {} without a replicate that all methods have.

    Stops with a sentence if it was made by another command than that of the page.
    """
    check_settings(study, world, folder)
    sample = Sample.of(load(folder))
    if not sample.replicates:
        return {}
    mine = [finding for finding in FINDINGS if finding.study == study]
    table = comparison(sample.runs).set_index("method")
    columns = [metric + end for metric in (*SHOWN, "order_sd") for end in ("", "_low", "_high")]
    return {
        "version": json.loads((folder / INPUTS).read_text("utf-8"))["version"],
        "replicates": len(sample.replicates),
        "planned": int(sample.results.orders["replicate"].nunique()),
        "runs": len(sample.runs),
        "findings": {f.text: rounded(estimated(f.quantity, sample)) for f in mine},
        "methods": {
            method: dict(zip(columns, rounded(row), strict=True))
            for method, row in table[columns].iterrows()
        },
    }


def check_settings(study: str, world: str, folder: Path) -> None:
    """Stops with a sentence unless a run folder holds the study with the settings of the page."""
    asked = yaml.safe_load(dump(Study.load(study, tuple(STUDIES[study].settings(world)))))
    held = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    for key, value in held.items():
        measured_first = key in ("design", "similarity")  # a run writes its matrices into them
        if key not in ("lanes", "report") and not measured_first and asked[key] != value:
            raise SystemExit(f"'{folder}' has other {key} than docs/findings/studies.py says.")


def rounded(values: Any) -> list[float | None]:
    """Returns numbers for JSON, which knows no NaN."""
    return [None if math.isnan(value) else round(float(value), 6) for value in values]


def verdict(finding: Finding, value: Estimate) -> str:
    """Returns whether an interval says that a finding holds."""
    if math.isnan(value.low):
        return "open"
    if finding.claim == "within":
        inside = -finding.bound < value.low and value.high < finding.bound
        outside = value.low > finding.bound or value.high < -finding.bound
    else:
        above, below = value.low > finding.bound, value.high < finding.bound
        inside, outside = (above, below) if finding.claim == "above" else (below, above)
    return "holds" if inside else "does not hold" if outside else "open"


def settled_by(finding: Finding, value: Estimate) -> str:
    """Returns how many replicates can be expected to decide what is open."""
    if math.isnan(value.sd):
        return "unknown"
    centre = abs(value.mean) if finding.claim == "within" else value.mean
    needed = replicates_for(abs(centre - finding.bound), value.sd)
    return f"{needed:,}" if needed else "out of reach"


def shown(finding: Finding, value: float) -> str:
    """Returns a value in the unit of its finding."""
    match finding.unit:
        case "points":
            text = f"{100 * value:.1f}"
        case "times":
            text = f"{math.exp(value):.2f}" if value < 4.6 else "over 100"
        case _:
            text = f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"
    return text.removeprefix("-") if not float(text.removeprefix("over ")) else text


def with_interval(finding: Finding, value: Estimate) -> str:
    """Returns an estimate as the page shows it."""
    if math.isnan(value.low):
        return shown(finding, value.mean)
    return (
        f"{shown(finding, value.mean)} "
        f"({shown(finding, value.low)} to {shown(finding, value.high)})"
    )


def claimed(finding: Finding) -> str:
    """Returns what a finding says of its quantity."""
    bound = shown(finding, finding.bound) if finding.bound or finding.unit == "times" else "0"
    unit = f" {finding.unit}" if finding.unit else ""
    of_zero = " of 0" if finding.claim == "within" else ""
    return f"{finding.claim} {bound}{unit}{of_zero}"


def value_of(measured: Measured, finding: Finding, world: str) -> Estimate | None:
    """Returns what was measured for a finding; None where nothing was."""
    found = measured.get(finding.study, {}).get(world, {}).get("findings", {}).get(finding.text)
    return Estimate(*(math.nan if v is None else v for v in found)) if found else None


def table(measured: Measured) -> str:
    """Returns the table with a row per finding."""
    lines = [
        "| study | finding | what is measured: claim | made world, reported | again "
        "| real pictures | holds? |",
        "|---|---|---|---|---|---|---|",
    ]
    for finding in FINDINGS:
        about = f"{finding.about}: {claimed(finding)}"
        said = [marked(text, told_in(finding.study)) for text in (finding.text, about)]
        cells = [f"[{finding.study}](#{finding.study})", *said, finding.reported]
        for world in WORLDS:
            value = value_of(measured, finding, world)
            cells.append(with_interval(finding, value) if value else "not run")
        lines.append(f"| {' | '.join([*cells, held(measured, finding, 'pictures')])} |")
    return "\n".join(lines)


def held(measured: Measured, finding: Finding, world: str) -> str:
    """Returns the verdict of a row, with what would settle it."""
    value = value_of(measured, finding, world)
    if value is None:
        return "not run"
    word = verdict(finding, value)
    return f"**{word}**" if word != "open" else f"open ({settled_by(finding, value)})"


def counts(measured: Measured) -> str:
    """Returns how many findings hold in a world, in a table."""
    lines = ["| | holds | does not hold | open | not run |", "|---|---|---|---|---|"]
    for world, title in WORLDS.items():
        values = [(f, value_of(measured, f, world)) for f in FINDINGS]
        found = Counter(verdict(f, v) if v else "not run" for f, v in values)
        numbers = [found[word] for word in ("holds", "does not hold", "open", "not run")]
        lines.append(f"| {title} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def command(study: str, world: str) -> str:
    """Returns the command that runs a study in a world."""
    folder = "world" if world == "made" else "pictures"
    parts = [f"sweep run {study} --out runs/{folder}/{study}"]
    parts += [f"--set '{setting}'" for setting in STUDIES[study].settings(world)]
    return " ".join(parts)


def section(measured: Measured, study: str) -> str:
    """Returns what is said of a study: its commands, its replicates, figures of its methods."""
    lines = [f"### {study}", "", STUDIES[study].question, "", "```"]
    lines += [command(study, world) for world in WORLDS]
    lines += ["```", ""]
    runs = measured.get(study, {})
    for world, title in WORLDS.items():
        if found := runs.get(world):
            of = f" of {found['planned']}" if found["replicates"] < found["planned"] else ""
            lines.append(
                f"- {title.capitalize()}: {found['replicates']}{of} replicates, "
                f"{found['runs']} runs, `VERSION` {found['version']}."
            )
        else:
            lines.append(f"- {title.capitalize()}: not run.")
    names = [name for found in runs.values() for name in found["methods"]]
    if names:
        heads = [f"{what}, {title}" for what in SHOWN.values() for title in WORLDS.values()]
        lines += ["", f"| method | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in dict.fromkeys(names):
        cells = [
            figure(runs.get(world, {}).get("methods", {}).get(name), metric)
            for metric in SHOWN
            for world in WORLDS
        ]
        lines.append(f"| {marked(f'`{name}`', told_in(study))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(row: dict[str, float | None] | None, metric: str) -> str:
    """Returns a metric of a method in percent, with the half-width of its interval."""
    if row is None or row[metric] is None:
        return "-"
    mean, low, high = (row[metric + end] for end in ("", "_low", "_high"))
    text = f"{100 * mean:.1f}"
    half = None if low is None or high is None else 50 * (high - low)
    return f"{text} ± {half:.1f}" if half else text


def with_tables(text: str, measured: Measured) -> str:
    """Returns the page with its tables and sections as they are now."""
    made = {
        "counts": counts(measured),
        "findings": table(measured),
        "studies": "\n\n".join(section(measured, study) for study in STUDIES),
    }
    for name, content in made.items():
        start = f"<!-- {name}: made by docs/findings_page.py -->\n"
        before, rest = text.split(start)
        text = f"{before}{start}{content}\n{END}{rest.split(END, 1)[1]}"
    return text


def main(folders: list[str]) -> None:
    """Measures what run folders hold, and writes the page."""
    measured: Measured = json.loads(MEASURED.read_text("utf-8")) if MEASURED.is_file() else {}
    for world, parent in zip(WORLDS, folders, strict=bool(folders)):
        for study in STUDIES:
            folder = Path(parent) / study
            if (folder / "results").is_dir() and (found := measure(study, world, folder)):
                measured.setdefault(study, {})[world] = found
                print(f"Measured {study}, {WORLDS[world]}", flush=True)
    if folders:
        MEASURED.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text("utf-8"), measured), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
