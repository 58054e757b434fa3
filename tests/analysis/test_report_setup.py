"""What a reviewer looks for: settings, what was left out, and how to repeat and cite."""

import json
import re
from html import unescape
from importlib import resources
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import yaml

from analysis import load
from analysis.report.panels import PANELS, repeat_and_cite, study_setup
from analysis.report.panels.evaluated_tasks import EvaluatedTasks
from analysis.report.panels.repeat_and_cite import RepeatAndCite
from analysis.report.panels.study_setup import StudySetup
from analysis.report.study_statistics import StudyStatistics
from analysis.version import __version__
from tests.analysis.embedded import write_embeddings
from tests.analysis.ood_rows import write_ood
from tests.analysis.routing_rows import write_routing
from tests.analysis.synthetic import (
    METHODS,
    World,
    random_orders,
    read_rows,
    write_rows,
    write_similarity,
    write_study,
)

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 6, 2)
LEARNERS = {name: METHODS[name] for name in ("zero_shot", "ewc", "lora")}
CONFIG = {
    "name": "quickstart",
    "backbones": {"tiny-clip": {"path": "org/clip", "revision": "abc123", "answer": None}},
    "methods": {
        "zero_shot": None,
        "ewc": {"method": "ewc", "strength": 1000.0, "lr": None},
        "lora": {"method": "lora", "rank": 8, "lr": 0.005},
    },
    "design": {"name": "random", "num_orders": 6},
    "seed": 4,
    "training": {"steps": 25, "batch_size": 32, "lr": 0.001, "precision": "fp32", "per_task": {}},
}
PLAN = {
    "trainings": {"zero_shot": 0, "ewc": 15, "lora": 15},
    "tasks": {"a": {"train": 64, "test": 32, "choices": 7}},
}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_study(tmp_path, ORDERS, World(tasks=TASKS), LEARNERS)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    manifest = {"python": "3.11.7", "versions": {"torch": "2.13.0"}, "workers": [{"device": "cpu"}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def words(html: str) -> str:
    """Returns what is read, a cell or word after the other."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def below(panel: StudySetup | EvaluatedTasks | RepeatAndCite, out: Path) -> str:
    study = StudyStatistics(load(str(out)))
    return words(panel.below(panel.frame(study), study))


def test_settings_are_those_of_the_study(out: Path) -> None:
    """lora has a learning rate of its own, ewc that of the training, zero_shot none."""
    said = below(StudySetup(), out)
    assert "ewc ewc strength 1000 0.001 15" in said
    assert "lora lora rank 8 0.005 15" in said
    assert "zero_shot zero_shot \u2013 \u2013 0" in said
    assert "Backbones tiny-clip: path org/clip, revision abc123" in said
    assert "Training steps 25, batch_size 32, lr 0.001, precision fp32" in said
    assert "random: 2 replicates of 6 orders" in said
    assert "seed of the study 4; seeds of the replicates 1000 and 1017." in said
    assert "Left out Nothing." in said
    assert "Reference points zero_shot." in said
    assert "Trained with Python 3.11.7, torch 2.13.0; device: cpu." in said
    assert "None" not in said
    frame = StudySetup().frame(StudyStatistics(load(str(out))))
    found = frame.set_index(["part", "name", "setting"])["value"]
    assert found["methods", "lora", "rank"] == "8"
    assert ("backbones", "tiny-clip", "answer") not in found.index


def test_published_figures_of_the_benchmark_are_shown(out: Path) -> None:
    assert "Published figures" not in below(StudySetup(), out)
    figures: list[dict[str, object]] = [
        {"method": "zscl", "order": "order-1", "source": "A & B", "figures": {"Last": 83.6}},
        {"method": "pam", "order": None, "source": "C", "figures": {"Last": 49.89, "BWT": -19.4}},
    ]
    (out / "plan.json").write_text(json.dumps(PLAN | {"published": figures}))
    said = below(StudySetup(), out)
    assert "Published figures of this benchmark, in percent; other code, other splits:" in said
    assert "method order Last BWT source zscl order-1 83.6 \u2013 A & B" in said
    assert "pam \u2013 49.89 -19.4 C" in said


def test_what_is_missing_is_said(out: Path) -> None:
    gone = ORDERS[1][0]
    rows = [row for row in read_rows(out) if row["method"] != "lora"]
    rows = [row for row in rows if (row["replicate"], tuple(row["prefix"])) != (1, gone)]
    lora = [row for row in read_rows(out) if row["method"] == "lora" and row["stage"] == 0]
    write_rows(out, rows + lora)
    said = below(StudySetup(), out)
    assert "14 of 36 planned runs are incomplete." in said
    assert "Without a complete run: lora." in said
    assert "Without a verdict" in said


def test_tasks_have_their_sizes_where_the_plan_says_so(out: Path) -> None:
    said = below(EvaluatedTasks(), out)
    assert "train samples choices test samples" in said
    assert re.search(r"\ba task choices accuracy 64 7 500 0\.\d+", said)
    assert re.search(r"\bb task choices accuracy \u2013 \u2013 500 0\.\d+", said)
    (out / "plan.json").unlink()
    said = below(EvaluatedTasks(), out)
    assert "train samples" not in said
    assert re.search(r"\ba task choices accuracy 500 0\.\d+", said)


def test_a_folder_without_settings_claims_none(out: Path) -> None:
    for name in ("study.yaml", "plan.json", "manifest.json"):
        (out / name).unlink()
    said = below(StudySetup(), out)
    assert said.startswith("Design random: 2 replicates")
    assert "Trained with" not in said
    assert "sweep run" not in below(RepeatAndCite(), out)


def test_commands_and_citation(out: Path) -> None:
    said = below(RepeatAndCite(), out)
    assert "sweep run study.yaml --out ../again" in said
    assert "sweep run quickstart" not in said  # the study is called "synthetic" in its results
    rows = [row | {"study": "quickstart"} for row in read_rows(out)]
    write_rows(out, rows)
    assert "sweep run quickstart" in below(RepeatAndCite(), out)
    assert f"version = {{{__version__}}}" in said
    assert "note = {Study: synthetic}" in said


def test_citation_and_shipped_studies_are_those_of_the_software() -> None:
    root = Path(study_setup.__file__).parents[3]
    known = yaml.safe_load((root / "CITATION.cff").read_text())
    for part in (known["title"], known["authors"][0]["name"], known["license"]):
        assert part in repeat_and_cite.CITATION
    studies = [file.name for file in (resources.files("sweep") / "studies").iterdir()]
    shipped = {name.removesuffix(".yaml") for name in studies if name.endswith(".yaml")}
    assert set(repeat_and_cite.SHIPPED) == shipped


CASES = {
    "one method": {"methods": {"ewc": METHODS["ewc"]}},
    "one order": {"orders": [[TASKS]]},
    "one replicate": {"orders": random_orders(TASKS, 6, 1)},
    "one task": {"orders": [[("a",)], [("a",)]], "world": World(tasks=("a",))},
    "two backbones": {"backbones": ("clip", "siglip")},
    "only the untouched backbone": {"methods": {"zero_shot": METHODS["zero_shot"]}},
    "no noise": {"world": World(tasks=TASKS, noise=0, replicate_effect=0)},
    "all orders": {"orders": [list(permutations(TASKS))] * 3},
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_states_its_finding(tmp_path: Path, case: str) -> None:
    settings = {"orders": ORDERS, "world": World(tasks=TASKS)} | CASES[case]
    write_study(tmp_path, **settings)
    if case == "all orders":
        rng = np.random.default_rng(0)
        write_similarity(tmp_path, {"near": rng.random((3, 3))}, settings["orders"], TASKS)
        write_embeddings(tmp_path, settings["orders"], ["finetune"], features=True)
        write_ood(tmp_path, TASKS, "finetune")
        write_routing(tmp_path, (*TASKS, "digits"), "finetune")
    study = StudyStatistics(load(str(tmp_path)))
    drawn = 0
    for panel in PANELS:
        frame = panel.frame(study)
        if frame.empty or panel.draw(frame, study) is None:
            continue
        drawn += 1
        said = panel.finding(frame, study)
        assert said.endswith("."), panel.key
        assert "nan" not in said, said
        assert not re.search(r"[<>{}]|\bNone\b(?! of)", said), said
        assert panel.caption(frame, study).startswith("Unit: "), panel.key
        traces = panel.draw(frame, study).data
        assert any(trace.visible is not False for trace in traces), panel.key
    assert drawn >= 1
    if case == "all orders":
        assert drawn >= 18
