"""Measures how far representations have moved: linear CKA with those of the untouched backbone.

Uses the first SAMPLES test images of each task, all tasks together, and all their texts.
"""

import torch
from torch import Tensor

from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.rows import ALL_TASKS, Scores, score
from sweep.stage.samples import TestSamples

SAMPLES = 256
"""Test images of each task."""


class CKA(Diagnostic):
    """Compares the current embeddings with those of the untouched backbone."""

    @torch.no_grad()
    def __init__(self, samples: TestSamples) -> None:
        """Embeds samples before anything is trained.

        Adapters change nothing yet at this point; prompts would, so they are switched off.
        """
        super().__init__(samples)
        self.method.eval()
        with samples.trainer.accelerator.autocast(), self.backbone.prompting.absent():
            self._untouched = self._embeddings()

    def of_model(self) -> Scores:
        """Returns the CKA of either modality, without one whose embeddings are all the same."""
        found = {
            modality: (linear_cka(now, self._untouched[modality]), len(now))
            for modality, now in self._embeddings().items()
        }
        return [
            score("cka", ALL_TASKS, modality, round(cka, 6), count)
            for modality, (cka, count) in found.items()
            if cka is not None
        ]

    def _embeddings(self) -> dict[str, Tensor]:
        """Returns embeddings of a fixed set of samples: float32 [N, D] by modality, on the CPU."""
        images, texts = [], []
        for task in self.tasks.values():
            ids = torch.arange(min(SAMPLES, len(task.test)))
            images.append(self.samples.image_embeddings(task, ids))
            texts.append(self.samples.text_embeddings(task))
        return {"image": torch.cat(images), "text": torch.cat(texts)}


def linear_cka(x: Tensor, y: Tensor) -> float | None:
    """Returns |Y'X|^2 / (|X'X| |Y'Y|) of centred columns, Frobenius norms.

    Kornblith et al. (ICML 2019, arXiv 1905.00414); 1: equal up to rotation and scale; None: the
    rows of one of them are all the same, so that it is not defined.

    Args:
        x: float [N, D].
        y: float [N, E].
    """
    x, y = (z.double() - z.double().mean(dim=0) for z in (x, y))
    both, one, other = (torch.linalg.norm(a.T @ b) for a, b in ((y, x), (x, x), (y, y)))
    scale = one * other
    return None if scale == 0 else float(both**2 / scale)
