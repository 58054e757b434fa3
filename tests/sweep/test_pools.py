"""What is prepared once for all trainings: reference embeddings and generated samples."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import Field

from methods.backbones import Backbone, load_backbone
from methods.data import Task
from methods.testing.toy import Toy, ToyGenerator, ToyReference
from methods.testing.workbench import Workbench
from sweep.stage.pools import ReferencePool, generated
from sweep.tasks.base import BenchmarkConfig, Generator
from sweep.tasks.pixels import Pixels
from tests.methods.shipped import study_of


@pytest.fixture(params=["clip", "llava"])
def backbone(request: pytest.FixtureRequest, models: Path) -> Backbone:
    return load_backbone(str(models / request.param)).train()


def test_embeddings_are_those_of_the_backbone_that_evaluates(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.stage.pools._AT_ONCE", 7)
    images, captions = ToyReference().load()
    pool = ReferencePool(ToyReference(), backbone, tmp_path)
    assert backbone.training
    ids = torch.tensor([9, 2, 9])
    assert torch.equal(pool.pixels(ids), backbone.pixels(images)[ids])
    assert tuple(pool.captions) == captions
    with torch.no_grad():
        backbone.eval()
        torch.testing.assert_close(
            pool.image_embeddings, backbone.embed_images(pool.pixels(torch.arange(40)))
        )
        torch.testing.assert_close(pool.text_embeddings, backbone.embed_texts(captions))


def test_embeddings_are_computed_once(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ReferencePool(ToyReference(), backbone, tmp_path)
    monkeypatch.setattr(backbone, "embed_images", None)
    monkeypatch.setattr(backbone, "embed_texts", None)
    again = ReferencePool(ToyReference(), backbone, tmp_path)
    assert torch.equal(first.image_embeddings, again.image_embeddings)
    assert torch.equal(first.text_embeddings, again.text_embeddings)


def test_other_weights_and_other_pairs_have_embeddings_of_their_own(
    models: Path, tmp_path: Path
) -> None:
    class Other(ToyReference):
        def fingerprint(self) -> str:
            return "other"

    for config, name in ((ToyReference(), "clip"), (ToyReference(), "llava"), (Other(), "clip")):
        ReferencePool(config, load_backbone(str(models / name)), tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 6


class Counting(ToyGenerator):
    """Knows how many images it was asked for, time after time."""

    asked: list[int] = Field(default_factory=list)

    def load(self, benchmark: BenchmarkConfig) -> Generator:
        draw = super().load(benchmark)

        def counted(task: Task, labels: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
            self.asked.append(len(seeds))
            return np.asarray(draw(task, labels, seeds))

        return counted


def test_every_choice_is_generated_equally_often() -> None:
    task = Toy().load().tasks["b"]
    samples = generated(ToyGenerator(images=23), Toy(), task)
    assert sorted(Counter(samples.labels.tolist()).values()) == [7, 8, 8]


def test_a_generated_image_does_not_depend_on_its_company() -> None:
    samples = generated(ToyGenerator(), Toy(), Toy().load().tasks["b"])
    together = np.asarray(samples.images(np.arange(24)))
    assert np.array_equal(together[[5, 17]], np.asarray(samples.images(np.array([5, 17]))))


def test_nothing_is_generated_twice(models: Path, tmp_path: Path) -> None:
    backbone = load_backbone(str(models / "clip"))
    config = Counting()
    samples = generated(config, Toy(), Toy().load().tasks["b"])
    assert not config.asked
    prepared = [Pixels(samples, backbone, tmp_path, "generated") for _ in range(2)]
    assert config.asked == [24]
    assert torch.equal(prepared[0][torch.arange(24)], prepared[1][torch.arange(24)])


def test_a_stage_gets_samples_of_earlier_tasks_alone(models: Path) -> None:
    bench = Workbench(study_of(models, "clip"), "gift")
    *_, last = bench.units(("c", "a", "b"))
    bench.learn(("c", "a", "b"))
    stage = bench.worker.trainer._stage(last)
    assert list(stage.synthetic) == ["c", "a"]
    for name, data in stage.synthetic.items():
        batch = data.batch(torch.arange(len(data)))
        assert len(data) == ToyGenerator().images
        assert batch.task is stage.tasks[name].task
        real = stage.tasks[name].batch(torch.arange(24))
        assert torch.equal(batch.labels, real.labels)
        brighter = (real.pixels.int() + 10).clamp(max=255).byte()
        assert torch.equal(batch.pixels, brighter)


def test_methods_without_needs_get_neither(models: Path) -> None:
    bench = Workbench(study_of(models, "clip"), "finetune")
    *_, last = bench.units(("c", "a", "b"))
    bench.learn(("c", "a", "b"))
    stage = bench.worker.trainer._stage(last)
    assert stage.reference is None
    assert not stage.synthetic
