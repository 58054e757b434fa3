"""Pretrains tiny-clip-pictures: a CLIP of half a million parameters, on some thousand pictures."""

from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from methods.backbones.dual_encoder import DualEncoder
from methods.seeds import derive_seed
from sweep.pretrain.augment import augment
from sweep.pretrain.caption_matching import Progress, contrastive_loss, train
from sweep.pretrain.english import COMMON_WORDS
from sweep.pretrain.held_out import picture_figures
from sweep.pretrain.model_card import write_pictures_card
from sweep.pretrain.picture_pairs import TEMPLATES, PicturePairs, read_pairs
from sweep.pretrain.small_clip import save, small_clip
from sweep.pretrain.tokenizer import byte_tokenizer
from sweep.tasks.pictures.real_pictures import TABLE

STEPS = 2000
"""Optimizer steps: about ten minutes on one core."""
BATCH_SIZE = 256
"""Pictures of one step."""
LR = 1e-3
"""Peak learning rate."""
WEIGHT_DECAY = 0.1
"""Of matrices; biases and scales of norms do not decay."""
VOCABULARY = 1024
"""Most tokens, 256 of which are bytes."""
TOKENS = 32
"""Most tokens of a text."""
_LENGTHS = 4
"""Parts that the texts of a step are embedded in, by length: padding would cost much time."""


def pretrain_tiny_clip_pictures(
    out: Path, steps: int = STEPS, seed: int = 0, progress: Progress | None = None
) -> dict[str, float]:
    """Pretrains on the pictures that ship and writes the model like one of the hub.

    Args:
        out: Folder for weights, configuration, tokenizer, image processor and model card.
        steps: Optimizer steps, of 256 pictures each.
        seed: Seed of the initial weights, the order of pictures, their changes and sentences.
        progress: Called after every step.

    Returns:
        Recall of held-out captions, and by task the score before it is learnt.
    """
    pairs = read_pairs(TABLE)
    backbone = untrained(pairs, seed)
    fit(backbone, pairs, steps, seed, progress)
    save(backbone, out)
    found = picture_figures(backbone, out, TABLE, {"name": "pictures"})
    write_pictures_card(out, {seed: found}, steps, backbone, len(pairs))
    recall = {f"captions R@{k}": one.mean for k, (one, _) in found.recall.items()}
    return {**recall, **{task: one.mean for task, one in found.untouched.items()}}


def untrained(pairs: PicturePairs, seed: int) -> DualEncoder:
    """Returns the model before training, with a tokenizer made for these pairs."""
    words = COMMON_WORDS.split()
    sentences = [template.format(word) for template in TEMPLATES for word in words]
    return small_clip(byte_tokenizer([*pairs.texts(), *sentences], VOCABULARY, TOKENS), seed)


def fit(
    backbone: DualEncoder, pairs: PicturePairs, steps: int, seed: int, progress: Progress | None
) -> None:
    """Trains on pictures that are changed a little at every step, each with a new sentence."""
    may_flip = pairs.may_flip

    def loss_of(step: int) -> Tensor:
        own = derive_seed(seed, "pictures", step)
        generator, random = torch.Generator().manual_seed(own), Random(own)
        drawn = torch.randint(len(pairs), (BATCH_SIZE,), generator=generator)
        spoken = [pairs.say(number, random) for number in drawn.tolist()]
        pixels = augment(pairs.images[drawn], may_flip[drawn], generator)
        texts = _embed(backbone, [sentence for _, sentence in spoken])
        similarity = backbone.similarity(backbone.embed_images(pixels), texts)
        return contrastive_loss(similarity, [said for said, _ in spoken])

    train(backbone, loss_of, [_optimizer(backbone)], steps, progress)


def _embed(backbone: DualEncoder, texts: list[str]) -> Tensor:
    """Returns embeddings of texts, those of like length together: float32 [N, D]."""
    different = sorted(set(texts), key=lambda text: (len(text), text))
    size = -(-len(different) // _LENGTHS)
    parts = [different[start : start + size] for start in range(0, len(different), size)]
    embeddings = torch.cat([backbone.embed_texts(part) for part in parts])
    places = {text: place for place, text in enumerate(different)}
    return embeddings[torch.tensor([places[text] for text in texts])]


def _optimizer(backbone: DualEncoder) -> Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": [p for p in backbone.parameters() if p.ndim > 1]},
        {"params": [p for p in backbone.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(
        groups,
        lr=LR,
        weight_decay=WEIGHT_DECAY,
        betas=(0.9, 0.98),
        fused=True,
    )
