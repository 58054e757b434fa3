"""Which samples of a step have the same text: they are right for each other's images."""

import torch
from torch import Tensor

from methods.data import Batch
from methods.seeds import derive_seed


def names_of(batch: Batch) -> Tensor:
    """Returns numbers by which samples know that a text is right for both: int64 [B, K].

    With classes that is the label; else the picture, and the text that is right for it. Texts of
    two samples are right for the images of both where one of the K numbers is the same.
    """
    if batch.has_classes:
        return batch.labels.unsqueeze(1)
    texts = torch.tensor([derive_seed(text) for text in batch.targets])
    shown = batch.ids if batch.shown is None else batch.shown
    return torch.stack([shown, texts], dim=1).to(batch.labels.device)


def matching(names: Tensor, others: Tensor) -> Tensor:
    """Returns which samples have a name in common: bool [B, N], of names [B, K] and [N, K].

    >>> matching(torch.tensor([[0, 5], [1, 6]]), torch.tensor([[0, 7], [2, 6]]))
    tensor([[ True, False],
            [False,  True]])
    """
    return (names.unsqueeze(1) == others).any(dim=2)
