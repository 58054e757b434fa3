"""Methods that are told the task: marked wherever they are named, ranked among themselves."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import (
    answers,
    compare,
    comparison,
    figures,
    load,
    metrics,
    rankings,
    to_latex,
    variance_components,
    write_report,
)
from analysis.data.results import MARK
from analysis.orders.ranking import rank_shares
from analysis.report.export import alone
from analysis.report.latex import escaped
from analysis.report.panels import PANELS
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.sentences import findings
from analysis.report.text.task_knowledge import INLINE, NOTE
from tests.analysis.synthetic import (
    Prefix,
    Scores,
    Trainer,
    World,
    read_rows,
    write_rows,
    write_study,
)

ORDERS = [
    [tuple("abc"), tuple("bca"), tuple("cab")],
    [tuple("acb"), tuple("cba"), tuple("bac")],
    [tuple("abc"), tuple("cab"), tuple("bac")],
]


@dataclass(frozen=True)
class TwoMetrics(World):
    """A world that measures its tasks by another metric, too."""

    def after(self, trainer: Trainer, seed: int, prefix: Prefix) -> Scores:
        scores = super().after(trainer, seed, prefix)
        return scores | {("task", task, "f1"): scores["task", task, "accuracy"] for task in "abc"}


WORLD = TwoMetrics(tasks=tuple("abc"))
METHODS = {
    "finetune": Trainer(0.95, 0.30, 0.06),
    "ewc": Trainer(0.85, 0.17, 0.035),
    "cutter": Trainer(0.92, 0.02, 0.01),
    "picker": Trainer(0.92, 0.0, 0.0),
    "guesser": Trainer(0.0, 0.0),  # no order moves it, nor the next one
    "individual": Trainer(0.0, 0.0),
}
TOLD = ("cutter", "picker", "guesser", "individual")
KNOWS = {name: name in TOLD for name in METHODS}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    return write_study(folder, ORDERS, WORLD, METHODS, knows_task=KNOWS)


@pytest.fixture(scope="module")
def page(out: Path) -> str:
    return Path(write_report(str(out), table_formats=["csv", "tex"])).read_text()


def write_gaps(folder: Path) -> Path:
    """Write a study with methods that have fewer runs, and a baseline that is told the task."""
    methods = {name: trainer for name, trainer in METHODS.items() if name != "finetune"}
    out = write_study(folder, ORDERS, WORLD, methods, knows_task=KNOWS)
    kept = {"picker": (0, 1), "guesser": (0,), "individual": ()}
    rows = read_rows(out)
    ends = [row["stage"] == 3 and row["replicate"] not in kept.get(row["method"], (0, 1, 2))
            for row in rows]  # fmt: skip
    write_rows(out, [row for row, is_gone in zip(rows, ends, strict=True) if not is_gone])
    return out


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gaps(tmp_path_factory.mktemp("gaps"))


@pytest.fixture(scope="module")
def page_of_gaps(gaps: Path) -> str:
    return Path(write_report(str(gaps))).read_text()


def test_results_say_who_is_told(out: Path) -> None:
    assert load(out).knows_task == KNOWS


def test_older_results_do_not_say_it(tmp_path: Path) -> None:
    results = load(write_study(tmp_path, ORDERS, WORLD, METHODS))
    assert set(results.knows_task.values()) == {None}
    assert results.__class__(results.stages.drop(columns="knows_task"), results.orders).knows_task
    study = StudyStatistics(results)
    assert not study.told
    assert len(study.terms) == 1
    assert MARK not in Path(write_report(str(tmp_path))).read_text().partition("<script")[0]


def test_tables_in_latex_have_a_best_value_of_each_kind(out: Path) -> None:
    """`individual` is a reference, and never the best."""
    text = to_latex(load(out))
    means = metrics(load(out)).groupby("method")["average_accuracy"].mean()
    told = means[["cutter", "picker", "guesser"]].idxmax()
    assert bold_of(text) == {means[["finetune", "ewc"]].idxmax(), rf"{told}\dag{{}}"}
    assert "For reference only: individual\\dag{}." in text
    assert escaped(NOTE) in text
    assert escaped(f"As measured. {NOTE}") in to_latex(load(out), caption="As measured.")


def test_tables_of_a_report_in_latex_have_marks_and_a_best_value_of_each_kind(
    out: Path, page: str
) -> None:
    assert page
    text = (out / "tables" / "methods.tex").read_text()
    assert (bold_of(text), escaped(NOTE) in text) == (bold_of(to_latex(load(out))), True)
    for path in (out / "tables").glob("*.tex"):
        content = path.read_text()
        assert not bare_names(content, r"\dag{}"), path.name
        assert (r"\dag{}" in content) == (r"\caption" in content or path.name == "answers.tex")


def test_a_bare_table_says_itself_which_methods_are_told(out: Path) -> None:
    """It does not say which are references."""
    table = comparison(load(out))
    assert table.set_index("method")["knows_task"].to_dict() == KNOWS
    text = to_latex(table)
    means = table.set_index("method")["average_accuracy"]
    told = means[list(TOLD)].idxmax()
    assert bold_of(text) == {means[["finetune", "ewc"]].idxmax(), rf"{told}\dag{{}}"}
    assert escaped(NOTE) in text
    assert "knows" not in text


def test_contenders_are_ranked_among_their_own_kind(out: Path) -> None:
    study = StudyStatistics(load(out))
    pairs = {frozenset((row.method, row.other)) for row in study.survival.itertuples()}
    told = [frozenset(pair) for pair in combinations(("cutter", "picker", "guesser"), 2)]
    assert pairs == {frozenset(("finetune", "ewc")), *told}
    found = answers(load(out))
    assert len({answer.about for answer in found}) == 2
    for answer in found:
        named = {name.strip("*") for name in re.findall(r"\*\*.+?\*\*", answer.sentence)}
        assert all(name.endswith(MARK) == answer.terms.startswith("told") for name in named)
    (first, *_), told = found, [a for a in found if a.terms.startswith("told")]
    assert "the two methods" in first.sentence
    assert 1 <= len(told) <= 2
    which = next(a for a in found if a.question.startswith("Which method for"))
    assert any(f"**individual{MARK}**" in line and "told" in line for line in which.detail)


def test_sentences_that_name_one_say_what_the_mark_means(out: Path) -> None:
    said = findings(StudyStatistics(load(out)))
    for sentence in said:
        for name in TOLD:
            assert f"**{name}**" not in sentence
        assert (f"{MARK}**" in sentence) == ("told the task" in sentence) or "ranked" in sentence
    assert any(f"**picker{MARK}**" in sentence for sentence in said)


@pytest.mark.parametrize("which", ["page", "page_of_gaps"])
def test_the_page_never_names_one_without_its_mark(
    which: str, request: pytest.FixtureRequest
) -> None:
    shown, *_ = request.getfixturevalue(which).partition("<script")
    said = re.findall(r'(?:aria-label|title)="([^"]*)"', shown)
    text = " ".join([re.sub(r"<[^>]*>", " ", shown), *said])
    assert not bare_names(text)
    for name in TOLD:
        assert f"{name}{MARK}" in text
    assert NOTE in text


def test_those_that_lack_runs_or_are_not_moved_are_named_on_it(
    gaps: Path, out: Path, page_of_gaps: str
) -> None:
    """What the test above looks for in vain was there to be found."""
    study, whole = StudyStatistics(load(gaps)), StudyStatistics(load(out))
    assert whole.unmoved == ["guesser", "individual"]
    assert study.baseline == "cutter"
    assert not {"individual"} & {method for _, method in study.groups}
    for said in (
        f"Without a complete run: individual{MARK}.",
        f"none for guesser{MARK}",
        f"guesser{MARK} and picker{MARK} have fewer than the others",
        f"Is a method better than cutter{MARK} on",
        f"relative to cutter{MARK}",
        f"Left out, because no order moves them: guesser{MARK}",
        f"it does not move guesser{MARK}",
        f"guesser{MARK}: one seed",
        "All metrics at the end",
    ):
        assert said in page_of_gaps, said


def test_what_the_mark_means_is_said_once_in_a_part_of_the_page(page: str) -> None:
    shown, *_ = page.partition("<script")
    parts = [part for part in shown.split('class="panel ')[1:] if MARK in part]
    said = [(part.count(NOTE), INLINE in part) for part in parts]
    assert {(0, True), (1, False)} == set(said)


def test_figures_mark_names(out: Path) -> None:
    study = StudyStatistics(load(out))
    drawn = 0
    for panel in PANELS:
        frame = panel.frame(study)
        figure = None if frame.empty else alone(panel, frame, study)
        if figure is not None:
            found = list(words(json.loads(figure.to_json())))
            drawn += sum(MARK in word for word in found)
            assert not [bare for word in found for bare in bare_names(word)], panel.key
    assert drawn > 10
    for name in ("picker", "ewc"):
        shown = " ".join(words(json.loads(figures.matrix(load(out), name).to_json())))
        assert not bare_names(shown)
        assert (f"{name}{MARK}" in shown) == (name in TOLD)


def test_published_orders_have_marks(out: Path) -> None:
    study = StudyStatistics(load(out), published=("a>b>c",))
    panel = next(panel for panel in PANELS if panel.key == "published")
    frame = panel.frame(study)
    shown = [panel.finding(frame, study), panel.below(frame, study)]
    shown += words(json.loads(panel.draw(frame, study).to_json()))
    text = " ".join(shown)
    assert f"picker{MARK}" in text
    assert not bare_names(text)


def test_tables_have_a_column(out: Path, page: str) -> None:
    assert page
    methods = pd.read_parquet(out / "tables" / "methods.parquet")
    assert methods.set_index("method")["knows_task"].to_dict() == KNOWS
    assert "knows_task" in (out / "tables" / "methods.csv").read_text().splitlines()[0]


def test_markdown_marks_and_explains(out: Path, page: str) -> None:
    assert page
    text = (out / "report.md").read_text()
    assert NOTE in text
    assert f"picker{MARK}" in text
    assert not bare_names(text)


def test_the_interface_says_it_where_methods_are_compared(out: Path) -> None:
    runs = metrics(load(out))
    assert dict(zip(runs["method"], runs["knows_task"], strict=True)) == KNOWS
    for table in (comparison(runs), compare(runs, "finetune"), rank_shares(runs)):
        found = dict(zip(table["method"], table["knows_task"], strict=True))
        assert found == {name: KNOWS[name] for name in found}
        assert len(found) >= len(KNOWS) - 1
    for table in (rankings(runs), variance_components(runs)):
        assert (table["methods"].unique(), table["told"].unique()) == (len(KNOWS), len(TOLD))
    unknown = runs.drop(columns="knows_task")
    assert comparison(unknown)["knows_task"].isna().all()
    assert rankings(unknown)["told"].tolist() == [0]


def bare_names(text: str, mark: str = MARK) -> list[str]:
    """Where methods that are told the task have no mark, in what is no command."""
    text = re.sub(r"--method \w+", "", text)
    return re.findall(rf".{{0,30}}\b(?:{'|'.join(TOLD)})\b(?!{re.escape(mark)}).{{0,30}}", text)


def bold_of(table: str) -> set[str]:
    """The methods of a table in LaTeX whose average accuracy is bold."""
    head, *rows = [row.split(" & ") for row in table.splitlines() if " & " in row]
    at = head.index(next(title for title in head if title.startswith("Average accuracy")))
    return {row[head.index("method")] for row in rows if row[at].startswith(r"\textbf")}


def words(content: Any) -> Iterator[str]:
    """All texts of a figure but what its own colours and keys are called."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            if key not in ("legendgroup", "template"):
                yield from words(value)
    elif isinstance(content, list):
        for value in content:
            yield from words(value)
