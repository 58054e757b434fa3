"""Measures MM-SHAP: how much of the fit of an image and its text rests on each of the two.

Parcalabescu & Frank, "MM-SHAP: A Performance-agnostic Metric for Measuring Multimodal
Contributions" (ACL 2023, arXiv 2212.08158). Words of the text and patches of the image are the
players of a game for the fit; with phi_j the Shapley value of a word or patch,

    T-SHAP = sum of |phi_j| over words / sum of |phi_j| over all,  V-SHAP = 1 - T-SHAP.

It is one half for a model that uses both equally, whether or not its answers are right.

The paper leaves some choices open; here the fit is the cosine of the embeddings of an image and of
the text of its right choice, a masked patch has the mean colour of its image, and a masked word is
"_". Shapley values are estimated from a few orders in which players join and their reverses
(Mitchell et al., JMLR 2022, arXiv 2104.12199), drawn once per sample and the same after every
stage.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from methods.backbones.base import Backbone
from methods.data import Task
from methods.seeds import derive_seed
from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.diagnostics.coalitions import MODALITIES, Coalition, worths
from sweep.stage.rows import Scores
from sweep.stage.samples import spread

SIDE = 3
"""Patches of an image along each side: roughly as many patches as a prompt has words."""
ORDERS = 4
"""Number of orders in which players join; half of them are reverses of the others."""
SAMPLES = 8
"""Test images of a task."""
MASKED = "_"
"""Stands for a word that is masked."""


class MMShap(Diagnostic):
    """Measures the share of words and patches in the fit of images and their texts.

    Its rows are those of a game of image and text in which a coalition is worth the sum of its
    members' shares.
    """

    def of_tasks(self, given: Mapping[str, Tensor]) -> Scores:
        """Returns the shares of image and text, as worths of coalitions."""
        return [
            row
            for name in given
            for row in worths("mm_shap", self.tasks[name], self._worth(self.tasks[name]))
        ]

    def _worth(self, task: Task) -> dict[Coalition, float]:
        labels = torch.from_numpy(task.test.labels)
        ids = spread(len(labels), SAMPLES)
        pixels = self.samples.pixels(task)[ids].to(self.backbone.device)
        text = text_share_of_task(self.backbone, task, pixels, labels[ids])
        return {(): 0.0, ("image",): 1 - text, ("text",): text, MODALITIES: 1.0}


def text_share(backbone: Backbone, pixels: Tensor, text: str, seed: int) -> float:
    """Returns T-SHAP of one image and its text; one half if nothing matters to their fit.

    Args:
        backbone: Embeds images and texts.
        pixels: uint8 [3, H, W], on the backbone's device.
        text: At least one word.
        seed: Seed of the orders in which players join.
    """
    words = text.split()
    players = len(words) + SIDE**2
    generator = torch.Generator().manual_seed(seed % 2**63)
    drawn = [torch.randperm(players, generator=generator) for _ in range(ORDERS // 2)]
    orders = [way for order in drawn for way in (order, order.flip(0))]
    # [orders, players + 1, players]: whether a player is present after so many have joined.
    there = torch.zeros(len(orders), players + 1, players, dtype=torch.bool)
    for order, steps in zip(orders, there, strict=True):
        for count, player in enumerate(order.tolist()):
            steps[count + 1 :, player] = True
    fits = _fits(backbone, pixels, words, there.flatten(0, 1)).view(len(orders), players + 1)
    gained = fits.diff(dim=1)
    values = torch.zeros(players)
    for order, gains in zip(orders, gained, strict=True):
        values[order] += gains / len(orders)
    sizes = values.abs()
    total = float(sizes.sum())
    return float(sizes[: len(words)].sum()) / total if total else 0.5  # NaN stays NaN


def _fits(backbone: Backbone, pixels: Tensor, words: list[str], there: Tensor) -> Tensor:
    """Returns cosines of image and text with some words and patches: [N, players] -> [N]."""
    texts = [
        " ".join(word if seen else MASKED for word, seen in zip(words, row, strict=False))
        for row in there[:, : len(words)].tolist()
    ]
    different = list(dict.fromkeys(texts))
    embedded = backbone.embed_texts(different).float().cpu()
    rows = torch.tensor([different.index(text) for text in texts])
    patches = there[:, len(words) :].view(-1, 1, SIDE, SIDE).float()
    seen = torch.nn.functional.interpolate(patches, pixels.shape[1:]).bool().to(pixels.device)
    mean = pixels.float().mean(dim=(1, 2), keepdim=True).round().to(pixels.dtype)
    images = backbone.embed_images(torch.where(seen, pixels, mean)).float().cpu()
    return (images * embedded[rows]).sum(dim=1)


def text_share_of_task(backbone: Backbone, task: Task, pixels: Tensor, labels: Tensor) -> float:
    """Returns the mean T-SHAP of some test images of a task.

    Args:
        backbone: Embeds images and texts.
        task: The task; labels are its choices.
        pixels: uint8 [N, 3, H, W], on the backbone's device.
        labels: int64 [N].
    """
    texts = backbone.texts(task)  # template by template, of which the first is used
    shares = [
        text_share(backbone, image, texts[label], derive_seed("mm_shap", task.name, i))
        for i, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True))
    ]
    return sum(shares) / len(shares)
