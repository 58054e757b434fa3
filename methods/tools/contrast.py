"""Contrast of images with texts: which text of a batch belongs to which image."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from methods.backbones.base import Backbone
from methods.backbones.same_texts import equal_shares
from methods.data import Batch


def contrastive_loss(fit: Tensor, names: Tensor) -> Tensor:
    """Returns cross entropy of images over texts plus that of texts over images.

    Texts with a name in common are right for each other's images, with equal shares.

    Args:
        fit: Logits of image i (row) and the text of pair j (column): float [B, B].
        names: A number for each pair's text, the same for equal texts: int64 [B]; or K numbers of
            which one has to be the same, [B, K].
    """
    names = names.view(len(names), -1)
    target = equal_shares(names, names).to(fit.dtype)
    return cross_entropy(fit, target) + cross_entropy(fit.T, target)


def embed_right_texts(backbone: Backbone, batch: Batch) -> Tensor:
    """Returns the embedding of the text that is right for each sample: [B, D]."""
    if batch.has_classes:
        return backbone.embed_texts(batch.task.prompts())[batch.labels]
    return backbone.embed_texts(batch.targets)
