"""Which samples have the same text: of a step, they are right for each other's images."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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


def equal_shares(names: Tensor, others: Tensor) -> Tensor:
    """Returns targets in which all samples with a name in common are right: float32 [B, N]."""
    same = matching(names, others).float()
    return same / same.sum(dim=1, keepdim=True)


def different_choices(choices: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], Tensor]:
    """Returns the different ones of samples' own choices, and where each sample's are among them.

    Args:
        choices: Of B samples.

    Returns:
        The choices, and places, int64 [B, C], with -1 where a sample has fewer than others.

    >>> different_choices([("cat", "dog"), ("bird",), ("dog", "bird")])
    (('cat', 'dog', 'bird'), tensor([[ 0,  1],
            [ 2, -1],
            [ 1,  2]]))
    """
    different = dict.fromkeys(choice for own in choices for choice in own)
    places = {choice: i for i, choice in enumerate(different)}
    rows = [torch.tensor([places[choice] for choice in own]) for own in choices]
    return tuple(different), pad_sequence(rows, batch_first=True, padding_value=-1)
