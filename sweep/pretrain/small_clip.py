"""Makes the untrained CLIP that all recipes start from, and writes a trained one."""

from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    PreTrainedTokenizerFast,
)

from methods.backbones.dual_encoder import DualEncoder
from methods.seeds import derive_seed

SIDE = 32
"""Pixels of an image's side."""


def small_clip(tokenizer: PreTrainedTokenizerFast, seed: int) -> DualEncoder:
    """Returns a CLIP of about half a million parameters, with initial weights from the seed.

    Its text tower takes as many tokens as the tokenizer's `model_max_length`.
    """
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        model = CLIPModel(_config(tokenizer))
    return DualEncoder(model, tokenizer, processor)


def save(backbone: DualEncoder, out: Path) -> None:
    """Writes weights, configuration, tokenizer and image processor like a model of the hub."""
    for part in (backbone.model, backbone.tokenizer, backbone.preprocessor.processor):
        part.save_pretrained(out)


def _config(tokenizer: PreTrainedTokenizerFast) -> CLIPConfig:
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        hidden_act="gelu",
        projection_dim=64,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    vision = CLIPVisionConfig(
        image_size=SIDE,
        patch_size=8,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        hidden_act="gelu",
        projection_dim=64,
    )
    return CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64)
