"""docs/kinds.md says of models, methods, scores and benchmarks what the code says."""

import re
from pathlib import Path

from methods import METHODS
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.fusion import Fusion
from methods.data import KINDS, TaskForm
from sweep.registry import resolve
from sweep.tasks.base import SCORES_OF
from sweep.tasks.named.benchmark_files import benchmark_names, read_benchmark

PAGE = (Path(__file__).parent.parent / "docs" / "kinds.md").read_text(encoding="utf-8")
FORMS = {
    "`choices`: one list for all samples": TaskForm(),
    "`choices`: one list, a question for every sample": TaskForm(has_own_questions=True),
    "`choices`: of every sample its own": TaskForm(has_own_choices=True),
    "`choices`: of every sample its own, with a question": TaskForm(
        has_own_choices=True, has_own_questions=True
    ),
    "`pairs`": TaskForm("pairs"),
    "`answers`": TaskForm("answers", has_own_questions=True),
}


def taken() -> list[str]:
    """Returns the rows of the table of what takes what, and the sentence below it."""
    rows = []
    for words, form in FORMS.items():
        models = ["no" if kind.refusal(form) else "yes" for kind in (DualEncoder, Fusion)]
        methods = "all" if form.has_classes else "all that need no classes"
        rows.append(f"| {words} | {' | '.join(models)} | {methods} |")
    needing = [f"`{name}`" for name in METHODS if resolve("methods", name).needs_classes]
    return [*rows, "", f"Methods that need classes: {', '.join(sorted(needing))}."]


def test_the_table_says_what_takes_what() -> None:
    table = PAGE.split("<!-- table: what takes what -->\n")[1].split("<!-- end of table -->")[0]
    assert table.splitlines()[2:] == taken()


def test_every_score_is_explained_where_its_kind_is() -> None:
    section = PAGE.split("## Scores")[1].split("## ")[0]
    parts = re.split(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)[1:]
    explained = {
        kind: tuple(
            name
            for row in text.splitlines()
            if row.startswith((" `", "| |"))
            for name in re.findall(r"`(\w+)`", row.lstrip("| ").split("|")[0])
        )
        for kind, text in zip(parts[::2], parts[1::2], strict=True)
    }
    assert explained == {kind: SCORES_OF[kind] for kind in KINDS}


def test_every_named_benchmark_stands_beside_its_kind() -> None:
    kinds = {
        name: row[1]
        for row in re.findall(r"^\| (`.+) \| `(\w+)` \|$", PAGE, flags=re.MULTILINE)
        for name in re.findall(r"`([\w-]+)`", row[0])
    }
    for name in benchmark_names():
        assert {source.kind for source in read_benchmark(name).tasks.values()} == {kinds[name]}
