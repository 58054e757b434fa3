"""Pretrains tiny-clip: a CLIP of 0.4 million parameters, in minutes on one core."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR
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
from sweep.pretrain.model_card import write_card
from sweep.pretrain.quality import figures
from sweep.pretrain.tokenizer import word_tokenizer
from sweep.tasks.world.corpus import captioned, vocabulary
from sweep.tasks.world.render import SIZE

BATCH_SIZE = 256
"""Captioned pictures of one step."""
MUON_LR = 0.03
"""Peak learning rate of the hidden weights."""
ADAMW_LR = 2e-3
"""Peak learning rate of all other weights."""
WARMUP = 50
"""Steps of linear warm-up."""
TOKENS = 20
"""Most tokens of a text."""

Progress = Callable[[int, int, float], None]
"""Called with the steps done, the steps in all, and the loss."""


def pretrain_tiny_clip(
    out: Path, steps: int = 2000, seed: int = 0, progress: Progress | None = None
) -> dict[str, float]:
    """Pretrains on captioned pictures of the world and writes the model like one of the hub.

    Args:
        out: Folder for weights, configuration, tokenizer, image processor and model card.
        steps: Optimizer steps, of 256 new pictures each.
        seed: Seed of the initial weights and the pictures.
        progress: Called after every step.

    Returns:
        Zero-shot accuracy per task and suite, their means, and recall at 1 of retrieval.
    """
    tokenizer = word_tokenizer(vocabulary(), TOKENS)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        model = CLIPModel(_config(tokenizer))
    backbone = DualEncoder(model, tokenizer, processor)
    _train(backbone, steps, seed, progress or (lambda done, total, loss: None))
    reached = figures(backbone)
    for part in (model, tokenizer, processor):
        part.save_pretrained(out)
    write_card(out, {seed: reached}, steps, model.num_parameters())
    return reached


def contrastive_loss(similarity: Tensor, captions: Sequence[str]) -> Tensor:
    """Returns the symmetric contrastive loss; images with equal captions match one another.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML
    2021, arXiv 2103.00020), figure 3; where n captions are equal, each is the target with 1 / n.

    Args:
        similarity: Logits of image i with caption j, float [B, B].
        captions: The B captions.
    """
    index = {caption: i for i, caption in enumerate(captions)}
    ids = torch.tensor([index[caption] for caption in captions])
    same = (ids[:, None] == ids).to(similarity)
    targets = same / same.sum(1)
    return (cross_entropy(similarity, targets) + cross_entropy(similarity.T, targets)) / 2


def _config(tokenizer: PreTrainedTokenizerFast) -> CLIPConfig:
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        hidden_act="gelu",
        projection_dim=64,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    vision = CLIPVisionConfig(
        image_size=SIZE,
        patch_size=8,
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        hidden_act="gelu",
        projection_dim=64,
    )
    return CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64)


def _train(backbone: DualEncoder, steps: int, seed: int, progress: Progress) -> None:
    optimizers = _optimizers(backbone)
    schedules = [LambdaLR(optimizer, _schedule(steps)) for optimizer in optimizers]
    backbone.train()
    for step in range(steps):
        images, captions = captioned(BATCH_SIZE, derive_seed(seed, "pictures", step))
        loss = contrastive_loss(backbone.match(backbone.pixels(images), captions), captions)
        torch.autograd.backward(loss)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        progress(step + 1, steps, loss.item())
    backbone.eval()


def _optimizers(backbone: DualEncoder) -> list[Optimizer]:
    """Returns Muon for the hidden weights and AdamW for all others.

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024).
    """
    hidden = {f"{name}.weight" for name in backbone.adapted()}
    parameters = dict(backbone.named_parameters())
    return [
        Muon(
            [parameters[name] for name in parameters if name in hidden],
            lr=MUON_LR,
            weight_decay=0.01,
        ),
        AdamW(
            [parameters[name] for name in parameters if name not in hidden],
            lr=ADAMW_LR,
            weight_decay=0.0,
            fused=True,
        ),
    ]


def _schedule(steps: int) -> Callable[[int], float]:
    """Returns the factor of the learning rate: linear warm-up, then linear decay to zero."""
    return lambda step: min((step + 1) / WARMUP, (steps - step) / steps)
