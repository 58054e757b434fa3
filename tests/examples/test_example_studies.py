"""The studies of named benchmarks in examples/ can be run, on a few samples and tiny models."""

from collections.abc import Callable
from pathlib import Path

import pytest

from methods.testing.tiny_models import tiny_models
from sweep import file_digests
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.single import run_single
from sweep.study.schema import Study
from tests.sweep.two_tasks import write_retrieval, write_ucit

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ("training.precision=fp32", "training.steps=2", "training.batch_size=4")
SMALL += ("training.warmup_steps=0", "evaluation.samples=4")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "memory" / "memory.sqlite")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize(
    ("example", "num_tasks", "model"),
    [("answers", 6, "llava-hf/llava-1.5-7b-hf"), ("retrieval", 4, "openai/clip-vit-base-patch32")],
)
def test_without_its_data_a_study_says_how_to_get_them(
    example: str, num_tasks: int, model: str
) -> None:
    study = Study.load(EXAMPLES / f"{example}.yaml")
    assert len(study.benchmark.task_names()) == num_tasks
    assert [backbone.path for backbone in study.backbones.values()] == [model]
    with pytest.raises(InputError, match=rf"`sweep data {study.benchmark.name} --root \S*data`"):
        make_plan(study)


@pytest.mark.parametrize(
    ("example", "write", "tasks", "model", "method", "orders"),
    [
        ("answers", write_ucit, ("imagenet-r", "vizwiz"), "llava", "lora", 2),
        ("retrieval", write_retrieval, ("coco", "visual-genome"), "clip", "ewc_images", 2),
    ],
)
def test_a_study_of_a_named_benchmark(
    example: str,
    write: Callable[[Path], None],
    tasks: tuple[str, str],
    model: str,
    method: str,
    orders: int,
    tmp_path: Path,
) -> None:
    write(tmp_path)
    changes = (
        f"benchmark.root={tmp_path}",
        f"benchmark.tasks=[{', '.join(tasks)}]",
        "benchmark.probes=[]",
        f"backbones={{{model}: {{path: {tiny_models() / model}}}}}",
    )
    study = Study.load(EXAMPLES / f"{example}.yaml", (*SMALL, *changes))
    plan = make_plan(study)
    assert len(set(plan.blocks[0])) == orders
    records, state = run_single(study, method, tasks)
    assert len(records) == 3
    assert state
