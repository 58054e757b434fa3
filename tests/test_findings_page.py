"""docs/findings.md: its tables are those of the stored measurements, and what these mean."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from analysis import block_means, metrics, tiny_study
from analysis.inference.intervals import t_interval
from sweep.storage.run_folder import dump
from sweep.study.schema import Study

ROOT = Path(__file__).parent.parent


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import findings_page

    return findings_page


def test_it_is_up_to_date(page: ModuleType) -> None:
    text, measured = page.PAGE.read_text("utf-8"), json.loads(page.MEASURED.read_text("utf-8"))
    assert page.with_tables(text, measured) == text, "run python docs/findings_page.py"
    assert "sweep run mechanisms --out runs/pictures/mechanisms" in text


def test_every_finding_of_a_study_that_was_run_is_measured(page: ModuleType) -> None:
    measured = json.loads(page.MEASURED.read_text("utf-8"))
    assert {finding.study for finding in page.FINDINGS} == set(page.STUDIES) >= set(measured)
    texts = [finding.text for finding in page.FINDINGS]
    assert len(set(texts)) == len(texts)
    for study, worlds in measured.items():
        for world, found in worlds.items():
            mine = {finding.text for finding in page.FINDINGS if finding.study == study}
            assert set(found["findings"]) == mine, f"{study}, {world}"


def test_what_it_says_was_reported_is_in_the_readmes(page: ModuleType) -> None:
    told = "".join((ROOT / p / "README.md").read_text("utf-8") for p in ("analysis", "methods"))
    known = set(re.findall(r"-?\d+(?:\.\d+)?", told))
    for finding in page.FINDINGS:
        assert set(re.findall(r"-?\d+(?:\.\d+)?", finding.reported)) <= known, finding.text


def test_its_commands_are_studies(page: ModuleType) -> None:
    for name, study in page.STUDIES.items():
        for world in page.WORLDS:
            loaded = Study.load(name, tuple(study.settings(world)))
            tasks = loaded.benchmark.task_names()
            assert loaded.benchmark.name == ("world" if world == "made" else "pictures")
            assert loaded.design.name == "similarity" or loaded.blocks(tasks)
            if world == "pictures":
                assert tuple(tasks) == study.tasks


def test_quantities_name_methods_of_their_study(page: ModuleType) -> None:
    for study in page.STUDIES:
        labels = set(Study.load(study).methods)
        for finding in page.FINDINGS:
            if finding.study == study:
                words = set(re.findall(r"`([\w.+-]+)`", finding.about))
                assert words <= labels, finding.text


@pytest.mark.parametrize(
    ("claim", "bound", "low", "high", "expected"),
    [
        ("above", 0.0, 0.01, 0.03, "holds"),
        ("above", 0.0, -0.03, -0.01, "does not hold"),
        ("above", 0.0, -0.01, 0.03, "open"),
        ("above", 0.02, 0.01, 0.03, "open"),
        ("below", 0.5, 0.1, 0.4, "holds"),
        ("below", 0.5, 0.6, 0.7, "does not hold"),
        ("within", 0.01, -0.005, 0.009, "holds"),
        ("within", 0.01, -0.005, 0.011, "open"),
        ("within", 0.01, -0.03, -0.011, "does not hold"),
        ("within", 0.01, math.nan, math.nan, "open"),
    ],
)
def test_a_finding_holds_where_its_whole_interval_says_so(
    page: ModuleType, claim: str, bound: float, low: float, high: float, expected: str
) -> None:
    finding = replace(page.FINDINGS[0], claim=claim, bound=bound)
    value = page.Estimate((low + high) / 2, low, high, 0.01, 3)
    assert page.verdict(finding, value) == expected


def test_what_would_settle_it(page: ModuleType) -> None:
    """A t interval of n values is half as wide as t(n - 1) sd / sqrt(n)."""
    finding = replace(page.FINDINGS[0], claim="above", bound=0.01)
    assert page.settled_by(finding, page.Estimate(0.02, 0.0, 0.04, 0.02, 3)) == "18"
    assert page.settled_by(finding, page.Estimate(0.01, 0.0, 0.02, 0.02, 3)) == "out of reach"
    within = replace(finding, claim="within")
    assert page.settled_by(within, page.Estimate(-0.02, 0.0, 0.04, 0.02, 3)) == "18"


def test_units(page: ModuleType) -> None:
    finding = page.FINDINGS[0]
    points, times, plain = (replace(finding, unit=unit) for unit in ("points", "times", ""))
    assert page.with_interval(points, page.Estimate(0.012, -0.0001, 0.03, 0, 3)) == (
        "1.2 (0.0 to 3.0)"
    )
    assert page.shown(times, math.log(0.5)) == "0.50"
    assert [page.shown(plain, value) for value in (0.0123, 0.123, -2.0)] == [
        "0.012",
        "0.12",
        "-2.00",
    ]


def test_the_interval_of_a_mean_is_the_t_interval_over_replicates(page: ModuleType) -> None:
    from findings.quantities import Sample, difference, estimated

    results = tiny_study()
    found = estimated(difference("average_accuracy", "replay", "finetune"), Sample.of(results))
    means = block_means(metrics(results), "average_accuracy", "finetune")["clip", "replay"]
    assert np.allclose(found[:3], t_interval(means))
    assert found.sd == pytest.approx(means.std(ddof=1))
    assert found.replicates == len(means) == 4


def test_a_replicate_counts_once_all_methods_have_it(page: ModuleType) -> None:
    from findings.quantities import Sample

    results = tiny_study()
    stages = results.stages
    last = stages[(stages["replicate"] == 3) & (stages["method"] == "replay")]
    broken = last[last["stage"] == 3].index[:1]
    part = replace(results, stages=stages.drop(broken))
    assert Sample.of(results).replicates == [0, 1, 2, 3]
    assert Sample.of(part).replicates == [0, 1, 2]


def test_folders_of_other_settings_are_refused(page: ModuleType, tmp_path: Path) -> None:
    settings = (*page.STUDIES["contrastive"].settings("made"), "training.steps=3")
    study = Study.load("contrastive", settings)
    (tmp_path / "study.yaml").write_text(dump(study))
    with pytest.raises(SystemExit, match="has other training"):
        page.check_settings("contrastive", "made", tmp_path)
    study = Study.load("contrastive", tuple(page.STUDIES["contrastive"].settings("made")))
    (tmp_path / "study.yaml").write_text(dump(study))
    page.check_settings("contrastive", "made", tmp_path)
