"""Pretrains tiny-clip: a CLIP of 0.4 million parameters, in minutes on one core."""

from pathlib import Path

from torch import Tensor
from torch.optim import AdamW, Muon, Optimizer

from methods.backbones.dual_encoder import DualEncoder
from methods.seeds import derive_seed
from sweep.pretrain.caption_matching import Progress, contrastive_loss, train
from sweep.pretrain.model_card import write_tiny_clip_card
from sweep.pretrain.quality import figures
from sweep.pretrain.small_clip import save, small_clip
from sweep.pretrain.tokenizer import word_tokenizer
from sweep.tasks.world.corpus import captioned, vocabulary

BATCH_SIZE = 256
"""Captioned pictures of one step."""
MUON_LR = 0.03
"""Peak learning rate of the hidden weights."""
ADAMW_LR = 2e-3
"""Peak learning rate of all other weights."""
TOKENS = 20
"""Most tokens of a text."""


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
    backbone = small_clip(word_tokenizer(vocabulary(), TOKENS), seed)

    def loss_of(step: int) -> Tensor:
        images, captions = captioned(BATCH_SIZE, derive_seed(seed, "pictures", step))
        return contrastive_loss(backbone.match(backbone.pixels(images), captions), captions)

    train(backbone, loss_of, _optimizers(backbone), steps, progress)
    reached = figures(backbone)
    save(backbone, out)
    write_tiny_clip_card(out, {seed: reached}, steps, backbone.model.num_parameters())
    return reached


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
