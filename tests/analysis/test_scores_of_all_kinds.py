"""Reports of studies whose tasks are scored by other metrics than accuracy, or only in part."""

import re
from pathlib import Path
from typing import Any

import yaml

from analysis import answers, figures, load, metrics, write_report
from tests.analysis.synthetic import World, random_orders, read_rows, write_rows, write_study
from tests.analysis.test_report_page import Page

TASKS = ("flowers", "photos", "questions")
SCORED = {"flowers": "accuracy", "photos": "recall", "questions": "vqa_accuracy"}
ERRORS = {"flowers": 0.02, "photos": 0.03, "questions": 0.01}
WORD = re.compile(r"(?<![\w.-])accura(?:cy|cies|te)(?![\w-])", re.IGNORECASE)


def mixed(out: Path, **evaluation: Any) -> Path:
    """A study of three kinds of task, on some of their test samples."""
    write_study(out, random_orders(TASKS, 6, 3), World(tasks=TASKS))
    rows = []
    for row in read_rows(out):
        if row["split"] == "task":
            row |= {"metric": SCORED[row["eval_task"]], "is_score": True}
            rows.append(row | {"metric": "exact", "value": 0.125, "is_score": False})
            if "samples" in evaluation:
                error = {"metric": "sampling_error", "value": ERRORS[row["eval_task"]]}
                rows.append(row | error | {"is_score": False})
        elif row["split"] == "probe":
            row["is_score"] = True
        rows.append(row)
    write_rows(out, rows)
    (out / "study.yaml").write_text(yaml.safe_dump({"evaluation": evaluation}))
    return out


def _body(card: Path) -> str:
    """A card without its head, which names tables."""
    return card.read_text().split("\n---\n")[1]


def test_scores_are_those_that_are_marked(tmp_path: Path) -> None:
    plain = metrics(
        load(str(write_study(tmp_path / "plain", random_orders(TASKS, 6, 3), World(tasks=TASKS))))
    )
    found = metrics(load(str(mixed(tmp_path / "mixed"))))
    assert found["average_accuracy"].tolist() == plain["average_accuracy"].tolist()


def test_no_sentence_speaks_of_accuracy_where_there_are_other_scores(tmp_path: Path) -> None:
    out = mixed(tmp_path, samples=500, choices="seen")
    report = Path(write_report(str(out)))
    page = Page(report.read_text())
    named = "Score, each between 0 and 1: accuracy of digits"  # the metric's own name
    for text in (page.text, (out / "report.md").read_text(), _body(out / "CARD.md")):
        assert not WORD.findall(text.replace(named, "")), text[:80]
    assert named in page.text
    assert "average score" in page.text
    drawn = next(text for name, text in page.scripts.items() if '"layout"' in text)
    assert not WORD.findall(drawn)
    for answer in answers(str(out)):
        assert not WORD.findall(" ".join((answer.question, answer.sentence, *answer.detail)))
    axis = figures.overview(str(out)).layout.xaxis.title.text
    assert axis == "average score"


def test_links_and_tables_keep_their_names(tmp_path: Path) -> None:
    page = Page(Path(write_report(str(mixed(tmp_path)))).read_text())
    linked = {a["data-table"] for _, a in page.elements if "data-table" in a}
    assert linked
    for name in linked:
        assert (tmp_path / "tables" / f"{name}.parquet").is_file()


def test_studies_of_accuracies_speak_of_accuracy(tmp_path: Path) -> None:
    write_study(tmp_path, random_orders(TASKS, 6, 3), World(tasks=TASKS))
    text = Page(Path(write_report(str(tmp_path))).read_text()).text
    assert "average accuracy" in text
    assert "average score" not in text


def test_stages_that_were_evaluated_in_part_leave_gaps_and_no_crash(tmp_path: Path) -> None:
    out = mixed(tmp_path, every=3)
    rows = [
        row
        for row in read_rows(out)
        if row["stage"] in (0, 3)
        or (row["split"] == "task" and row["eval_task"] == row["trained_task"])
    ]
    write_rows(out, rows)
    runs = metrics(load(str(out)))
    assert runs["average_accuracy"].notna().all()
    assert runs["bwt"].notna().all()
    assert runs["avg"].isna().all()
    report = Path(write_report(str(out)))
    text = (report.parent / "report.md").read_text()
    assert "every 3 stages" in text
    assert "nan" not in Page(report.read_text()).text.lower().split()
