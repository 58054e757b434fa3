"""Two tasks of every named classification benchmark, in its source's format, learnt in a study."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from methods.testing.tiny_models import save_clip
from sweep import Study, run_single
from sweep.single import matrix
from sweep.tasks.named.benchmark_files import read_benchmark
from tests.sweep.hub_copies import CLASS_NAMES, write_coop, write_hub

HUB = CLASS_NAMES["hub"]


class Case(NamedTuple):
    """Which two tasks of a benchmark are learnt, and what their labels are called."""

    names: Mapping[str, Sequence[str] | int]
    order: tuple[str, str] | None = None
    """Where tasks are cut from one data set: two of them."""


CASES = {
    "mtil": Case({"mnist": HUB["ylecun/mnist"], "eurosat": HUB["timm/eurosat-rgb"]}),
    "mtil-fewshot": Case({"eurosat": HUB["timm/eurosat-rgb"], "mnist": HUB["ylecun/mnist"]}),
    "x-tail": Case({"dtd": HUB["tanganke/dtd"], "mnist": HUB["ylecun/mnist"]}),
    "snd8": Case({"ucf101": ["Archery", "Sky_Diving"], "dtd": HUB["tanganke/dtd"]}),
    "cifar100-cil": Case({"cifar100": HUB["mteb/cifar100"]}, ("cifar100-01", "cifar100-02")),
    "imagenet-r": Case(
        {"imagenet-r": HUB["axiong/imagenet-r"]}, ("imagenet-r-01", "imagenet-r-10")
    ),
    "tall8": Case({"mnist": HUB["ylecun/mnist"], "svhn": HUB["ufldl-stanford/svhn"]}),
    "tall14": Case({"fer2013": 7, "pcam": 2}),
    "tall20": Case({"kmnist": list("0123456789"), "rendered-sst2": ["0", "1"]}),
}


def written(name: str, case: Case, root: Path) -> dict[str, Any]:
    """Writes the data sets of a case, and returns the benchmark that reads them."""
    tasks = read_benchmark(name).tasks
    for task, names in case.names.items():
        if tasks[task].split_file:
            assert not isinstance(names, int)
            write_coop(root, tasks[task], names)
        else:
            count = 8 if tasks[task].split else 2
            write_hub(root, tasks[task], names, count, as_text=tasks[task].columns.label == "wnid")
    return {"name": name, "tasks": list(case.names), "root": str(root)}


@pytest.mark.parametrize(
    "name",
    ["mtil", *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name != "mtil")],
)
def test_two_tasks_are_learnt(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    benchmark = written(name, case, tmp_path / "data")
    study = {
        "name": name,
        "benchmark": benchmark,
        "backbones": {"tiny": {"path": str(tmp_path / "clip")}},
        "methods": ["finetune"],
        "design": {"name": "random", "num_orders": 2},
        "training": {"steps": 2, "batch_size": 8, "lr": 1e-3, "label_smoothing": 0.2},
        "evaluation": read_benchmark(name).evaluation,
    }
    prompts = [
        text
        for task in Study.from_dict(study).benchmark.load().tasks.values()
        for number in range(len(task.templates))
        for text in task.prompts(number)
    ]
    save_clip(tmp_path / "clip", re.findall(r"\w+|[^\w\s]+", " ".join(prompts).lower()))
    order = case.order or tuple(case.names)
    loaded = Study.from_dict(study)
    records, state = run_single(loaded, "finetune", order)
    assert state
    scores = matrix(order, records, loaded.evaluation)
    assert scores.loc[list(order), list(order)].notna().all(axis=None)
    assert ((scores >= 0) & (scores <= 1)).all(axis=None)
