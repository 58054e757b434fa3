"""Properties of DualPrompt."""

from pathlib import Path
from typing import Any

import pytest
import torch

from methods.prompts.dualprompt import DualPrompt
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench, states_in
from sweep.study.backbones import BackboneConfig, find_source
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients

OPTIONS: dict[str, Any] = {"general_layers": 1, "expert_layers": 1, "lr": 0.05}


def test_images_choose_the_expert_of_their_task(models: Path) -> None:
    """Twice as often as by chance: a key is one direction, a task here three colours."""
    study = toy_study(
        models, {"dualprompt": OPTIONS | {"lr": 0.2}}, training={"steps": 60, "batch_size": 16}
    )
    bench = Workbench(study, "dualprompt")
    bench.learn(("a", "b", "c"))
    dualprompt = bench.worker.trainer.method
    assert isinstance(dualprompt, DualPrompt)
    assert list(dualprompt.learnt) == ["a", "b", "c"]
    right = []
    for number, task in enumerate(dualprompt.learnt):
        pixels = bench.worker.trainer.pixels("test", bench.worker.benchmark.tasks[task])[
            torch.arange(32)
        ]
        route = dualprompt.choose(dualprompt.backbone.query(pixels))
        right.append((route.prompts == number).double().mean())
    assert sum(right) / 3 > 0.6


@pytest.mark.parametrize("backbone", BACKBONES)
def test_experts_of_earlier_tasks_do_not_move(models: Path, backbone: str) -> None:
    bench = bench_of(models, backbone, "dualprompt", **OPTIONS)
    first, second = states_in(bench.learn(("a", "b"))).values()
    kept = [name for name in first if name.startswith("extra/a/")]
    assert {name.split("/")[-1] for name in kept} == {"key", "layers.0.keys", "layers.0.values"}
    assert all(torch.equal(first[name], second[name]) for name in kept)
    assert not torch.equal(second["extra/a/layers.0.keys"], second["extra/b/layers.0.keys"])


@pytest.mark.parametrize("copy", [True, False])
def test_an_expert_starts_from_the_last_one_or_anew(models: Path, copy: bool) -> None:
    bench = bench_of(models, "clip", "dualprompt", **OPTIONS | {"copy_last": copy})
    dualprompt, _ = about_to_learn(bench, "a", "b")
    start, last = dualprompt.expert.layers[0].values, dualprompt.learnt["a"]["layers.0.values"]
    same = torch.equal(start, last)
    assert same == copy


def test_general_prompts_one_expert_and_its_key_learn(models: Path) -> None:
    dualprompt, stage = about_to_learn(bench_of(models, "clip", "dualprompt", **OPTIONS), "a", "b")
    batch = batch_of(stage)
    shapes = [tuple(gradient.shape) for gradient in gradients(dualprompt, dualprompt(batch))]
    assert sorted(shapes) == [(1, 2, 5, 16)] * 4 + [(16,)]
    similarity = torch.cosine_similarity(dualprompt.backbone.query(batch.pixels), dualprompt.key)
    pull = dualprompt.backbone.loss(batch).mean() - dualprompt(batch)
    torch.testing.assert_close(pull, similarity.mean())


@pytest.mark.parametrize(("backbone", "layers"), [("tiny-clip", (2, 1)), ("tiny-vlm", (1, 1))])
def test_defaults_fit_a_backbone_with_few_layers(backbone: str, layers: tuple[int, int]) -> None:
    untouched = find_source(BackboneConfig(path=backbone)).load()
    dualprompt = DualPrompt(untouched, DualPrompt.Config())
    assert (len(dualprompt.general.layers), len(dualprompt.expert.layers)) == layers


@pytest.mark.parametrize("option", ["general_layers", "expert_layers"])
def test_layers_that_are_not_there_are_refused(models: Path, option: str) -> None:
    with pytest.raises(ValueError, match=r"too few .*: 3 are asked for, and 2 read images\."):
        about_to_learn(bench_of(models, "clip", "dualprompt", **{option: 2}), "a")
