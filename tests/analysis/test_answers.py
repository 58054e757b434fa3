"""Every question of a reader has an answer, for every study, and it is the right one."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import Answer, answers, combine, from_matrices, load, write_report
from analysis.orders.order_models import order_models
from analysis.orders.survival import survival_verdicts
from analysis.report.panels.overview import Overview
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.answers import answers_of, spoken
from analysis.report.text.needs import choices, groups_alike
from analysis.report.text.order_answers import rule
from tests.analysis.mtil import mtil
from tests.analysis.synthetic import (
    METHODS,
    Trainer,
    World,
    failed_row,
    random_orders,
    read_rows,
    write_rows,
    write_study,
)

TASKS = ("a", "b", "c", "d")
ORDERS = random_orders(TASKS, 8, 4)
WORLD = World(tasks=TASKS)
QUESTIONS = (
    "Does the ranking survive another task order?",
    "Which method for which need?",
    "How sure is that?",
    "What does the order do",
    "Which orders are worst",
    "What should I run next?",
)


def several(out: Path) -> StudyStatistics:
    return _study(write_study(out, ORDERS, WORLD))


def many_methods(out: Path) -> StudyStatistics:
    harms = (0.02, 0.06, 0.061, 0.066, 0.072, 0.12, 0.2, 0.25, 0.3)
    methods = {f"m{i}": Trainer(0.9, harm) for i, harm in enumerate(harms)}
    return _study(write_study(out, ORDERS, WORLD, methods))


def one_replicate(out: Path) -> StudyStatistics:
    return _study(write_study(out, ORDERS[:1], WORLD))


def loaded_experts(out: Path) -> StudyStatistics:
    write_study(out, ORDERS[:1], WORLD)
    (out / "study.yaml").write_text("experts: {path: 'some/{task}'}\n")
    return _study(out)


def one_method(out: Path) -> StudyStatistics:
    methods = {name: METHODS[name] for name in ("replay", "zero_shot")}
    return _study(write_study(out, ORDERS, WORLD, methods))


def one_order(out: Path) -> StudyStatistics:
    return _study(write_study(out, [[TASKS]] * 3, WORLD))


def percent(out: Path) -> StudyStatistics:
    return StudyStatistics(mtil())


def failed_method(out: Path) -> StudyStatistics:
    write_study(out, ORDERS, WORLD)
    rows = [r for r in read_rows(out) if r["method"] != "ewc" or not r["prefix"]]
    head = {"study": "synthetic", "backbone": "tiny-clip", "method": "ewc"}
    rows.append(failed_row(head | {"replicate": 0, "seed": 1000}, ("a",), "lost"))
    write_rows(out, rows)
    return _study(out)


def compared(out: Path) -> StudyStatistics:
    one = load(str(write_study(out / "A", ORDERS, WORLD, {"er": METHODS["replay"]})))
    other = load(str(write_study(out / "B", ORDERS, WORLD, {"er": METHODS["ewc"]})))
    return StudyStatistics(combine({n: _named(r, n) for n, r in (("A", one), ("B", other))}))


def incomplete(out: Path) -> StudyStatistics:
    write_study(out, ORDERS, WORLD)
    kept = [r for r in read_rows(out) if r["replicate"] < 3 or len(r["prefix"]) < 4]
    write_rows(out, kept)
    return _study(out)


def nothing_complete(out: Path) -> StudyStatistics:
    write_study(out, ORDERS, WORLD)
    write_rows(out, [r for r in read_rows(out) if len(r["prefix"]) < 3])
    return _study(out)


STUDIES: tuple[Callable[[Path], StudyStatistics], ...] = (
    several,
    many_methods,
    one_replicate,
    loaded_experts,
    one_method,
    one_order,
    percent,
    failed_method,
    compared,
    incomplete,
    nothing_complete,
)
WORDS = {
    "several": ("On average", "replay", "4 replicates", "Moves it by 0", "d before b", "17 more"),
    "many_methods": ("Yes", "m0", "4 replicates", "Moves it by 0", "No rule found", "Nothing"),
    "one_replicate": (*2 * ("Cannot say",), "Not known", "Moves", "No rule known", "4 more"),
    "loaded_experts": (
        *(*2 * ("Cannot say",), "Not known", "Moves", "No rule known", "Other experts"),
    ),
    "one_method": (
        *("Cannot say", "Only replay", "4 replicates", "Moves", "d before b", "Another method"),
    ),
    "one_order": ("Cannot say", "replay", "3 replicates", *2 * ("Cannot say",), "More orders"),
    "percent": (
        *("Cannot say", "No clear choice", "2 replicates"),
        *(*2 * ("Cannot say",), "3 more"),
    ),
    "failed_method": ("Yes", "replay", "4 replicates", "Moves", "d before b", "What is missing"),
    "compared": ("Yes", r"er \(A\)", "4 replicates", "Moves", "d before b", "Nothing"),
    "incomplete": (
        "On average",
        "replay",
        "3 replicates",
        "Moves",
        "d before b",
        "What is missing",
    ),
    "nothing_complete": ("Cannot say", "Cannot say", "Not known", *2 * ("Cannot say",), "What is"),
}


def _study(out: Path) -> StudyStatistics:
    return StudyStatistics(load(str(out)))


def _named(results: object, name: str) -> object:
    return replace(results, stages=results.stages.assign(study=name))


@pytest.mark.parametrize("make", STUDIES, ids=lambda make: make.__name__)
def test_every_question_has_its_answer(
    make: Callable[[Path], StudyStatistics], tmp_path: Path
) -> None:
    study = make(tmp_path)
    found = answers_of(study)
    if make is compared:
        first = found.pop(0)
        assert (first.question, first.word) == ("Do the studies differ?", "Yes")
        assert first.sentence == "On the same orders and seeds, worse: **er (B)**."
    assert len(found) == len(QUESTIONS)
    for answer, question, word in zip(found, QUESTIONS, WORDS[make.__name__], strict=True):
        assert answer.question.startswith(question)
        assert re.match(word, answer.word), answer
        whole = spoken(answer) + " ".join(answer.detail)
        assert "nan" not in whole
        assert "inf" not in whole
        assert answer.sentence[-1] == "."
        assert answer.sentence[0].isupper() or answer.sentence.startswith("**")
        for sentence in re.split(r"(?<=[a-z\])])\. ", answer.sentence):
            outside = re.sub(r"\[.*?\]", "", sentence)
            numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)", outside)
            assert len(numbers) <= 3, sentence


def test_a_reference_is_never_the_most_accurate_method(tmp_path: Path) -> None:
    methods = {"er": METHODS["replay"], "finetune": METHODS["finetune"]}
    study = _study(
        write_study(tmp_path, ORDERS, WORLD, methods | {"individual": Trainer(1.0, 0.0)})
    )
    assert study.groups[0][1] == "individual"
    compared = {*study.survival["method"], *study.survival["other"]}
    assert compared == {"er", "finetune"}
    which = answers_of(study)[1]
    assert which.word == "er"
    assert re.fullmatch(r"For reference: \*\*individual\*\* [\d., \[\]]+\.", which.detail[-1])
    frame = Overview().frame(study)
    assert list(frame["method"]) == ["er", "finetune", "individual"]
    assert list(frame["is_reference"]) == [False, False, True]
    assert frame["alike"].iloc[2] == ""


def test_what_the_order_changes_is_said_with_both_names(tmp_path: Path) -> None:
    study = _study(tmp_path_of_changing(tmp_path))
    answer = answers_of(study)[0]
    (found,) = survival_verdicts(study.survival)
    assert found.verdict == "no"
    assert answer.word == "No"
    (pair,) = found.changing
    row = study.survival.iloc[0]
    assert f"**{pair[1]}** wins {row['reversals']} of {row['runs']} runs" in answer.sentence


def tmp_path_of_changing(out: Path) -> Path:
    """Two methods of which the first task decides which one is ahead."""
    write_study(out, ORDERS, WORLD, {"one": METHODS["replay"], "other": METHODS["replay"]})
    rows = read_rows(out)
    for row in rows:
        if row["method"] == "other" and row["split"] == "task" and row["prefix"]:
            row["value"] += 0.1 if row["prefix"][0] in ("a", "b") else -0.1
    write_rows(out, rows)
    return out


def test_a_rule_of_orders_is_found_where_there_is_one_and_not_in_noise() -> None:
    def runs(seed: int, effect: float) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        return pd.DataFrame(
            {"backbone": "c", "method": "m", "replicate": r, "order": order, "planned": 8}
            | {"average_accuracy": 0.6 - effect * (order[-1] == "b") + rng.normal(0, 0.01)}
            for r, block in enumerate(random_orders(TASKS, 8, 4, seed))
            for order in block
        )

    def found(seed: int, effect: float) -> tuple[str, float, float] | None:
        drawn = runs(seed, effect)
        return rule(drawn, order_models(drawn))

    words, gap, r2 = found(0, 0.1)
    assert words == "b last"
    assert gap == pytest.approx(0.1, abs=0.02)
    assert r2 > 0.7
    assert sum(found(seed, 0.0) is not None for seed in range(25)) <= 3  # 5 % of 25, and luck


def test_needs_name_only_what_is_decided(tmp_path: Path) -> None:
    study = _study(write_study(tmp_path, ORDERS, WORLD, {m: METHODS[m] for m in ("ewc", "replay")}))
    found = {choice.title: choice for choice in choices(study.runs)}
    assert found["Shortest training"].methods == ("ewc",)  # by name: 3 letters and 6, in seconds
    assert found["Best in its worst order"].methods == ("replay",)
    single = study.runs[study.runs["replicate"] == 0]
    assert choices(single) == []
    noise = study.runs.assign(train_seconds=np.where(study.runs["method"] == "ewc", 10.0, 10.2))
    same = {choice.title: choice for choice in choices(noise)}["Shortest training"]
    assert same.methods == ("ewc", "replay")
    assert same.is_equivalent


def test_bars_join_what_no_pair_of_the_table_decides(tmp_path: Path) -> None:
    study = many_methods(tmp_path)
    frame = Overview().frame(study).set_index("method")
    pairs = study.survival
    for row in pairs.itertuples():
        shares = bool(set(frame.loc[row.method, "alike"]) & set(frame.loc[row.other, "alike"]))
        assert shares == (row.verdict != "better"), (row.method, row.other)
    assert groups_alike(["a", "b", "c"], []) == [["a", "b", "c"]]
    finding = Overview().finding(frame.reset_index(), study)
    figure = Overview().draw(frame.reset_index(), study)
    bars = [shape for shape in figure.layout.shapes if (shape.name or "").startswith("alike")]
    assert len(bars) == finding.partition("Not shown to differ: ")[2].count(";") + 1


def test_answers_open_report_and_card(tmp_path: Path) -> None:
    write_study(tmp_path, ORDERS, WORLD)
    page = Path(write_report(str(tmp_path))).read_text()
    first = answers(str(tmp_path))[0]
    assert isinstance(first, Answer)
    assert page.index(first.question) < page.index("All findings")
    for name in ("report.md", "CARD.md"):
        text = (tmp_path / name).read_text()
        assert f"- {first.question} **{first.word}.** {first.sentence}" in text


def test_two_backbones_have_answers_of_their_own(tmp_path: Path) -> None:
    write_study(tmp_path, ORDERS[:2], WORLD, backbones=("small", "large"))
    found = answers(str(tmp_path))
    assert [a.backbone for a in found] == ["large"] * len(QUESTIONS) + ["small"] * len(QUESTIONS)
    assert spoken(found[0], with_backbone=True).startswith("large: Does the ranking")
    text = (Path(write_report(str(tmp_path))).parent / "report.md").read_text()
    assert "- small: Does the ranking" in text


def test_given_matrices_have_answers() -> None:
    found = answers(from_matrices([[[0.9, 0.2], [0.7, 0.8]]], [("cars", "pets")]))
    assert [answer.word for answer in found][:3] == ["Cannot say", "Only unnamed", "Not known"]


def test_no_replicate_is_promised_to_tell_what_the_same_experts_cannot(tmp_path: Path) -> None:
    said = " ".join(answer.sentence for answer in answers_of(loaded_experts(tmp_path)))
    assert "another replicate would merge the same ones again" in said
    assert not re.search(r"--set replicates|two or more can|A second one gives", said)
