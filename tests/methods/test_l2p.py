"""Properties of L2P."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity

from methods.prompts.base import cosines
from methods.prompts.l2p import L2P
from methods.testing.toy import BACKBONES, toy_study
from sweep.errors import InputError
from tests.methods.opened import about_to_learn, batch_of, bench_of


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 5))
def test_cosines_are_cosines(seed: int, images: int, keys: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    one, other = (torch.randn(n, 8, generator=generator) for n in (images, keys))
    expected = cosine_similarity(one[:, None], other[None], dim=-1)
    torch.testing.assert_close(cosines(one, other), expected)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_image_trains_what_it_chose_and_nothing_else(models: Path, backbone: str) -> None:
    l2p, stage = about_to_learn(bench_of(models, backbone, "l2p", pool=6, chosen=2), "a")
    batch = batch_of(stage)
    similarity = cosines(l2p.backbone.query(batch.pixels), l2p.keys)
    chosen = set(similarity.topk(2).indices.flatten().tolist())
    assert chosen != set(range(6))
    l2p(batch).backward()
    for parameter in l2p.parameters():
        if parameter.requires_grad:
            assert {i for i in range(6) if parameter.grad[i].any()} == chosen


def test_chosen_keys_are_drawn_to_their_images(models: Path) -> None:
    l2p, stage = about_to_learn(bench_of(models, "clip", "l2p", chosen=3, pull=1.0), "a")
    batch = batch_of(stage)
    images = l2p.backbone.query(batch.pixels)
    difference = l2p.backbone.loss(batch).mean() - l2p(batch)
    nearest = cosines(images, l2p.keys).sort(descending=True).values[:, :3]
    torch.testing.assert_close(difference, nearest.sum(dim=1).mean())


def test_pool_is_shown_in_the_first_layers(models: Path) -> None:
    one, _ = about_to_learn(bench_of(models, "clip", "l2p"), "a")
    assert isinstance(one, L2P)
    (layer,) = one.pool.layers
    assert layer.keys.shape == (10, 2, 5, 16)


def test_more_than_the_pool_cannot_be_chosen(models: Path) -> None:
    with pytest.raises(InputError, match="chosen 5 is more than the pool of 4 holds"):
        toy_study(models, {"l2p": {"pool": 4}})
