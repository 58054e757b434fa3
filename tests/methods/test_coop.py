"""Properties of CoOp; what a context does to texts is in test_prompts.py."""

from pathlib import Path

import pytest
import torch

from methods.testing.toy import BACKBONES
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_context_is_all_that_learns(models: Path, backbone: str) -> None:
    coop, stage = about_to_learn(bench_of(models, backbone, "coop", length=4), "a")
    (gradient,) = gradients(coop, coop(batch_of(stage)))
    assert gradient.shape == (4, 32)
    assert gradient.any(dim=1).all()


def test_is_drawn_from_the_seed_with_the_papers_spread(models: Path) -> None:
    coop, _ = about_to_learn(bench_of(models, "clip", "coop", length=16), "a")
    drawn = []
    for seed in (3, 3, 4):
        coop.reset(seed)
        drawn.append(coop.context.detach().clone())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert abs(float(drawn[0].std()) - 0.02) < 0.002


def test_a_context_without_room_is_named(models: Path) -> None:
    with pytest.raises(ValueError, match=r"18 context tokens leave room for 2 .* 'text' has 3"):
        about_to_learn(bench_of(models, "clip", "coop", length=18), "a")
