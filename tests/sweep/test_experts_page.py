"""docs/experts.md and examples/experts.yaml say what there is."""

import re
from pathlib import Path

import pytest
import yaml

from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.registry import parts, resolve
from sweep.study.expert_sources import LoadedExperts, loads_experts
from sweep.study.schema import Study
from sweep.tasks.named.benchmark_files import read_benchmark

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "experts.md").read_text("utf-8")
SUITES = ("tall8", "tall14", "tall20")


def test_sections_on_the_page_can_be_used() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    sections = [LoadedExperts.model_validate(block["experts"]) for block in blocks]
    assert sections[0].where("dtd", "clip") == ("tanganke/clip-vit-base-patch32_dtd", None)
    assert sections[1].where("flowers", "clip") == (
        "tanganke/clip-vit-base-patch32_oxford_flowers102",
        "main",
    )
    assert sections[1].where("birds", "clip") == ("models/birds", None)


def test_tasks_are_called_as_repositories_are() -> None:
    """Names in FusionBench's download_TALL20_models.sh, in its order."""
    listed = PAGE[PAGE.index("`sun397`") : PAGE.index("(`config/model/clip-vit`")]
    assert re.findall(r"`([\w-]{3,})`", listed) == list(read_benchmark("tall20").tasks)


def test_methods_on_the_page_are_those_that_load() -> None:
    kinds = {name: resolve("methods", name) for name in parts("methods")}
    loading = {name for name, kind in kinds.items() if loads_experts(kind)}
    said = PAGE[PAGE.index("Those that use nothing") : PAGE.index("ConDU's prototypes")]
    assert set(re.findall(r"`(\w+)`", said)) == loading
    refused = {name for name, kind in kinds.items() if kind.depends_on == "task"} - loading
    assert all(f"`{name}`" in PAGE for name in refused)


@pytest.mark.parametrize("column", range(3), ids=SUITES)
def test_published_averages_are_those_that_reports_show(column: int) -> None:
    rows = re.findall(r"^\| .*? \| `(\w+)`†? \| (.*) \|$", PAGE, re.MULTILINE)
    shown = {method: float(cells.split(" | ")[column].split()[0]) for method, cells in rows}
    known = {
        figures.method: figures.numbers["last"]
        for figures in read_benchmark(SUITES[column]).published
        if "B/32" in figures.source
    }
    assert len(known) == 5
    assert known.items() <= shown.items()


def test_the_example_loads_an_expert_for_every_task() -> None:
    study = Study.load(ROOT / "examples" / "experts.yaml")
    assert study.experts
    paths = [study.experts.where(task, "clip")[0] for task in study.benchmark.task_names()]
    assert paths[1] == "tanganke/clip-vit-base-patch32_stanford-cars"
    assert len(set(paths)) == 8
    with pytest.raises(InputError, match="`sweep data tall8"):
        make_plan(study)
