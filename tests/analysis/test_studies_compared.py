"""One report of several studies: baselines, methods that are the same, and what differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from analysis import combine, compare, from_matrices, load, metrics, write_report
from analysis.orders.comparison import preferred_baselines
from analysis.report import studies_in
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.sentences import findings
from analysis.report.text.verdict_sentences import differing
from tests.analysis.synthetic import METHODS, Trainer, World, random_orders, write_study

TASKS = ("a", "b", "c")
ORDERS = random_orders(TASKS, 6, 3)
CONFIG = {
    "name": "first",
    "seed": 4,
    "training": {"steps": 25, "lr": 0.001},
    "methods": {"er": {"memory": 200}, "lwf": {"weight": 1}},
}
FROM_REPLAY = METHODS["replay"]
WORSE = Trainer(0.92, 0.12)


def two_studies(home: Path, second: dict[str, Trainer], config: dict) -> StudyStatistics:
    """Study A of er and lwf, and study B of other methods, with other settings."""
    first = {"er": FROM_REPLAY, "lwf": METHODS["ewc"]}
    for name, methods, content in (("A", first, CONFIG), ("B", second, config)):
        write_study(home / name, ORDERS, World(tasks=TASKS), methods)
        (home / name / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    results, out, configs, *_ = studies_in(str(home / "A"), [str(home / "B")])
    assert out == str(home / "A+B")
    return StudyStatistics(results, configs=configs)


OTHER = {
    "name": "second",
    "seed": 4,
    "training": {"steps": 50, "lr": 0.001},
    "methods": {"er": {"memory": 100}, "ewc": {"strength": 1}},
}


def test_every_study_keeps_its_baseline(tmp_path: Path) -> None:
    study = two_studies(tmp_path, {"er": WORSE, "ewc": METHODS["ewc"]}, OTHER)
    assert study.methods == ["er (A)", "er (B)", "ewc", "lwf"]
    assert study.baseline == "er"
    assert study.partners == {"ewc": "er (B)", "lwf": "er (A)"}
    runs = metrics(study.results)
    for method, baseline in study.partners.items():
        alone = compare(runs[runs["method"].isin([method, baseline])], baseline)
        alone = alone[alone["metric"] == "average_accuracy"].iloc[0]
        found = study.comparison[study.comparison["metric"] == "average_accuracy"]
        found = found.set_index("method").loc[method]
        assert found["baseline"] == baseline
        assert (found["mean"], found["low"]) == (alone["mean"], alone["low"])
    (said,) = [s for s in findings(study) if "the least that matters" in s]
    assert said.startswith("Against **er (A)** and **er (B)**, each method with that of its study,")


def test_the_same_settings_of_a_key_are_not_said(tmp_path: Path) -> None:
    study = two_studies(tmp_path, {"er": WORSE, "ewc": METHODS["ewc"]}, OTHER)
    assert findings(study)[0] == (
        "**A** and **B** differ in training.steps (25; 50), methods.er.memory (200; 100), "
        "methods.lwf (only A), methods.ewc (only B)."
    )
    assert differing({"A": CONFIG, "B": CONFIG | {"name": "again"}}) == (
        "**A** and **B** have the same settings."
    )
    assert differing({"A": CONFIG}) == differing({}) == ""


def test_methods_of_one_name_are_compared_between_studies(tmp_path: Path) -> None:
    study = two_studies(tmp_path, {"er": WORSE, "ewc": METHODS["ewc"]}, OTHER)
    runs = metrics(study.results).set_index(["method", "replicate", "order"])["average_accuracy"]
    gain = (runs["er (B)"] - runs["er (A)"]).groupby(level="replicate").mean()
    found = study.between[study.between["metric"] == "average_accuracy"]
    assert found["method"].tolist() == ["er (B)"]
    assert found["baseline"].tolist() == ["er (A)"]
    assert found["mean"].iloc[0] == pytest.approx(gain.mean())
    assert found["runs"].iloc[0] == 18
    (said,) = [s for s in findings(study) if s.startswith("Between the studies")]
    assert f"**er (B) - er (A)** ({gain.mean():+.3f} [" in said


def test_a_method_that_is_the_same_in_both_counts_once(tmp_path: Path) -> None:
    study = two_studies(tmp_path, {"er": FROM_REPLAY, "ewc": METHODS["lora"]}, OTHER)
    assert study.methods == ["er", "ewc", "lwf"]
    assert study.partners == {"ewc": "er", "lwf": "er"}
    runs = study.runs[study.runs["method"] == "er"]
    alone = metrics(load(str(tmp_path / "A")))
    alone = alone[alone["method"] == "er"]
    columns = ["replicate", "order", "planned", "average_accuracy", "train_seconds"]
    assert runs[columns].reset_index(drop=True).equals(alone[columns].reset_index(drop=True))
    assert study.between.empty
    assert not any("Between the studies" in sentence for sentence in findings(study))


def test_studies_without_common_orders_say_that_there_are_no_pairs(tmp_path: Path) -> None:
    first = {"er": FROM_REPLAY, "lwf": METHODS["ewc"]}
    write_study(tmp_path / "A", [[TASKS]], World(tasks=TASKS), first)
    write_study(tmp_path / "B", [[TASKS[::-1]]], World(tasks=TASKS), {"er": WORSE})
    results, _, configs, *_ = studies_in(str(tmp_path / "A"), [str(tmp_path / "B")])
    study = StudyStatistics(results, configs=configs)
    assert any("**er (B)** has no complete run in common" in said for said in findings(study))
    assert study.partners == {"lwf": "er (A)"}


def test_finetune_is_the_baseline_of_all_wherever_it_is(tmp_path: Path) -> None:
    study = two_studies(tmp_path, {"er": WORSE, "finetune": METHODS["finetune"]}, OTHER)
    assert set(study.partners.values()) == {"finetune"}
    assert preferred_baselines(study.runs.iloc[:0], study.results.origins) == {}


def test_intransigence_is_against_the_joint_model_of_the_same_study() -> None:
    R, order = np.array([[0.2, 0.2], [0.6, 0.2], [0.5, 0.7]]), [("a", "b")]
    studies = {}
    for name, gain in (("A", 0.1), ("B", 0.2)):
        parts = {
            "m": from_matrices([R], order, "m"),
            "joint": from_matrices([R + gain], order, "joint"),
        }
        studies[name] = combine(parts)
    studies["B"] = replace(
        studies["B"], stages=studies["B"].stages.assign(value=studies["B"].stages["value"] - 0.01)
    )
    found = metrics(combine(studies)).set_index("method")["intransigence"]
    assert found["m (A)"] == pytest.approx(0.1)
    assert found["m (B)"] == pytest.approx(0.2)


def test_the_page_of_two_studies_shows_both(tmp_path: Path) -> None:
    two_studies(tmp_path, {"er": WORSE, "ewc": METHODS["ewc"]}, OTHER)
    path = Path(write_report(str(tmp_path / "A"), str(tmp_path / "B")))
    assert path.parent == tmp_path / "A+B"
    text = path.read_text()
    assert "<h1>A, B</h1>" in text
    assert "Between studies" in text
    assert "nan" not in (path.parent / "report.md").read_text()
    table = pd.read_parquet(path.parent / "tables" / "between_studies.parquet")
    assert set(table["method"]) == {"er (B)"}
