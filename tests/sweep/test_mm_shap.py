"""MM-SHAP: exact where the fit is a sum, one half where nothing matters, always the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sweep.stage.diagnostics import mm_shap as shap
from tests.methods.opened import bench_of

PIXELS = torch.arange(10, 100, 10, dtype=torch.uint8).view(1, 3, 3).expand(3, 3, 3).contiguous()
"""A colour per patch; 50 is the mean, which the patch in the middle has anyway."""
WEIGHTS = torch.tensor([3.0, -1, 0, 2, 7, 0.5, -4, 0, 1])
"""Of patches; that of the middle one can have no effect."""
TEXT = {"a": 2.0, "blue": -3.0, "dog": 0.0}


class Sums:
    """A backbone whose fit is a sum over the patches and words that are there."""

    def embed_images(self, pixels: Tensor) -> Tensor:
        seen = (pixels == PIXELS)[:, 0].flatten(1) & (PIXELS[0] != 50).flatten()
        fit = seen.float() @ WEIGHTS
        return torch.stack([fit, torch.ones_like(fit)], dim=1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        fits = [sum(TEXT.get(word, 0.0) for word in text.split()) for text in texts]
        return torch.tensor([[1.0, fit] for fit in fits])


class Products(Sums):
    """Nothing fits unless all patches and words are there."""

    def embed_images(self, pixels: Tensor) -> Tensor:
        return (pixels == PIXELS).flatten(1).all(dim=1).float().unsqueeze(1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        return torch.tensor([[float(shap.MASKED not in text.split())] for text in texts])


def share(backbone: Any, text: str = "a blue dog", seed: int = 0) -> float:
    return shap.text_share(backbone, PIXELS, text, seed)


def test_values_of_a_sum_are_its_terms() -> None:
    sizes = WEIGHTS.abs().sum() - 7
    assert share(Sums()) == pytest.approx(5 / (5 + float(sizes)))
    assert share(Sums(), "dog") == 0


def test_orders_share_out_what_only_all_together_are_worth() -> None:
    """Then the gain falls to whoever joins last."""
    found = torch.tensor([share(Products(), seed=seed) for seed in range(400)])
    # The middle patch is always there, so it never joins last: 3 words of 11 players.
    assert float(found.mean()) == pytest.approx(3 / 11, abs=0.05)
    assert set((found * shap.ORDERS).round(decimals=5).tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}


def test_where_nothing_matters_it_is_one_half() -> None:
    assert share(Sums(), "one two") != 0.5
    blank = torch.full_like(PIXELS, 50)
    assert shap.text_share(Sums(), blank, "one two", 0) == 0.5  # type: ignore[arg-type]


@pytest.mark.parametrize("backbone", ["clip", "llava"])
def test_of_a_task_it_is_the_mean_over_samples(models: Path, backbone: str) -> None:
    bench = bench_of(models, backbone, "finetune")
    bench.learn(("a",))
    worker = bench.worker
    model, task = worker.trainer.backbone, worker.benchmark.tasks["a"]
    ids = torch.arange(3)
    pixels = worker.evaluator.samples.pixels(task)[ids]
    labels = torch.tensor(task.test.labels)[ids]
    with torch.no_grad():
        together = shap.text_share_of_task(model, task, pixels, labels)
        again = shap.text_share_of_task(model, task, pixels, labels)
    assert 0 < together < 1
    assert together == again
