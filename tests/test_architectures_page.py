"""docs/architectures.md: its tables are those of the stored measurements; its study runs."""

import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from analysis import metrics, summary, tiny_study
from sweep.single import run_single
from sweep.study.schema import Study

ROOT = Path(__file__).parent.parent
TOY = ("training.steps=2", "training.warmup_steps=0", "training.batch_size=4")
TOY += ("evaluation.samples=8", "benchmark.train=16", "benchmark.test=8")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import architectures_page

    return architectures_page


def commands(page: ModuleType) -> list[list[str]]:
    """The settings of every `sweep run architectures` of the page."""
    found = []
    for line in page.PAGE.read_text("utf-8").splitlines():
        if line.startswith("sweep run architectures "):
            words = shlex.split(line)
            found.append([words[i + 1] for i, word in enumerate(words) if word == "--set"])
    return found


def test_it_is_up_to_date(page: ModuleType) -> None:
    stored = json.loads(page.MEASURED.read_text("utf-8")) if page.MEASURED.is_file() else {}
    text = page.PAGE.read_text("utf-8")
    assert page.with_tables(text, stored) == text, "run python docs/architectures_page.py"


def test_its_commands_are_studies_that_differ_in_model_and_rates_alone(page: ModuleType) -> None:
    studies = [Study.load("architectures", tuple(settings)) for settings in commands(page)]
    assert len(studies) == 5
    for dual, fusion in (studies[:2], studies[2:4]):
        one, other = (s.model_dump(exclude={"backbones", "methods"}) for s in (dual, fusion))
        for given in (one, other):
            assert given["training"].pop("lr")
        assert one == other
        for method in dual.methods:
            mine, yours = (s.methods[method].options.model_dump() for s in (dual, fusion))
            assert mine | {"lr": 0} == yours | {"lr": 0}
    asked = studies[4].benchmark.forms()
    assert {asked[task].kind for task in studies[4].benchmark.task_names()} == {"answers"}


def test_rates_are_among_those_that_were_tried(page: ModuleType) -> None:
    tried = Study.load("architectures-tuning").methods
    rates = {
        kind: {entry.options.lr for label, entry in tried.items() if label.startswith(kind)}
        for kind in ("all", "lora")
    }
    assert all(len(own) == 3 for own in rates.values())
    for settings in commands(page):
        study = Study.load("architectures", tuple(settings))
        assert study.training.lr in rates["all"]
        assert study.methods["lora"].options.lr in rates["lora"]


@pytest.mark.parametrize("backbone", ["tiny-clip", "tiny-vlm"])
@pytest.mark.parametrize("method", ["lora", "ewc", "lwf"])
def test_the_study_runs(backbone: str, method: str) -> None:
    changes = (f"backbones=[{backbone}]", f"methods={{{method}: {{}}}}", *TOY)
    study = Study.load("architectures", changes)
    records, state = run_single(study, method, ("positions", "scenes"))
    assert len(records) == 3
    assert state
    for record in records:
        assert study.evaluation.task_scores(record.scores).keys() == set(
            study.benchmark.task_names()
        )


def test_differences_are_paired_and_means_are_those_of_the_comparison(
    page: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tiny_study()
    metrics_of = metrics(results)
    better = metrics_of.assign(average_accuracy=metrics_of["average_accuracy"] + 0.1)
    runs = iter([better, metrics_of])
    monkeypatch.setattr(page, "load", lambda folder: folder)
    monkeypatch.setattr(page, "metrics", lambda folder: next(runs))
    found = page.measure(Path("dual"), Path("fusion"))
    table = summary(metrics_of).query("metric == 'average_accuracy'").set_index("method")
    assert set(found["difference"]) == set(table.index)
    for method, row in table.iterrows():
        mean, low, high = found["fusion"][method]["average_accuracy"]
        assert [mean, low, high] == pytest.approx(list(row[["mean", "low", "high"]]), abs=1e-6)
        difference = found["difference"][method]
        assert difference["average_accuracy"] == pytest.approx([0.1] * 3, abs=1e-6)
        assert difference["forgetting_max"] == pytest.approx([0.0] * 3, abs=1e-6)
    text = page.table({"made": found}, "made")
    assert re.search(r"\| `replay` \| accuracy in the end \|.* 10\.0 \(10\.0 to 10\.0\) \|", text)
