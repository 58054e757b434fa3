"""Random crops: what is in the box, each sample by itself, and only in steps of training."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from methods.baselines.finetune import FineTune
from methods.data import Batch, Stage
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench
from sweep.errors import InputError
from sweep.stage.steps.random_crops import RATIOS, RandomCrops, cropped, draw_box

WHOLE = (0.0, 0.0, 1.0, 1.0)


def ramp(size: int = 64) -> Tensor:
    """Red grows from left to right, green from top to bottom."""
    line = torch.arange(size, dtype=torch.uint8) * 3
    red, green = line.expand(size, size), line.expand(size, size).T
    return torch.stack([red, green, torch.zeros_like(red)]).unsqueeze(0)


def test_the_whole_image_stays_as_it_is() -> None:
    noise = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(cropped(noise, [WHOLE, WHOLE]), noise)


def test_a_crop_shows_what_is_in_its_box() -> None:
    image = ramp()
    (found,) = cropped(image, [(0.25, 0.5, 0.5, 0.25)]).float()
    inside = slice(4, -4)
    x, y = (torch.arange(64) + 0.5) / 64, (torch.arange(64) + 0.5) / 64
    red = (x * 0.5 + 0.25) * 64 * 3 - 1.5
    green = (y * 0.25 + 0.5) * 64 * 3 - 1.5
    assert torch.allclose(found[0, 32, inside], red[inside], atol=1)
    assert torch.allclose(found[1, inside, 32], green[inside], atol=1)


def test_boxes_have_the_area_and_the_shape_that_are_asked_for() -> None:
    boxes = np.array([draw_box(seed, (224, 224), (0.5, 0.8)) for seed in range(400)])
    left, top, width, height = boxes.T
    area, ratio = width * height, width / height
    assert area.min() > 0.49
    assert area.max() < 0.81
    assert area.mean() == pytest.approx(0.65, abs=0.02)
    assert ratio.min() > RATIOS[0] * 0.98
    assert ratio.max() < RATIOS[1] * 1.02
    assert (left >= 0).all()
    assert (left + width).max() <= 1
    assert (top + height).max() <= 1
    assert left.std() > 0.03


def test_a_sample_is_cropped_by_numbers_of_its_own() -> None:
    crops = RandomCrops((0.3, 0.6))
    images = torch.cat([ramp()] * 3)
    assert torch.equal(crops(images, "a", [1, 2, 3]), images)  # outside of steps
    crops.start(seed=5, step=2)
    together = crops(images, "a", [1, 2, 3])
    assert torch.equal(crops(images[:1], "a", [2])[0], together[1])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(crops(images, "b", [1, 2, 3]), together)
    crops.start(seed=5, step=3)
    assert not torch.equal(crops(images, "a", [1, 2, 3]), together)
    crops.stop()
    assert torch.equal(crops(images, "a", [1, 2, 3]), images)


class Watched(FineTune):
    """Keeps the images that it is given before, in and after the steps."""

    seen: ClassVar[dict[str, list[Tensor]]] = {}

    def before_task(self, stage: Stage) -> None:
        super().before_task(stage)
        self._keep("before", stage.tasks[stage.task].batch(torch.arange(4)))

    def loss(self, batch: Batch) -> Tensor:
        self._keep("step", batch)
        return super().loss(batch)

    def after_task(self, stage: Stage) -> None:
        super().after_task(stage)
        self._keep("after", stage.tasks[stage.task].batch(torch.arange(4)))

    def _keep(self, when: str, batch: Batch) -> None:
        self.seen.setdefault(when, []).append(batch.pixels[batch.ids.argsort()].clone())


def _seen(folder: Path, crop: Sequence[float] | None) -> dict[str, list[Tensor]]:
    Watched.seen = {}
    study = toy_study(
        folder,
        {"watched": {"method": f"{__name__}:Watched"}},
        training={"steps": 3, "batch_size": 96, "lr": 1e-3, "crop": crop},
    )
    bench = Workbench(study, "watched")
    bench.learn_on(bench.trainings(("a",))[0])
    return Watched.seen


def test_steps_are_trained_on_crops_and_everything_else_on_whole_images(models: Path) -> None:
    plain, crops = _seen(models, None), _seen(models, [0.2, 0.5])
    for when in ("before", "after"):
        assert torch.equal(plain[when][0], crops[when][0])
    assert torch.equal(plain["step"][0], plain["step"][1])  # all samples, in their order
    assert not torch.equal(crops["step"][0], plain["step"][0])
    assert not torch.equal(crops["step"][0], crops["step"][1])
    assert all(
        torch.equal(a, b)
        for a, b in zip(crops["step"], _seen(models, [0.2, 0.5])["step"], strict=True)
    )


@pytest.mark.parametrize("crop", [[0.5, 0.2], [0, 1], [0.5, 1.5]])
def test_shares_that_cannot_be_are_refused(models: Path, crop: list[float]) -> None:
    with pytest.raises(InputError, match=r"training.crop: must be two shares, 0 < smallest"):
        toy_study(models, training={"crop": crop})
